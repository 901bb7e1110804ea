"""`semidbench plan`: its counts against the data, its line against the times it was drawn through."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from semidbench.cli import app
from semidbench.errors import UserError
from semidbench.generator.examples import TokenRows, rec_prompts, search_prompts
from semidbench.generator.model import add_tokens, new_generator, save_generator
from semidbench.isolation.resolver import resolve_here
from semidbench.methods.registry import Registered, load_registry
from semidbench.methods.resolved import MissingMethod, Wanted
from semidbench.preview import plan as plan_module
from semidbench.preview.generator_data import GeneratorData, drawn, expected_generator, random_data, track_data
from semidbench.preview.plan import CostEstimate, note_uncounted, plan, to_json
from semidbench.preview.plan_table import to_rich
from semidbench.preview.rates.stage_time import StageTime
from semidbench.preview.rates.timing import Timing, time_decoding, time_training
from semidbench.preview.run_time import StageUse
from semidbench.preview.workload import counted_workload, encoder_tunings, expected_workload
from semidbench.runs.reporter import Silent
from semidbench.runs.rows import wanted_rows
from semidbench.runs.run import run
from semidbench.runs.shared.session import open_session
from semidbench.text.tokenizer import load_text_tokens
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track
from tests.smoke_tracks import smoke_track
from tests.tiny import tiny_generator

CONTENT, SEARCH = "content/rq-kmeans/shared", "search/rq-kmeans/shared"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A track like `smoke`, with one reference."""
    return smoke_track(tmp_path_factory.mktemp("track"), "quick", ["popularity"])


@pytest.fixture(autouse=True)
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(plan_module, "TEXT_SECONDS", 0.1)


@pytest.fixture(scope="module")
def smoke(quick: str, cache: Path) -> CostEstimate:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "PROBE_SECONDS", 0.1)
        patch.setattr(plan_module, "TEXT_SECONDS", 0.1)
        return plan(quick, [CONTENT], 2, cache=cache, device="cpu", jobs=2)


def test_counted_work_is_what_a_cell_does(cache: Path) -> None:
    """Against prompts built one by one."""
    track = load_track("smoke")
    session = open_session(track, "test", None, cache, "cpu")
    data = track_data(session)
    work = counted_workload(session, data)
    tokenizer, held_out = load_text_tokens(session.tokenizer.folder).tokenizer, session.dataset.held_out()
    ids = np.zeros((240, 2), np.int64)
    histories = session.dataset.train.interactions.histories()
    prefixes = [history[:end] for history in histories for end in range(1, len(history))]
    training = [
        *(search_prompts([text], tokenizer, track.prompts) for text in session.dataset.train.queries.texts),
        *(rec_prompts([prefix], ids, tokenizer, track.prompts) for prefix in prefixes),
    ]
    tests = [
        *(search_prompts([text], tokenizer, track.prompts) for text in held_out.queries.texts),
        *(rec_prompts([histories[user]], ids, tokenizer, track.prompts) for user in held_out.users),
    ]
    assert work.counted
    assert work.queries == len(session.dataset.train.queries.texts)
    assert (work.examples, work.example_tokens) == (len(training), sum(len(row.flat) for row in training))
    assert (work.prompts, work.prompt_tokens) == (len(tests), sum(len(row.flat) for row in tests))
    assert work.label_tokens == 2 * len(training)
    assert data.prompts.lengths.tolist() == [len(row.flat) for row in tests]  # as long as a cell decodes them
    vocabulary = load_text_tokens(session.tokenizer.folder).size
    assert set(np.unique(data.examples.labels[:, 1])) <= set(range(vocabulary + 16, vocabulary + 32))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.data())
def test_drawn_rows_are_the_rows(lengths: list[int], draw: st.DataObject) -> None:
    rows = [list(range(10 * number, 10 * number + length)) for number, length in enumerate(lengths)]
    flat = np.array([token for row in rows for token in row], np.int32)
    which = draw.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=9))
    taken = drawn(TokenRows(flat, np.cumsum([0, *lengths])), np.array(which))
    found = [taken.flat[start:end].tolist() for start, end in itertools.pairwise(taken.offsets)]
    assert found == [rows[number] for number in which]


def paper_of(items: int, users: int, each: int, queries: int, prefixes: int | None) -> Track:
    paper = load_track("paper")
    assert paper.plan.expected
    sizes = {"items": items, "users": users, "interactions_per_user": each, "train_queries": queries}
    expected = paper.plan.expected.model_copy(update=sizes)
    update = {
        "plan": paper.plan.model_copy(update={"expected": expected}),
        "training": paper.training.model_copy(update={"prefixes_per_user": prefixes}),
    }
    return paper.model_copy(update=update)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(2, 40), st.integers(1, 4), st.none() | st.integers(1, 9))
def test_expected_work_is_estimated_as_it_would_be_counted(
    items: int, users: int, each: int, queries: int, prefixes: int | None
) -> None:
    work = expected_workload(paper_of(items, users, each, queries, prefixes))
    ends = list(range(1, each - 1))[-(prefixes or each) :]  # items in the history of each example of a user
    assert work.examples == items * queries + users * len(ends)
    assert work.example_tokens == items * queries * 20 + users * sum(4 + 2 * min(end, 20) for end in ends)
    assert work.prompts == items * 10 + users


def test_the_paper_s_sizes() -> None:
    work = expected_workload(load_track("paper"))
    assert work.queries == 62_138 * 10
    assert work.examples == 62_138 * 10 + 162_541 * 6  # of 8 interactions one is the test's and one has no history
    assert work.prompts == 62_138 * 10 + 162_541
    assert not work.counted


class Notes(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    ("rows", "references", "expected"),
    [
        ((SEARCH, "search+rec/rq-kmeans/separate", "-/-/random"), ("popularity", "enmf"), 1),
        (("search[epochs=1]/rq-kmeans/shared", SEARCH, "search[epochs=5]/rq-kmeans/shared"), (), 2),  # 5: the track's
        (("search[tune=head,mini_batch=0]/rq-kmeans/shared", "content/rq-kmeans/shared"), ("dense",), 1),
        ((), ("dense", "dense[tune=head,mini_batch=0]", "dense-multi-task"), 2),
        (("fused-svd/rq-kmeans/shared", "fused-concat/rq-kmeans/shared"), (), 1),  # both build on `search`
        (("fused-svd/rq-kmeans/shared", SEARCH), ("dense",), 2),
    ],
)
def test_fine_tunings_of_the_text_encoder_are_counted(
    rows: tuple[str, ...], references: tuple[str, ...], expected: int
) -> None:
    """Each method once, by its options' effective values."""
    paper = load_track("paper")
    wanted = [*(Wanted("scheme", row) for row in rows), *(Wanted("ranker", reference) for reference in references)]
    assert encoder_tunings(resolve_here(paper, wanted)) == expected


def test_the_paper_fine_tunes_four_models_a_seed() -> None:
    """`search`, `multi-task`, and the two dense references."""
    paper = load_track("paper")
    assert encoder_tunings(resolve_here(paper, tuple(wanted_rows(paper, (), None).values()))) == 4


def test_rows_without_their_methods_are_noted_and_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = load_registry()
    del registry.methods["embedder"]["multi-task"], registry.methods["ranker"]["enmf"]
    registry.methods["embedder"]["content"] = Registered("embedder", "content", "nowhere:Content", "theirs", "1")
    monkeypatch.setattr("semidbench.isolation.resolver.load_registry", lambda: registry)
    paper, notes = load_track("paper"), Notes()
    wanted = tuple(wanted_rows(paper, (), None).values())
    outcomes = resolve_here(paper, wanted)
    assert encoder_tunings(outcomes) == 3
    note_uncounted(wanted, outcomes, notes)
    missing, failing = notes.lines
    assert missing == "not counted, because methods are not installed: multi-task/rq-kmeans/shared, enmf"
    assert failing.startswith("not counted, because a plugin fails: embedder 'content' of theirs 1 cannot")


def test_a_track_without_expected_sizes_needs_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = [MissingMethod("none")] * 8
    monkeypatch.setattr(plan_module, "resolve_isolated", lambda track, wanted: nothing)
    with pytest.raises(UserError, match=r"track ml-small says nothing of the sizes to expect.*--data"):
        plan("ml-small", device="cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, "seeds must be 1 or more"),
        ({"jobs": 0}, "jobs must be 1 or more"),
        ({"table": "2", "schemes": [CONTENT]}, "give one of them"),
    ],
)
def test_a_plan_refuses_what_a_run_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan("smoke", **options)
    with pytest.raises(UserError, match=message):
        run("smoke", **options)


@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=6, unique=True).map(sorted),
    st.floats(0, 9),
    st.floats(0, 1),
    st.integers(1, 10**6),
)
def test_times_on_a_line_are_found_again(rows: list[int], fixed: float, each: float, asked: int) -> None:
    timing = Timing(tuple(rows), tuple(fixed + each * row for row in rows))
    if len(rows) > 1:
        assert timing.of(asked) == pytest.approx(fixed + each * asked, rel=1e-3, abs=1e-2)
    else:
        assert timing.of(asked) == pytest.approx((fixed + each * rows[0]) * asked / rows[0])


def tiny_data(track: Track) -> GeneratorData:
    return random_data(track, 40, items=9, examples=90, example_length=9, prompts=40, prompt_length=9)


def small_codebooks() -> Track:
    smoke = load_track("smoke")
    return smoke.model_copy(update={"ids": smoke.ids.model_copy(update={"codebook_sizes": (4, 4)})})


def test_probes_time_the_whole_batch_of_a_small_model() -> None:
    track, model = small_codebooks(), tiny_generator(8)
    training = time_training(model, track, tiny_data(track), "cpu", budget=30)
    assert training.rows == (4, 16, 64)
    assert all(0 < seconds < 5 for seconds in training.seconds)
    assert time_decoding(model, track, tiny_data(track), "cpu", budget=30).rows == (2, 10, 40)


def test_a_probe_keeps_to_its_budget_but_for_the_two_smallest() -> None:
    track, model = small_codebooks(), tiny_generator(8)
    assert time_training(model, track, tiny_data(track), "cpu", budget=0).rows == (4, 16)


def test_a_plan_adds_up(smoke: CostEstimate) -> None:
    track = load_track("smoke")
    assert (smoke.rows, smoke.references, smoke.seeds, smoke.tunings) == (1, 1, 2, 0)
    assert smoke.steps == track.training.epochs * math.ceil(smoke.work.examples / track.training.batch)
    assert smoke.hours == pytest.approx(2 * (smoke.training_hours_a_cell + smoke.decoding_hours_a_cell))
    assert smoke.training_hours_a_cell == pytest.approx(smoke.steps * smoke.probe.step_seconds / 3600)
    assert smoke.disk.generators == 2 * 4 * smoke.parameters
    assert smoke.disk.embeddings == 2 * smoke.disk.encodings == 2 * 240 * 48 * 4
    assert smoke.disk.beams == 2 * smoke.work.prompts * 20 * 8
    assert smoke.disk.checkpoint == 2 * 3 * 4 * smoke.parameters
    assert smoke.probe.peak_mib > 50
    assert smoke.probe.processes == 2


def used(made: CostEstimate) -> dict[str, tuple[int, str]]:
    return {use.stage.label: (use.times, use.stage.how) for use in made.run.stages}


def test_the_time_of_a_run_is_that_of_its_stages(smoke: CostEstimate) -> None:
    assert (smoke.run.jobs, smoke.run.cells) == (2, 4)
    assert used(smoke) == {
        "encoding items": (1, "projected"),
        "embedder content": (2, "measured"),
        "IDs rq-kmeans/shared": (2, "measured"),
        "training": (2, "projected"),
        "decoding": (2, "projected"),
        "reference popularity": (2, "measured"),
    }
    one_by_one = smoke.run.start_seconds + sum(use.times * use.stage.seconds for use in smoke.run.stages)
    assert smoke.run.start_seconds < one_by_one / 2 < smoke.run.seconds < one_by_one


def test_rates_are_kept_and_runs_are_better(
    smoke: CostEstimate, quick: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second plan measures nothing; after a run, what the run recorded counts, and what it finished does not."""

    def refuse(*_: Any) -> None:
        raise AssertionError("measures again")

    monkeypatch.setattr("semidbench.preview.rates.generator._measured", refuse)
    monkeypatch.setattr("semidbench.preview.rates.methods.trial_session", refuse)
    again = plan(quick, [CONTENT], 2, cache=cache, device="cpu", jobs=2)
    assert (again.probe, again.run.stages) == (smoke.probe, smoke.run.stages)
    with pytest.raises(AssertionError, match="measures again"):
        plan(quick, [CONTENT], 2, cache=cache, device="cpu", jobs=2, fresh=True)

    run(quick, [CONTENT], 1, cache=cache, out=tmp_path, device="cpu", jobs=1)
    after = plan(quick, [CONTENT], 2, cache=cache, device="cpu", jobs=2)
    assert after.run.cells == 2
    assert used(after) == {
        "embedder content": (1, "recorded"),
        "IDs rq-kmeans/shared": (1, "recorded"),
        "training": (1, "recorded"),
        "decoding": (1, "recorded"),
        "reference popularity": (1, "recorded"),
    }
    cell = json.loads(next((tmp_path / "quick" / "results").glob("content*.json")).read_text())
    trained = next(use.stage.seconds for use in after.run.stages if use.stage.label == "training")
    assert trained == pytest.approx(cell["timings"]["generator"], abs=1e-6)
    finished = plan(quick, [CONTENT], 1, cache=cache, device="cpu", jobs=2)
    assert (finished.run.cells, finished.run.stages) == (0, ())


def test_the_disk_of_a_generator_is_what_one_takes(smoke: CostEstimate, cache: Path, tmp_path: Path) -> None:
    track = load_track("smoke")
    session = open_session(track, "test", None, cache, "cpu")
    model = new_generator(expected_generator(track), load_text_tokens(session.tokenizer.folder).size, seed=0)
    add_tokens(model, 32, seed=0)
    save_generator(model, tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size == pytest.approx(smoke.disk.generators / 2, rel=0.02)


def table_of(made: CostEstimate) -> str:
    from rich.console import Console

    console = Console(width=120, record=True, file=io.StringIO())
    console.print(to_rich(made))
    return console.export_text()


def test_json_and_table(smoke: CostEstimate) -> None:
    values: Any = json.loads(to_json(smoke))
    assert values["semidbench_plan"] == 2
    assert values["work"]["items"] == 240
    assert values["probe"]["device"] == "cpu"
    assert values["run"]["seconds"] == smoke.run.seconds
    text = table_of(smoke)
    assert "counted in the data" in text
    assert "2,179" in text
    assert re.search(r"the run\W+[\d.]+ (s|min)\W+4 cells, 2 at a time", text)
    assert re.search(r"embedder content\W+[\d.]+ s\W+2 times, measured", text)
    assert "fine-tunings" not in text
    tuning = dataclasses.replace(smoke, tunings=20)
    assert re.search(rf"fine-tunings\W+20\W+of the sentence model, {smoke.work.queries:,} ", table_of(tuning))


def test_what_is_not_counted_has_no_time_in_the_table(smoke: CostEstimate) -> None:
    use = StageUse(StageTime("embedder slow", 0.0, "not counted", "no end after 60 s"), 2)
    made = dataclasses.replace(smoke, run=dataclasses.replace(smoke.run, stages=(use,)))
    assert re.search(r"embedder slow\W+\?\W+2 times, not counted: no end after 60 s", table_of(made))


def test_the_command(smoke: CostEstimate, quick: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def made(track: str, schemes: Any, seeds: Any, **options: Any) -> CostEstimate:
        asked.update(track=track, schemes=schemes, seeds=seeds, **options)
        return smoke

    monkeypatch.setattr(plan_module, "plan", made)
    given = ["--scheme", CONTENT, "--seeds", "2", "--jobs", "2", "--fresh", "--device", "cpu", "--cache", str(cache)]
    done = CliRunner().invoke(app, ["plan", "--track", quick, "--json", *given])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["track"] == "quick"
    assert (asked["track"], asked["schemes"], asked["seeds"]) == (quick, [CONTENT], 2)
    assert (asked["jobs"], asked["fresh"], asked["device"], asked["cache"]) == (2, True, "cpu", cache)
