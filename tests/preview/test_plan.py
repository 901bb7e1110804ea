"""`semidbench plan`: its counts against the data, its line against the times it was drawn through."""

from __future__ import annotations

import dataclasses
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
from semidbench.generator.examples import rec_prompts, search_prompts
from semidbench.generator.model import add_tokens, new_generator, save_generator
from semidbench.isolation.resolver import resolve_here
from semidbench.methods.registry import Registered, load_registry
from semidbench.preview import plan as plan_module
from semidbench.preview import workload
from semidbench.preview.plan import CostEstimate, plan, to_json
from semidbench.preview.plan_table import to_rich
from semidbench.preview.probe import Timing, time_decoding, time_training
from semidbench.preview.workload import counted_workload, encoder_tunings, expected_generator, expected_workload
from semidbench.runs.reporter import Silent
from semidbench.runs.shared.session import open_session
from semidbench.text.tokenizer import load_text_tokens
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track
from tests.tiny import tiny_generator


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def smoke(cache: Path) -> CostEstimate:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "PROBE_SECONDS", 0.1)
        return plan("smoke", cache=cache, device="cpu")


def test_counted_work_is_what_a_cell_does(cache: Path) -> None:
    """Against prompts built one by one."""
    track = load_track("smoke")
    session = open_session(track, "test", None, cache, "cpu")
    work = counted_workload(session)
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


SEARCH = "search/rq-kmeans/shared"


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
    rows: tuple[str, ...], references: tuple[str, ...], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each method once, by its options' effective values."""
    monkeypatch.setattr(workload, "resolve_isolated", resolve_here)
    paper, notes = load_track("paper"), Notes()
    planned = paper.plan.model_copy(update={"rows": rows, "references": references})
    assert encoder_tunings(paper.model_copy(update={"plan": planned}), notes) == expected
    assert notes.lines == []


def test_the_paper_fine_tunes_four_models_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`search`, `multi-task`, and the two dense references."""
    monkeypatch.setattr(workload, "resolve_isolated", resolve_here)
    assert encoder_tunings(load_track("paper"), Silent()) == 4


def test_rows_without_their_methods_are_noted_and_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = load_registry()
    del registry.methods["embedder"]["multi-task"], registry.methods["ranker"]["enmf"]
    registry.methods["embedder"]["content"] = Registered("embedder", "content", "nowhere:Content", "theirs", "1")
    monkeypatch.setattr("semidbench.isolation.resolver.load_registry", lambda: registry)
    monkeypatch.setattr(workload, "resolve_isolated", resolve_here)
    notes = Notes()
    assert encoder_tunings(load_track("paper"), notes) == 3
    missing, failing = notes.lines
    assert missing == (
        "not counted in fine-tunings, because methods are not installed: multi-task/rq-kmeans/shared, enmf"
    )
    assert failing.startswith(
        "not counted in fine-tunings, because a plugin fails: embedder 'content' of theirs 1 cannot"
    )


def test_a_track_without_expected_sizes_needs_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "encoder_tunings", lambda track, reporter: 0)
    with pytest.raises(UserError, match=r"track ml-small says nothing of the sizes to expect.*--data"):
        plan("ml-small", device="cpu")


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


def test_probes_time_the_whole_batch_of_a_small_model() -> None:
    track, model = load_track("smoke"), tiny_generator(8)
    training = time_training(model, track.training, 9, 2, "cpu", budget=30)
    assert training.rows == (4, 16, 64)
    assert all(0 < seconds < 5 for seconds in training.seconds)
    codes = np.random.default_rng(0).integers(0, 4, (9, 2))
    decoding = time_decoding(model, codes, (40, 44), (4, 4), track.decoding, 9, "cpu", budget=30, most=40)
    assert decoding.rows == (2, 10, 40)


def test_a_probe_keeps_to_its_budget_but_for_the_two_smallest() -> None:
    track, model = load_track("smoke"), tiny_generator(8)
    assert time_training(model, track.training, 9, 2, "cpu", budget=0).rows == (4, 16)


def test_a_plan_adds_up(smoke: CostEstimate) -> None:
    track = load_track("smoke")
    assert (smoke.rows, smoke.references, smoke.seeds, smoke.tunings) == (3, len(track.plan.references), 1, 0)
    assert smoke.steps == track.training.epochs * math.ceil(smoke.work.examples / track.training.batch)
    assert smoke.hours == pytest.approx(3 * (smoke.training_hours_a_cell + smoke.decoding_hours_a_cell))
    assert smoke.training_hours_a_cell == pytest.approx(smoke.steps * smoke.probe.step_seconds / 3600)
    assert smoke.disk.generators == 3 * 4 * smoke.parameters
    assert smoke.disk.embeddings == 3 * smoke.disk.encodings == 3 * 240 * 48 * 4
    assert smoke.disk.beams == 3 * smoke.work.prompts * 20 * 8
    assert smoke.disk.checkpoint == 2 * 3 * 4 * smoke.parameters
    assert smoke.probe.peak_mib > 50


def test_the_disk_of_a_generator_is_what_one_takes(smoke: CostEstimate, cache: Path, tmp_path: Path) -> None:
    track = load_track("smoke")
    session = open_session(track, "test", None, cache, "cpu")
    model = new_generator(expected_generator(track), load_text_tokens(session.tokenizer.folder).size, seed=0)
    add_tokens(model, 32, seed=0)
    save_generator(model, tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size == pytest.approx(smoke.disk.generators / 3, rel=0.02)


def test_json_and_table(smoke: CostEstimate) -> None:
    told: Any = json.loads(to_json(smoke))
    assert told["semidbench_plan"] == 1
    assert told["work"]["items"] == 240
    assert told["probe"]["device"] == "cpu"
    from rich.console import Console

    console = Console(width=100, record=True)
    console.print(to_rich(smoke))
    text = console.export_text()
    assert "counted in the data" in text
    assert "2,179" in text
    assert "all generators" in text
    assert "one cell after the other; --jobs divides it" in text
    assert "fine-tunings" not in text
    tuning = dataclasses.replace(smoke, tunings=20)
    console.print(to_rich(tuning))
    assert re.search(rf"fine-tunings\W+20\W+of the sentence model, {smoke.work.queries:,} ", console.export_text())


def test_the_command(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "PROBE_SECONDS", 0.1)
    done = CliRunner().invoke(app, ["plan", "--track", "smoke", "--json", "--device", "cpu", "--cache", str(cache)])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["track"] == "smoke"
