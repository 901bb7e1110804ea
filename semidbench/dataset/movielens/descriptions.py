"""descriptions*.csv, by movieId or by the movie's number at IMDb or TMDB."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from semidbench.dataset.movielens.locate import ReleaseFiles
from semidbench.dataset.tables.csv_files import TableRow, csv_file, read_header, read_rows
from semidbench.errors import UserError

Key = Literal["movieId", "imdbId", "tmdbId"]
KEYS: tuple[Key, ...] = ("movieId", "imdbId", "tmdbId")


@dataclass(frozen=True, slots=True)
class Description:
    """A movie's description: running text, and the names of its cast (possibly none)."""

    text: str
    cast: tuple[str, ...]


NO_DESCRIPTION = Description("", ())


def description_key(path: Path) -> Key:
    """The one column that identifies the movie of a description.

    Raises:
        UserError: none or several of movieId, imdbId and tmdbId are columns.
    """
    header = read_header(csv_file(path))
    keys = [key for key in KEYS if key in header]
    if len(keys) != 1:
        raise UserError(
            f"{path} needs exactly one of the columns {', '.join(KEYS)}, and has {' and '.join(keys) or 'none'}; its "
            f"columns are {', '.join(map(repr, header))}. Keep or add one and run again"
        )
    return keys[0]


def read_descriptions(path: Path, movies: Collection[int], files: ReleaseFiles) -> tuple[dict[int, Description], int]:
    """Descriptions by movieId, of the movies given; how many rows are of other movies.

    By imdbId (with or without tt and leading zeros) or tmdbId a description goes to each movie that links.csv
    gives that number.

    Raises:
        UserError: malformed, a movie's number is there twice, or links.csv is needed and missing.
    """
    key = description_key(path)
    numbered = {movie: [movie] for movie in movies} if key == "movieId" else _links(files, key, movies)
    descriptions: dict[int, Description] = {}
    seen: set[int] = set()
    unknown = 0
    for row in read_rows(csv_file(path), (key, "description"), ("cast",)):
        number = _number(row, 0, key)
        if number in seen:
            raise row.error(f"{key} {number} is there a second time")
        seen.add(number)
        names = (name.strip() for name in row.fields[2].split("|"))
        described = Description(" ".join(row.fields[1].split()), tuple(name for name in names if name))
        descriptions |= dict.fromkeys(numbered.get(number, ()), described)
        unknown += number not in numbered
    return descriptions, unknown


def _links(files: ReleaseFiles, key: Key, movies: Collection[int]) -> Mapping[int, list[int]]:
    """The movieIds of each number at IMDb or TMDB: MovieLens has some movies twice."""
    numbered: dict[int, list[int]] = {}
    for row in read_rows(files.file("links"), ("movieId", key)):
        movie = row.integer(0, "movieId")
        if row.fields[1].strip() and movie in movies:
            numbered.setdefault(_number(row, 1, key), []).append(movie)
    return numbered


def _number(row: TableRow, field: int, key: Key) -> int:
    if key != "imdbId":
        return row.integer(field, key)
    text = row.fields[field].strip().lower().removeprefix("tt")
    if not (text.isascii() and text.isdigit()):
        raise row.error(f"imdbId {row.fields[field]!r} is not a number, with or without tt before it")
    return int(text)
