"""Where a row comes from: plugins and versions, effective options, machines, and the command that makes it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from semidbench.leaderboards.board import Leaderboard, Row, row_label
from semidbench.tracks.files import built_in_tracks
from semidbench.tracks.recipes import World
from semidbench.tracks.track import Track


@dataclass(frozen=True, slots=True)
class Origin:
    """What stands behind a row.

    Attributes:
        label: the row's number, or R1, R2, ... for a reference.
        plugins: name, version and start of the code's hash of each distribution.
        options: of each part of the scheme that has some, its name and its options.
        made: device, processors and Pythons.
        command: for a POSIX shell.
    """

    label: str
    name: str
    seeds: str
    plugins: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    made: str
    command: str


def origins(board: Leaderboard) -> tuple[Origin, ...]:
    """The schemes', then the references'."""
    groups = (board.rows, board.references)
    return tuple(_origin(board, row, row_label(row, i)) for rows in groups for i, row in enumerate(rows))


def _origin(board: Leaderboard, row: Row, label: str) -> Origin:
    cells = row.cells
    return Origin(
        label=label,
        name=row.name,
        seeds=", ".join(map(str, row.seeds)),
        plugins=_once(
            f"{one.name} {one.version} ({one.code_sha256[:8]})" for cell in cells for one in cell.distributions
        ),
        options=tuple((part, _options(options)) for part, options in sorted(cells[0].options.items()) if options),
        made="; ".join(
            _once(
                f"{cell.environment.device}, {machine.cpu}, Python {machine.python}"
                + (f", products by {machine.products}" if machine.products else "")
                for cell in cells
                for machine in cell.environment.machines
            )
        ),
        command=rerun_command(board.track, row, board.split),
    )


def rerun_command(track: Track, row: Row, split: str) -> str:
    """What makes the row again. A reference runs along with any run of its track."""
    name = track.name if track.name in built_in_tracks() else f"{track.name}.toml"
    words = ["semidbench", "run", "--track", name]
    words += ["--scheme", row.name] if row.kind == "scheme" else []
    words += ["--seeds", str(max(row.seeds) + 1)]
    words += [] if isinstance(track.dataset, World) else ["--data", "DIR"]
    words += [] if split == "test" else ["--split", split]
    return shlex.join(words)


def _options(options: JsonValue) -> str:
    if not isinstance(options, dict):
        return json.dumps(options, ensure_ascii=False)
    values = ((key, value if isinstance(value, str) else json.dumps(value)) for key, value in sorted(options.items()))
    return ", ".join(f"{key}={value}" for key, value in values)


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
