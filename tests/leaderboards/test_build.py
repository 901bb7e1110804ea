"""Building a folder of leaderboards: what is written, what a check finds, and the same bytes everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from semidbench.cli import main
from semidbench.errors import UserError
from semidbench.leaderboards.board import leaderboard
from semidbench.leaderboards.build import build, stale, tracks_with_results, write
from semidbench.leaderboards.claims.compare import write_comparison
from semidbench.leaderboards.claims.judge import judge
from semidbench.leaderboards.page import render_page
from semidbench.leaderboards.tables import write_tables
from semidbench.results.cell_result import TrackStamp, protocol_sha256
from semidbench.results.files import write_cell
from semidbench.submissions.verify import verify_files
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track
from tests.leaderboards.test_leaderboard import CONTENT, REC, SEARCH, TRICKY, cases_of
from tests.leaderboards.test_leaderboard import write as write_result

NAMES = ["claims.json", "claims.md", "leaderboard.csv", "leaderboard.json", "leaderboard.md", "leaderboard.tex"]
ROWS = (SEARCH, REC, TRICKY)
SKILL = {"search": 0.4, "rec": 0.3}


def write_other(out: Path, track: Track, name: str, seed: int) -> None:
    """A result of another track."""
    stamp = TrackStamp(name=track.name, version=track.version, protocol_sha256=protocol_sha256(track))
    cell = write_result(out / "scratch", name, seed, 0.4, 0.3)
    results = out / track.name / "results"
    write_cell(results, cell.model_copy(update={"track": stamp}), cases_of(name, seed, SKILL))
    shutil.rmtree(out / "scratch")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    for seed in range(2):
        for at, name in enumerate(ROWS):
            write_result(out, name, seed, 0.3 * at, 0.6 - 0.3 * at)
        write_other(out, load_track("demo"), CONTENT, seed)
    return out


@pytest.fixture(scope="module")
def built(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built")
    shutil.copytree(results, out, dirs_exist_ok=True)
    write(build(out))
    return out


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "out")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], list[str]]:
    """Exit code, lines on stdout and lines on stderr of a semidbench command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["semidbench", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out.splitlines(), printed.err.splitlines()


def test_every_file_is_what_its_own_writer_writes(built: Path, results: Path, tmp_path: Path) -> None:
    boards = [leaderboard(track, results) for track in ("demo", "smoke")]
    for board in boards:
        made = (*write_tables(board, tmp_path), *write_comparison(board, tmp_path))
        assert sorted(path.name for path in made) == NAMES
        for path in made:
            assert (built / path.relative_to(tmp_path)).read_bytes() == path.read_bytes()
        assert sorted(path.name for path in (built / board.track.name).iterdir()) == [*NAMES, "results"]
    assert (built / "index.html").read_text("utf-8") == render_page([judge(board) for board in boards])
    assert sorted(path.name for path in built.iterdir()) == ["demo", "index.html", "smoke"]


def test_a_second_build_writes_nothing(out: Path) -> None:
    made = build(out)
    assert stale(made) == {}
    assert write(made) == []


def test_a_check_lists_what_is_wrong_and_writes_nothing(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / "smoke" / "leaderboard.tex").unlink()
    (out / "demo" / "leaderboard.csv").write_text("old")
    (out / "demo" / "notes.txt").write_text("mine")
    (out / "gone").mkdir()
    (out / "gone" / "leaderboard.md").write_text("its results are gone")
    (out / "README.md").write_text("mine")
    (out / "linked").symlink_to(out / "demo")  # with results, which do not count
    (out / "smoke" / "claims.md").rename(out / "smoke" / "results" / "claims.md")
    (out / "smoke" / "claims.md").symlink_to(out / "smoke" / "results" / "claims.md")
    before = contents(out)
    code, lines, errors = said(capsys, "leaderboard", "build", "--out", str(out), "--check")
    assert (code, contents(out)) == (2, before)
    assert lines == [
        f"should not be there: {out}/README.md",
        f"stale: {out}/demo/leaderboard.csv",
        f"should not be there: {out}/demo/notes.txt",
        f"should not be there: {out}/gone",
        f"should not be there: {out}/linked",
        f"a link: {out}/smoke/claims.md",
        f"missing: {out}/smoke/leaderboard.tex",
    ]
    assert len(errors) == 1
    assert errors[0].startswith("error: 7 of the files in")


def test_a_linked_folder_of_results_should_not_be_there_and_a_linked_file_is_replaced(out: Path) -> None:
    page, results = out / "index.html", out / "demo" / "results"
    page.rename(out.parent / "page")
    page.symlink_to(out.parent / "page")
    results.rename(out.parent / "results")
    results.symlink_to(out.parent / "results")
    made = build(out)
    assert stale(made) == {results: "should not be there", page: "a link"}
    assert write(made) == [page]
    assert not page.is_symlink()


def test_an_empty_folder_of_results_is_told_as_verify_tells_it(out: Path) -> None:
    for path in (out / "demo" / "results").iterdir():
        path.unlink()
    with pytest.raises(UserError) as told:
        build(out)
    assert (str(told.value),) == verify_files(load_track("demo"), out).problems
    assert "semidbench submit" in str(told.value)
    assert f"or delete {out / 'demo'}" in str(told.value)


def test_the_command_builds_and_then_its_check_passes(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = contents(out)
    for name in ("index.html", "smoke/leaderboard.md"):
        (out / name).unlink()
    last = f"13 files in {out} are what its results give"
    written = [f"wrote {out}/index.html", f"wrote {out}/smoke/leaderboard.md"]
    assert said(capsys, "leaderboard", "build", "--out", str(out)) == (0, [*written, last], [])
    assert contents(out) == expected
    assert said(capsys, "leaderboard", "build", "--out", str(out), "--check") == (0, [last], [])


def test_every_result_counts(out: Path) -> None:
    write_result(out, ROWS[0], 2, 0.9, 0.9)
    found = {str(path.relative_to(out)) for path in stale(build(out))}
    assert found == {"index.html", *(f"smoke/{name}" for name in NAMES)}


def test_nothing_is_written_where_something_cannot_be_rendered(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (out / "smoke" / "leaderboard.md").unlink()
    before = contents(out)

    def broken(_: object) -> str:
        raise UserError("no page")

    monkeypatch.setattr("semidbench.leaderboards.build.render_page", broken)
    with pytest.raises(UserError, match="no page"):
        write(build(out))
    assert contents(out) == before


def test_a_named_track_limits_the_tables_and_not_the_page(out: Path, built: Path) -> None:
    for name in ("demo/claims.md", "smoke/claims.md", "index.html"):
        (out / name).unlink()
    assert write(build(out, ["smoke"])) == [out / "index.html", out / "smoke" / "claims.md"]
    assert (out / "index.html").read_bytes() == (built / "index.html").read_bytes()


def test_a_track_of_one_s_own_is_named_by_its_file(out: Path, tmp_path: Path) -> None:
    text = 'semidbench_track = 1\nname = "mine"\nextends = "smoke"\nversion = 1\nabout = "A track of one\'s own."\n'
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    track = load_track(str(tmp_path / "mine.toml"))
    write_other(out, track, CONTENT, 0)
    with pytest.raises(UserError, match=r"results of track 'mine', which is not built in: name its file with --track"):
        build(out)
    made = build(out, [str(tmp_path / "mine.toml")])
    assert {path.parent.name for path in made.files} == {"mine", out.name}
    assert made.files[out / "index.html"].count(b"mine")


def test_tracks_stand_in_the_page_s_order(tmp_path: Path) -> None:
    mine = load_track("smoke").model_copy(update={"name": "a-track-of-mine"})
    for name in ("a-track-of-mine", "demo", "ml-small", "paper", "smoke"):
        (tmp_path / name / "results").mkdir(parents=True)
    (tmp_path / "assets").mkdir()
    found = [track.name for track in tracks_with_results(tmp_path, [mine])]
    assert found == ["paper", "ml-small", "demo", "a-track-of-mine", "smoke"]


def test_a_folder_without_results_is_an_error(tmp_path: Path, out: Path) -> None:
    with pytest.raises(UserError, match=f"no results in {tmp_path / 'empty'}: `semidbench submit`"):
        build(tmp_path / "empty")
    with pytest.raises(UserError, match="ml-small/results is not there"):
        build(out, ["ml-small"])


def pythons() -> Iterator[str]:
    yield sys.executable
    for version in ("3.12", "3.13"):
        found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        yield str(found[-1]) if found else f"python{version}"


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A folder with Turkish (whose I has a dot) and German (whose numbers have commas), where they can be made."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        return None
    for name in ("tr_TR", "de_DE"):
        made = subprocess.run(["localedef", "-i", name, "-f", "UTF-8", folder / f"{name}.UTF-8"], capture_output=True)
        if made.returncode:
            return None
    return folder


BUILD = """
import locale, sys
locale.setlocale(locale.LC_ALL, "")
from semidbench.cli import main
main()
"""


@pytest.mark.parametrize(
    ("python", "language", "zone", "hash_seed"),
    [
        (python, *rest)
        for python, rest in zip(
            pythons(),
            (("C", "UTC", "1"), ("tr_TR.UTF-8", "Asia/Tokyo", "2"), ("de_DE.UTF-8", "America/Lima", "3")),
            strict=True,
        )
    ]
    + [(sys.executable, "tr_TR.UTF-8", "Asia/Tokyo", "0"), (sys.executable, "de_DE.UTF-8", "America/Lima", "4")],
)
def test_same_bytes_everywhere(
    results: Path,
    built: Path,
    locales: Path | None,
    python: str,
    language: str,
    zone: str,
    hash_seed: str,
    tmp_path: Path,
) -> None:
    """In another Python, locale, time zone and order of files, and with other hashes of strings."""
    needed = "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ('jinja2', 'scipy', 'typer'))))"
    if shutil.which(python) is None or subprocess.run([python, "-c", needed]).returncode:
        pytest.skip(f"{python} with semidbench's dependencies: not here; .ci/core-only builds the committed boards")
    if language != "C" and locales is None:
        pytest.skip("localedef cannot make the locales here")
    shuffled = sorted(path for path in results.rglob("*") if path.is_file())
    Random(hash_seed).shuffle(shuffled)
    for path in shuffled:
        copy = tmp_path / path.relative_to(results)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    environment = {"LC_ALL": language, "LOCPATH": str(locales), "TZ": zone, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [python, "-c", BUILD, "leaderboard", "build", "--out", str(tmp_path)],
        env=os.environ | environment | {"PYTHONUTF8": "0", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == contents(built)
