"""Which methods are installed: entry points to factories, surviving plugins that are broken.

Nothing here imports a method's own module: a plugin registers a lazy "module:attribute" and it is
resolved when a run asks for the method.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import Any, Literal

import pluggy

from semidbench import hookspecs
from semidbench.errors import UserError, unknown
from semidbench.hookspecs import PROJECT, Factory
from semidbench.methods.scheme import is_method_name

MethodKind = Literal["embedder", "quantizer", "layout", "ranker"]
KINDS: tuple[MethodKind, ...] = ("embedder", "quantizer", "layout", "ranker")
GROUP = "semidbench"
Before = Callable[[str, str], object]  # before("embedder 'mine' of mine 1", "when it was imported"), then it is


def unwatched(who: str, doing: str) -> None:
    """A `Before` for those who do not want to know."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A method somebody registered: its factory is not imported yet if it is a string."""

    kind: MethodKind
    name: str
    factory: Factory
    distribution: str
    version: str

    @property
    def reference(self) -> str:
        """What `find_factory` finds the factory by in another process: "module:attribute", else "kind name"."""
        if isinstance(self.factory, str):
            return self.factory
        named = f"{getattr(self.factory, '__module__', '')}:{getattr(self.factory, '__qualname__', '')}"
        try:
            same = not named.startswith("__main__:") and _imported(named) is self.factory
        except (ImportError, AttributeError, ValueError):
            same = False
        return named if same else f"{self.kind} {self.name}"

    def load(self) -> Any:
        """The factory itself.

        Raises:
            UserError: it cannot be imported; the message names the distribution and the cause.
        """
        if callable(self.factory):
            return self.factory
        try:
            return _imported(self.factory)
        except (Exception, SystemExit) as error:
            raise UserError(
                f"{self.kind} {self.name!r} of {self.distribution} {self.version} cannot be loaded from "
                f"{self.factory!r}: {type(error).__name__}: {error}. Reinstall or remove {self.distribution}"
            ) from error


@dataclass(frozen=True, slots=True)
class Registry:
    """All methods by kind and name, and what was wrong with the plugins that did not load."""

    methods: dict[MethodKind, dict[str, Registered]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    clashes: dict[tuple[MethodKind, str], tuple[Registered, ...]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def get(self, kind: MethodKind, name: str, hint: str = "") -> Registered:
        """The method of that name.

        Raises:
            UserError: unknown (with the nearest names) or registered by two distributions.
        """
        if (kind, name) in self.clashes:
            raise UserError(_clash(kind, name, self.clashes[kind, name]))
        if name not in self.methods[kind]:
            broken = f"Plugins that failed to load: {'; '.join(self.problems)}." if self.problems else ""
            raise unknown(kind, name, self.methods[kind], " ".join(filter(None, (hint, broken))))
        return self.methods[kind][name]


def find_factory(reference: str) -> Any:
    """The factory behind a `Registered.reference`, which another process gave."""
    if ":" in reference:
        return _imported(reference)
    kind, name = reference.split(" ", 1)
    return load_registry().get(kind, name).load()  # type: ignore[arg-type]


def load_registry(points: Iterable[EntryPoint] | None = None, before: Before = unwatched) -> Registry:
    """Load every plugin of the entry-point group (or of `points`); problems are kept, not raised.

    Args:
        before: called before a plugin is imported; what it raises is that plugin's problem.
    """
    registry = Registry()
    found: dict[tuple[MethodKind, str], list[Registered]] = {}
    for point in sorted(
        entry_points(group=GROUP) if points is None else points, key=lambda p: (_distribution(p), p.name)
    ):
        try:
            before(_distribution(point), "when it was imported")
            for method in _register(point):
                found.setdefault((method.kind, method.name), []).append(method)
        except (Exception, SystemExit) as error:
            registry.problems.append(f"{_distribution(point)}: {_cause(error)}")
    for (kind, name), methods in found.items():
        if len(methods) == 1:
            registry.methods[kind][name] = methods[0]
        else:
            registry.clashes[kind, name] = tuple(methods)
            registry.problems.append(_clash(kind, name, methods))
    return registry


def _imported(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    return attrgetter(attribute)(import_module(module))


def _register(point: EntryPoint) -> list[Registered]:
    """Import one plugin and run its hooks. A manager of its own keeps its failure to itself."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    plugin = point.load()
    manager.register(plugin, name=point.name)
    manager.check_pending()
    _refuse_unmarked(plugin)
    methods: list[Registered] = []
    version = point.dist.version if point.dist else "?"
    for kind in KINDS:

        def register(name: str, factory: Factory, kind: MethodKind = kind) -> None:
            if not isinstance(name, str) or not (callable(factory) or (isinstance(factory, str) and ":" in factory)):
                raise TypeError(f"register({name!r}, {factory!r}): needs a name and a callable or 'module:attribute'")
            if not is_method_name(name):
                raise ValueError(
                    f"{kind} {name[:80]!r} cannot stand in a scheme: a name is made of a-z, 0-9, '_', '.' and '-', and "
                    "begins with a letter or digit"
                )
            methods.append(Registered(kind, name, factory, _distribution(point), version))

        getattr(manager.hook, f"semidbench_register_{kind}s")(register=register)
    if not methods:
        raise TypeError(f"{point.value} registers nothing: it needs a function marked @semidbench.hookimpl")
    return methods


def _refuse_unmarked(plugin: Any) -> None:
    """A function named like a hook but not marked as one would be ignored in silence."""
    for name, value in vars(plugin).items():
        if name.startswith(f"{PROJECT}_") and inspect.isfunction(value) and not hasattr(value, f"{PROJECT}_impl"):
            raise TypeError(f"function {name!r} looks like a hook but lacks the @semidbench.hookimpl mark")


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _cause(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300] or 'no message'}"


def _clash(kind: MethodKind, name: str, methods: Iterable[Registered]) -> str:
    owners = " and ".join(sorted({f"{m.distribution} {m.version}" for m in methods}))
    return f"{kind} {name!r} is registered by {owners}; neither is used until one of them is uninstalled"
