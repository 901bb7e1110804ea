"""What a log hears of long work."""

from __future__ import annotations

import io

from rich.console import Console

from semidbench.progress import Lines


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
    lines.cell("a/b/c seed 0")
    now = 80.0
    lines.progress("training steps", 5, 10)
    now = 90.0
    lines.cell_done("R@30 .1")
    assert heard.getvalue().splitlines() == [
        "preparing: encoded texts 1,000 of 2,500",
        "a/b/c seed 0: training steps 5 of 10",
        "[1/2] a/b/c seed 0: R@30 .1 (50 s so far, about 50 s left)",
    ]
