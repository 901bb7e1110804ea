"""Rates of this machine, kept in the store until the machine, its libraries, the code or the track's data change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semidbench.machine.identity import this_machine
from semidbench.store.fingerprint import library_versions
from semidbench.store.stages import StageKey, find_stage, run_stage

FORMAT = 1
_RATES = "rates.json"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What rates hold under.

    Attributes:
        device: "cpu", or the graphics card's name.
        threads: of a process.
        processes: that work side by side, as in the run.
    """

    device: str
    threads: int
    processes: int

    def as_key(self) -> dict[str, Any]:
        """For the key of a rate."""
        return {
            "machine": this_machine().as_key(),
            "device": self.device,
            "threads": self.threads,
            "processes": self.processes,
            "libraries": library_versions(),
        }


@dataclass(frozen=True, slots=True)
class KeptRates:
    """The rates in a store.

    Attributes:
        fresh: measure again what is kept.
    """

    store: Path
    conditions: Conditions
    fresh: bool

    def find(self, name: str, work: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was measured before, None where nothing was, or where it does not count.

        Args:
            name: of the rate.
            work: JSON values, all that the time depends on beside the conditions.
        """
        stage = None if self.fresh else find_stage(self.store, self._key(name, work))
        if stage is None:
            return None
        found: dict[str, Any] = json.loads((stage.folder / _RATES).read_text("utf-8"))
        return found

    def keep(self, name: str, work: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
        """Keep JSON values for `find`, in the place of those from before."""
        key = self._key(name, work)
        shutil.rmtree(self.store / key.name / key.hash, ignore_errors=True)

        def make(folder: Path) -> None:
            (folder / _RATES).write_text(json.dumps(measured, indent=1) + "\n", "utf-8")

        run_stage(self.store, key, make)

    def _key(self, name: str, work: Mapping[str, Any]) -> StageKey:
        return StageKey(name, {**self.conditions.as_key(), "format": FORMAT, "work": work})
