"""The hooks. This module stays light, because `semidbench list` imports it."""

from __future__ import annotations

from semidbench import Register, hookimpl


@hookimpl
def semidbench_register_embedders(register: Register) -> None:
    register("als", "semidbench_implicit.als:AlsItemFactors")


@hookimpl
def semidbench_register_rankers(register: Register) -> None:
    register("als", "semidbench_implicit.als:Als")
    register("bpr", "semidbench_implicit.bpr:Bpr")
    register("item-knn", "semidbench_implicit.item_knn:ItemKnn")
