"""Every plugin's hooks: registered names, nothing heavy imported, factories that exist."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from semidbench import hookspecs
from semidbench.methods.providers import providers
from semidbench.methods.registry import GROUP
from semidbench.methods.scaffold import NewKind, new_plugin

FOLDER = Path(__file__).parents[2] / "plugins"
PROVIDERS = {provider.distribution: provider for provider in providers()}
NEEDED_OPTIONS = {"imported": ["ids", "sha256"]}  # of all other methods, every option has a default
HEAVY = {"torch", "faiss", "recbole", "pandas", "transformers"}  # numpy may be imported, as by the rule `light`


def project(folder: Path) -> dict[str, Any]:
    """What a distribution says of itself."""
    return dict(tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"])


def entry_modules(folder: Path) -> list[str]:
    """The modules that a distribution's entry points name."""
    return list(project(folder)["entry-points"][GROUP].values())


def registered(folder: Path) -> dict[str, list[str]]:
    """The methods that a distribution's hooks register, by kind; each factory is there and needs no options."""
    found: dict[str, list[str]] = {}
    for plugin in map(import_module, entry_modules(folder)):
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
    return found


def imported_heavy(modules: list[str]) -> str:
    """Heavy packages that a new process has loaded after importing the modules, by name."""
    code = f"import {', '.join(modules)}, sys; print(*sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_plugin_is_left_out() -> None:
    assert set(PROVIDERS) == {folder.name for folder in FOLDER.glob("semidbench-*")}


@pytest.mark.parametrize("distribution", PROVIDERS)
def test_registers_factories_that_exist_and_no_others_than_the_core_names(distribution: str) -> None:
    if distribution == "semidbench-recbole":
        pytest.importorskip("recbole", reason="RecBole installs on Python 3.11 only")
    assert project(FOLDER / distribution)["name"] == distribution
    kinds = {kind: getattr(PROVIDERS[distribution], kind) for kind in ("embedders", "quantizers", "layouts", "rankers")}
    assert registered(FOLDER / distribution) == {kind: names for kind, names in kinds.items() if names}


@pytest.mark.parametrize("distribution", PROVIDERS)
def test_the_core_names_the_one_python_that_a_plugin_needs(distribution: str) -> None:
    only = PROVIDERS[distribution].only
    assert project(FOLDER / distribution)["requires-python"] == (
        f"=={only.removeprefix('Python ')}.*" if only else ">=3.11"
    )


def test_hooks_import_nothing_heavy() -> None:
    modules = [module for distribution in PROVIDERS for module in entry_modules(FOLDER / distribution)]
    assert len(modules) >= len(PROVIDERS)
    assert imported_heavy(modules) == ""
    assert imported_heavy([*modules, "pandas"]) == "pandas"


@pytest.mark.parametrize("kind", ["embedder", "quantizer", "layout"])
def test_a_generated_plugin_can_be_listed_here(kind: NewKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_plugin(f"hooked-{kind}", kind, tmp_path)
    monkeypatch.syspath_prepend(str(made.folder))
    monkeypatch.setenv("PYTHONPATH", str(made.folder))
    assert registered(made.folder) == {f"{kind}s": [made.name]}
    assert imported_heavy(entry_modules(made.folder)) == ""
