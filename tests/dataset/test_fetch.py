"""Downloads from a server on loopback that also misbehaves; and the commands of `semidbench data`."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from semidbench.cli import app
from semidbench.dataset.movielens.fetch import CHUNK_BYTES, fetch
from semidbench.errors import UserError
from tests.file_server import FileServer, file_server
from tests.movielens_files import own_track, write_ml25m

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server(CONTENT) as running:
        yield running


def quiet(name: str, done: int, total: int) -> None:
    assert name == "ml-25m.zip"
    assert 0 < done <= total == len(CONTENT)


def test_a_download_is_complete_and_made_once(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "new" / "ml-25m.zip"
    assert fetch(server.url, SHA256, target, quiet)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["ml-25m.zip"]
    assert not fetch(server.url, SHA256, target, quiet)
    assert server.asked == [None]


def test_a_cut_download_goes_on_where_it_was(server: FileServer, tmp_path: Path) -> None:
    target, part = tmp_path / "ml-25m.zip", tmp_path / "ml-25m.zip.part"
    server.cut_at = 300_000
    sizes = [0]
    for _ in range(2):
        with pytest.raises(UserError, match=r"connection was cut. [\d,]+ bytes are kept in .*\.part: run the same"):
            fetch(server.url, SHA256, target, quiet)
        sizes.append(part.stat().st_size)
        assert 0 <= sizes[-2] + server.cut_at - sizes[-1] < CHUNK_BYTES
        assert part.read_bytes() == CONTENT[: sizes[-1]]
    assert fetch(server.url, SHA256, target, quiet)
    assert server.asked == [None, f"bytes={sizes[1]}-", f"bytes={sizes[2]}-"]
    assert target.read_bytes() == CONTENT
    assert not part.exists()


def test_a_server_without_ranges_starts_again(server: FileServer, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "ml-25m.zip.part").write_bytes(b"other bytes")
    assert fetch(server.url, SHA256, tmp_path / "ml-25m.zip", quiet)
    assert (tmp_path / "ml-25m.zip").read_bytes() == CONTENT


def test_a_kill_before_the_last_step_costs_nothing(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "ml-25m.zip.part").write_bytes(CONTENT)
    assert fetch(server.url, SHA256, tmp_path / "ml-25m.zip", quiet)
    assert (tmp_path / "ml-25m.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [404, 503])
def test_a_refusal_is_one_clear_line_and_keeps_what_there_is(server: FileServer, tmp_path: Path, status: int) -> None:
    server.status = status
    with pytest.raises(
        UserError, match=rf"cannot fetch http://.*: the server responds with {status} .* --url"
    ) as error:
        fetch(server.url, SHA256, tmp_path / "ml-25m.zip", quiet)
    assert "\n" not in str(error.value)
    part = tmp_path / "ml-25m.zip.part"
    part.write_bytes(CONTENT[:10])
    with pytest.raises(UserError, match=r"10 bytes are kept"):
        fetch(server.url, SHA256, tmp_path / "ml-25m.zip", quiet)
    assert part.read_bytes() == CONTENT[:10]


def test_a_wrong_hash_keeps_the_bytes_and_is_no_zip(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"700,000 bytes with sha256 {SHA256}, not {'0' * 64}.*ml-25m.zip.wrong"):
        fetch(server.url, "0" * 64, tmp_path / "ml-25m.zip", quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["ml-25m.zip.wrong"]
    assert (tmp_path / "ml-25m.zip.wrong").read_bytes() == CONTENT
    assert fetch(server.url, SHA256, tmp_path / "ml-25m.zip", quiet)


def test_another_file_in_its_place_is_left_alone(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "ml-25m.zip").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"ml-25m.zip is there with sha256 .* Move it away"):
        fetch(server.url, SHA256, tmp_path / "ml-25m.zip", quiet)
    assert (tmp_path / "ml-25m.zip").read_bytes() == b"mine"
    assert server.asked == []


def test_no_server_is_one_clear_line(tmp_path: Path) -> None:
    with file_server(b"") as gone:
        url = gone.url
    with pytest.raises(UserError, match=r"cannot fetch http://.*: no connection\. Check the address") as error:
        fetch(url, SHA256, tmp_path / "ml-25m.zip", quiet)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"cannot fetch nonsense: "):
        fetch("nonsense", SHA256, tmp_path / "ml-25m.zip", quiet)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", ["file", "file/below"])
def test_a_file_in_the_folder_s_place_is_one_clear_line(server: FileServer, tmp_path: Path, data: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"cannot make the folder .*file.*\. Name another and run again$"):
        fetch(server.url, SHA256, tmp_path / data / "ml-25m.zip", quiet)
    assert (tmp_path / "file").read_text() == "mine"
    assert server.asked == []


def test_a_part_that_cannot_be_written_is_one_clear_line(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "ml-25m.zip.part").symlink_to(tmp_path / "gone" / "part")
    with pytest.raises(UserError, match=r"cannot write .*\.part: .*\. Make its folder writable and run again$"):
        fetch(server.url, SHA256, tmp_path / "ml-25m.zip", quiet)


def command(*words: str | Path) -> tuple[int, str]:
    """Exit code and output of `semidbench data WORDS`; the code of a UserError is 2."""
    done = CliRunner().invoke(app, ["data", *map(str, words)])
    if isinstance(done.exception, UserError):
        return 2, f"{done.output}error: {done.exception}"
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_from_nothing_to_prepared_data(tmp_path: Path) -> None:
    """fetch, check and prepare, each naming the next command, on a made-up release."""
    write_ml25m(tmp_path / "made", movies=60, users=40)
    data, own = tmp_path / "data", own_track(tmp_path / "own.toml")
    content = (tmp_path / "made" / "ml-25m.zip").read_bytes()
    code, output = command("check", "--track", own, "--data", data)
    assert code == 2
    assert f"next: semidbench data fetch --track {own} --data {data}" in output
    assert f"next: semidbench data queries --model NAME --base-url URL --track {own} --data {data}" in output
    assert "3 missing or wrong" in output
    with file_server(content) as mirror:
        sha256 = hashlib.sha256(content).hexdigest()
        code, output = command("fetch", "--track", own, "--data", data, "--url", mirror.url, "--sha256", sha256)
    assert code == 0, output
    assert "no commercial use" in output
    assert f"next: semidbench data check --track {own}" in output
    for name in ("descriptions.csv", "queries.jsonl"):
        (data / name).write_bytes((tmp_path / "made" / name).read_bytes())
    code, output = command("check", "--track", own, "--data", data)
    assert code == 0, output
    assert "60 items, 40 users, 320 interactions, 600 training and 600 test queries" in output
    assert "not the file that GroupLens published" in output
    assert f"next: semidbench run --track {own}" in output
    for expected in ("prepared now", "was prepared before"):
        code, output = command("prepare", "--track", own, "--data", data, "--cache", tmp_path / "cache")
        assert code == 0, output
        assert "train interactions     280" in output
        assert expected in output


def test_tracks_without_files_have_nothing_to_fetch_or_check(tmp_path: Path) -> None:
    assert command("fetch", "--track", "smoke", "--data", tmp_path)[0] == 2
    code, output = command("check", "--track", "smoke", "--data", tmp_path)
    assert code == 2
    assert "nothing to check" in output


@pytest.mark.parametrize("role", ["genome-scores", "genome-tags", "links", "tags"])
@pytest.mark.parametrize("unpacked", [True, False])
def test_check_misses_a_file_of_the_release_before_there_are_queries(tmp_path: Path, role: str, unpacked: bool) -> None:
    write_ml25m(tmp_path, movies=60, users=40)
    (tmp_path / "queries.jsonl").unlink()
    with zipfile.ZipFile(tmp_path / "ml-25m.zip") as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if name != f"ml-25m/{role}.csv"}
        archive.extractall(tmp_path if unpacked else tmp_path / "unread", contents)
    with zipfile.ZipFile(tmp_path / "ml-25m.zip", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    code, output = command("check", "--track", own_track(tmp_path / "own.toml"), "--data", tmp_path)
    assert code == 2
    assert re.search(rf"not ok .*{'ml-25m has' if unpacked else 'ml-25m.zip holds'} no {role}\.csv", output)
    assert "2 missing or wrong" in output


def test_a_damaged_file_is_reported_by_check(tmp_path: Path) -> None:
    write_ml25m(tmp_path, movies=60, users=40)
    lines = (tmp_path / "queries.jsonl").read_text().splitlines()
    (tmp_path / "queries.jsonl").write_text("\n".join(lines[1:]) + "\n")
    code, output = command("check", "--track", own_track(tmp_path / "own.toml"), "--data", tmp_path)
    assert code == 2
    assert re.search("not ok .*has 9 train queries, not 10", output)
