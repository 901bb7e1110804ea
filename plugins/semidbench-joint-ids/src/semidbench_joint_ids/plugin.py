"""The hooks. This module stays light, because `semidbench list` imports it."""

from __future__ import annotations

from semidbench import Register, hookimpl


@hookimpl
def semidbench_register_layouts(register: Register) -> None:
    register("prefix-share", "semidbench_joint_ids.layouts:PrefixShare")
    register("gensar", "semidbench_joint_ids.layouts:GenSar")
