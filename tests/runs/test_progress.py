"""What a log hears of long work, and what a terminal shows of work side by side."""

from __future__ import annotations

import io
import re

from rich.console import Console

from semidbench.cli.progress import Bars, Lines


def test_long_work_says_now_and_then_that_it_goes_on() -> None:
    now = 0.0
    heard = io.StringIO()
    lines = Lines(Console(file=heard), clock=lambda: now)
    lines.stage("prepare the data")
    now = 31.0
    lines.progress("encoded texts", 1000, 2500)
    now = 40.0
    lines.progress("encoded texts", 1500, 2500)
    lines.plan(2)
    work = lines.begin("a/b/c seed 0")
    now = 80.0
    work.progress("training steps", 5, 10)
    now = 90.0
    work.done("R@30 .1")
    assert heard.getvalue().splitlines() == [
        "preparing: encoded texts 1,000 of 2,500",
        "a/b/c seed 0: training steps 5 of 10",
        "[1/2] a/b/c seed 0: R@30 .1 (50 s so far, about 50 s left)",
    ]


def test_cells_side_by_side_are_lines_in_the_order_in_which_they_end() -> None:
    heard = io.StringIO()
    lines = Lines(Console(file=heard), clock=lambda: 0.0)
    lines.plan(2)
    slow, shared, fast = (lines.begin(label) for label in ("slow seed 0", "embedder e seed 0", "fast seed 0"))
    shared.done()
    fast.done("R@30 .2")
    slow.done("R@30 .1")
    assert [line.split(" (")[0] for line in heard.getvalue().splitlines()] == [
        "[1/2] fast seed 0: R@30 .2",
        "[2/2] slow seed 0: R@30 .1",
    ]


def test_a_terminal_shows_a_bar_for_each_cell_that_is_under_way() -> None:
    heard = io.StringIO()
    console = Console(file=heard, force_terminal=True, color_system=None, width=100)
    bars = Bars(console)

    def shown() -> list[str]:
        with console.capture() as captured:
            console.print(bars.bars.get_renderable())
        return [re.split(r"━|\s{3,}", line)[0].strip() for line in captured.get().splitlines()]

    bars.stage("prepare the data")
    assert shown() == ["cells", "prepare the data"]
    bars.plan(2)
    first, second = bars.begin("a seed 0"), bars.begin("b seed 0")
    first.stage("embed")
    second.progress("train", 1, 4)
    assert shown() == ["cells", "a seed 0 embed", "b seed 0 train"]
    first.done("R@30 .1")
    assert shown() == ["cells", "b seed 0 train"]
    second.done()
    assert shown() == ["cells"]
    assert "[1/2] a seed 0: R@30 .1" in heard.getvalue()
    assert (bars.bars.tasks[0].completed, bars.bars.tasks[0].total) == (1, 2)
