"""Where the MovieLens files lie: an unpacked folder, the official zip, or a folder that holds either."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from semidbench.errors import UserError

ROLES = ("movies", "ratings", "tags")
HOME = "https://grouplens.org/datasets/movielens/latest/"
DATA_MUST_HOLD = (
    f"--data DIR must hold MovieLens ml-latest-small (the zip from {HOME} or its unpacked folder) and a "
    "descriptions*.csv with the columns movieId, description"
)


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of a MovieLens dataset. `ratings` is a folder or a zip; the others are files."""

    ratings: Path
    descriptions: Path
    queries: Path | None

    def read(self, role: str) -> tuple[str, bytes]:
        """Name (for messages) and bytes of movies.csv, ratings.csv or tags.csv.

        Raises:
            UserError: it cannot be read, or the zip is damaged.
        """
        name = f"{role}.csv"
        if self.ratings.is_dir():
            return str(self.ratings / name), read_bytes(self.ratings / name)
        try:
            with zipfile.ZipFile(self.ratings) as archive:
                member = _member(archive, self.ratings, name)
                return f"{self.ratings}:{member}", archive.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise UserError(
                f"cannot unpack {name} from {self.ratings}: {error}. The zip is truncated or damaged: "
                f"download it again from {HOME}"
            ) from error


def read_bytes(path: Path) -> bytes:
    """A file's bytes, or a UserError that names it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Check that it exists and is readable") from error


def find_sources(data: Path) -> Sources:
    """Find the files under `data` (see the module's first line).

    Descriptions and queries are the one `descriptions*.csv` and the one (optional) `queries*.jsonl` in
    `data` or a direct subfolder of it, or else beside `data`.

    Raises:
        UserError: something is missing, or there are several candidates.
    """
    if not data.exists():
        raise UserError(f"data folder {data} does not exist. {DATA_MUST_HOLD}")
    ratings = _find_ratings(data)
    descriptions = _the_one(data, "descriptions*.csv")
    if descriptions is None:
        raise UserError(
            f"no descriptions*.csv in {data}, its direct subfolders or beside it. "
            "Provide one CSV with the columns movieId, description (and, optionally, cast: names separated by |)"
        )
    return Sources(ratings, descriptions, _the_one(data, "queries*.jsonl"))


def source_fingerprint(data: Path) -> dict[str, str]:
    """SHA-256 in hex of each file that would be read, by role.

    The roles are movies, ratings and tags for a folder, movielens for the zip as a whole; descriptions;
    and queries where there is such a file.

    Raises:
        UserError: as `find_sources`.
    """
    sources = find_sources(data)
    if sources.ratings.is_dir():
        files = {role: sources.ratings / f"{role}.csv" for role in ROLES}
    else:
        files = {"movielens": sources.ratings}
    files["descriptions"] = sources.descriptions
    if sources.queries:
        files["queries"] = sources.queries
    return {role: hashlib.sha256(read_bytes(path)).hexdigest() for role, path in files.items()}


def _find_ratings(data: Path) -> Path:
    if data.is_file():
        if data.suffix.lower() != ".zip":
            raise UserError(f"{data} is neither a folder nor a .zip. {DATA_MUST_HOLD}")
        return data
    candidates = [data, data / "ml-latest-small"]
    for folder in candidates:
        missing = [f"{role}.csv" for role in ROLES if not (folder / f"{role}.csv").is_file()]
        if not missing:
            return folder
        if len(missing) < len(ROLES):
            raise UserError(f"{folder} has no {', '.join(missing)}. Unpack all of ml-latest-small there, from {HOME}")
    if (data / "ml-latest-small.zip").is_file():
        return data / "ml-latest-small.zip"
    raise UserError(
        f"no MovieLens data in {data}: looked for movies.csv, ratings.csv and tags.csv there and in ml-latest-small/, "
        f"and for ml-latest-small.zip. {DATA_MUST_HOLD}"
    )


def _the_one(data: Path, pattern: str) -> Path | None:
    """The only file that matches; files beside `data` count only where there is none inside."""
    root = data if data.is_dir() else data.parent
    for patterns, folder in (((pattern, f"*/{pattern}"), root), ((pattern,), root.resolve().parent)):
        found = sorted({path for each in patterns for path in folder.glob(each) if path.is_file()})
        if len(found) > 1:
            raise UserError(
                f"{len(found)} files match {pattern}: {', '.join(map(str, found))}. Keep one, move the others away"
            )
        if found:
            return found[0]
    return None


def _member(archive: zipfile.ZipFile, path: Path, name: str) -> str:
    members = [member for member in archive.namelist() if member == name or member.endswith(f"/{name}")]
    if len(members) != 1:
        raise UserError(
            f"{path} holds {len(members) or 'no'} {name}, not one. Use the official ml-latest-small.zip from {HOME}"
        )
    return members[0]
