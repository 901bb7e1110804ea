"""The four hooks a plugin may implement. See docs/reference/plugin-api.md for what each method must do.

A plugin is a module named under the entry-point group `semidbench`. It marks its hooks with
`@semidbench.hookimpl` and calls `register(name, factory)` in them, once per method:

    @hookimpl
    def semidbench_register_quantizers(register):
        register("my-quantizer", "my_package.quantizer:MyQuantizer")

`factory` is a callable (usually the class itself) that takes the method's options as keyword
arguments, or, so that listing plugins imports nothing heavy, the string "module:attribute" of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy

PROJECT = "semidbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Factory = str | Callable[..., Any]
Register = Callable[[str, Factory], None]

IMPORTED_IDS_LAYOUT = "imported"
"""Reserved for a layout that runs imported IDs: the schemes that `semidbench import ids` prints name it.

It takes the options `ids` and `sha256` and passes them to `semidbench.load_imported_ids`.
"""


@hookspec
def semidbench_register_embedders(register: Register) -> None:
    """Register factories of `semidbench.api.Embedder`: training data to item embeddings."""


@hookspec
def semidbench_register_quantizers(register: Register) -> None:
    """Register factories of `semidbench.api.Quantizer`: vectors to codes."""


@hookspec
def semidbench_register_layouts(register: Register) -> None:
    """Register factories of `semidbench.api.Layout`: embeddings and a quantizer to item IDs."""


@hookspec
def semidbench_register_rankers(register: Register) -> None:
    """Register factories of `semidbench.api.Ranker`: non-generative reference rows."""
