"""What a machine takes: trials that stop in time, records of runs, and rates that are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semidbench.errors import UserError
from semidbench.ids.embedder import load_views
from semidbench.isolation.resolver import resolve_here, resolved
from semidbench.methods.failure import PluginFailure
from semidbench.methods.resolved import ResolvedMethod, ResolvedScheme, Wanted
from semidbench.preview.rates import trial as trial_module
from semidbench.preview.rates.generator import Probing, generator_rates
from semidbench.preview.rates.kept import Conditions, KeptRates
from semidbench.preview.rates.methods import _with_questions, embedding_stage, ids_stage
from semidbench.preview.rates.records import recorded_generators, recorded_methods
from semidbench.preview.rates.texts import missing_texts, stored_as, text_lists, time_texts
from semidbench.preview.rates.trial import Patience, Tried, trial_session, try_stage, views_for
from semidbench.preview.workload import expected_workload
from semidbench.runs.reporter import Silent
from semidbench.runs.shared.session import Session, open_session
from semidbench.runs.stages.assign_ids import ids_key
from semidbench.runs.stages.decode import beams_key
from semidbench.runs.stages.embed import embedding_key
from semidbench.runs.stages.rank import rank
from semidbench.runs.stages.train import generator_key
from semidbench.store.stages import Spent, StageKey, run_stage, stage_records
from semidbench.text.encoder import open_encoder
from semidbench.text.lsa import training_texts
from semidbench.tracks.files import load_track

CONTENT, SEARCH, BLOCKS = "content/rq-kmeans/shared", "search/rq-kmeans/shared", "search/rq-kmeans/separate"
PATIENCE = Patience(long=10, most=60)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return open_session(load_track("smoke"), "test", None, tmp_path, "cpu")


def schemes(session: Session, *names: str) -> list[ResolvedScheme]:
    rows = resolved(resolve_here(session.track, [Wanted("scheme", name) for name in names]))
    return [row for row in rows if isinstance(row, ResolvedScheme)]


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(trial_module.time, "perf_counter", made)
    return made


def stage_of(clock: Clock, *steps: tuple[float, str, int, int], end: float, error: Exception | None = None) -> Any:
    """A stage that reports progress at these times, and ends."""

    def stage(_: Session, watch: Callable[[str, int, int], None]) -> None:
        for at, *report in steps:
            clock.now = 100 + at
            watch(*report)  # type: ignore[arg-type]
        clock.now = 100 + end
        if error:
            raise error

    return stage


@pytest.mark.parametrize(
    ("steps", "end", "error", "expected"),
    [
        ([(2, "fit", 1, 100), (6, "fit", 3, 100)], 7, None, Tried(7.0, "measured")),
        # 5 reports in 10 s after the first: 2 s for each of the 94 that are left
        ([(2, "fit", 1, 100), (12, "fit", 6, 100), (13, "fit", 7, 100)], 99, None, Tried(200.0, "projected")),
        ([(11, "fit", 1, 2)], 20, None, Tried(20.0, "measured")),  # one report shows no pace
        ([(2, "fit", 9, 9), (11, "test", 1, 4), (13, "test", 2, 4)], 99, None, Tried(17.0, "projected")),
        ([(2, "encoding texts", 1, 9), (50, "encoding texts", 2, 9)], 55, None, Tried(55.0, "measured")),
        ([(121, "encoding texts", 1, 9)], 150, None, Tried(0.0, "not counted", "no end after 120 s")),
        (
            [],
            61,
            PluginFailure("embedder 'x' took longer", "", ""),
            Tried(0.0, "not counted", "no end after 60 s, and it reports no progress"),
        ),
        ([], 5, PluginFailure("embedder 'x' failed", "", ""), Tried(0.0, "not counted", "embedder 'x' failed")),
    ],
)
def test_a_trial_ends_when_its_progress_shows_its_end(
    steps: list[tuple[float, str, int, int]],
    end: float,
    error: Exception | None,
    expected: Tried,
    clock: Clock,
    session: Session,
) -> None:
    with trial_session(session, PATIENCE, None) as trial:
        assert try_stage(trial, stage_of(clock, *steps, end=end, error=error), PATIENCE) == expected


def test_a_user_s_error_ends_a_trial(clock: Clock, session: Session) -> None:
    with trial_session(session, PATIENCE, None) as trial, pytest.raises(UserError, match="disk"):
        try_stage(trial, stage_of(clock, end=1, error=UserError("disk")), PATIENCE)


def test_a_trial_shows_which_lists_are_encoded_and_computes_none(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    (items,) = text_lists(session)["items"]

    def stage(own: Session, _: Any) -> None:
        encoder = open_encoder(own.encoder, training_texts(own.dataset.train), lambda *_: None)
        encoded = encoder.encode(items)
        assert encoded.shape == (240, 48)
        np.testing.assert_allclose(np.linalg.norm(encoded, axis=1), 1, rtol=1e-5)

    monkeypatch.setattr("semidbench.text.lsa.LsaEncoder.encode", lambda *_: pytest.fail("encodes"))
    with trial_session(session, PATIENCE, None) as trial:
        folder = trial.store
        found = try_stage(trial, stage, PATIENCE)
        assert (found.how, found.encodes) == ("measured", ("items",))
        assert try_stage(trial, lambda *_: None, PATIENCE).encodes == ()
    assert not folder.exists()
    assert set(missing_texts(session)) == {"items", "training queries", "test queries"}


def test_encodings_in_the_store_are_those_of_a_trial(session: Session) -> None:
    (items,) = text_lists(session)["items"]
    real = open_encoder(session.encoder, training_texts(session.dataset.train), lambda *_: None).encode(items)
    assert set(missing_texts(session)) == {"training queries", "test queries"}

    def stage(own: Session, _: Any) -> None:
        np.testing.assert_array_equal(np.load(stored_as(own, items)), real)

    with trial_session(session, PATIENCE, None) as trial:
        assert try_stage(trial, stage, PATIENCE).encodes == ()


def test_a_stopped_ranker_that_encodes_is_taken_to_encode_its_questions() -> None:
    asked = Tried(9.0, "projected", encodes=("items",))
    assert _with_questions(asked).encodes == ("items", "test queries")
    for same in (replace(asked, how="measured"), replace(asked, encodes=())):
        assert _with_questions(same) == same


def test_ids_are_tried_on_views_of_the_texts_where_there_are_no_others(session: Session) -> None:
    content, search = schemes(session, CONTENT, SEARCH)
    view = np.ones((240, 3), np.float32)

    def make(folder: Path) -> None:
        np.savez(folder / "views.npz", item=view)

    run_stage(session.store, embedding_key(session, search.embedders[0], 0), make)
    with trial_session(session, PATIENCE, None) as trial:
        (made,), (kept,) = views_for(session, trial, content), views_for(session, trial, search)
        assert load_views(made.folder)["item"].shape == (240, 48)
        np.testing.assert_array_equal(load_views(kept.folder)["item"], view)
        assert trial.store in kept.folder.parents


def test_test_queries_are_listed_as_a_reference_is_asked(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches, where there are many items: what `rank` hands to a ranker at a time."""
    for module in ("semidbench.runs.stages.rank._SCORE_BYTES", "semidbench.preview.rates.texts.SCORE_BYTES"):
        monkeypatch.setattr(module, 4 * 240 * 100)
    asked: list[list[str]] = []

    def ask(_: Any, task: str, questions: list[str]) -> Any:
        if task == "search":
            asked.append(list(questions))
        return np.zeros((len(questions), 240), np.float32)

    monkeypatch.setattr("semidbench.isolation.this_process._CalledHere.ask", ask)
    (popularity,) = resolved(resolve_here(session.track, [Wanted("ranker", "popularity")]))
    assert isinstance(popularity, ResolvedMethod)
    rank(replace(session, limits=None), popularity, 0, lambda *_: None, {})
    lists = text_lists(session)["test queries"]
    assert lists == asked
    assert [len(texts) for texts in lists] == [100, 100, 100, 100, 80]
    path = stored_as(session, lists[0])
    path.parent.mkdir()
    path.touch()
    assert missing_texts(session)["test queries"] == [text for texts in lists[1:] for text in texts]


def test_every_list_takes_its_own_time(session: Session) -> None:
    lists = missing_texts(session)
    found = time_texts(session, lists, budget=5)
    assert found.keys() == lists.keys()
    assert all(0 < seconds < 60 for seconds in found.values())
    assert time_texts(session, {}, budget=5) == {}
    assert not session.encoder.store.exists()


def record(session: Session, key: StageKey, seconds: float, machine: str = "") -> None:
    """A stage in the store that took so long, on this machine or another."""

    def make(folder: Path) -> Spent:
        (folder / "output").write_text("x")
        return Spent(seconds, 1.0)

    path = run_stage(session.store, key, make).folder / "stage.json"
    meta = json.loads(path.read_text())
    meta["wall_seconds"] = seconds + 3
    meta["machine"]["cpu"] = machine or meta["machine"]["cpu"]
    path.write_text(json.dumps(meta))


def test_records_of_this_machine_count_whatever_the_seed(session: Session) -> None:
    (search,) = schemes(session, SEARCH)
    record(session, embedding_key(session, search.embedders[0], 0), 4.0)
    record(session, embedding_key(session, search.embedders[0], 1), 6.0)
    record(session, embedding_key(session, search.embedders[0], 2), 99.0, "another")
    found = recorded_methods(session, {"embedding"})
    assert found == {embedding_stage(session, search, search.embedders[0]).work: pytest.approx(5.0 + 3.0)}
    other = open_session(load_track("smoke"), "development", None, session.store, "cpu")
    assert recorded_methods(other, {"embedding"}) == {}


def test_a_quantizer_takes_as_long_on_other_embeddings(session: Session) -> None:
    content, search = schemes(session, CONTENT, SEARCH)
    assert ids_stage(session, content).work == ids_stage(session, search).work
    assert ids_stage(session, content).label == "IDs rq-kmeans/shared"


def test_generators_take_as_long_with_ids_of_the_same_layout(session: Session) -> None:
    content, search, blocks = schemes(session, CONTENT, SEARCH, BLOCKS)
    record(session, ids_key(session, content, 0), 1.0)
    record(session, generator_key(session, content, 0), 47.0)
    record(session, beams_key(session, content, 0), 5.0)
    found = recorded_generators(session)
    assert found.of(session, search) == (50.0, 8.0)
    assert found.of(session, blocks) == (None, None)
    training = session.track.training.model_copy(update={"epochs": 9})
    longer = replace(session, track=session.track.model_copy(update={"training": training}))
    assert found.of(longer, search) == (None, None)


def test_records_without_a_wall_time_are_left_out(tmp_path: Path) -> None:
    paths = [run_stage(tmp_path, StageKey("toy", {"a": a}), lambda folder: None).folder / "stage.json" for a in (1, 2)]
    assert sorted(record.inputs["a"] for record in stage_records(tmp_path, "toy")) == [1, 2]
    assert all(record.wall_seconds == record.seconds >= 0 for record in stage_records(tmp_path, "toy"))
    old = json.loads(paths[0].read_text())
    del old["wall_seconds"]
    paths[0].write_text(json.dumps(old))
    assert [record.inputs["a"] for record in stage_records(tmp_path, "toy")] == [2]
    paths[1].write_text("{")
    assert stage_records(tmp_path, "toy") == []
    assert stage_records(tmp_path, "none") == []


def test_rates_hold_for_their_conditions(tmp_path: Path) -> None:
    two = KeptRates(tmp_path, Conditions("cpu", 1, 2), fresh=False)
    two.keep("rate", {"track": "x"}, {"seconds": 1.0})
    assert two.find("rate", {"track": "x"}) == {"seconds": 1.0}
    assert two.find("rate", {"track": "y"}) is None
    assert KeptRates(tmp_path, Conditions("cpu", 1, 1), fresh=False).find("rate", {"track": "x"}) is None
    fresh = replace(two, fresh=True)
    assert fresh.find("rate", {"track": "x"}) is None
    fresh.keep("rate", {"track": "x"}, {"seconds": 2.0})
    assert two.find("rate", {"track": "x"}) == {"seconds": 2.0}


def probing_without_data(folder: Path) -> Probing:
    """Of a track with the paper's expected sizes, and a small generator."""
    paper = load_track("paper")
    assert paper.plan.expected
    small = {"d_model": 16, "d_ff": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    generator = paper.plan.expected.generator.model_copy(update={**small, "tokenizer_vocabulary": 40})
    expected = paper.plan.expected.model_copy(update={"generator": generator, "items": 900, "users": 90})
    plan = paper.plan.model_copy(update={"expected": expected})
    track = paper.model_copy(update={"plan": plan, "threads": 1})
    return Probing(track, None, None, folder, "cpu", (), expected_workload(track), seconds=0.1, text_seconds=0.1)


def test_a_generator_is_timed_without_data(tmp_path: Path) -> None:
    kept = KeptRates(tmp_path, Conditions("cpu", 1, 1), fresh=False)
    found = generator_rates(probing_without_data(tmp_path), kept, Silent())
    assert found.training.rows[:2] == (2, 8)
    assert found.decoding.rows[0] >= 2
    assert found.text_seconds == {}
    assert min(found.opening_seconds, found.ready_seconds, *found.training.seconds, *found.decoding.seconds) > 0
    layers = 4 * 16**2 * 3 + 2 * 3 * 16 * 32  # three attentions, two gated feed-forwards
    assert layers < found.parameters < 2 * layers + 2 * 16 * (40 + 512)


def test_a_probe_s_process_that_fails_is_an_error(tmp_path: Path) -> None:
    probing = replace(probing_without_data(tmp_path), device="nonsense")
    with pytest.raises(RuntimeError, match="timing broke off"):
        generator_rates(probing, KeptRates(tmp_path, Conditions("cpu", 1, 1), fresh=False), Silent())
    assert not list((tmp_path).glob("generator-rates/*"))
