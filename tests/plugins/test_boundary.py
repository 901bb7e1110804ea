"""Plugins use the public API alone, and the core knows no plugin's method."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from semidbench import IMPORTED_IDS_LAYOUT, api
from semidbench.api import TASKS
from semidbench.methods.registry import load_registry

ROOT = Path(__file__).parents[2]
CORE = ROOT / "semidbench"
OF_PACKAGE = {"IMPORTED_IDS_LAYOUT", "Register", "hookimpl", "load_imported_ids"}  # the rest is for users of results
PLUGIN_MODULES = sorted((ROOT / "plugins").glob("*/src/**/*.py"))
# Strings of the core that a method has for its name and that mean something else, by module.
OTHER_MEANING = {
    "hookspecs.py": {IMPORTED_IDS_LAYOUT},  # the one reserved name
    "dataset/queries/llm/ask.py": {"content"},  # of a chat message, in the OpenAI API
    "dataset/queries/llm/client.py": {"content"},
    "exchange/ids_json.py": {"shared"},  # a slot that both tasks use
}
# Strings that write a scheme: help, the examples of `new-plugin`, and examples in messages.
EXAMPLES = ("cli/", "methods/scaffold.py")
EXAMPLE_WORDS = re.compile(r"\b(e\.g\.|such as)")


def foreign_imports(source: str) -> Iterator[str]:
    """What a plugin's module takes of semidbench that is not public, by import or by the name of a module."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "semidbench")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "semidbench":
            public = {"semidbench": OF_PACKAGE, "semidbench.api": defined_in_api()}.get(str(node.module), set())
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name not in public)
        elif isinstance(node, ast.Constant) and re.fullmatch(r"semidbench(\.\w+)+(:[\w.]+)?", str(node.value)):
            yield str(node.value)


def defined_in_api() -> set[str]:
    """Public names of `semidbench.api` that it defines itself: what it imports is not part of it."""
    names = set()
    for node in ast.parse(Path(api.__file__).read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("path", PLUGIN_MODULES, ids=lambda path: path.parent.name + "/" + path.name)
def test_plugins_import_the_public_api_alone(path: Path) -> None:
    assert list(foreign_imports(path.read_text("utf-8"))) == []


def test_what_is_not_public_is_found() -> None:
    assert len(PLUGIN_MODULES) > 50
    assert {"Context", "TASKS", "Floats", "torch_scope", "API_VERSION"} <= defined_in_api()
    source = """
        from semidbench import hookimpl, run
        from semidbench.api import Context, np
        if Context:
            import semidbench.api, json
            from semidbench.errors import UserError
        import_module("semidbench.store.files")
    """
    found = list(foreign_imports("if True:" + source))
    assert sorted(found) == [
        "semidbench.api",
        "semidbench.api.np",
        "semidbench.errors.UserError",
        "semidbench.run",
        "semidbench.store.files",
    ]


def methods() -> set[str]:
    return {name for of_kind in load_registry().methods.values() for name in of_kind}


def method_names_in(source: str, names: set[str]) -> Iterator[tuple[str, str]]:
    """Strings of a module, docstrings left out, that are a method's name or write a scheme: (name, string)."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    one = "|".join(map(re.escape, sorted(names)))
    written = re.compile(rf"(?<![\w.-])({one})(?=[\[/+][\w-])|(?<=[/+])({one})(?![\w.-])|^({one})$")
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
        if isinstance(text, str) and (found := written.search(text)):
            yield found[0], text


def test_the_core_names_no_method() -> None:
    names = methods()
    assert {"rq-kmeans", "multi-task", IMPORTED_IDS_LAYOUT} <= names
    strange = []
    for path in sorted(CORE.rglob("*.py")):
        module = path.relative_to(CORE).as_posix()
        allowed = {*TASKS, *OTHER_MEANING.get(module, ())}  # `search` and `rec` are the tasks
        for name, text in method_names_in(path.read_text("utf-8"), names):
            example = module.startswith(EXAMPLES) or EXAMPLE_WORDS.search(text)
            if not example and not (text == name and name in allowed):
                strange.append(f"{module}: {text!r}")
    assert strange == []


def test_each_exception_is_needed() -> None:
    names = methods()
    for module, allowed in OTHER_MEANING.items():
        found = {text for _, text in method_names_in((CORE / module).read_text("utf-8"), names)}
        assert allowed <= found, module


def test_a_method_s_name_is_found() -> None:
    source = '''
"""A docstring may say content/rq-kmeans/shared."""
if layout.name == "imported" or options["search"] == "search":
    scheme = f"-/-/imported[ids={name}]"
    other = ["multi-task", "an imported layout", "random/", f"{name}/rq-kmeans/own", "rq-kmeans-like"]
'''
    found = [name for name, _ in method_names_in(source, {"imported", "random", "multi-task", "rq-kmeans"})]
    assert sorted(found) == ["imported", "imported", "multi-task", "rq-kmeans"]
