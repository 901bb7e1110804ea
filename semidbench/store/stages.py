"""Stage outputs under a hash of everything that determines them, each written at once or not at all."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from semidbench.errors import UserError
from semidbench.machine.identity import Machine, this_machine
from semidbench.machine.memory import peak_mib, reset_peak
from semidbench.store.json_text import hash_json

FORMAT = 2
CACHE_VARIABLE = "SEMIDBENCH_CACHE"
_META = "stage.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """A finished stage.

    Attributes:
        folder: holds its output.
        key: its hash; the keys of later stages contain it.
        seconds: wall-clock time it took when it was computed; a plugin's stage without the start of its process, and
            without the text encoder.
        peak_mib: peak resident memory of the process that computed it; a plugin's, if that did.
        machine: where it was computed.
        computed: whether this call computed it.
    """

    folder: Path
    key: str
    seconds: float
    peak_mib: float
    machine: Machine
    computed: bool


@dataclass(frozen=True, slots=True)
class Spent:
    """What a stage's work took that was done in another process."""

    seconds: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class StageRecord:
    """What the store records of a finished stage.

    Attributes:
        key: its hash.
        inputs: of its key.
        seconds: as in `Stage`.
        wall_seconds: from the start of the work to its end, with the start of a plugin's process and the text encoder.
        machine: where it was computed, as JSON values.
    """

    key: str
    inputs: Mapping[str, Any]
    seconds: float
    wall_seconds: float
    machine: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StageKey:
    """All that determines a stage's output.

    Attributes:
        name: of the stage, e.g. "generator".
        inputs: JSON values; the hashes of earlier stages' keys are among them.
    """

    name: str
    inputs: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """SHA-256 in hex, under which the store has the stage."""
        return hash_json({"format": FORMAT, "stage": self.name, "inputs": self.inputs})


Make = Callable[[Path], Spent | None]  # writes a stage's output into the folder


def default_store() -> Path:
    """`$SEMIDBENCH_CACHE`, else the user's cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ.get(CACHE_VARIABLE) or user_cache_path("semidbench"))


def run_stage(store: Path, key: StageKey, make: Make) -> Stage:
    """The stage's output, computed by `make(folder)` unless the store has it.

    Two processes that want the same stage compute it once: the second waits for the first. A stage
    that fails or is killed leaves nothing that a later run would take for its output.

    Args:
        make: writes the output into the empty folder it is given. It may return the time and memory that the work
            took; if it returns None, both are this process's.

    Raises:
        UserError: the store cannot be written, or was written by another version of its format.
    """
    final, unfinished = store / key.name / key.hash, store / "unfinished" / f"{key.name}-{key.hash}"
    if (found := find_stage(store, key)) is not None:
        return found
    try:
        for folder in (final.parent, unfinished.parent, store / "locks"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to the cache {store}: {error.strerror}. Make it writable or free space on its disk, "
            "or name another folder with --cache"
        ) from error
    with FileLock(store / "locks" / f"{key.hash}.lock"):
        if (found := find_stage(store, key)) is not None:
            return found
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        unfinished.mkdir()
        try:
            reset_peak()
            began = time.perf_counter()
            spent = make(unfinished)
            wall_seconds = time.perf_counter() - began
            spent = spent or Spent(wall_seconds, peak_mib())
            meta: dict[str, Any] = {
                "format": FORMAT,
                "stage": key.name,
                "inputs": key.inputs,
                "seconds": round(spent.seconds, 3),
                "wall_seconds": round(wall_seconds, 3),
                "peak_mib": round(spent.peak_mib, 1),
                "machine": this_machine().as_key(),
                "bytes": _sizes(unfinished),
            }
            (unfinished / _META).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n", "utf-8")
            unfinished.rename(final)
        except OSError as error:
            raise UserError(f"stage {key.name} failed on a file: {error}. Nothing of it is kept in {store}") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return Stage(final, key.hash, meta["seconds"], meta["peak_mib"], Machine(**meta["machine"]), computed=True)


def find_stage(store: Path, key: StageKey) -> Stage | None:
    """The stage if the store has it, else None. Nothing is computed.

    Raises:
        UserError: what the store has is damaged.
    """
    folder = store / key.name / key.hash
    try:
        meta = json.loads((folder / _META).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"cached stage {folder} cannot be read: {error}. Delete that folder and run again") from error
    try:
        stage = Stage(folder, key.hash, meta["seconds"], meta["peak_mib"], Machine(**meta["machine"]), computed=False)
        whole = meta["bytes"] == _sizes(folder)
    except (TypeError, KeyError, OSError):
        whole = False
    if not whole:
        raise UserError(f"cached stage {folder} is damaged. Delete that folder and run again")
    return stage


def stage_records(store: Path, name: str) -> list[StageRecord]:
    """Records of the finished stages of one name. Older ones without a wall time are left out, damaged ones too."""
    records = []
    for path in sorted((store / name).glob(f"*/{_META}")):
        try:
            meta = json.loads(path.read_text("utf-8"))
            times = meta["seconds"], meta["wall_seconds"]
            records.append(StageRecord(path.parent.name, meta["inputs"], *times, meta["machine"]))
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return records


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file of a stage but its own record: what a cut copy or a full disk would change."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / _META)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
