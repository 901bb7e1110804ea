"""A track opened on this machine: what all cells of a run share, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from semidbench.dataset import Split
from semidbench.dataset.prepare import source_hashes
from semidbench.isolation.limits import Limits
from semidbench.runs.shared.dataset import SplitDataset, prepare_dataset
from semidbench.runs.shared.tokenizer import train_tokenizer
from semidbench.store.stages import Stage
from semidbench.text.encoder import EncoderSpec, encoder_spec
from semidbench.text.lsa import training_texts
from semidbench.text.pretrained import Pretrained, find_pretrained
from semidbench.tracks.track import Pinned, Track

Role = Literal["text_encoder", "generator"]


@dataclass(frozen=True, slots=True)
class Session:
    """A track on a machine, ready for cells.

    Attributes:
        split: whose cases are held out.
        store: of the stages.
        device: "cpu" or "cuda".
        gpus: how many graphics cards train a generator.
        limits: of a plugin's process; None: plugins work in this process, and nothing limits them.
        dataset: the data, split.
        encoder: the track's text encoder.
        models: the pretrained models by what they are for; what is not pretrained is not there.
        tokenizer: the stage that has the generator's text tokens.
    """

    track: Track
    split: Split
    store: Path
    device: str
    gpus: int
    limits: Limits | None
    dataset: SplitDataset
    encoder: EncoderSpec
    models: Mapping[Role, Pretrained]
    tokenizer: Stage


def open_session(track: Track, split: Split, data: Path | None, store: Path, device: str, gpus: int = 1) -> Session:
    """Prepare a track's data, or find it in the store. Plugins get the track's time, and as much memory as there is.

    Raises:
        UserError: the data is missing or wrong; nothing is kept of a failed attempt.
    """
    source_hashes(track, data)  # missing files or models are an error before any work
    sections: dict[Role, Any] = {"text_encoder": track.text_encoder, "generator": track.generator}
    models = {role: find_pretrained(section) for role, section in sections.items() if isinstance(section, Pinned)}
    dataset = prepare_dataset(track, split, data, store)
    texts = training_texts(dataset.train)
    return Session(
        track=track,
        split=split,
        store=store,
        device=device,
        gpus=gpus,
        limits=Limits(60 * track.plan.stage_minutes, None),
        dataset=dataset,
        encoder=encoder_spec(
            track.text_encoder, models.get("text_encoder"), texts, store / "encodings", track.threads, device
        ),
        models=models,
        tokenizer=train_tokenizer(track, models.get("generator"), dataset, store),
    )


def shared_inputs(session: Session) -> dict[str, str]:
    """Keys of all that cells build on, models' files included: the same in every process of a run."""
    return {
        "data": session.dataset.stage.key,
        "text encoder": session.encoder.fingerprint,
        "generator's tokenizer": session.tokenizer.key,
    }
