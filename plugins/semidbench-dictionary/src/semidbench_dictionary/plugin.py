"""The hooks. This module stays light, because `semidbench list` imports it."""

from __future__ import annotations

from semidbench import Register, hookimpl


@hookimpl
def semidbench_register_quantizers(register: Register) -> None:
    register("dictionary", "semidbench_dictionary.quantizer:Dictionary")
