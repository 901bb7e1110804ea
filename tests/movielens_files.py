"""A tiny made-up MovieLens folder, for tests to break."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from semidbench import track

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
