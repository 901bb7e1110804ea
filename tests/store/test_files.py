"""Files come into place whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from semidbench.errors import UserError
from semidbench.store.files import file_sha256, left_behind, replacing, write_atomically

NAMES = ["file", "a [b]*?.json", "x" * 200, "ü" * 120]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def broken(self: Path, target: Path) -> Path:
        raise error

    def half(written: bool) -> None:
        with replacing(path) as temporary:
            if written:
                temporary.write_bytes(b"half")
            raise error

    for written in (True, False):
        with pytest.raises(error):
            half(written)
    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(error):
        write_atomically(path, b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


@pytest.mark.parametrize("name", NAMES)
def test_two_writers_of_one_file_do_not_meet(tmp_path: Path, name: str) -> None:
    path, other = tmp_path / name, tmp_path / f"{name[:20]}x"
    with replacing(path) as first, replacing(path) as second, replacing(other) as third:
        for writer in (first, second, third):
            writer.write_text(writer.name)
            assert not writer.match("*.json")  # what readers of results look for
        assert set(left_behind(path)) == {first, second}
        assert left_behind(other) == [third]
        assert not path.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, other.name])
    assert path.read_text() == first.name  # the last that ended
    assert left_behind(path) == []


def test_permissions_are_those_of_any_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set by the user's mask, and by nothing that some file systems refuse."""

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for owner, name in ((os, "chmod"), (os, "fchmod"), (Path, "chmod")):
        monkeypatch.setattr(owner, name, refuse)
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_file_that_cannot_be_hashed_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(UserError, match=r"cannot read .*gone: No such file or directory"):
        file_sha256(tmp_path / "gone")
