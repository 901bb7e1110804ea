"""The [dataset] table of a track: where the data come from and what is kept of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from semidbench.tracks.section import Section, Share, added


class World(Section):
    """The built-in synthetic world (semidbench.dataset.world)."""

    recipe: Literal["world"]
    seed: int
    items: PositiveInt
    users: PositiveInt
    interactions_per_user: PositiveInt  # mean; each user has at least 3
    topics: PositiveInt  # latent content factors
    tastes: PositiveInt  # latent taste factors
    agreement: Share  # 1: taste follows content, 0: independent of it
    rec_popularity_skew: Annotated[float, Field(ge=0)]  # Zipf exponent of interactions
    search_popularity_skew: Annotated[float, Field(ge=0)]  # Zipf exponent of training queries per item
    train_queries: PositiveInt  # per item
    test_queries: PositiveInt  # per item


class MovieLens(Section):
    """A MovieLens release joined with descriptions (semidbench.dataset.movielens.read).

    The filters apply in this order: `described_only`, `last_interactions`, `min_ratings`.
    """

    recipe: Literal["movielens"]
    release: Literal["ml-latest-small", "ml-25m"] = added("ml-latest-small")
    described_only: bool = added(False)  # movies without a description are left out, with their ratings
    min_described: Share = added(0.0)  # a smaller share of described movies, of all in movies.csv, is an error
    last_interactions: PositiveInt | None = added(None)  # each user's latest so many; None: all
    min_ratings: NonNegativeInt  # an item with fewer is left out; 0 keeps movies that nobody rated
    max_tags: PositiveInt | None = added(None)  # an item's so many most often given tags; None: all
    genome_tags: PositiveInt | None = added(None)  # so many most relevant genome tags go into the item's text
    queries: Literal["templates", "file"] = added("templates")  # written here, or read from queries.jsonl
    train_queries: PositiveInt  # per item
    test_queries: PositiveInt  # per item: the paraphrases
    queries_seed: int | None = None  # of the templates

    @model_validator(mode="after")
    def _seed_is_for_templates(self) -> MovieLens:
        if (self.queries == "templates") != (self.queries_seed is not None):
            raise ValueError('queries = "templates" needs queries_seed, and queries = "file" has none')
        return self


class Folder(Section):
    """A dataset folder of one's own (semidbench.dataset.folder, docs/how-to/data.md)."""

    recipe: Literal["folder"]
    last_interactions: PositiveInt | None = None  # each user's latest so many; None: all
    min_interactions: NonNegativeInt  # an item with fewer is left out, after `last_interactions`
    train_queries: PositiveInt | None = None  # exactly so many per item; None: as many as there are
    test_queries: PositiveInt | None = None  # exactly so many per item; None: as many as there are
