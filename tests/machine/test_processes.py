"""Programs beside this one: every word is messages, every end is noticed, and none is left."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from semidbench.errors import UserError
from semidbench.machine import processes
from semidbench.machine.processes import MessageQueue
from tests.processes import gone, wait_for

DEADLINE = 20.0


@pytest.fixture(autouse=True)
def buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for users: Python writes what is printed in blocks."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str, at_end: str = "lambda: os._exit(1)") -> str:
    """A module `program` whose main has `requests` and `send`."""
    head = f"""
        import os, signal, sys, time
        from semidbench.errors import UserError
        from semidbench.machine.channels import channels, leave_within, reporting_failures

        def main():
            requests, send = channels({at_end})
            with reporting_failures(send):
    """
    text = textwrap.dedent(head).rstrip() + "\n" + textwrap.indent(textwrap.dedent(body), " " * 8)
    (folder / "program.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return "program"


def all_of(messages: MessageQueue, ends: int = 1) -> list[tuple[int, list[Any]]]:
    """What is messages up to the last end."""
    found = []
    while sum(message == ["ended"] for _, message in found) < ends:
        found.append(messages.get(timeout=DEADLINE))
    return found


def test_orders_reach_a_program_and_all_that_it_says_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
    print("before")
    send("twice", 2 * requests.get()["number"], os.environ["PLACE"])
    os.write(1, b"from a library\\n")
    print("last words")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    messages = MessageQueue()
    places = [processes.environment(1, {"PLACE": str(place)}) for place in range(2)]
    with processes.started(write(tmp_path, monkeypatch, body), places, messages, 1.0) as programs:
        for program in programs:
            processes.send(program, {"number": 20 + program.place})
        found = all_of(messages, ends=2)
        assert {processes.how_ended(program) for program in programs} == {
            "was ended by SIGKILL, as the system does when memory runs out"
        }
    for place in range(2):
        own = [message for at, message in found if at == place]
        assert own[-1] == ["ended"]
        assert ["twice", 2 * (20 + place), str(place)] in own
        said = "".join(message[1] for message in own if message[0] == "output")
        assert said == "before\nfrom a library\nlast words\n"


def test_other_output_is_passed_on_also_when_nobody_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = """
    print("one")
    sys.stderr.write("two\\n")
    send("now")
    requests.get()
    print("three")
    """
    messages = MessageQueue()
    module = write(tmp_path, monkeypatch, body)
    with processes.started(module, [processes.environment(1, {})], messages, 1.0) as programs:
        assert processes.next_message(messages) == (0, ["now"])
        processes.send(programs[0], {})
        programs[0].process.wait(DEADLINE)  # and nobody looks at what it said
    said = capsys.readouterr()
    assert sorted(said.err.split()) == ["one", "three", "two"]
    assert said.out == ""


def test_an_end_is_heard_though_a_child_holds_the_output_and_another_program_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
    if os.environ["PLACE"] == "1":
        while True:
            send("speaking")
            time.sleep(.001)
    child = os.fork()
    if not child:
        signal.pause()
    send("child", child)
    os._exit(3)
    """
    messages, until, children = MessageQueue(), time.monotonic() + DEADLINE, []
    places = [processes.environment(1, {"PLACE": str(place)}) for place in range(2)]
    with processes.started(write(tmp_path, monkeypatch, body), places, messages, 0) as programs:
        while (told := messages.get(timeout=DEADLINE)) != (0, ["ended"]):
            assert time.monotonic() < until
            children += [told[1][1]] if told[1][0] == "child" else []
        assert processes.how_ended(programs[0]) == "left with exit code 3"
    assert gone(children[0])
    assert programs[1].process.returncode == -signal.SIGKILL


def test_what_will_not_leave_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    send("deaf")
    while True:
        signal.pause()
    """
    messages = MessageQueue()
    with processes.started(
        write(tmp_path, monkeypatch, body), [processes.environment(1, {})], messages, 0.05
    ) as programs:
        assert messages.get(timeout=DEADLINE) == (0, ["deaf"])
    assert programs[0].process.returncode == -signal.SIGKILL


def test_errors_come_back_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
    try:
        {}["absent"]
    except KeyError as error:
        if requests.get()["mine"]:
            raise UserError("the user's to mend") from error
        raise
    """
    messages, module = MessageQueue(), write(tmp_path, monkeypatch, body)
    for mine, kind, text in ((True, UserError, "^the user's to mend$"), (False, RuntimeError, "^it broke off$")):
        with processes.started(module, [processes.environment(1, {})], messages, 1.0) as programs:
            processes.send(programs[0], {"mine": mine})
            (_, message), *_ = all_of(messages)
        with pytest.raises(kind, match=text) as caught:
            processes.raise_reported(message, "it")
        assert "KeyError: 'absent'" in str(caught.value.__cause__)
    processes.raise_reported(["progress", "train", 1, 2], "it")  # is no error


def test_what_is_no_message_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "babbler.py").write_text("def main():\n    print('hello')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    messages = MessageQueue()
    with processes.started("babbler", [processes.environment(1, {})], messages, 1.0):
        assert all_of(messages) == [(0, ["broken", "this is no message: hello\n"]), (0, ["ended"])]


@pytest.mark.parametrize("line", ["5", "[]", "{}", "[5]", '["output", 5]', '["ended"]', "[" * 100_000, "null"])
def test_json_that_is_no_message_is_an_error(line: str) -> None:
    messages = MessageQueue()
    processes._listen(io.StringIO(f"{line}\n"), 3, messages)
    place, message = messages.get_nowait()
    assert (place, message[0]) == (3, "broken")
    assert message[1].startswith("this is no message: ")
    assert messages.empty()


def test_a_file_of_the_user_is_no_module_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('not mine')")
    (tmp_path / "modules").mkdir()
    module = write(tmp_path / "modules", monkeypatch, "send('fine')")
    monkeypatch.chdir(tmp_path)
    messages = MessageQueue()
    with processes.started(module, [processes.environment(1, {})], messages, 1.0):
        assert all_of(messages) == [(0, ["fine"]), (0, ["ended"])]


def test_a_program_leaves_when_its_parent_is_killed_whatever_it_is_doing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    open(sys.path[0] + "/pid.part", "w").write(str(os.getpid()))
    os.rename(sys.path[0] + "/pid.part", sys.path[0] + "/pid")
    while True:
        try:
            signal.pause()
        except BaseException:
            pass
    """
    write(tmp_path, monkeypatch, body, at_end="lambda: leave_within(.05)")
    parent = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
from semidbench.machine import processes
messages = processes.MessageQueue()
with processes.started("program", [processes.environment(1, {{}})], messages, 1.0):
    processes.next_message(messages)
"""
    process = subprocess.Popen([sys.executable, "-c", parent])
    wait_for(tmp_path / "pid", process)
    process.kill()
    process.wait()
    assert gone(int((tmp_path / "pid").read_text()))


def test_an_environment_holds_a_program_to_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,5")
    found = [processes.environment(3, {"CUDA_VISIBLE_DEVICES": "5"}), processes.environment(1, {})]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    assert [[one[name] for name in names] for one in found] == [[*"3333", "5"], [*"1111", "0,5"]]
    assert found[0]["PATH"] == os.environ["PATH"]
