"""Plugins as they are installed: distributions on sys.path with an entry point, some of them broken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from semidbench.errors import UserError
from semidbench.methods.registry import load_registry
from tests.sites import add_plugin

GOOD = """
from semidbench import hookimpl

@hookimpl
def semidbench_register_quantizers(register):
    register({name!r}, "nowhere.to.be.imported:Quantizer")
"""


def install(site: Path, distribution: str, source: str) -> None:
    add_plugin(site, distribution, distribution.replace("-", "_"), source, "1.2")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path, the only one with plugins in it."""
    import importlib.metadata as metadata

    import semidbench.methods.registry as registry

    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("good_plugin", "broken_plugin", "one_plugin", "two_plugin"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group: [
            point
            for found in metadata.distributions(path=[str(tmp_path)])
            for point in found.entry_points
            if point.group == group
        ],
    )
    return tmp_path


def test_a_plugin_that_registers_nothing_is_a_problem(site: Path) -> None:
    install(site, "good-plugin", "answer = 42\n")
    assert load_registry().problems == [
        "good-plugin: TypeError: good_plugin registers nothing: it needs a function marked @semidbench.hookimpl"
    ]


def test_no_plugin_at_all(site: Path) -> None:
    registry = load_registry()
    assert not any(registry.methods.values())
    assert registry.problems == []


def test_listing_imports_no_method(site: Path) -> None:
    install(site, "good-plugin", GOOD.format(name="mine"))
    found = load_registry().methods["quantizer"]["mine"]
    assert (found.distribution, found.version) == ("good-plugin", "1.2")
    with pytest.raises(UserError, match=r"quantizer 'mine' of good-plugin 1\.2 cannot be loaded.*nowhere"):
        found.load()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise RuntimeError('no such GPU')", "RuntimeError: no such GPU"),
        ("import a_module_nobody_has", "ModuleNotFoundError: No module named 'a_module_nobody_has'"),
        (
            "from semidbench import hookimpl\n@hookimpl\ndef semidbench_register_quantisers(register): ...",
            "semidbench_register_quantisers",
        ),
        ("def semidbench_register_quantizers(register): ...", "lacks the @semidbench.hookimpl mark"),
        (
            "from semidbench import hookimpl\n@hookimpl\ndef semidbench_register_quantizers(registry): ...",
            "registry",
        ),
        (
            "from semidbench import hookimpl\n@hookimpl\ndef semidbench_register_layouts(register): register('x', 3)",
            "needs a name and a callable or 'module:attribute'",
        ),
    ],
)
def test_a_broken_plugin_is_named_and_leaves_the_others(site: Path, source: str, message: str) -> None:
    install(site, "good-plugin", GOOD.format(name="mine"))
    install(site, "broken-plugin", source)
    registry = load_registry()
    assert list(registry.methods["quantizer"]) == ["mine"]
    [problem] = registry.problems
    assert problem.startswith("broken-plugin: ")
    assert message in problem
    with pytest.raises(UserError, match="broken-plugin"):
        registry.get("quantizer", "other")


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "[x](javascript:1)",
        "\\input{/etc/passwd}",
        "=1+1",
        "@sum",
        "-x",
        "a/b",
        "../x",
        "A",
        "",
        "a\n",
    ],
)
def test_a_name_that_no_scheme_can_be_written_with_is_refused(site: Path, name: str) -> None:
    install(site, "good-plugin", GOOD.format(name="mine"))
    install(site, "broken-plugin", GOOD.format(name=name))
    registry = load_registry()
    assert list(registry.methods["quantizer"]) == ["mine"]
    [problem] = registry.problems
    assert problem.startswith(f"broken-plugin: ValueError: quantizer {name!r} cannot stand in a scheme")
    assert len(problem.splitlines()) == 1


def test_two_plugins_with_one_name(site: Path) -> None:
    install(site, "one-plugin", GOOD.format(name="mine"))
    install(site, "two-plugin", GOOD.format(name="mine"))
    registry = load_registry()
    assert "mine" not in registry.methods["quantizer"]
    with pytest.raises(UserError, match=r"'mine' is registered by one-plugin 1\.2 and two-plugin 1\.2"):
        registry.get("quantizer", "mine")
    assert len(registry.problems) == 1


def test_unknown_name_gives_the_nearest(site: Path) -> None:
    install(site, "good-plugin", GOOD.format(name="rq-kmeans"))
    with pytest.raises(UserError, match="Did you mean 'rq-kmeans'"):
        load_registry().get("quantizer", "rq-kmean")


def test_list_answers_with_every_plugin_uninstalled_and_imports_no_torch() -> None:
    code = (
        "import sys, importlib.metadata as m; m.entry_points = lambda **_: ()\n"
        "from semidbench.cli import app\n"
        "try: app(['list', '--json'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'transformers', 'faiss', 'pandas', 'sklearn', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["methods"] == []
