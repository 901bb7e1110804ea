"""The MovieLens releases that can be read: where GroupLens keeps them, and what their zips hash to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """A release as GroupLens publishes it.

    Attributes:
        name: of the zip and of the folder in it.
        page: for people.
        url: of the zip.
        sha256: of the zip, hexadecimal.
    """

    name: str
    page: str
    url: str
    sha256: str

    @property
    def archive(self) -> str:
        return f"{self.name}.zip"


TERMS = (
    "MovieLens data are F. Maxwell Harper's and Joseph A. Konstan's (GroupLens, 2015) and under GroupLens's own terms: "
    "research use, no commercial use without permission, cite the paper; see README.txt in the zip"
)
RELEASES = {
    release.name: release
    for release in (
        Release(
            name="ml-latest-small",
            page="https://grouplens.org/datasets/movielens/latest/",
            url="https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",
            sha256="696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",  # may change
        ),
        Release(
            name="ml-25m",
            page="https://grouplens.org/datasets/movielens/25m/",
            url="https://files.grouplens.org/datasets/movielens/ml-25m.zip",
            sha256="8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
        ),
    )
}
