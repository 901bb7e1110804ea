"""What a method must leave alone: its inputs, the process's global state, and held-out data on disk."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

_UNSET = {"CUDA_VISIBLE_DEVICES": None}  # what it does, it does also where it was not set
_OLD = 0  # seconds since 1970: an access time that any reading changes, also on file systems that record few


def fingerprints(value: Any, name: str) -> dict[str, str]:
    """A hash of each array and text within a value, by its place, such as `train.interactions.items`."""
    return {place: hashlib.sha256(content).hexdigest() for place, content in _leaves(value, name)}


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """What was seen where two `fingerprints` differ."""
    places = [place for place in dict.fromkeys((*before, *after)) if before.get(place) != after.get(place)]
    if not places:
        return None
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return f"{', '.join(places[:3])}{more} changed"


def _leaves(value: Any, name: str) -> Iterator[tuple[str, bytes]]:
    if is_dataclass(value):
        for field in fields(value):
            yield from _leaves(getattr(value, field.name), f"{name}.{field.name}")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}[{key!r}]")
    elif isinstance(value, np.ndarray):
        yield name, f"{value.dtype} {value.shape}".encode() + value.tobytes()
    elif isinstance(value, list) and any(isinstance(inner, np.ndarray) for inner in value):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{name}[{place}]")
    else:
        yield name, repr(value).encode()


def global_state() -> dict[str, object]:
    """What a method shares with others in its process, by name. torch's where it is loaded."""
    state: dict[str, object] = {
        "the state of the module random": random.getstate(),
        "the state of numpy's global generator": repr(np.random.get_state()),  # noqa: NPY002  # what is watched
        "numpy's handling of floating-point errors": np.geterr(),
        "the current folder": Path.cwd(),
        "the import path": tuple(sys.path),
        "the environment": {**_UNSET, **os.environ},
    }
    if (torch := sys.modules.get("torch")) is not None:
        state["the state of torch's global generator"] = torch.get_rng_state().tolist()
        state["torch's number of threads"] = torch.get_num_threads()
        state["torch's default dtype"] = str(torch.get_default_dtype())
        state["whether torch keeps to deterministic algorithms"] = torch.are_deterministic_algorithms_enabled()
    return state


def altered(before: Mapping[str, object], after: Mapping[str, object]) -> str | None:
    """What was seen where two `global_state`s differ.

    What a library brought in between does not count, such as variables that torch sets when it first needs them.
    """
    names = [name for name, value in _flat(before).items() if _flat(after).get(name) != value]
    return f"{' and '.join(names)} changed" if names else None


def _flat(state: Mapping[str, object]) -> dict[str, object]:
    """Each variable of the environment for itself."""
    flat = {name: value for name, value in state.items() if not isinstance(value, dict)}
    for name, value in state.items():
        if isinstance(value, dict):
            flat |= {f"{name} ({key})": inner for key, inner in value.items()}
    return flat


class HeldOutFiles:
    """Which files under a folder are read: by Python as it opens them, by libraries and child processes afterwards."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._opened: set[str] = set()
        for path in self._files():
            os.utime(path, (_OLD, path.stat().st_mtime))
        sys.addaudithook(self._hear)

    def read(self) -> list[str]:
        """Names of the files that were read."""
        touched = {str(path) for path in self._files() if path.stat().st_atime > _OLD}
        return sorted(str(Path(path).relative_to(self._folder.parent)) for path in self._opened | touched)

    def _files(self) -> list[Path]:
        return [path for path in sorted(self._folder.rglob("*")) if path.is_file()]

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if path.startswith(str(self._folder) + os.sep):
            self._opened.add(path)
