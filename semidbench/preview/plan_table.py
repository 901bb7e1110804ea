"""A plan as a table for the terminal."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import RenderableType

from semidbench.preview.disk import Disk
from semidbench.preview.plan import CostEstimate
from semidbench.preview.run_time import RunTime


def to_rich(made: CostEstimate) -> RenderableType:
    """The plan for a terminal."""
    from rich.table import Table

    work, probe, cells = made.work, made.probe, made.rows * made.seeds
    how = "counted in the data" if work.counted else "estimated: the track's expected sizes, no data given"
    table = Table(title=f"{made.track} version {made.version}: {how}", show_header=False, title_justify="left")
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column()
    references = made.references * made.seeds
    lines = [
        ("cells", f"{cells + references:,}", f"{made.rows} rows + {made.references} references, {made.seeds} seeds"),
        ("catalogue", f"{work.items:,}", f"items; {work.users:,} users"),
        ("training examples", f"{work.examples:,}", f"an epoch, {made.steps:,} steps in all"),
        ("tokens an epoch", f"{work.example_tokens + work.label_tokens:,}", "prompts and IDs"),
        ("test prompts", f"{work.prompts:,}", f"{work.prompt_tokens / work.prompts:.1f} tokens each"),
        ("generator", f"{made.parameters / 1e6:,.1f} M", "parameters"),
        *_disk_lines(made.disk),
        ("device", probe.device, f"{probe.processes} side by side, {probe.threads} threads each"),
        ("a training step", _seconds(probe.step_seconds), f"timed on batches of {_list(probe.training_rows)}"),
        ("a test prompt", _seconds(probe.prompt_seconds), f"timed on {_list(probe.decoded_rows)} prompts"),
        ("peak memory", f"{probe.peak_mib:,.0f} MiB", "at the largest of them"),
        ("a cell's generator", _hours(made.training_hours_a_cell + made.decoding_hours_a_cell), _split(made)),
        ("all generators", _hours(made.hours), "one cell after the other"),
        *_tuning_lines(made),
        *_run_lines(made.run, made.work.counted),
    ]
    for line in lines:
        table.add_row(*line)
    return table


def _tuning_lines(made: CostEstimate) -> list[tuple[str, str, str]]:
    if not made.tunings:
        return []
    what = f"of the sentence model, {made.work.queries:,} query-item pairs an epoch each"
    return [("fine-tunings", f"{made.tunings:,}", what)]


def _run_lines(run: RunTime, counted: bool) -> list[tuple[str, str, str]]:
    """What is left of the run, and what that is made of."""
    if not run.cells:
        return [("the run", _hours(run.seconds / 3600), "every cell is finished and only read")]
    also = "finished stages in the cache are not counted" if counted else "generators alone: the other stages need data"
    stages = [
        (
            f"  {use.stage.label}",
            "?" if use.stage.how == "not counted" else _hours(use.stage.seconds / 3600),
            f"{use.times} times, {use.stage.how}" + f": {use.stage.note}" * bool(use.stage.note),
        )
        for use in run.stages
    ]
    return [
        ("the run", _hours(run.seconds / 3600), f"{run.cells} cells, {run.jobs} at a time; {also}"),
        ("  its start", _hours(run.start_seconds / 3600), "until the first cell"),
        *stages,
    ]


def _disk_lines(disk: Disk) -> list[tuple[str, str, str]]:
    kept = {name: size for name, size in asdict(disk).items() if name != "checkpoint"}
    parts = ", ".join(f"{name} {_bytes(size)}" for name, size in kept.items())
    return [("disk", _bytes(sum(kept.values())), parts), ("", _bytes(disk.checkpoint), "while a generator trains")]


def _split(made: CostEstimate) -> str:
    return f"training {_hours(made.training_hours_a_cell)}, decoding {_hours(made.decoding_hours_a_cell)}"


def _hours(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{hours * 60:.1f} min" if hours >= 1 / 60 else f"{hours * 3600:.1f} s"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.2f} ms"


def _bytes(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"


def _list(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
