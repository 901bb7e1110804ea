"""The summary of a machine: its rows, its block of Markdown, and what it keeps of a stopped run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import decode, summary, training
from benchmarks.products import LIBRARIES
from benchmarks.summary import Asked, Line

QUICK = Asked(None, Path("python"), "cpu", 1, 1, True)
CARD = Asked(None, Path("python"), "cuda", 1, 5, False)


def test_ratios_say_how_many_times_as_good_semidbench_is() -> None:
    slower = Line("a", "s", 0.5, 2.0, "it")
    assert slower.cells() == ("a", "s", "0.5", "2 (it)", "4.00")
    assert Line("a", "examples/s", 500.0, 2000.0, "it", more=True).cells() == (
        ("a", "examples/s", "500", "2,000 (it)", "0.25")
    )
    assert Line("a", "prompts", 8, note="of 8").cells() == ("a", "prompts", "8", "of 8", "")


def run(monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    monkeypatch.setattr(sys, "argv", ["summary", "--peer-python", sys.executable, *more])
    summary.main()


def test_the_block_has_one_table_its_machine_and_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(summary, "PARTS", {"one": lambda asked: iter([Line("first", "s", 1.0)])})
    run(monkeypatch, "--threads", "1", "--quick")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("### ")
    assert lines[2:5] == [
        "| what | unit | semidbench | peer | times as good |",
        "| --- | --- | --- | --- | --- |",
        "| first | s | 1 |  |  |",
    ]
    assert lines[-1].startswith("Medians of 1, ")
    assert lines[-1].endswith(f"`python -m benchmarks.summary --peer-python {sys.executable} --threads 1 --quick`")


def test_rows_are_printed_when_they_are_known_and_whole_parts_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[str] = []

    def whole(asked: Asked) -> Iterator[Line]:
        calls.append("whole")
        yield Line("whole", "s", 1.0, 2.0, "it")

    def stopped(asked: Asked) -> Iterator[Line]:
        calls.append("stopped")
        yield Line("before the end", "s", 1.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(summary, "PARTS", {"whole": whole, "stopped": stopped})
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(monkeypatch, "--keep", str(tmp_path / "kept"))
        assert capsys.readouterr().out.splitlines()[4:] == [
            "| whole | s | 1 | 2 (it) | 2.00 |",
            "| before the end | s | 1 |  |  |",
        ]
    assert calls == ["whole", "stopped", "stopped"]


def test_a_card_is_measured_by_the_parts_that_use_it() -> None:
    assert set(summary.ON_A_CPU) < set(summary.PARTS)
    assert {"base", "decode"} <= set(summary.PARTS) - set(summary.ON_A_CPU)


def test_training_is_beside_both_peers_and_a_forced_library(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def speed(task: Any, python: Path, threads: int, device: str, rounds: Any, libraries: list[str]) -> Any:
        asked.append(libraries)
        rates = {training.DYNAMIC: 10.0, training.GROUPED: 20.0, training.OURS: 30.0}
        rates |= {f"semidbench, {library} forced": 15.0 for library in libraries}
        return {name: training.Timing(rate, peak_gib=rate) for name, rate in rates.items()}

    shapes: list[tuple[int, int]] = []
    monkeypatch.setattr(training, "speed", speed)
    monkeypatch.setattr(training, "base_task", lambda batch, length, folder: shapes.append((batch, length)))
    for name in list(LIBRARIES):
        monkeypatch.delitem(LIBRARIES, name)
    monkeypatch.setitem(LIBRARIES, "another", lambda: None)
    found = [line.cells() for line in summary.training_base(QUICK)]
    assert [(cells[3], cells[4]) for cells in found] == [
        ("10 (Seq2SeqTrainer, dynamic padding)", "3.00"),
        ("20 (Seq2SeqTrainer, grouped by length)", "1.50"),
        ("15 (semidbench, another forced)", "2.00"),
    ]
    on_card = [line.cells() for line in summary.training_base(CARD)]
    assert on_card[-1][1:] == ("GiB", "30", "10 (Seq2SeqTrainer, dynamic padding)", "0.33")
    assert shapes == [(8, 32), (128, 40)]
    assert asked == [["another"], []]


def test_decoding_has_times_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    took = {"HF generate": 0.01, "semidbench": 0.001, "encoder, semidbench": 0.0005}
    took |= {"encoder, transformers 4": 0.002, "encoder, transformers 5": 0.001}
    task: Any = SimpleNamespace(shape=SimpleNamespace(prompts=(4, 8)), held=np.ones(4))
    compared = decode.Compared(task, {}, took, 4, (95, 96))
    monkeypatch.setattr(decode, "compare", lambda *_, **__: compared)
    cells = [line.cells() for line in summary.decoding(QUICK)]
    assert [row[2:] for row in cells] == [
        ("1", "10 (HF generate)", "10.00"),
        ("1", "0.5 (semidbench's encoder alone)", "0.50"),
        ("4", "of 4", ""),
        ("95", "of 96", ""),
        ("0.5", "1 (transformers' encoder)", "2.00"),
    ]


def test_other_parts_give_a_row_for_each_thing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(summary.linear, "SHAPES", {"a layer": (64, 8, 16)})
    monkeypatch.setattr(summary.linear, "ratio", lambda *_: ["40", "50", "1.25"])
    for own, factor in (("torch", "0.80"), ("oneDNN", "1.25")):
        monkeypatch.setattr(summary, "library", lambda own=own: own)
        layers = list(summary.products(QUICK))
        assert [layer.cells()[4] for layer in layers] == [factor, factor]  # without and with gradients
        assert all(layer.unit == "GFLOP/s" for layer in layers)
    monkeypatch.setattr(
        summary.startup,
        "COMMANDS",
        {name: ["true"] for name in ("python -c pass", "semidbench --help", "semidbench list")},
    )
    assert [line.unit for line in summary.start(QUICK)] == ["s", "s"]
    monkeypatch.setattr(summary.growth, "index_apart", lambda *_: {"build": 2.0, "memory": 3.0})
    assert [line.ours for line in summary.index(QUICK)] == [2.0, 3.0]
    runs: list[list[str]] = []
    monkeypatch.setattr(summary.cells, "run", lambda arguments, cache, out: runs.append(arguments) or 7.0)
    assert [line.ours for line in summary.whole_runs(CARD)] == [7.0, 7.0]
    assert all(arguments[arguments.index("--device") :][:2] == ["--device", "cuda"] for arguments in runs)
    assert list(summary.training_small(QUICK)) == []
