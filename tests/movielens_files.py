"""A tiny made-up MovieLens folder, for tests to break."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from semidbench.tracks import track

SECTION = track.MovieLens(recipe="movielens", min_ratings=2, train_queries=2, test_queries=1, queries_seed=7)

MOVIES = """movieId,title,genres
1,"Grey Harbour, The (1995)",Comedy|Drama
2,Silent Orchard (2001),Thriller
3,Nameless,(no genres listed)
9,Rarely Rated (1987),Drama
"""
RATINGS = """userId,movieId,rating,timestamp
10,3,2.0,300
10,2,3.5,100
10,1,4.0,300
20,2,5.0,50
20,1,1.0,40
30,3,4.0,10
40,9,4.0,10
"""
TAGS = """userId,movieId,tag,timestamp
10,1,windy,200
20,1,Harbour town,100
20,1,WINDY,300
20,2,,100
20,2,nan,100
"""
DESCRIPTIONS = """movieId,description,cast
1,A lonely sailor returns to the village of his childhood.,Ada Plum|Bo Reed
2,A gardener hides a secret in the village.,
"""


def write_folder(root: Path, **replaced: str | bytes | None) -> Path:
    """`root` as a valid `--data` folder, with files replaced by name (movies, ratings, tags, descriptions, queries)."""
    contents = {"movies": MOVIES, "ratings": RATINGS, "tags": TAGS, "descriptions": DESCRIPTIONS, **replaced}
    inner = root / "ml-latest-small"
    inner.mkdir(parents=True)
    for role, content in contents.items():
        if content is None:
            continue
        path = {"descriptions": root / "descriptions.csv", "queries": root / "queries.jsonl"}.get(
            role, inner / f"{role}.csv"
        )
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def write_zip(path: Path) -> Path:
    """The tiny dataset as the official zip has it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("movies", MOVIES), ("ratings", RATINGS), ("tags", TAGS)):
            archive.writestr(f"ml-latest-small/{name}.csv", content)
    return path


def query_lines() -> list[dict[str, object]]:
    """Valid queries for the tiny dataset: two for training and one for test, for movies 1, 2 and 3."""
    return [
        {"movieId": movie, "split": split, "text": f"something {split} {number} near {movie}"}
        for movie in (1, 2, 3)
        for split, count in (("train", 2), ("test", 1))
        for number in range(count)
    ]


def jsonl(lines: list[dict[str, object]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


ML25M_MEMBERS = ("README.txt", "genome-scores", "genome-tags", "links", "movies", "ratings", "tags")
_ADJECTIVES = [
    "amber",
    "brazen",
    "candid",
    "distant",
    "eager",
    "frozen",
    "gentle",
    "hollow",
    "ivory",
    "jagged",
    "kindred",
    "lunar",
]
_NOUNS = [
    "anchor",
    "beacon",
    "compass",
    "drummer",
    "engine",
    "falcon",
    "garden",
    "harvest",
    "island",
    "junction",
    "kettle",
    "lantern",
]
_DEEDS = [
    "guards",
    "hides",
    "mends",
    "loses",
    "follows",
    "rebuilds",
    "betrays",
    "finds",
    "trades",
    "forgets",
    "maps",
    "steals",
]
_GENRES = ["Action", "Comedy", "Drama", "Horror", "Mystery", "Romance", "Thriller", "Western"]
_GENOME = 24  # tags of the made-up genome


def write_ml25m(
    folder: Path, *, movies: int = 240, users: int = 200, ratings_per_user: int = 12, seed: int = 0
) -> None:
    """A made-up ML-25M: ml-25m.zip in the official layout, descriptions.csv by tmdbId, queries.jsonl with 10 + 10 each.

    Every movie has a description and a genome, every user rates `ratings_per_user` different movies. The same
    arguments give the same bytes.
    """
    rng = np.random.default_rng(seed)
    movie_ids = np.sort(rng.choice(np.arange(1, 10 * movies), size=movies, replace=False)).tolist()
    words = rng.integers(11, size=(movies, 6)).tolist()
    subjects = [(_ADJECTIVES[w[0]], _NOUNS[w[1]], _DEEDS[w[2]], _ADJECTIVES[w[3]], _NOUNS[w[4]]) for w in words]
    tables = {
        "movies": ["movieId,title,genres"],
        "links": ["movieId,imdbId,tmdbId"],
        "ratings": _ml25m_ratings(movie_ids, users, ratings_per_user, rng),
        "tags": ["userId,movieId,tag,timestamp"],
        "genome-tags": ["tagId,tag", *(f"{n + 1},{_ADJECTIVES[n % 12]} {_NOUNS[n // 2]}" for n in range(_GENOME))],
        "genome-scores": ["movieId,tagId,relevance"],
    }
    described = ["tmdbId,description"]
    queries: list[dict[str, object]] = []
    for row, movie in enumerate(movie_ids):
        one, thing, deed, other, place = subjects[row]
        genres = "|".join(sorted({_GENRES[words[row][5] % 8], _GENRES[row % 8]}))
        tables["movies"].append(f'{movie},"Zq{row}, The ({1950 + row % 70})",{genres}')
        tables["links"].append(f"{movie},{1000 + movie:07d},{5000 + movie}")
        tables["tags"].append(f"{1 + row % users},{movie},{one} {thing},{1_100_000_000 + row}")
        tables["genome-scores"] += [f"{movie},{n + 1},{x!r}" for n, x in enumerate(rng.random(_GENOME).tolist())]
        described.append(f'{5000 + movie},"A {one} {thing} {deed} the {other} {place}, number {row}."')
        for split, frame in (
            ("train", "a movie where a {} {} {} something, take {}"),
            ("test", "{} {} {} it, part {}"),
        ):
            texts = (frame.format(one, thing, deed, f"{row}-{k} in the {other} {place}") for k in range(10))
            queries += [{"movieId": movie, "split": split, "text": text} for text in texts]
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "ml-25m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ML25M_MEMBERS:
            content = "Made up for tests.\n" if name == "README.txt" else "\n".join(tables[name]) + "\n"
            entry = zipfile.ZipInfo(f"ml-25m/{name}" + ("" if name == "README.txt" else ".csv"))
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    (folder / "descriptions.csv").write_text("\n".join(described) + "\n")
    (folder / "queries.jsonl").write_text(jsonl(queries))


def _ml25m_ratings(movie_ids: list[int], users: int, each: int, rng: np.random.Generator) -> list[str]:
    """Sorted by userId, then movieId, as the official file is; popular movies are rated more often."""
    chances = 1 / np.arange(1, len(movie_ids) + 1) ** 0.7
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(1, users + 1):
        rated = np.sort(rng.choice(movie_ids, size=each, replace=False, p=chances / chances.sum())).tolist()
        times = (1_000_000_000 + rng.integers(10**8, size=each)).tolist()
        lines += [f"{user},{movie},{rng.integers(1, 11) / 2},{time}" for movie, time in zip(rated, times, strict=True)]
    return lines


def own_track(path: Path) -> Path:
    """A track file with the smoke track's numbers on the made-up ML-25M."""
    path.write_text(OWN_TRACK)
    return path


OWN_TRACK = """semidbench_track = 1
name = "own-ml25m"
extends = "smoke"
version = 1
about = "A made-up ML-25M."

[dataset]
recipe = "movielens"
release = "ml-25m"
described_only = true
min_described = 0.9
last_interactions = 8
min_ratings = 0
max_tags = 20
genome_tags = 20
queries = "file"
train_queries = 10
test_queries = 10
"""
