"""The hooks. This module stays light, because `semidbench list` imports it."""

from __future__ import annotations

from semidbench import Register, hookimpl


@hookimpl
def semidbench_register_rankers(register: Register) -> None:
    register("popularity", "semidbench_popularity.ranker:Popularity")
