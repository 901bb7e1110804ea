"""Programs beside this one: every word is heard, every end is noticed, and none is left."""

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
from semidbench.machine import processes as programs
from semidbench.machine.processes import Heard
from tests.processes import gone, wait_for

DEADLINE = 20.0


@pytest.fixture(autouse=True)
def buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for users: Python writes what is printed in blocks."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str, at_end: str = "lambda: os._exit(1)") -> str:
    """A module `program` whose main has `orders` and `tell`."""
    head = f"""
        import os, signal, sys, time
        from semidbench.errors import UserError
        from semidbench.programs import channels, leave_within, telling_failures

        def main():
            orders, tell = channels({at_end})
            with telling_failures(tell):
    """
    text = textwrap.dedent(head).rstrip() + "\n" + textwrap.indent(textwrap.dedent(body), " " * 8)
    (folder / "program.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return "program"


def all_of(heard: Heard, ends: int = 1) -> list[tuple[int, list[Any]]]:
    """What is heard up to the last end."""
    found = []
    while sum(message == ["ended"] for _, message in found) < ends:
        found.append(heard.get(timeout=DEADLINE))
    return found


def test_orders_reach_a_program_and_all_that_it_says_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
    print("before")
    tell("twice", 2 * orders.get()["number"], os.environ["PLACE"])
    os.write(1, b"from a library\\n")
    print("last words")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    heard = Heard()
    places = [programs.environment(1, {"PLACE": str(place)}) for place in range(2)]
    with programs.started(write(tmp_path, monkeypatch, body), places, heard, 1.0) as begun:
        for program in begun:
            programs.order(program, {"number": 20 + program.place})
        found = all_of(heard, ends=2)
        assert {programs.how_ended(program) for program in begun} == {
            "was ended by SIGKILL, as the system does when memory runs out"
        }
    for place in range(2):
        own = [message for at, message in found if at == place]
        assert own[-1] == ["ended"]
        assert ["twice", 2 * (20 + place), str(place)] in own
        said = "".join(message[1] for message in own if message[0] == "said")
        assert said == "before\nfrom a library\nlast words\n"


def test_other_output_is_passed_on_also_when_nobody_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = """
    print("one")
    sys.stderr.write("two\\n")
    tell("now")
    orders.get()
    print("three")
    """
    heard = Heard()
    module = write(tmp_path, monkeypatch, body)
    with programs.started(module, [programs.environment(1, {})], heard, 1.0) as begun:
        assert programs.next_message(heard) == (0, ["now"])
        programs.order(begun[0], {})
        begun[0].process.wait(DEADLINE)  # and nobody looks at what it said
    said = capsys.readouterr()
    assert sorted(said.err.split()) == ["one", "three", "two"]
    assert said.out == ""


def test_an_end_is_heard_though_a_child_holds_the_output_and_another_program_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
    if os.environ["PLACE"] == "1":
        while True:
            tell("speaking")
            time.sleep(.001)
    child = os.fork()
    if not child:
        signal.pause()
    tell("child", child)
    os._exit(3)
    """
    heard, until, children = Heard(), time.monotonic() + DEADLINE, []
    places = [programs.environment(1, {"PLACE": str(place)}) for place in range(2)]
    with programs.started(write(tmp_path, monkeypatch, body), places, heard, 0) as begun:
        while (told := heard.get(timeout=DEADLINE)) != (0, ["ended"]):
            assert time.monotonic() < until
            children += [told[1][1]] if told[1][0] == "child" else []
        assert programs.how_ended(begun[0]) == "left with exit code 3"
    assert gone(children[0])
    assert begun[1].process.returncode == -signal.SIGKILL


def test_what_will_not_leave_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell("deaf")
    while True:
        signal.pause()
    """
    heard = Heard()
    with programs.started(write(tmp_path, monkeypatch, body), [programs.environment(1, {})], heard, 0.05) as begun:
        assert heard.get(timeout=DEADLINE) == (0, ["deaf"])
    assert begun[0].process.returncode == -signal.SIGKILL


def test_errors_come_back_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
    try:
        {}["absent"]
    except KeyError as error:
        if orders.get()["mine"]:
            raise UserError("the user's to mend") from error
        raise
    """
    heard, module = Heard(), write(tmp_path, monkeypatch, body)
    for mine, kind, text in ((True, UserError, "^the user's to mend$"), (False, RuntimeError, "^it broke off$")):
        with programs.started(module, [programs.environment(1, {})], heard, 1.0) as begun:
            programs.order(begun[0], {"mine": mine})
            (_, message), *_ = all_of(heard)
        with pytest.raises(kind, match=text) as caught:
            programs.raise_told(message, "it")
        assert "KeyError: 'absent'" in str(caught.value.__cause__)
    programs.raise_told(["progress", "train", 1, 2], "it")  # is no error


def test_what_is_no_message_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "babbler.py").write_text("def main():\n    print('hello')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    heard = Heard()
    with programs.started("babbler", [programs.environment(1, {})], heard, 1.0):
        assert all_of(heard) == [(0, ["broken", "this is no message: hello\n"]), (0, ["ended"])]


@pytest.mark.parametrize("line", ["5", "[]", "{}", "[5]", '["said", 5]', '["ended"]', "[" * 100_000, "null"])
def test_json_that_is_no_message_is_an_error(line: str) -> None:
    heard = Heard()
    programs._listen(io.StringIO(f"{line}\n"), 3, heard)
    place, message = heard.get_nowait()
    assert (place, message[0]) == (3, "broken")
    assert message[1].startswith("this is no message: ")
    assert heard.empty()


def test_a_file_of_the_user_is_no_module_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('not mine')")
    (tmp_path / "modules").mkdir()
    module = write(tmp_path / "modules", monkeypatch, "tell('fine')")
    monkeypatch.chdir(tmp_path)
    heard = Heard()
    with programs.started(module, [programs.environment(1, {})], heard, 1.0):
        assert all_of(heard) == [(0, ["fine"]), (0, ["ended"])]


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
from semidbench import programs
heard = programs.Heard()
with programs.started("program", [programs.environment(1, {{}})], heard, 1.0):
    programs.next_message(heard)
"""
    process = subprocess.Popen([sys.executable, "-c", parent])
    wait_for(tmp_path / "pid", process)
    process.kill()
    process.wait()
    assert gone(int((tmp_path / "pid").read_text()))


def test_an_environment_holds_a_program_to_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,5")
    found = [programs.environment(3, {"CUDA_VISIBLE_DEVICES": "5"}), programs.environment(1, {})]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    assert [[one[name] for name in names] for one in found] == [[*"3333", "5"], [*"1111", "0,5"]]
    assert found[0]["PATH"] == os.environ["PATH"]
