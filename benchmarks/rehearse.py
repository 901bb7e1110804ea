"""The paper's track, rehearsed at its size on made data: some of each stage, what all of it takes, and plan's estimate.

    python -m benchmarks.rehearse
    python -m benchmarks.rehearse --device cuda
    python -m benchmarks.rehearse --keep FOLDER --what prepare tokenise    # stage by stage: what is done stays done

MovieLens 25M, descriptions and queries are made up; flan-t5-base and all-mpnet-base-v2 have their shapes and random
weights. Each stage works in a process of its own, whose peak memory stands beside it. Hours are those of one process,
one stage after the other, at the rate that was measured.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from benchmarks.rehearsal.parts import Measured, Part
from benchmarks.rehearsal.place import Amounts, Place
from semidbench.errors import UserError
from semidbench.machine.memory import peak_mib

STAGES = {  # in the order of a run; the function in benchmarks/rehearsal that does it
    "prepare": "generator:prepare_data",
    "tokenise": "generator:tokenise",
    "encode": "methods:encode_texts",
    "fine-tune": "methods:fine_tune",
    "enmf": "methods:factorise",
    "codes": "methods:learn_codes",
    "train": "generator:train_steps",
    "decode": "generator:decode_prompts",
    "references": "results:answer",
    "evaluate": "results:evaluate",
    "tables": "results:make_tables",
    "plan": "results:estimate",
}
TRAINED, DECODED, PLAN = "train", "decode", "plan"
_FEW = {  # steps, prompts, texts and pairs that take minutes in all
    "cpu": {"steps": 2, "prompts": 128, "texts": 32, "pairs": 8},
    "cuda": {"steps": 50, "prompts": 2_048, "texts": 4_096, "pairs": 512},
}
HEADERS = ("stage", "done here", "seconds", "the whole track has", "hours", "peak GiB")


def measure(name: str, place: Place) -> Measured:
    """Do a stage in this process."""
    module, _, function = STAGES[name].partition(":")
    stage: Callable[[Place], Sequence[Part]] = getattr(import_module(f"benchmarks.rehearsal.{module}"), function)
    parts = tuple(stage(place))
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Measured(name, parts, max(peak_mib(), of_children) / 1024, _card_gib(place.amounts.device))


def measured_apart(name: str, place: Place) -> Measured:
    """The stage as it was measured in this folder before; else measured in a process of its own, and kept."""
    kept = place.folder / "measured" / f"{name}.json"
    if kept.is_file():
        return Measured.from_json(json.loads(kept.read_text("utf-8")))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        found = process.submit(measure, name, place).result()
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(found.as_json(), indent=1) + "\n", "utf-8")
    return found


def _card_gib(device: str) -> float:
    if device == "cpu":
        return 0.0
    import torch

    return torch.cuda.max_memory_allocated() / 2**30


def rows(found: Measured) -> list[tuple[str, ...]]:
    """A row for each part."""
    memory = f"{found.peak_gib:.1f}" + (f"; card {found.card_gib:.1f}" if found.card_gib else "")
    return [
        (
            part.name,
            f"{part.amount:,.0f} {part.unit if part.amount != 1 else part.unit.removesuffix('s')}",
            _digits(part.seconds),
            f"{part.whole:,.0f}",
            _digits(part.hours),
            memory,
        )
        for part in found.parts
    ]


def beside_plan(found: dict[str, Measured]) -> list[tuple[str, ...]]:
    """Rows: what plan estimated and what was measured, of training and decoding."""
    lines = []
    pairs = zip((TRAINED, DECODED), found[PLAN].parts, ("a training step, ms", "a test prompt, ms"), strict=True)
    for stage, planned, what in pairs:
        (part,) = found[stage].parts
        each = [1e3 * side.seconds / side.amount for side in (planned, part)]
        lines.append((what, *map(_digits, each), f"{each[0] / each[1]:.2f}"))
        hours = planned.hours, part.hours
        lines.append((f"{part.name}, all cells, hours", *map(_digits, hours), f"{hours[0] / hours[1]:.2f}"))
    return lines


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _print(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rehearse", description=__doc__.splitlines()[0])
    parser.add_argument("--what", nargs="+", choices=STAGES, default=list(STAGES), help="stages; default: all")
    parser.add_argument("--items", type=int, default=62_138, help="users and queries follow; default: %(default)s")
    parser.add_argument("--shape", choices=("flan-t5-base", "tiny"), default="flan-t5-base")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: %(default)s")
    for name, what in (
        ("steps", "timed of each training"),
        ("prompts", "decoded"),
        ("texts", "encoded, of items and of queries"),
        ("pairs", "in a batch of a fine-tuning"),
    ):
        few = " and ".join(f"{of[name]:,} on {device}" for device, of in _FEW.items())
        parser.add_argument(f"--{name}", type=int, help=f"{what}; default: {few}")
    parser.add_argument("--keep", type=Path, help="a folder for data and measurements; a temporary one if not named")
    return parser.parse_args()


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="semidbench-rehearsal-") as name:
        yield Path(name)


def main() -> None:
    """Print a row as soon as it is known, then plan's estimate beside them."""
    options = _options()
    few = {name: getattr(options, name) or count for name, count in _FEW[options.device].items()}
    amounts = Amounts(options.items, options.shape, options.device, options.threads, **few)
    found = {}
    with _folder(options.keep) as folder:
        place = Place(folder, amounts)
        print(f"making {amounts.items:,} items", file=sys.stderr)
        place.make()
        _print(HEADERS)
        _print(["---"] * len(HEADERS))
        for name in (stage for stage in STAGES if stage in options.what):
            try:
                found[name] = measured_apart(name, place)
            except UserError as error:  # a plugin that is not installed, say
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            for row in rows(found[name]) if name != PLAN else []:
                _print(row)
    hours = sum(part.hours for name, stage in found.items() if name != PLAN for part in stage.parts)
    _print(["all of these", "", "", "", _digits(hours), ""])
    if {TRAINED, DECODED, PLAN} <= found.keys():
        print()
        _print(["what", "plan", "rehearsed", "plan / rehearsed"])
        _print(["---"] * 4)
        for row in beside_plan(found):
            _print(row)
    from benchmarks.measure import machine  # imports torch, whose memory would be in the stages' that begin as copies

    print(f"\n{machine(amounts.threads, amounts.device)}.")


if __name__ == "__main__":
    main()
