"""Every plugin's hooks: registered names, nothing heavy imported, factories that exist."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from semidbench import hookspecs

PLUGINS = {
    "biencoder": {"embedders": ["content", "search", "multi-task"], "rankers": ["dense", "dense-multi-task"]},
    "bm25": {"rankers": ["bm25"]},
    "dictionary": {"quantizers": ["dictionary"]},
    "faiss": {"quantizers": ["rq-kmeans", "kmeans"]},
    "fusion": {"embedders": ["fused-concat", "fused-svd"]},
    "joint_ids": {"layouts": ["prefix-share", "gensar"]},
    "layouts": {"layouts": ["shared", "separate", "random", "category-prefix", "atomic", "imported"]},
    "popularity": {"rankers": ["popularity"]},
    "recbole": {"embedders": ["rec"], "rankers": ["enmf"]},
    "vq": {"quantizers": ["residual-lfq", "rq-vae"]},
}
NEEDED_OPTIONS = {"imported": ["ids", "sha256"]}  # of all other methods, every option has a default


def test_no_plugin_is_left_out() -> None:
    folders = (Path(__file__).parents[2] / "plugins").glob("semidbench-*")
    assert set(PLUGINS) == {folder.name.removeprefix("semidbench-").replace("-", "_") for folder in folders}


@pytest.mark.parametrize("name", PLUGINS)
def test_registers_factories_that_exist(name: str) -> None:
    if name == "recbole":
        pytest.importorskip("recbole", reason="RecBole installs on Python 3.11 only")
    plugin = import_module(f"semidbench_{name}.plugin")
    found: dict[str, list[str]] = {}
    for kind in ("embedders", "quantizers", "layouts", "rankers"):
        hook = getattr(plugin, f"semidbench_register_{kind}", None)
        if hook is None:
            continue
        assert hasattr(hookspecs, f"semidbench_register_{kind}")

        def register(method: str, factory: str, kind: str = kind) -> None:
            module, _, attribute = factory.partition(":")
            options = signature(getattr(import_module(module), attribute)).parameters.values()
            needed = [option.name for option in options if option.default is option.empty]
            assert needed == NEEDED_OPTIONS.get(method, [])
            if not needed:
                assert getattr(import_module(module), attribute)() is not None
            found.setdefault(kind, []).append(method)

        hook(register=register)
    assert found == PLUGINS[name]


def test_hooks_import_nothing_heavy() -> None:
    modules = ", ".join(f"semidbench_{name}.plugin" for name in PLUGINS)
    code = (
        f"import {modules}, sys; "
        "sys.exit(' '.join({'torch', 'numpy', 'faiss', 'recbole', 'pandas', 'transformers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
