"""The hooks: light, for `semidbench list` imports this module."""

from __future__ import annotations

from semidbench import Register, hookimpl


@hookimpl
def semidbench_register_layouts(register: Register) -> None:
    register("shared", "semidbench_layouts.shared:Shared")
