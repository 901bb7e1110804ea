"""The hooks. This module stays light, because `semidbench list` imports it."""

from __future__ import annotations

from semidbench import Register, hookimpl


@hookimpl
def semidbench_register_embedders(register: Register) -> None:
    register("content", "semidbench_biencoder.embedders:Content")
    register("search", "semidbench_biencoder.embedders:Search")
    register("multi-task", "semidbench_biencoder.embedders:MultiTask")


@hookimpl
def semidbench_register_rankers(register: Register) -> None:
    register("dense", "semidbench_biencoder.ranker:Dense")
    register("dense-multi-task", "semidbench_biencoder.ranker:DenseMultiTask")
