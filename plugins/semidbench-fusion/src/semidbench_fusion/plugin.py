"""The hooks. This module stays light, because `semidbench list` imports it."""

from __future__ import annotations

from semidbench import Register, hookimpl


@hookimpl
def semidbench_register_embedders(register: Register) -> None:
    register("fused-concat", "semidbench_fusion.embedders:FusedConcat")
    register("fused-svd", "semidbench_fusion.embedders:FusedSvd")
