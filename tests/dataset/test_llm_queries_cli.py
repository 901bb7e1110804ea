from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from semidbench.cli import main
from semidbench.dataset.queries.llm.write import JOURNAL, REJECTED
from tests.movielens_files import write_folder
from tests.stub_llm import Question, Response, completion, fails, serving, well_behaved

COUNT = 2
TRACK = f"""semidbench_track = 1
name = "stubbed"
extends = "smoke"
version = 1
about = "MovieLens with queries from a file."

[dataset]
recipe = "movielens"
min_ratings = 0
queries = "file"
train_queries = {COUNT}
test_queries = {COUNT}
"""
good = well_behaved(COUNT)


def track_file(folder: Path) -> Path:
    """The smoke track on MovieLens, with queries from a file."""
    (folder / "stubbed.toml").write_text(TRACK, "utf-8")
    return folder / "stubbed.toml"


def words(folder: Path, base_url: str, *more: str) -> list[str]:
    named = {"--track": str(track_file(folder)), "--data": str(folder / "data"), "--base-url": base_url}
    return ["data", "queries", *(word for pair in named.items() for word in pair), "--model", "stub", *more]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Runs the command on the tiny dataset; exit status and output."""
    write_folder(tmp_path / "data")
    monkeypatch.setenv("STUB_KEY", "secret")
    monkeypatch.setenv("COLUMNS", "400")

    def runs(base_url: str, *more: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["semidbench", *words(tmp_path, base_url, *more)])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), capsys.readouterr().err

    return runs


GO = ("--api-key-variable", "STUB_KEY", "--yes")


def test_writes_the_file_and_reports_the_cost(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with serving(good) as stub:
        status, output = run(stub.base_url, *GO, "--price-in", "2", "--price-out", "5000")
        assert status == 0
        tokens_in = sum(map(len, stub.asked)) // 4
        assert (
            f"To ask: 4 items, about {tokens_in:,} tokens in and 256 out; together 1.28 at the prices given" in output
        )
        assert "4 items answered in 4 answers; the endpoint counted 400 tokens in and 120 out" in output
        assert f"Written: {tmp_path / 'data' / 'queries.jsonl'}" in output
        again, output = run(stub.base_url)
        assert (again, len(stub.questions)) == (0, 4)
        assert "4 of 4 items are answered" in output
    lines = [json.loads(line) for line in (tmp_path / "data" / "queries.jsonl").read_text().splitlines()]
    assert [(line["movieId"], line["split"]) for line in lines] == [
        (movie, split) for movie in (1, 2, 3, 9) for split in ("train", "train", "test", "test")
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--yes",), "no key in the environment variable OPENAI_API_KEY"),
        (("--api-key-variable", "STUB_KEY"), "Add --yes"),
        ((*GO, "--price-in", "1"), "Give both --price-in and --price-out"),
        ((*GO, "--track", "smoke"), "track smoke reads no queries"),
    ],
)
def test_nothing_is_asked_without_leave(run, more: tuple[str, ...], message: str, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(good) as stub:
        status, output = run(stub.base_url, *more)
    assert (status, stub.questions) == (2, [])
    assert message in output
    assert output.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(("reply", "status", "asked"), [("n\n", 1, 0), ("y\n", 0, 4)])
def test_somebody_at_a_terminal_is_asked(run, monkeypatch, reply: str, status: int, asked: int) -> None:  # type: ignore[no-untyped-def]
    terminal = io.StringIO(reply)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    with serving(good) as stub:
        ended, output = run(stub.base_url, "--api-key-variable", "STUB_KEY")
    assert (ended, len(stub.questions)) == (status, asked)
    assert "To ask: 4 items" in output


def test_missing_library_is_one_line(run, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, output = run("http://127.0.0.1:1/v1", *GO)
    assert (status, output) == (
        2,
        "error: asking a language model needs openai, which is missing: pip install 'semidbench[data]'\n",
    )


def test_refused_key_is_one_line_and_keeps_what_was_answered(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with serving(lambda question: good(question) if question.number < 2 else fails(401, "bad key secret")) as stub:
        status, output = run(stub.base_url, *GO, "--concurrency", "1")
    assert status == 2
    assert [line for line in output.splitlines() if line.startswith("error: ")] == [output.splitlines()[-1]]
    assert "refuses the key in STUB_KEY (HTTP 401)" in output
    assert "secret" not in output
    assert len((tmp_path / "data" / JOURNAL).read_text().splitlines()) == 1 + 2


def test_given_up_items_and_limits_are_reported(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    def model(question: Question) -> Response:
        return completion("no") if "Silent Orchard" in question.prompt else good(question)

    with serving(model) as stub:
        status, output = run(stub.base_url, *GO, "--limit", "1")
        assert (status, len(stub.questions)) == (0, 1)
        assert "3 items are left" in output
        status, output = run(stub.base_url, *GO)
    assert status == 2
    assert "1 items were given up, of 1 that are left" in output
    assert '"movieId": 2, "title": "Silent Orchard"' in (tmp_path / "data" / REJECTED).read_text()
    assert not (tmp_path / "data" / "queries.jsonl").exists()


def test_other_model_does_not_go_on_with_a_journal(run) -> None:  # type: ignore[no-untyped-def]
    with serving(good) as stub:
        run(stub.base_url, *GO, "--limit", "1")
        status, output = run(stub.base_url, *GO, "--model", "other")
    assert (status, len(stub.questions)) == (2, 1)
    assert "was started with model 'stub', not 'other'" in output


def test_mistyped_model_leaves_the_folder_to_the_right_one(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with serving(lambda question: fails(404, "no such model")) as stub:
        status, output = run(stub.base_url, *GO, "--model", "stud")
    assert (status, (tmp_path / "data" / JOURNAL).exists()) == (2, True)
    assert "no model 'stud'" in output
    with serving(good) as stub:
        status, output = run(stub.base_url, *GO)
    assert status == 0, output
    assert '"model": "stub"' in (tmp_path / "data" / JOURNAL).read_text().splitlines()[0]


def test_killed_run_goes_on_and_asks_for_no_answered_item_again(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    movies = "movieId,title,genres\n" + "".join(f"{movie},Zanthor Quob{movie},Drama\n" for movie in range(1, 41))
    (tmp_path / "data" / "ml-latest-small" / "movies.csv").write_text(movies)
    in_flight, kept, flying = threading.Semaphore(0), 12, 4
    release = threading.Event()

    def model(question: Question) -> Response:
        if question.number >= kept and not release.is_set():
            in_flight.release()
            release.wait(timeout=30)
        return good(question)

    with serving(model) as stub:
        killed = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from semidbench.cli import main; main()",
                *words(tmp_path, stub.base_url, *GO, "--concurrency", str(flying)),
            ],
            env={**os.environ, "STUB_KEY": "secret"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(flying):
            assert in_flight.acquire(timeout=60), killed.communicate()
        killed.kill()
        killed.communicate()
        release.set()
        answered = (tmp_path / "data" / JOURNAL).read_text().splitlines()[1:]
        assert len(answered) == kept
        assert not (tmp_path / "data" / "queries.jsonl").exists()
        status, output = run(stub.base_url, *GO, "--concurrency", str(flying))
    assert status == 0, output
    assert len(stub.asked) == 40
    assert sum(stub.asked.values()) == 40 + flying
    assert max(stub.asked.values()) == 2
    again = [int(re.findall(r"Quob(\d+)", prompt)[0]) for prompt, times in stub.asked.items() if times == 2]
    assert {json.loads(line)["movieId"] for line in answered}.isdisjoint(again)
    assert (tmp_path / "data" / JOURNAL).read_text().splitlines()[1 : 1 + kept] == answered
    assert len((tmp_path / "data" / "queries.jsonl").read_text().splitlines()) == 40 * 2 * COUNT
