"""docs/reference/plugin-api.md is complete and exact: compared with the code, hook by hook, method by method."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import semidbench
from semidbench import api, hookspecs, testing
from semidbench.methods.registry import KINDS, load_registry
from semidbench.testing.rules import rules
from tests.doc_blocks import blocks, read, section, table

REFERENCE = "docs/reference/plugin-api.md"
TEXT = read(REFERENCE)
HOOKS = [name for name in vars(hookspecs) if name.startswith("semidbench_")]
PROTOCOLS = [each for each in vars(api).values() if inspect.isclass(each) and getattr(each, "_is_protocol", False)]
PROTOCOLS = [each for each in PROTOCOLS if each.__module__ == api.__name__]
FUNCTIONS = [name for name, each in vars(api).items() if inspect.isfunction(each) and each.__module__ == api.__name__]
RECORDS = [each for each in vars(api).values() if inspect.isclass(each) and dataclasses.is_dataclass(each)]


def signature(function: Any) -> str:
    """As it is written, with the types' names and without self."""
    written = str(inspect.signature(function)).replace("'", "")
    return written.replace("(self, ", "(").replace("(self)", "()")


def public(owner: type) -> list[str]:
    """Methods and properties that a class defines itself."""
    return [
        name
        for name, value in vars(owner).items()
        if (not name.startswith("_") or name == "__len__")
        and (inspect.isfunction(value) or isinstance(value, property))
    ]


def test_there_is_something_to_document() -> None:
    assert len(HOOKS) == len(KINDS)
    assert {each.__name__ for each in PROTOCOLS} == {"TextEncoder", "Embedder", "Quantizer", "Layout", "Ranker"}
    assert {"Context", "ItemIds", "TrainData"} <= {each.__name__ for each in RECORDS}
    assert "torch_scope" in FUNCTIONS


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_stands_there_with_its_signature(hook: str) -> None:
    assert f"| `{hook}{signature(getattr(hookspecs, hook))}` |" in section(REFERENCE, "## Hooks")


def test_the_examples_implement_every_hook_and_register_what_they_define(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python blocks, as the module that their hooks name, are a plugin without problems."""
    plugin = ModuleType("my_plugin")
    monkeypatch.setitem(sys.modules, "my_plugin", plugin)
    for block in blocks(REFERENCE):
        if block.language == "python":
            exec(compile("\n" * block.line + block.text, REFERENCE, "exec"), plugin.__dict__)
    assert not [hook for hook in HOOKS if hook not in vars(plugin)]
    registry = load_registry([EntryPoint("my-plugin", "my_plugin", "semidbench")])
    assert registry.problems == []
    for kind, of_kind in zip(KINDS, (api.Embedder, api.Quantizer, api.Layout, api.Ranker), strict=True):
        ((_, method),) = registry.methods[kind].items()
        assert all(callable(getattr(method.load(), name, None)) for name in public(of_kind) if name != "codebook_sizes")


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda each: each.__name__)
def test_every_protocol_has_all_its_methods_with_their_signatures(protocol: type) -> None:
    text = section(REFERENCE, f"### {protocol.__name__}").replace("\\|", "|")
    for name in public(protocol):
        value = vars(protocol)[name]
        of_property = isinstance(value, property)
        told = f"{name}{signature(value.fget).removeprefix('()') if of_property else signature(value)}"
        assert f"`{told}`" in text, f"{protocol.__name__}: no `{told}`"


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: each.__name__)
def test_every_record_has_all_its_fields_with_their_types(record: Any) -> None:
    heading = f"### {record.__name__}"
    documented = {cells[0]: cells[1] for cells in table(REFERENCE, heading)}
    assert documented == {f"`{each.name}`": f"`{each.type}`".replace("|", "\\|") for each in dataclasses.fields(record)}
    methods = {name: f"len({record.__name__.lower()})" if name == "__len__" else name for name in public(record)}
    for name, told in methods.items():
        assert told in section(REFERENCE, heading), f"{record.__name__}: no word about {name}"


def test_every_public_name_is_mentioned() -> None:
    defined = re.findall(r"^(?:class )?([A-Z]\w*)(?=[ :(])", Path(api.__file__).read_text("utf-8"), re.MULTILINE)
    names = {name for name in defined if hasattr(api, name)}
    assert {"API_VERSION", "TASKS", "Task", "Floats", "Ints", "Views", "NewQuantizer"} <= names
    missing = [name for name in sorted(names) if not re.search(rf"`[^`]*\b{name}\b[^`]*`", TEXT)]
    assert not missing, f"{REFERENCE} says nothing of {', '.join(missing)}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_stands_there_with_its_signature(name: str) -> None:
    assert f"`{name}{signature(getattr(api, name))}`" in section(REFERENCE, f"### {name}")


def test_imported_ids_have_their_function_and_their_name() -> None:
    text = section(REFERENCE, "### Imported IDs")
    assert f"`load_imported_ids{signature(semidbench.load_imported_ids)}`" in text
    assert f"`semidbench.IMPORTED_IDS_LAYOUT` (`{semidbench.IMPORTED_IDS_LAYOUT}`)" in text


def test_every_name_of_semidbench_testing_is_in_its_table_with_its_parameters() -> None:
    documented = " ".join(cells[0] for cells in table(REFERENCE, "## semidbench.testing"))
    for name in testing.__all__:
        value = getattr(testing, name)
        parameters = (
            "" if inspect.isclass(value) else ", ".join(map(_spelt, inspect.signature(value).parameters.values()))
        )
        assert (f"`{name}`" if inspect.isclass(value) else f"`{name}({parameters})`") in documented, name


def _spelt(parameter: inspect.Parameter) -> str:
    return parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"


def test_every_attribute_that_a_class_may_carry_is_mentioned() -> None:
    for name in ("builds_on", "fine_tunes_text_encoder", "uses_embedder", "uses_quantizer"):
        assert f"`{name}" in TEXT
        assert any(name in (each.__doc__ or "") for each in PROTOCOLS)


def test_every_rule_of_check_has_its_line() -> None:
    lines = table(REFERENCE, "## The rules of semidbench check")
    documented = [name.strip("`") for cells in lines for name in cells[0].split(", ")]
    assert sorted(documented) == sorted({rule.name for kind in KINDS for rule in rules(kind)})
