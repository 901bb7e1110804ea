"""Whatever a plugin does in its process costs its cell and no other, and is told with the plugin's own traceback."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import semidbench
from semidbench.cli import main
from semidbench.errors import UserError
from semidbench.isolation.clocked_encoder import ClockedEncoder
from semidbench.isolation.limited_process import LimitedProcess
from semidbench.isolation.limits import Limits, check_limits, plugin_limits
from semidbench.isolation.output import SHOWN, CapturedOutput
from semidbench.isolation.own_process import _PluginProcess, in_own_process
from semidbench.isolation.questions import load_questions, save_questions
from semidbench.isolation.this_process import in_this_process
from semidbench.isolation.work import Assignment, Embedding, PluginWork, Ranking
from semidbench.machine import processes
from semidbench.machine.processes import MessageQueue
from semidbench.methods.contracts import CheckedQuantizer
from semidbench.methods.failure import PluginFailure, calling
from semidbench.methods.named import NamedMethod
from semidbench.methods.registry import Registered, find_factory
from semidbench.methods.traces import plugin_dump, plugin_traceback, printable, shortened
from semidbench.runs.failures import Failure, remove_failure, summary, write_failure
from semidbench.runs.reporter import Silent
from semidbench.runs.run import Run, run
from semidbench.runs.shared.inputs import plugin_inputs
from semidbench.runs.shared.session import Session, open_session
from semidbench.store.stages import Spent, StageKey, run_stage
from semidbench.testing import WordVectors
from semidbench.tracks.files import load_track
from tests import trap_plugin
from tests.answering import Scores
from tests.processes import gone
from tests.smoke_tracks import smoke_track

GOOD = "-/-/trap"
WHO = "layout 'trap' of trap-plugin 1"
CAUSES = {
    "raise": "failed: ValueError: caught",
    "exit": "failed: SystemExit: enough",
    "leave": "failed: its process left with exit code 3",
    "kill": "failed: its process was ended by SIGKILL, as the system does when memory runs out",
    "crash": "failed: its process was ended by SIGSEGV",
    "memory": "failed: MemoryError: Unable to allocate 8.00 GiB",
    "flood": "failed: it printed more than 16 MiB",
    "lines": "failed: it printed more than 16 MiB",
    "hang": "failed: it took longer than 0.01 minutes (--plugin-minutes)",
    "child": "failed: ValueError: with a child",
    "breach": "broke its contract: expected codes in 0..239 at level 0, got 240 in row 239",
}
SILENT_ENDS = ("leave", "kill", "breach")  # with no traceback


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        yield trap_plugin.install(tmp_path_factory.mktemp("trap"), patch)
    sys.modules.pop("trap_plugin", None)


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A track like `smoke`, with one reference."""
    return smoke_track(tmp_path_factory.mktemp("track"), "quick", ["popularity"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def done(track: str, marks: Path, home: Path) -> Run:
    """One run with every deed in it, a good row behind them."""
    rows = [*(f"-/-/trap[deed={deed}]" for deed in CAUSES if deed != "hang"), GOOD]
    return run(track, rows, 1, out=home / "out", cache=home / "cache", jobs=1, plugin_memory=4)


@pytest.fixture(scope="module")
def session(done: Run, track: str, home: Path) -> Session:
    return open_session(load_track(track), "test", None, home / "cache", "cpu")


def trap(deed: str) -> Assignment:
    return Assignment(NamedMethod(WHO, "trap_plugin:Trap", {"deed": deed}), None, "-/-/trap", ())


def isolated(session: Session, work: PluginWork, seed: int) -> AbstractContextManager[Any]:
    assert session.limits is not None
    return in_own_process(work, plugin_inputs(session, seed), session.limits, Silent().progress)


def here(session: Session, work: PluginWork, seed: int) -> AbstractContextManager[Any]:
    return in_this_process(work, plugin_inputs(session, seed), Silent().progress)


def held(session: Session, seconds: float = 60.0, memory_mib: float | None = None) -> Session:
    return dataclasses.replace(session, limits=Limits(seconds, memory_mib))


def test_the_other_rows_finish(done: Run, home: Path) -> None:
    assert done.leaderboard is not None
    assert [row.name for row in done.leaderboard.rows] == [GOOD]
    assert [row.name for row in done.leaderboard.references] == ["popularity"]
    assert {one.row for one in done.failures} == {f"-/-/trap[deed={deed}]" for deed in CAUSES if deed != "hang"}
    assert {path.name for path in (home / "cache" / "ids").iterdir() if path.is_dir()} == {
        path.parent.name for path in (home / "cache" / "ids").glob("*/stage.json")
    }
    assert len(list((home / "cache" / "ids").iterdir())) == 1
    assert not list((home / "cache" / "unfinished").iterdir())


@pytest.mark.parametrize("deed", [deed for deed in CAUSES if deed != "hang"])
def test_a_failure_says_what_happened_and_where(deed: str, done: Run, marks: Path) -> None:
    (failure,) = (one for one in done.failures if one.row == f"-/-/trap[deed={deed}]")
    assert failure.message.startswith(f"{WHO} {CAUSES[deed]}")
    assert (failure.stage, failure.seed) == ("assign IDs", 0)
    assert failure.output.startswith(f"the trap is shut: {deed}\n")
    assert ("trap_plugin.py" in failure.trace) == (deed not in SILENT_ENDS)
    assert "semidbench/" not in failure.trace
    assert len(failure.report) < 2**18
    assert not Path((marks / f"{deed}-scratch").read_text()).exists()


def test_what_a_plugin_started_ends_with_it(done: Run, marks: Path) -> None:
    assert gone(int((marks / "child").read_text()))


def test_reports_are_kept_until_the_cell_is_finished(done: Run) -> None:
    results = done.folder / "results"
    reports = {path.read_text() for path in (done.folder / "failures").iterdir()}
    assert reports == {one.report for one in done.failures}
    one = done.failures[0]
    remove_failure(one.row, one.seed, results)
    assert len(list((done.folder / "failures").iterdir())) == len(reports) - 1
    write_failure(one, results)


def test_the_end_of_a_run_tells_all_that_failed(done: Run) -> None:
    text = summary(done.failures, done.folder / "results")
    assert all(f"failed: {one.line}" in text for one in done.failures)
    assert '    raise ValueError("caught")' in text
    assert "earlier run" not in text
    stale = dataclasses.replace(done.failures[0], row=GOOD)
    assert "stays in the tables" in summary([stale], done.folder / "results")


def test_a_hang_is_ended_and_says_where_it_was(session: Session, marks: Path) -> None:
    with pytest.raises(PluginFailure) as caught, isolated(held(session, 0.6), trap("hang"), 0):
        pass
    assert caught.value.message == f"{WHO} {CAUSES['hang']}"
    assert "trap_plugin.py" in caught.value.trace
    assert "in do" in caught.value.trace
    assert "semidbench/" not in caught.value.trace
    assert "the trap is shut: hang" in caught.value.output
    assert gone(int((marks / "pid").read_text()), within=0.1)


def fail(session: Session, deed: str) -> PluginFailure:
    with pytest.raises(PluginFailure) as caught, isolated(session, trap(deed), 0):
        pass
    return caught.value


@pytest.mark.parametrize(
    ("deed", "cause"),
    [
        ("no message", "failed: its process was not understood: this is no message: 5"),
        ("forged end", "failed: its process sent an unknown message: ['done', nan, -5.0]"),
        ("nothing done", "failed: its process reported that it was done, but left no output"),
        ("unspeakable", "failed: Unspeakable: its message cannot be shown: RuntimeError"),
        ("escape", r"failed: ValueError: \x1b[31mred"),
    ],
)
def test_what_a_plugin_says_is_not_trusted(deed: str, cause: str, session: Session, marks: Path) -> None:
    failure = fail(held(session), deed)
    assert failure.message == f"{WHO} {cause}"
    assert failure.trace == printable(failure.trace)
    assert failure.output == printable(failure.output)
    if deed == "escape":
        assert r"\x1b[2J\x07" in failure.output
        assert r"\x1b[31mred" in failure.trace


def test_a_limit_that_is_too_small_to_start_is_named(session: Session, marks: Path) -> None:
    assert fail(held(session, memory_mib=1), "none").message.endswith("(it may take 1 MiB: --plugin-memory)")


def test_temporary_files_go_with_the_stage_and_the_kernel_ends_the_plugin_first(session: Session, marks: Path) -> None:
    with isolated(held(session), trap("temporary"), 0) as called:
        left = Path((marks / "temporary").read_text())
        assert left.is_relative_to(called.output.parent)
    assert not left.exists()
    assert (marks / "oom").read_text().strip() == "1000"


def test_the_text_encoder_s_time_is_not_the_plugin_s(session: Session, marks: Path) -> None:
    with isolated(held(session), trap("encode"), 0) as called:
        assert called.spent().seconds < float((marks / "encoded").read_text())


def test_the_limit_rests_while_texts_are_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [(5.0, ["began"]), (6.0, ["encoding"]), (90.0, ["encoded"]), (91.0, ["done", 1.0, 2.0])]
    clock, untils = [0.0], list[float | None]()

    def next_message(messages: MessageQueue, until: float | None) -> tuple[int, list[Any]]:
        untils.append(until)
        clock[0], message = said[len(untils) - 1]
        return 0, message

    monkeypatch.setattr("semidbench.isolation.limited_process.processes.next_message", next_message)
    monkeypatch.setattr("semidbench.isolation.limited_process.time", SimpleNamespace(monotonic=lambda: clock[0]))
    program: Any = None
    process = LimitedProcess(tmp_path, Limits(10.0, None), Silent().progress, program, MessageQueue(), 3.0)
    stage = _PluginProcess(process, Spent(0, 0))
    stage.wait()
    assert untils == [3.0, 15.0, None, 99.0]
    assert stage.spent() == Spent(1.0, 2.0)


def test_a_clock_stands_still_while_any_thread_encodes() -> None:
    told = list[str]()
    inner = WordVectors()
    encoder = ClockedEncoder(inner, lambda: told.append("begin"), lambda: told.append("end"))
    inside, go_on = threading.Barrier(3), threading.Event()
    inner.encode = lambda texts: (inside.wait(), go_on.wait(), np.zeros((len(texts), 48), np.float32))[2]
    threads = [threading.Thread(target=encoder.encode, args=(["a"],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait()
    stood = encoder.seconds()
    assert stood == encoder.seconds()
    until = time.perf_counter()
    go_on.set()
    for thread in threads:
        thread.join()
    assert told == ["begin", "end"]
    assert 0 < encoder.seconds() - stood < time.perf_counter() - until


def test_a_stage_s_memory_is_its_plugin_s(tmp_path: Path) -> None:
    stage = run_stage(tmp_path, StageKey("ids", {}), lambda folder: Spent(1.0, 2.0))
    assert (stage.seconds, stage.peak_mib) == (1.0, 2.0)
    assert run_stage(tmp_path, StageKey("ids", {"own": 1}), lambda folder: None).peak_mib > 2


def test_reports_come_and_go_while_others_do(tmp_path: Path) -> None:
    errors = list[BaseException]()

    def work(row: str) -> None:
        try:
            for _ in range(300):
                write_failure(Failure(row, 0, "embed", "told", "", ""), tmp_path / "results")
                remove_failure(row, 0, tmp_path / "results")
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(row,)) for row in ("a/b/c", "x/y/z")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_failures_that_differ_in_addresses_are_alike(tmp_path: Path) -> None:
    failures = [
        Failure(row, seed, "embed", f"died at 0x7f{seed}a", f"Thread 0x{seed}a:\n  in do", "")
        for seed in range(2)
        for row in ("a", "b")
    ]
    lines = summary(failures, tmp_path / "results").splitlines()
    assert [line.split(",")[0] for line in lines if line.startswith("failed")] == [
        f"failed: {row} seed {seed}" for row in ("a", "b") for seed in range(2)
    ]
    assert sum(line == "      in do" for line in lines) == 1


def test_a_plugin_that_needs_less_than_its_limits_is_let_be(session: Session, marks: Path) -> None:
    with isolated(held(session, 5, 1024), trap("none"), 0) as called:
        spent = called.spent()
    assert 0 < spent.seconds < 5
    assert 30 < spent.peak_mib < 600


def test_a_lack_of_memory_names_the_limit(done: Run) -> None:
    (failure,) = (one for one in done.failures if one.row == "-/-/trap[deed=memory]")
    assert failure.message.endswith("(it may take 4,096 MiB: --plugin-memory)")


def named(kind: str, name: str) -> NamedMethod:
    return NamedMethod(f"{kind} 'mine' of mine 1", f"tests.answering:{name}", {})


Call = Callable[[Session, PluginWork, int], AbstractContextManager[Any]]
BOTH: list[Call] = [isolated, here]


def test_a_process_changes_no_bit(session: Session, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "views.npz", item=np.random.default_rng(1).random((session.dataset.train.n_items, 3), np.float32)
    )
    histories = [history for history in session.dataset.train.interactions.histories() if len(history)]
    found = []
    for call in BOTH:
        with call(session, Embedding(named("embedder", "Vectors"), {"rec": tmp_path}), 5) as called:
            view = np.load(called.output / "views.npz")["item"]
        with call(session, Ranking(named("ranker", "Scores")), 5) as called:
            found.append((view, called.ask("search", ["a", "née"]), called.ask("rec", histories)))
            assert called.ask("search", ["a", "née", "c"]).shape == (3, session.dataset.train.n_items)
    for own, here in zip(*found, strict=True):
        assert own.dtype == np.float32
        np.testing.assert_array_equal(own, here)


@pytest.mark.parametrize("call", BOTH)
def test_a_ranker_that_answers_wrongly_fails(call: Call, session: Session) -> None:
    def ask(task: Any, questions: list[Any]) -> None:
        with call(session, Ranking(named("ranker", "Wrong")), 0) as called:
            called.ask(task, questions)

    with pytest.raises(PluginFailure, match=r"^ranker 'mine' of mine 1 broke its contract: expected scores as a numpy"):
        ask("search", ["a"])
    with pytest.raises(PluginFailure, match=r"^ranker 'mine' of mine 1 failed: SystemExit: 1"):
        ask("rec", [np.array([1])])


def test_questions_come_back_as_they_were(tmp_path: Path) -> None:
    for histories in ([np.array([3, 1]), np.array([], np.int64), np.array([2])], [np.array([], np.int64)]):
        save_questions("rec", histories, tmp_path)
        back = load_questions("rec", tmp_path)
        assert [one.tolist() for one in back] == [one.tolist() for one in histories]
        assert all(one.dtype == np.int64 and not one.flags.writeable for one in back)
    save_questions("search", ("ä", "\n"), tmp_path)
    assert load_questions("search", tmp_path) == ["ä", "\n"]


def local() -> Callable[[], Any]:
    def inner() -> None: ...

    return inner


def test_another_process_finds_a_factory_by_its_reference() -> None:
    def reference(factory: Any) -> str:
        return Registered("ranker", "mine", factory, "mine", "1").reference

    assert reference("a.b:c.d") == "a.b:c.d"
    assert find_factory(reference(Scores)) is Scores
    assert reference(local()) == "ranker mine"  # the registry of the other process
    assert find_factory("ranker popularity").__name__ == "Popularity"


@given(st.lists(st.binary(min_size=1, max_size=3000), max_size=40), st.integers(1, 70_000))
def test_output_is_kept_within_bounds(parts: list[bytes], repeat: int) -> None:
    data = b"".join(parts) * (repeat if parts and repeat % 5 == 0 else 1)
    data = data[: 3 * SHOWN]
    source, sink = os.pipe()
    os.set_blocking(sink, True)
    captured, messages = CapturedOutput(), MessageQueue()

    def write() -> None:
        with os.fdopen(sink, "wb") as file:
            file.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(source) as file:
        captured.read_output(file, 0, messages)
    writer.join()
    shown = "".join(messages.get_nowait()[1][1] for _ in range(messages.qsize()))
    assert captured.count == len(data)
    assert len(shown.encode()) <= 4 * SHOWN  # undecodable bytes grow, and what is escaped
    assert shown == printable(shown)
    text = captured.text()
    assert (f"{len(data) - SHOWN:,} bytes more" in captured.remark("it")) == (len(data) > SHOWN)
    if len(data) <= 2 * SHOWN:
        assert text == printable(data.decode("utf-8", "replace"))
    else:
        assert "bytes left out" in text
        assert len(text) < 8 * SHOWN + 100


def test_a_traceback_begins_in_the_plugin() -> None:
    def plugin() -> None:
        raise KeyError("mine")

    with pytest.raises(PluginFailure) as caught, calling("embedder 'mine' of mine 1"):
        plugin()
    assert caught.value.message == "embedder 'mine' of mine 1 failed: KeyError: 'mine'"
    assert next(line for line in caught.value.trace.splitlines() if "File" in line).endswith("begins_in_the_plugin")
    assert "semidbench/" not in caught.value.trace
    assert shortened("abcdef", 4) == "ab\n[... 2 characters left out ...]\nef"


def test_a_dump_is_the_plugins_alone() -> None:
    package = Path(semidbench.__file__).parent
    text = f"""Fatal Python error: Segmentation fault

Thread 0x01 (most recent call first):
  File "{package}/machine/channels.py", line 1 in _take_requests
  File "/usr/lib/python3.11/threading.py", line 1 in run

Current thread 0x02 (most recent call first):
  File "{package}/text/stored_encoder.py", line 7 in encode
  File "/home/me/mine.py", line 3 in embed
  File "{package}/ids/embedder.py", line 2 in embed
  File "<string>", line 1 in <module>

Extension modules: numpy (total: 1)
"""
    assert plugin_dump(text).splitlines() == [
        "Fatal Python error: Segmentation fault",
        "Current thread 0x02 (most recent call first):",
        f'  File "{package}/text/stored_encoder.py", line 7 in encode',
        '  File "/home/me/mine.py", line 3 in embed',
    ]
    assert plugin_dump("") == ""


@pytest.mark.parametrize(
    ("minutes", "memory", "device", "message"),
    [
        (0.0, None, "cpu", "plugin-minutes must be above 0 and at most 1,000,000, not 0"),
        (float("nan"), None, "cpu", "plugin-minutes must be above 0 .*, not nan"),
        (1.0, -2.0, "cpu", "plugin-memory must be above 0 .*, not -2"),
        (1.0, 2.0, "cuda", "plugin-memory holds on Linux with --device cpu only"),
    ],
)
def test_limits_that_cannot_be_held_are_refused(
    minutes: float, memory: float | None, device: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_limits(minutes, memory, device)


def test_limits_default_to_a_share_of_what_is_free() -> None:
    assert plugin_limits(2, None, "cpu", 6000, 3) == Limits(120, 2000)
    assert plugin_limits(2, 1.5, "cpu", 6000, 3) == Limits(120, 1536)
    assert plugin_limits(2, None, "cuda", 6000, 3) == Limits(120, None)
    assert plugin_limits(2, None, "cpu", None, 3) == Limits(120, None)


def test_the_command_line_says_what_failed_and_exits_with_1(
    done: Run, track: str, home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ["--out", str(home / "again"), "--cache", str(home / "cache")]
    rows = ["--scheme", "-/-/trap[deed=raise]", "--scheme", GOOD]
    monkeypatch.setattr(sys, "argv", ["semidbench", "run", "--track", track, "--seeds", "1", *places, *rows])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capfd.readouterr()
    assert ended.value.code == 1
    assert GOOD in said.out
    assert f"failed: -/-/trap[deed=raise] seed 0, assign IDs: {WHO} failed: ValueError: caught\n" in said.err
    assert '        raise ValueError("caught")\n' in said.err
    assert f"Full reports: {home / 'again' / 'quick' / 'failures'}/" in said.err


class Notes(Silent):
    def __init__(self) -> None:
        self.all = list[str]()

    def note(self, text: str) -> None:
        self.all.append(text)


def test_a_run_in_which_all_fails_has_no_table(done: Run, track: str, home: Path) -> None:
    text = Path(track).read_text()
    alone = home / "alone.toml"
    alone.write_text(text.replace('references = ["popularity"]', "references = []").replace('"quick"', '"alone"'))
    notes = Notes()
    places = {"out": home / "none", "cache": home / "cache"}
    failed = run(str(alone), ["-/-/trap[deed=leave]"], 1, **places, jobs=1, reporter=notes)
    assert notes.all == ["no tables: no cell finished"]
    assert failed.leaderboard is None
    assert failed.files == ()
    assert len(failed.failures) == 1


def test_rankers_alone_make_a_table(done: Run, track: str, home: Path) -> None:
    rankers = run(track, ["-/-/trap[deed=leave]"], 1, out=home / "rankers", cache=home / "cache", jobs=1)
    assert len(rankers.failures) == 1
    assert rankers.leaderboard is not None
    assert rankers.leaderboard.rows == ()
    assert [row.name for row in rankers.leaderboard.references] == ["popularity"]


def test_an_embedder_that_failed_is_not_tried_again_in_this_seed(
    done: Run, track: str, marks: Path, home: Path
) -> None:
    (marks / "embedded").unlink(missing_ok=True)
    rows = ["trap[deed=raise]/rq-kmeans/shared", "trap[deed=raise]/kmeans/shared"]
    failed = run(track, rows, 2, out=home / "shared", cache=home / "cache", jobs=1)
    assert len(failed.failures) == 4
    assert {one.stage for one in failed.failures} == {"embed"}
    assert (marks / "embedded").read_text() == "raise 0\nraise 1\n"


def test_what_is_in_the_store_starts_no_process_but_to_find_its_plugins(
    done: Run, track: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watched(module: str, *rest: Any) -> Any:
        begun.append(module)
        return start(module, *rest)

    begun, start = list[str](), processes._start
    monkeypatch.setattr("semidbench.machine.processes._start", watched)
    kept = run(track, [GOOD], 1, out=home / "kept", cache=home / "cache")
    assert not kept.failures
    assert begun == ["semidbench.isolation.resolver_worker"]


def test_a_failure_survives_its_way_through_a_message() -> None:
    one = Failure("a/b/c", 1, "embed", "told", "trace", "said")
    assert Failure(**one.as_json()) == one


def quantized(codes: str) -> Assignment:
    layout = NamedMethod("layout 'mine' of mine 1", "tests.answering:Passing", {})
    return Assignment(layout, NamedMethod("quantizer 'other' of other 1", f"tests.answering:{codes}", {}), "a/b/c", ())


@pytest.mark.parametrize("call", BOTH)
def test_a_breach_names_its_author_once(call: Call, session: Session) -> None:
    with pytest.raises(PluginFailure) as caught, call(session, quantized("Short"), 0):
        pass
    assert caught.value.message.startswith(
        "quantizer 'other' of other 1 broke its contract: expected codes of dtype int64"
    )
    assert "layout" not in caught.value.message


def test_the_harness_s_frames_between_a_plugin_s_are_left_out() -> None:
    class Failing:
        codebook_sizes = (2,)

        def fit(self, x: Any, context: Any) -> None:
            raise ValueError("deep")

    try:
        CheckedQuantizer("who", Failing()).fit(None, None)  # type: ignore[arg-type]
    except ValueError as error:
        trace = plugin_traceback(error)
    assert "contracts.py" not in trace
    assert trace.count("test_isolation.py") == 2
    assert trace.endswith("ValueError: deep\n")
