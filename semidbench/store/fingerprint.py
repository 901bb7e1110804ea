"""Hashes of the core's code: a stage's key changes when the code that computes it does, and with no other edit.

Not hashed: comments, docstrings and blank lines; modules that are imported for type checkers alone; modules that
compute nothing: they check and report, or put files into their place.
"""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeGuard

PACKAGE = "semidbench"
_ROOT = Path(__file__).parents[1]
# Libraries whose arithmetic reaches a result. A plugin's own requirements are added for its stages.
NUMERIC = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "tokenizers", "sentence-transformers")
COMPUTES_NOTHING = ("errors", "methods.contracts", "methods.failure", "methods.traces", "store.files")


def core_code(*modules: str) -> str:
    """SHA-256 over these semidbench modules and all semidbench modules that they import."""
    return _digest(core_modules(*modules))


@cache
def module_code(*modules: str) -> str:
    """SHA-256 over these semidbench modules alone."""
    return _digest(tuple(f"{PACKAGE}.{module}" for module in sorted(modules)))


@cache
def core_modules(*modules: str) -> tuple[str, ...]:
    """Full names, sorted, of these modules and of all semidbench modules they import; none of them is imported."""
    pending = [f"{PACKAGE}.{module}" for module in modules]
    covered = {f"{PACKAGE}.{module}" for module in COMPUTES_NOTHING}
    found: set[str] = set()
    while pending:
        module = pending.pop()
        if module not in found | covered:
            found.add(module)
            pending += _read(module)[1]
    return tuple(sorted(found))


def library_versions(names: Iterable[str] = NUMERIC) -> dict[str, str]:
    """Installed versions, by name; a library that is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = _version(name)
        except PackageNotFoundError:
            continue
    return found


def digest(named: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256 over named contents, in their order."""
    total = hashlib.sha256()
    for name, content in named:
        total.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))  # a file may have any name
        total.update(content)
    return total.hexdigest()


@cache
def _version(name: str) -> str:
    return version(name)  # reads and parses a file


@cache
def _digest(modules: tuple[str, ...]) -> str:
    return digest((module, _read(module)[0]) for module in modules)


@cache
def _read(module: str) -> tuple[bytes, tuple[str, ...]]:
    """What a semidbench module computes, and the semidbench modules that it imports."""
    path = _source(module)
    assert path is not None, module
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    return computation(text, tree), tuple(_imports(tree))


def computation(text: str, tree: ast.Module) -> bytes:
    """A module's source without comments, docstrings, blank lines and type-only imports; strings stay as they are."""
    lines = text.split("\n")
    in_string: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        (row, column), (end_row, _) = token.start, token.end
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column].rstrip()
        elif end_row > row and token.type not in (tokenize.NEWLINE, tokenize.NL):
            in_string.update(range(row, end_row + 1))
    for first, last in (*_docstrings(tree), *_for_type_checkers(tree)):
        lines[first - 1 : last] = [""] * (last - first + 1)
        in_string.difference_update(range(first, last + 1))
    return "\n".join(line for row, line in enumerate(lines, 1) if line.strip() or row in in_string).encode()


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """First and last line of each docstring that has its lines to itself."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        match node.body:
            case [ast.Expr(value=ast.Constant(value=str())) as text, *others]:
                last = text.end_lineno or text.lineno
                if getattr(node, "lineno", 0) < text.lineno and all(other.lineno > last for other in others):
                    yield text.lineno, last


def _for_type_checkers(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """First and last line of what only type checkers read."""
    for node in ast.walk(tree):
        if _is_type_checking(node):
            first, last = (node.body[0] if node.orelse else node).lineno, node.body[-1]
            yield first, last.end_lineno or last.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "typing":
            yield node.lineno, node.end_lineno or node.lineno


def _is_type_checking(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imports(tree: ast.Module) -> Iterator[str]:
    """The semidbench modules a module imports when it runs, at top level or inside functions."""
    for node in _run_time(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in named if _source(name)]
            yield from modules
            if len(modules) < len(named) and node.module != PACKAGE:
                yield node.module


def _run_time(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, without what stands under `if TYPE_CHECKING:`."""
    skipped = node.body if _is_type_checking(node) else []
    for child in ast.iter_child_nodes(node):
        if child in skipped:
            continue
        yield child
        yield from _run_time(child)


@cache
def _source(module: str) -> Path | None:
    """Where the source of a semidbench module stands; None if there is no such module."""
    stem = _ROOT.joinpath(*module.split(".")[1:])
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)
