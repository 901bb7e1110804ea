"""The hooks. This module stays light, because `semidbench list` imports it."""

from __future__ import annotations

from semidbench import IMPORTED_IDS_LAYOUT, Register, hookimpl


@hookimpl
def semidbench_register_layouts(register: Register) -> None:
    register("shared", "semidbench_layouts.shared:Shared")
    register("separate", "semidbench_layouts.separate:Separate")
    register("random", "semidbench_layouts.controls:Random")
    register("category-prefix", "semidbench_layouts.controls:CategoryPrefix")
    register("atomic", "semidbench_layouts.controls:Atomic")
    register(IMPORTED_IDS_LAYOUT, "semidbench_layouts.imported:Imported")
