"""Track files: found by name or path, read, and validated.

This stands apart from the tracks' schema because stages' keys cover the schema's code and not how files are read.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from semidbench.errors import UserError, unknown
from semidbench.tracks.track import Track


def built_in_tracks() -> list[str]:
    """Names of the tracks that come with semidbench."""
    folder = files("semidbench") / "tracks"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_track(name: str) -> Track:
    """The built-in track of that name, or the track in a file if `name` ends in .toml.

    Raises:
        UserError: there is none, or a file of one's own takes the name of a built-in track.
    """
    if name.endswith(".toml"):
        track = read_track(Path(name))
        if track.name in built_in_tracks():
            raise UserError(
                f"{name} calls its track {track.name!r}, the name of a built-in one, and tables never mix tracks. "
                "Give it another name"
            )
        return track
    if name not in built_in_tracks():
        raise unknown(
            "track", name, built_in_tracks(), "A track file of your own is named by its path, ending in .toml."
        )
    return parse_track((files("semidbench") / "tracks" / f"{name}.toml").read_text("utf-8"), where=f"track {name}")


def read_track(path: Path) -> Track:
    """The track in a file.

    Raises:
        UserError: the file cannot be read, is no TOML or breaks the schema.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read track file {path}: {error}") from error
    return parse_track(text, where=str(path))


def parse_track(text: str, where: str) -> Track:
    """A track from TOML text; `where` names the source in errors."""
    try:
        raw: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where} is not valid TOML: {error}") from error
    try:
        return Track.model_validate(raw)
    except ValidationError as error:
        first, *more = error.errors(include_url=False)
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        rest = f" ({len(more)} more)" if more else ""
        if first["type"] == "extra_forbidden":
            raise UserError(f"{where}: {place}: no such key{rest}. Delete it or correct its name") from error
        raise UserError(f"{where}: {place}: {first['msg']}{rest}. Correct the file and run again") from error
