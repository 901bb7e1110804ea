"""What a track takes from the track that it extends: tables are merged key by key, values and lists replaced."""

from __future__ import annotations

from typing import Any

Table = dict[str, Any]  # of a TOML file

_OWN = ("semidbench_track", "name", "version", "about", "extends")  # each file gives its own


def completed(own: Table, base: Table) -> Table:
    """A track's table with what it leaves to the track that it extends.

    Args:
        own: the file's table.
        base: that of the extended track, completed itself; empty if there is none.
    """
    inherited = {key: value for key, value in base.items() if key not in _OWN}
    return _merged(inherited, {key: value for key, value in own.items() if key != "extends"}, ())


def _merged(base: Table, own: Table, place: tuple[str, ...]) -> Table:
    if _stands_alone(own, place):
        return own
    both = {key for key, value in own.items() if isinstance(value, dict) and isinstance(base.get(key), dict)}
    return base | {key: _merged(base[key], own[key], (*place, key)) if key in both else own[key] for key in own}


def _stands_alone(table: Table, place: tuple[str, ...]) -> bool:
    """Whether a table takes nothing: one that gives its `recipe` or `kind`, and one with the options of a method.

    Another recipe's, model's or tuning's values would be wrong in it, and TOML cannot say that there is no value.
    """
    named = any(isinstance(table.get(key), str) for key in ("recipe", "kind"))
    return named or (place[:1] == ("methods",) and len(place) == 3)
