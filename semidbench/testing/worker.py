"""A process that puts one method to work and writes down what it saw. `semidbench.testing.process` starts it."""

from __future__ import annotations

import gc
import os
import random
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from pathlib import Path
from typing import Any

from semidbench.isolation.limited_program import memory_held, open_program
from semidbench.methods.failure import described
from semidbench.methods.traces import plugin_traceback

OUTPUTS = "outputs.npz"

# Seconds to import, each of them; numpy is what plugins are written in, and no more than a fifth of one.
_HEAVY = (
    *("torch", "transformers", "sentence_transformers", "tensorflow", "jax", "faiss", "sklearn", "scipy", "pandas"),
    *("pyarrow", "recbole", "numba", "vector_quantize_pytorch"),
)


def main() -> None:
    """Do the job that the request is. Threads that a method left are not waited for."""
    program = open_program()
    job, observed = program.request, dict[str, Any](breaches={})
    program.send("began")
    try:
        with memory_held(job["memory_mib"]):
            _JOBS[job["do"]](job, program.folder, observed)
    except BaseException as error:  # a method that calls sys.exit() too
        observed["failed"], observed["trace"] = described(error), plugin_traceback(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    program.send("observed", observed)
    program.dump.close()
    os._exit(0)


def _observe(job: dict[str, Any], folder: Path, observed: dict[str, Any]) -> None:
    """Whatever one process can see."""
    breaches = observed["breaches"]
    if heavy := _heavy_when_listed(job["distribution"]):
        breaches["light"] = heavy
    from semidbench.testing.watch import HeldOutFiles

    held_out = HeldOutFiles(Path(job["world"]) / "held-out")
    try:
        factory = _load(job)
    except Exception as error:
        breaches["made"], observed["trace"] = described(error), plugin_traceback(error)
        return
    needs = [name for name in getattr(factory, "builds_on", ()) if name not in job["below"]]
    if needs:
        observed["builds_on"] = needs
        return
    options = _options(job, factory, observed)
    if options is None:
        return
    try:
        _watch_work(job, folder, factory, options, breaches)
    finally:
        if read := held_out.read():
            breaches["private"] = f"it read {', '.join(read)}"
    observed["torch"] = "torch" in sys.modules


def _watch_work(
    job: dict[str, Any], folder: Path, factory: Any, options: dict[str, Any], breaches: dict[str, str]
) -> None:
    """Put the method to work, and see what it returns and leaves behind."""
    from semidbench.errors import UserError
    from semidbench.testing.exercise import EXERCISES, missing_methods
    from semidbench.testing.watch import altered, changed, fingerprints, global_state

    given = _material(job, folder, job["world"])
    _seed_globals(job)
    inputs, state = fingerprints(given, "given"), global_state()
    try:
        instance = _make(job, factory, options)
    except UserError as error:
        breaches["made"] = str(error)
        return
    if missing := missing_methods(job["kind"], instance):
        breaches["made"] = f"it has no {' and no '.join(f'`{name}`' for name in missing)}"
        return
    exercise = EXERCISES[job["kind"]]
    try:
        outputs = exercise.work(instance, given)
    except UserError as error:
        breaches["returns"] = _seen(str(error))
        return
    _save(outputs, folder)
    if seen := changed(inputs, fingerprints(given, "given")):
        breaches["inputs"] = seen.replace("given.", "")
    elif seen := exercise.rows and exercise.rows(instance, given, outputs):
        breaches["rows"] = seen
    if seen := altered(state, global_state()):
        breaches["state"] = seen


def _repeat(job: dict[str, Any], folder: Path, observed: dict[str, Any]) -> None:
    """The same again, for its outputs."""
    from semidbench.errors import UserError
    from semidbench.testing.exercise import EXERCISES
    from semidbench.testing.watch import altered, global_state

    factory = _load(job)
    options = _options(job, factory, observed)
    assert options is not None, observed
    given = _material(job, folder, job["world"])
    if job["torch"]:
        import_module("torch")  # so that its global generator can be seeded, and watched
    _seed_globals(job)
    state = global_state()
    try:
        _save(EXERCISES[job["kind"]].work(_make(job, factory, options), given), folder)
    except UserError as error:
        observed["breaches"]["returns"] = _seen(str(error))
    if seen := altered(state, global_state()):
        observed["breaches"]["state"] = seen


def _grow(job: dict[str, Any], folder: Path, observed: dict[str, Any]) -> None:
    """Time and memory in the small world, after a first go that loads what is loaded once, and in the large one."""
    from semidbench.testing.exercise import EXERCISES

    factory = _load(job)
    options = _options(job, factory, observed)
    assert options is not None, observed
    work = EXERCISES[job["kind"]].work
    work(_make(job, factory, options), _material(job, folder, job["world"]))
    observed["measured"] = []
    for world in (job["world"], job["large"]):
        given, instance = _material(job, folder, world), _make(job, factory, options)
        _give_back_memory()
        began, before = _cpu_seconds(), _restarted_peak()
        work(instance, given)
        seconds, mib = _cpu_seconds() - began, _peak() - before
        observed["measured"].append({"items": given.train.n_items, "seconds": seconds, "mib": max(0.0, mib)})


_JOBS = {"observe": _observe, "repeat": _repeat, "grow": _grow}


def _heavy_when_listed(distribution: str | None) -> str | None:
    """What importing the distribution's plugins brings along. To be asked before anything else is imported."""
    before = set(sys.modules)
    for point in entry_points(group="semidbench"):
        if point.dist is not None and point.dist.name == distribution:
            point.load()
            if heavy := [name for name in _HEAVY if name in sys.modules and name not in before]:
                return f"importing {point.value} imports {', '.join(heavy)}"
    return None


def _load(job: dict[str, Any]) -> Any:
    """The factory: by "module:attribute", or as registered."""
    if ":" in job["source"]:
        module, _, attribute = job["source"].partition(":")
        return attrgetter(attribute)(import_module(module))
    from semidbench.methods.registry import load_registry

    return load_registry().get(job["kind"], job["source"]).load()


def _options(job: dict[str, Any], factory: Any, observed: dict[str, Any]) -> dict[str, Any] | None:
    """The effective options; None, and a word about the mistake, if those that were asked for do not fit."""
    from semidbench.errors import UserError
    from semidbench.methods.options import effective_options

    method = f"{job['kind']} {job['source']!r}"
    try:
        return effective_options(factory, method, job["of_track"], job["options"])
    except UserError as error:
        observed["misused"] = str(error)
    return None


def _make(job: dict[str, Any], factory: Any, options: dict[str, Any]) -> Any:
    from semidbench.methods.options import build

    return build(factory, f"{job['kind']} {job['source']!r}", options)


def _material(job: dict[str, Any], folder: Path, world: str) -> Any:
    """Training data and views of a world, as a run hands them over: read-only, or not, so that changes are seen."""
    import numpy as np

    from semidbench.dataset.files import load_train
    from semidbench.testing.data import context, task_views
    from semidbench.testing.exercise import material

    train = load_train(Path(world) / "train")
    below = {}
    for name, folders in job["below"].items():
        with np.load(Path(folders[Path(world).name]) / OUTPUTS, allow_pickle=False) as file:
            below[name] = {view.removeprefix("view '").removesuffix("'"): file[view] for view in file.files}
    scratch = Path(tempfile.mkdtemp(dir=folder))
    given = material(train, task_views(train), context(scratch, job["seed"], below))
    arrays = [*given.views.values(), *given.histories, *(view for views in below.values() for view in views.values())]
    for array in arrays:
        array.setflags(write=not job["read_only"])
    return given if job["read_only"] else replace(given, train=_writable(train))


def _writable(train: Any) -> Any:
    """A copy with arrays that can be written to."""
    return replace(
        train,
        catalogue=replace(train.catalogue, years=train.catalogue.years.copy()),
        interactions=type(train.interactions)(
            train.interactions.users.copy(), train.interactions.items.copy(), train.interactions.timestamps.copy()
        ),
        queries=replace(train.queries, items=train.queries.items.copy()),
    )


def _seed_globals(job: dict[str, Any]) -> None:
    """Otherwise in each process: who draws from these has no bits that repeat."""
    import numpy as np

    random.seed(job["noise"])
    np.random.seed(job["noise"])  # noqa: NPY002  # what methods may use by mistake
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(job["noise"])


def _save(outputs: dict[str, Any], folder: Path) -> None:
    import numpy as np

    np.savez(folder / OUTPUTS, **outputs)


def _seen(breach: str) -> str:
    """Without what the report says anyway."""
    return breach.removeprefix("it broke its contract: ").removesuffix(". See docs/reference/plugin-api.md")


def _give_back_memory() -> None:
    """To the system, so that memory that is free in this process counts when it is used again."""
    gc.collect()
    import ctypes

    with suppress(OSError, AttributeError):  # the C library is another
        ctypes.CDLL(None).malloc_trim(0)


def _cpu_seconds() -> float:
    """Of this process and of those it started and waited for: other programs' work does not count."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _restarted_peak() -> float:
    from semidbench.machine.memory import peak_mib, reset_peak

    reset_peak()
    return peak_mib()


def _peak() -> float:
    from semidbench.machine.memory import peak_mib

    return peak_mib()
