"""Track files: found by name or path, read, completed from the tracks that they extend, and validated.

This stands apart from the tracks' schema because stages' keys cover the schema's code and not how files are read.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from semidbench.errors import UserError, unknown
from semidbench.tracks.extends import Table, completed
from semidbench.tracks.track import Track

_HINT = "A track file of your own is named by its path, ending in .toml."
_ADVICE = {  # by pydantic's type of error
    "extra_forbidden": ("there is no such key", "Delete it or correct its name"),
    "missing": ("the key is missing", "Add it to the file"),
}


@dataclass(frozen=True, slots=True)
class TrackFile:
    """A track file as it was read.

    Attributes:
        where: names it in errors.
        folder: where the paths in it start.
        place: what tells whether it is the same file as another.
    """

    where: str
    table: Table
    folder: Path
    place: str | Path


def built_in_tracks() -> list[str]:
    """Names of the tracks that come with semidbench."""
    folder = files("semidbench") / "tracks"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_track(name: str) -> Track:
    """The built-in track of that name, or the track in a file if `name` ends in .toml.

    Raises:
        UserError: there is none; a file cannot be read, is no TOML or breaks the schema; files extend each other in a
            circle; or a file of one's own takes the name of a built-in track.
    """
    track = _track(_find(name, Path()))
    if name.endswith(".toml") and track.name in built_in_tracks():
        raise UserError(
            f"{name} calls its track {track.name!r}, the name of a built-in one, and tables never mix tracks. "
            "Give it another name"
        )
    return track


def parse_track(text: str, where: str) -> Track:
    """A track from TOML text; `where` names the source in errors."""
    return _track(TrackFile(where, _parsed(text, where), Path(), where))


def _track(file: TrackFile) -> Track:
    """The track in a file. Each track that it extends, the furthest first, is validated by itself."""
    *bases, own = reversed(_with_bases(file))
    table: Table = {}
    for base in bases:
        table = completed(base.table, table)
        _validated(table, base.where)
    return _validated(completed(own.table, table), own.where)


def _with_bases(file: TrackFile) -> list[TrackFile]:
    """A file and those that it extends, the nearest first."""
    chain = [file]
    while (name := chain[-1].table.get("extends")) is not None:
        where = f"{chain[-1].where}: extends"
        if not isinstance(name, str):
            needed = "the name of a built-in track or the path of a track file"
            raise UserError(f"{where}: needs {needed}, not {name!r}. Correct the file and run again")
        try:
            base = _find(name, chain[-1].folder)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        if base.place in [each.place for each in chain]:
            circle = " extends ".join(each.where for each in [*chain, base])
            raise UserError(
                f"{where}: a circle: {circle}. Give one of them all of its tables, and delete its `extends`"
            )
        chain.append(base)
    return chain


def _find(name: str, folder: Path) -> TrackFile:
    """The built-in track of that name, or the file if `name` ends in .toml; its path starts in `folder`."""
    if not name.endswith(".toml"):
        if name not in built_in_tracks():
            raise unknown("track", name, built_in_tracks(), _HINT)
        text = (files("semidbench") / "tracks" / f"{name}.toml").read_text("utf-8")
        return TrackFile(f"track {name}", _parsed(text, f"track {name}"), Path(), name)
    path = folder / name
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read track file {path}: {error}. Correct the path or the file") from error
    return TrackFile(str(path), _parsed(text, str(path)), path.parent, path.resolve())


def _parsed(text: str, where: str) -> Table:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where} is not valid TOML: {error}. Correct the file and run again") from error


def _validated(table: Table, where: str) -> Track:
    try:
        return Track.model_validate(table)
    except ValidationError as error:
        first, *more = error.errors(include_url=False)
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        rest = f" ({len(more)} more)" if more else ""
        wrong, advice = _ADVICE.get(first["type"], (first["msg"], "Correct the file and run again"))
        raise UserError(f"{where}: {place}: {wrong}{rest}. {advice}") from error
