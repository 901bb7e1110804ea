"""Where the files of a MovieLens dataset lie: an unpacked folder or the official zip, descriptions and queries."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from semidbench.dataset.movielens.releases import RELEASES, Release
from semidbench.dataset.tables.csv_files import CsvFile, csv_file
from semidbench.errors import UserError
from semidbench.tracks import track

ROLES = ("movies", "ratings", "tags")
GENOME_ROLES = ("genome-scores", "genome-tags")
QUERIES = "queries.jsonl"
DESCRIPTIONS = "descriptions*.csv"


@dataclass(frozen=True, slots=True)
class ReleaseFiles:
    """The CSV files of a release in `path`: a folder or a zip."""

    release: Release
    path: Path

    def file(self, role: str) -> CsvFile:
        """movies.csv, ratings.csv, tags.csv, links.csv, genome-scores.csv or genome-tags.csv.

        Opening it raises a UserError if it is not there; so does reading from a damaged zip.
        """
        name = f"{role}.csv"
        if self.path.is_dir():
            if not (self.path / name).is_file():
                raise UserError(f"{self.path} has no {name}. Unpack all of {self.release.name} there")
            return csv_file(self.path / name)
        return CsvFile(f"{self.path}:{name}", lambda: self._unpacked(name))

    @contextmanager
    def _unpacked(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(_member(archive, self, name)) as content:
                yield content
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise UserError(
                f"cannot unpack {name} from {self.path}: {error}. The zip is truncated or damaged: "
                f"download it again from {self.release.page}"
            ) from error


def must_hold(section: track.MovieLens) -> str:
    """What a data folder of that section has in it, for messages."""
    release = RELEASES[section.release]
    queries = f", and a {QUERIES}" if section.queries == "file" else ""
    return (
        f"--data DIR must hold MovieLens {release.name} (the zip from {release.page} or its unpacked folder) and a "
        f"{DESCRIPTIONS} with the columns movieId (or imdbId or tmdbId), description{queries}"
    )


def find_release(section: track.MovieLens, data: Path) -> ReleaseFiles:
    """The release's files: `data` itself, if it is the zip or the unpacked folder, or one of these in it.

    Raises:
        UserError: they are not there, or not complete.
    """
    release = RELEASES[section.release]
    if not data.exists():
        raise UserError(f"data folder {data} does not exist. {must_hold(section)}")
    if data.is_file():
        if data.suffix.lower() != ".zip":
            raise UserError(f"{data} is neither a folder nor a .zip. {must_hold(section)}")
        return ReleaseFiles(release, data)
    for folder in (data, data / release.name):
        missing = [f"{role}.csv" for role in ROLES if not (folder / f"{role}.csv").is_file()]
        if not missing:
            return ReleaseFiles(release, folder)
        if len(missing) < len(ROLES):
            raise UserError(
                f"{folder} has no {', '.join(missing)}. Unpack all of {release.name} there, from {release.page}"
            )
    if (data / release.archive).is_file():
        return ReleaseFiles(release, data / release.archive)
    raise UserError(
        f"no MovieLens data in {data}: looked for movies.csv, ratings.csv and tags.csv there and in {release.name}/, "
        f"and for {release.archive}. {must_hold(section)}"
    )


def find_descriptions(data: Path) -> Path:
    """The one descriptions*.csv in `data` or a direct subfolder of it (beside it, if `data` is a zip).

    Raises:
        UserError: there is none, or there are several.
    """
    path = _only_match(data, DESCRIPTIONS)
    if path is None:
        raise UserError(
            f"no {DESCRIPTIONS} in {_folder(data)} or its direct subfolders. Provide one CSV with the columns movieId "
            "(or imdbId or tmdbId), description (and, optionally, cast: names separated by |)"
        )
    return path


def find_queries(data: Path) -> Path | None:
    """The one queries.jsonl in `data` or a direct subfolder of it (beside it, if `data` is a zip), if there is one.

    Raises:
        UserError: there are several.
    """
    return _only_match(data, QUERIES)


def _folder(data: Path) -> Path:
    return data.parent if data.is_file() else data


def _only_match(data: Path, pattern: str) -> Path | None:
    folder = _folder(data)
    matches = sorted({path for each in (pattern, f"*/{pattern}") for path in folder.glob(each) if path.is_file()})
    if len(matches) > 1:
        raise UserError(
            f"{len(matches)} files match {pattern}: {', '.join(map(str, matches))}. Keep one, move the others away"
        )
    return matches[0] if matches else None


def _member(archive: zipfile.ZipFile, files: ReleaseFiles, name: str) -> str:
    members = [member for member in archive.namelist() if member == name or member.endswith(f"/{name}")]
    if len(members) != 1:
        raise UserError(
            f"{files.path} holds {len(members) or 'no'} {name}, not one. Use the official {files.release.archive} "
            f"from {files.release.page}"
        )
    return members[0]
