"""The hooks. This module stays light, because `semidbench list` imports it."""

from __future__ import annotations

from semidbench import Register, hookimpl


@hookimpl
def semidbench_register_rankers(register: Register) -> None:
    register("bm25", "semidbench_bm25.ranker:Bm25")
