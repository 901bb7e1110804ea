"""What a method does in three processes of its own: what its rules are judged by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from semidbench.dataset.files import save_held_out, save_train
from semidbench.errors import UserError
from semidbench.isolation.limits import Limits
from semidbench.methods.registry import MethodKind, load_registry
from semidbench.testing.data import TIMES, make_split, smoke
from semidbench.testing.process import run_worker
from semidbench.testing.worker import OUTPUTS

SEED = 7


@dataclass(frozen=True, slots=True)
class Subject:
    """A method to be checked.

    Attributes:
        source: its registered name, or "module:attribute" of its factory.
        options: JSON object, as text, of the options it is given beside the track's.
        distribution: that registers it, None if none does.
        of_track: JSON object, as text, of the options that the track smoke gives it.
    """

    kind: MethodKind
    source: str
    options: str
    distribution: str | None
    of_track: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One go: items in the catalogue, CPU seconds, and MiB of memory above what was taken before."""

    items: int
    seconds: float
    mib: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen.

    Attributes:
        distribution: that registers the method, None if none does.
        breaches: of rules that one process can judge, by the rule's name.
        ended: how a process failed to come to an end, in words; None if all did.
        trace: of the method's own error, or the last it printed.
        differences: of two processes' outputs, in words; None if there are none.
        measured: in the small and in the large world; empty if it did not come to that.
    """

    distribution: str | None
    breaches: Mapping[str, str]
    ended: str | None = None
    trace: str | None = None
    differences: str | None = None
    measured: tuple[Measured, ...] = ()


@cache  # the rules of a test file ask for the same one after another
def gather(subject: Subject, limits: Limits) -> Evidence:
    """Put a method to work.

    Raises:
        UserError: an option does not fit, or an embedder that it builds on cannot be computed.
    """
    with TemporaryDirectory(prefix="semidbench-check-") as name:
        return _Bench(Path(name), limits).evidence(subject)


class _Bench:
    """A folder with both worlds, and one folder for each process."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._cache = folder / "cache"
        self._small, self._large = (self._cache / "dataset" / name for name in ("small", "large"))  # as a store has it
        for times, world in ((1, self._small), (TIMES, self._large)):
            train, held_out = make_split(times)
            save_train(train, world / "train")
            save_held_out(held_out, world / "held-out")

    def evidence(self, subject: Subject) -> Evidence:
        """Three processes, or fewer if the method does not come so far."""
        job = self._job(subject)
        first = self._run({**job, "do": "observe"}, "first")
        if first.get("builds_on"):
            job["below"] = self._below(first["builds_on"], (subject.source,))
            first = self._run({**job, "do": "observe"}, "first-with-views")
        if "misused" in first:
            raise UserError(first["misused"])
        breaches, saw = first["breaches"], subject.distribution
        if (ended := _broke_off(first)) or {"made", "returns"} & breaches.keys():
            return Evidence(saw, breaches, ended, first.get("trace"))
        job["read_only"] = "inputs" not in breaches  # as in a run, unless that is what it cannot do with
        second = self._run({**job, "do": "repeat", "noise": 2, "torch": first["torch"]}, "second", hash_seed=2)
        breaches = {**second["breaches"], **breaches}
        if ended := _broke_off(second):
            return Evidence(saw, breaches, f"in a second process, with read-only inputs, {ended}", second.get("trace"))
        differences = None if "returns" in breaches else _differences(first["folder"], second["folder"])
        third = self._run({**job, "do": "grow", "large": str(self._large)}, "third")
        if ended := _broke_off(third):
            where = f"with {TIMES} times as many items {ended}"
            return Evidence(saw, breaches, where, third.get("trace"), differences)
        measured = tuple(Measured(**each) for each in third["measured"])
        return Evidence(saw, breaches, differences=differences, measured=measured)

    def _job(self, subject: Subject) -> dict[str, Any]:
        return {
            "kind": subject.kind,
            "source": subject.source,
            "options": json.loads(subject.options),
            "of_track": json.loads(subject.of_track),
            "distribution": subject.distribution,
            "world": str(self._small),
            "below": {},
            "seed": SEED,
            "noise": 1,
            "torch": False,
            "read_only": False,
        }

    def _run(self, job: dict[str, Any], name: str, hash_seed: int = 1) -> dict[str, Any]:
        """What the worker observed, and its folder."""
        folder = self._folder / name
        return {**run_worker(job, folder, self._cache, hash_seed, self._limits), "folder": folder}

    def _below(self, names: Sequence[str], above: tuple[str, ...]) -> dict[str, dict[str, str]]:
        """The views of the embedders that one builds on, by name and world: the folders they lie in."""
        return {name: self._views(name, above) for name in names}

    def _views(self, name: str, above: tuple[str, ...]) -> dict[str, str]:
        if name in above:
            raise UserError(f"embedders build on each other in a circle: {' -> '.join([*above, name])}")
        method = load_registry().get("embedder", name, hint=f"{above[-1]} builds on it.")
        job = self._job(new_subject("embedder", name, {}, method.distribution))
        job |= {"do": "repeat", "read_only": True}
        if needs := getattr(method.load(), "builds_on", ()):
            job["below"] = self._below(needs, (*above, name))
        folders = {}
        for world in (self._small, self._large):
            observed = self._run({**job, "world": str(world)}, f"views-{'-'.join((*above, name))}-{world.name}")
            if broken := _broke_off(observed) or observed.get("misused") or observed["breaches"].get("returns"):
                raise UserError(f"{above[-1]} builds on the embedder {name!r}, which cannot be computed: {broken}")
            folders[world.name] = str(observed["folder"])
        return folders


def new_subject(kind: MethodKind, source: str, options: Mapping[str, Any], distribution: str | None) -> Subject:
    """A subject, with the options that the track smoke gives to a method of that name."""
    of_track = getattr(smoke().methods, f"{kind}s").get(source, {})
    return Subject(kind, source, json.dumps(options), distribution, json.dumps(of_track))


def _broke_off(observed: Mapping[str, Any]) -> str | None:
    """How a worker did not come to an end, in words that go on a sentence."""
    if "ended" in observed:
        return str(observed["ended"])
    return f"it raised {observed['failed']}" if "failed" in observed else None


def _differences(one: Path, other: Path) -> str | None:
    """Of two processes' outputs, bit by bit."""
    with np.load(one / OUTPUTS, allow_pickle=False) as first, np.load(other / OUTPUTS, allow_pickle=False) as second:
        if first.files != second.files:
            return f"{', '.join(first.files)} in one process, {', '.join(second.files)} in another"
        for name in first.files:
            a, b = first[name], second[name]
            if a.shape != b.shape:
                return f"{name} of shape {a.shape} in one process, {b.shape} in another"
            rows = sum(left.tobytes() != right.tobytes() for left, right in zip(a, b, strict=True))
            if rows:
                return f"{name} differ in {rows} of {len(a)} rows between two processes"
    return None
