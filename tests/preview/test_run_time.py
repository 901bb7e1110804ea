"""The time of a run: jobs on one process are a sum, on many the longest way, and texts are encoded once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.preview.rates.stage_time import StageTime
from semidbench.preview.run_time import JobWork, finish, run_time
from semidbench.runs.workers.jobs import Job, JobKind


def job(key: str, needs: str = "", kind: JobKind = "scheme", seed: int = 0, kept: bool = False) -> Job:
    return Job(kind, key, seed, None, key.rstrip("0123456789"), key, frozenset(needs.split()), kept)


@st.composite
def some_jobs(draw: st.DrawFn) -> tuple[list[Job], dict[str, JobWork]]:
    """Embedders, and cells that need some of them."""
    embedders = [job(f"e{number}", kind="embedder") for number in range(draw(st.integers(0, 4)))]
    names = [each.key for each in embedders]
    cells = [
        job(f"c{number}", " ".join(draw(st.lists(st.sampled_from(names), unique=True)) if names else []))
        for number in range(draw(st.integers(0, 6)))
    ]
    jobs = [*embedders, *cells]
    return jobs, {each.key: JobWork(draw(st.integers(0, 50))) for each in jobs}


@given(some_jobs(), st.integers(1, 4))
def test_a_run_takes_no_less_than_its_longest_way_and_no_more_than_all(
    made: tuple[list[Job], dict[str, JobWork]], processes: int
) -> None:
    jobs, works = made
    every = sum(work.seconds for work in works.values())
    ends = {
        each.key: works[each.key].seconds + max((works[key].seconds for key in each.needs), default=0) for each in jobs
    }
    longest = max(ends.values(), default=0)
    assert finish(jobs, works, {}, 1) == every
    assert finish(jobs, works, {}, len(jobs) + 1) == longest
    found = finish(jobs, works, {}, processes)
    assert max(longest, every / processes) <= found <= every


def test_the_order_is_the_scheduler_s() -> None:
    """By hand: seed 0 shows that `b` is long, so seed 1 begins with it; both seeds end in 3 + 9."""
    jobs = [job("a0"), job("b0"), job("a1", seed=1), job("c1", seed=1), job("b1", seed=1)]
    works = {"a0": JobWork(3), "b0": JobWork(9), "a1": JobWork(3), "c1": JobWork(0), "b1": JobWork(9)}
    # a0 0-3 and b0 0-9; beside b0 seed 1 goes on with a1 3-6, c1 6-6 and b1 6-15, for `b` is not known yet
    assert finish(jobs, works, {}, 2) == 15
    assert finish([*jobs[:2], *jobs[4:], *jobs[2:4]], works, {}, 1) == 24


def test_the_first_that_needs_a_list_encodes_it_and_others_wait() -> None:
    both = [job("a"), job("b")]
    works = {"a": JobWork(1, ("items",)), "b": JobWork(2, ("items", "queries"))}
    texts = {"items": 10.0, "queries": 5.0}
    assert finish(both, works, texts, 2) == 17  # b waits until 10, encodes until 15
    assert finish(both, works, texts, 1) == 18
    assert finish(both, works, {"items": 10.0}, 2) == 12  # queries are in the store


def test_a_run_s_stages_add_up() -> None:
    measured = StageTime("embedder e", 4.0, "measured", encodes=("items",))
    unknown = StageTime("reference r", 0.0, "not counted", "it failed")
    jobs = [job("e", kind="embedder"), job("x0", "e"), job("x1", "e", kept=True), job("r", kind="ranker")]
    times = {"e": [measured], "x0": [StageTime("training", 7.0, "projected")], "r": [unknown]}
    made = run_time(jobs, times, {"items": 2.0, "queries": 90.0}, processes=2, start_seconds=1.5)
    assert made.seconds == pytest.approx(1.5 + 2 + 4 + 7)
    assert (made.cells, made.jobs) == (2, 2)
    assert {use.stage.label: use.times for use in made.stages} == {
        "encoding items": 1,
        "embedder e": 1,
        "training": 1,
        "reference r": 1,
    }
