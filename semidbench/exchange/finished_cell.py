"""A scheme's cell that a run has finished: its stages are looked for in the store, never computed."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semidbench.dataset import Split
from semidbench.errors import UserError
from semidbench.isolation.resolver import resolve_isolated, resolved
from semidbench.machine.device import held_threads, pick_device
from semidbench.methods.registry import load_registry
from semidbench.methods.resolved import ResolvedScheme, Wanted
from semidbench.results.cell_result import protocol_sha256
from semidbench.runs.shared.session import Session, open_session
from semidbench.store.stages import Stage, StageKey, default_store, find_stage
from semidbench.tracks.files import load_track
from semidbench.version import __version__


@dataclass(frozen=True, slots=True)
class FinishedCell:
    """Track x scheme x seed, whose stages are in the store."""

    session: Session
    scheme: ResolvedScheme
    seed: int

    def made_by(self) -> dict[str, Any]:
        """What made the cell, as JSON values."""
        track = self.session.track
        return {
            "semidbench": __version__,
            "track": {"name": track.name, "version": track.version, "protocol_sha256": protocol_sha256(track)},
            "dataset_sha256": self.session.dataset.sha256,
            "split": self.session.split,
            "scheme": self.scheme.name,
            "seed": self.seed,
        }

    def stage(self, key: StageKey) -> Stage:
        """A stage of the cell.

        Raises:
            UserError: it is not in the store; the message has the command to run.
        """
        stage = find_stage(self.session.store, key)
        if stage is not None:
            return stage
        track, scheme = self.session.track.name, self.scheme.name
        raise UserError(
            f"{scheme} seed {self.seed} on track {track}, {self.session.split} split: its {key.name} is not in "
            f"{self.session.store}. Run it first, with the same --split, --data, --cache and --device: "
            f"`semidbench run --track {shlex.quote(track)} --scheme {shlex.quote(scheme)} --seeds {self.seed + 1}`"
        )


def find_cell(
    track: str,
    scheme: str,
    seed: int,
    *,
    split: Split,
    data: Path | None,
    cache: Path | None,
    device: str,
    gpus: int,
) -> FinishedCell:
    """Open a track's store at a cell. The data are prepared if they are not there; nothing is trained.

    Raises:
        UserError: anything the user can fix; a ranker's name, among others.
    """
    if seed < 0:
        raise UserError(f"seed must not be negative: {seed}")
    chosen = load_track(track)
    if "/" not in scheme and scheme.split("[")[0] in load_registry().methods["ranker"]:
        raise UserError(
            f"{scheme} is a ranker: it has no IDs, and of its rankings a run keeps where each target stands "
            "(the Parquet beside its result), not the lists. Name a scheme, such as content/rq-kmeans/shared"
        )
    (row,) = resolved(resolve_isolated(chosen, [Wanted("scheme", scheme)]))
    assert isinstance(row, ResolvedScheme)
    with held_threads(chosen.threads):
        session = open_session(chosen, split, data, cache or default_store(), pick_device(device), gpus)
    return FinishedCell(session, row, seed)
