"""A scheme's cell that a run has finished: looked for in the store, never computed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from semidbench.dataset import Split
from semidbench.errors import UserError
from semidbench.isolation.resolver import resolve_apart, resolved
from semidbench.machine.device import held_threads, pick_device
from semidbench.methods.registry import load_registry
from semidbench.methods.resolved import ResolvedScheme, Wanted
from semidbench.results.cell_result import protocol_sha256
from semidbench.runs.reporter import Silent
from semidbench.runs.session import Bench, open_bench
from semidbench.store.stages import Unfinished, default_store
from semidbench.tracks.track import load_track


@dataclass(frozen=True, slots=True)
class FinishedCell:
    """Track x scheme x seed, whose stages are in the store; `bench` looks for them and computes none."""

    bench: Bench
    scheme: ResolvedScheme
    seed: int

    def made_by(self) -> dict[str, Any]:
        """What made the cell, as JSON values."""
        from semidbench.version import __version__

        track = self.bench.track
        return {
            "semidbench": __version__,
            "track": {"name": track.name, "version": track.version, "protocol_sha256": protocol_sha256(track)},
            "dataset_sha256": self.bench.dataset_sha256,
            "split": self.bench.split,
            "scheme": self.scheme.name,
            "seed": self.seed,
        }

    @contextmanager
    def looked_for(self) -> Iterator[None]:
        """Have a stage that the block looks for in vain say what to run."""
        try:
            yield
        except Unfinished as error:
            track, scheme = self.bench.track.name, self.scheme.name
            raise UserError(
                f"{scheme} seed {self.seed} on track {track}, {self.bench.split} split: its {error} is not in "
                f"{self.bench.store}. Run it first, with the same --split, --data, --cache and --device: "
                f"`semidbench run --track {shlex.quote(track)} --scheme {shlex.quote(scheme)} --seeds {self.seed + 1}`"
            ) from error


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
        UserError: anything the user can mend; a ranker's name, among others.
    """
    if seed < 0:
        raise UserError(f"seed must not be negative: {seed}")
    chosen = load_track(track)
    if "/" not in scheme and scheme.split("[")[0] in load_registry().methods["ranker"]:
        raise UserError(
            f"{scheme} is a ranker: it has no IDs, and of its rankings a run keeps where each target stands "
            "(the Parquet beside its result), not the lists. Name a scheme, such as content/rq-kmeans/shared"
        )
    (row,) = resolved(resolve_apart(chosen, [Wanted("scheme", scheme)]))
    assert isinstance(row, ResolvedScheme)
    with held_threads(chosen.threads):
        bench = open_bench(chosen, split, data, cache or default_store(), pick_device(device), Silent().progress)
    return FinishedCell(replace(bench, gpus=gpus).looking(), row, seed)
