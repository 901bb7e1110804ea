"""The hooks. This module stays light, because `semidbench list` imports it."""

from __future__ import annotations

from semidbench import Register, hookimpl


@hookimpl
def semidbench_register_embedders(register: Register) -> None:
    register("rec", "semidbench_recbole.embedder:Rec")


@hookimpl
def semidbench_register_rankers(register: Register) -> None:
    register("enmf", "semidbench_recbole.ranker:Enmf")
