"""The hooks: light, for `semidbench list` imports this module."""

from __future__ import annotations

from semidbench import Register, hookimpl


@hookimpl
def semidbench_register_layouts(register: Register) -> None:
    register("prefix-share", "semidbench_joint_ids.layouts:PrefixShare")
    register("gensar", "semidbench_joint_ids.layouts:GenSar")
