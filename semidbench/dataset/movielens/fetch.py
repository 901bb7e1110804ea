"""Downloads that go on where they were cut, and count only with the right hash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import requests

from semidbench.errors import UserError
from semidbench.store.files import file_sha256

CONNECT_SECONDS, SILENCE_SECONDS = 10.0, 60.0
CHUNK_BYTES = 1 << 16
Progress = Callable[[str, int, int], None]


def fetch(url: str, sha256: str, target: Path, progress: Progress) -> bool:
    """Download `url` to `target`, unless it is there with this hash. Returns whether it was downloaded.

    Until its hash is right a download is TARGET.part; a later call goes on at its end, by an HTTP Range.

    Args:
        url: http or https.
        sha256: of the file, in hex.
        target: its folder is made if need be.
        progress: `progress(name, bytes so far, bytes in all)`.

    Raises:
        UserError: no server, a refusal, a cut connection, a full disk or a wrong hash. Nothing fetched is deleted.
    """
    if target.exists():
        if (actual := file_sha256(target)) == sha256:
            return False
        raise UserError(
            f"{target} is there with sha256 {actual}, not {sha256}. Move it away and fetch again, or keep it if you "
            "trust it: runs do not check the hash"
        )
    part = target.with_name(target.name + ".part")
    _make_folder(target.parent)
    try:
        _download(url, part, progress)
    except requests.RequestException as error:
        raise UserError(f"cannot fetch {url}: {_reason(error)}. {_kept(part)}") from error
    except OSError as error:
        kept = _kept(part) if part.exists() else "Make its folder writable and run again"
        raise UserError(f"cannot write {part}: {error.strerror}. {kept}") from error
    if (actual := file_sha256(part)) != sha256:
        wrong = part.replace(target.with_name(target.name + ".wrong"))
        raise UserError(
            f"{url} gave {wrong.stat().st_size:,} bytes with sha256 {actual}, not {sha256}. They are kept as {wrong}. "
            "Fetch again, or, if the publisher changed the file and you trust it, with --sha256"
        )
    part.replace(target)
    return True


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a file in its place, too
        raise UserError(f"cannot make the folder {folder}: {error.strerror}. Name another and run again") from error


def _download(url: str, part: Path, progress: Progress) -> None:
    have = part.stat().st_size if part.exists() else 0
    # Compressed on the way, the bytes would not be those that a Range counts.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, SILENCE_SECONDS)) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # there is no more: the hash shows whether it is complete
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            have = 0  # the server ignores ranges and sends all of it
        total = have + int(response.headers.get("Content-Length", 0))
        with part.open("ab" if have else "wb") as out:
            for chunk in response.iter_content(CHUNK_BYTES):
                out.write(chunk)
                have += len(chunk)
                progress(part.name.removesuffix(".part"), have, total)


def _reason(error: requests.RequestException) -> str:
    """One clause, where requests has a paragraph."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server responds with {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not respond"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)


def _kept(part: Path) -> str:
    if not part.exists():
        return "Check the address and the network, and run again; or name a mirror with --url"
    return f"{part.stat().st_size:,} bytes are kept in {part}: run the same command again to go on from there"
