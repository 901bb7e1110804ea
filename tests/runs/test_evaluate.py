"""What a result records of how it was made."""

from __future__ import annotations

from semidbench.methods.plugin_code import Code
from semidbench.methods.resolved import ResolvedMethod
from semidbench.runs.evaluate import recorded_options

CODE = Code("plugin", "1", "0" * 64, {})


def method(name: str, below: tuple[ResolvedMethod, ...] = (), **options: object) -> ResolvedMethod:
    return ResolvedMethod(f"embedder {name!r}", name, dict(options), CODE, f"{name}:{name}", below)


def test_options_of_the_embedders_beneath_are_recorded() -> None:
    search, rec = method("search", epochs=10), method("rec", dim=256)
    middle = method("fused", (search, rec), width=3)
    recorded = recorded_options({"embedder": method("top", (middle,)), "layout": method("shared")})
    assert recorded == {
        "embedder": {},
        "embedder > fused": {"width": 3},
        "embedder > fused > search": {"epochs": 10},
        "embedder > fused > rec": {"dim": 256},
        "layout": {},
    }
