"""From a scheme's words to factories: every method found, its options checked, before any work starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from semidbench.errors import UserError
from semidbench.fingerprint import Code, plugin_code
from semidbench.options import build, effective_options
from semidbench.registry import Kind, Registered, Registry
from semidbench.scheme import Method, Scheme, parse_embedders, parse_method, parse_scheme
from semidbench.track import Track


@dataclass(frozen=True, slots=True)
class ResolvedMethod:
    """A method that can be built.

    Attributes:
        who: for messages, e.g. "embedder 'rec' of semidbench-recbole 0.1.0".
        options: all of them, with their effective values.
        code: identity of the distribution that brings it.
        reference: what another process finds the factory by (`semidbench.registry.find_factory`).
        builds_on: for an embedder, the embedders whose views it is handed.
    """

    who: str
    name: str
    factory: Any
    options: dict[str, Any]
    code: Code
    reference: str
    builds_on: tuple[ResolvedMethod, ...] = ()

    def build(self) -> Any:
        """A new instance."""
        return build(self.factory, self.who, self.options)

    def as_key(self) -> dict[str, Any]:
        """For a stage's inputs."""
        return {"name": self.name, "options": self.options, "code": self.code.as_key()}

    def codes(self) -> list[Code]:
        """Its distribution and those of the embedders it builds on."""
        return [self.code, *(code for below in self.builds_on for code in below.codes())]


@dataclass(frozen=True, slots=True)
class ResolvedScheme:
    """A scheme whose parts can all be built; `quantizer` is None where the layout uses none."""

    name: str
    embedders: tuple[ResolvedMethod, ...]
    quantizer: ResolvedMethod | None
    layout: ResolvedMethod

    @property
    def parts(self) -> dict[str, ResolvedMethod]:
        """By their place in the scheme's string."""
        several = len(self.embedders) > 1
        parts = {f"embedder {at}" if several else "embedder": each for at, each in enumerate(self.embedders)}
        if self.quantizer:
            parts["quantizer"] = self.quantizer
        return parts | {"layout": self.layout}


class MissingMethod(UserError):
    """A row needs a method that no installed plugin brings."""


def resolve_scheme(registry: Registry, text: str, track: Track) -> ResolvedScheme:
    """Parse a scheme and find its parts.

    Raises:
        MissingMethod: a part is not installed.
        UserError: malformed, unknown options, or `-` where the layout wants a part (or the reverse).
    """
    scheme = parse_scheme(text)
    layout = _find(registry, "layout", scheme.layout, track, text)
    _check_dashes(scheme, layout)
    return ResolvedScheme(
        name=str(scheme),
        embedders=tuple(_find_embedder(registry, method, track, text, ()) for method in scheme.embedders),
        quantizer=_find(registry, "quantizer", scheme.quantizer, track, text) if scheme.quantizer else None,
        layout=layout,
    )


def resolve_embedders(registry: Registry, text: str, track: Track) -> tuple[ResolvedMethod, ...]:
    """Embedders joined by +, such as `search+rec[epochs=3]`; raises like `resolve_scheme`."""
    return tuple(_find_embedder(registry, method, track, text, ()) for method in parse_embedders(text, text))


def resolve_ranker(registry: Registry, text: str, track: Track) -> ResolvedMethod:
    """A ranker such as `dense` or `dense[epochs=3]`; raises like `resolve_scheme`."""
    method = parse_method(text, text)
    found = _find(registry, "ranker", method, track, text)
    return replace(found, name=str(method))


def _find(registry: Registry, kind: Kind, method: Method, track: Track, row: str) -> ResolvedMethod:
    registered = _registered(registry, kind, method.name, track, row)
    factory = registered.load()
    who = f"{kind} {method.name!r} of {registered.distribution} {registered.version}"
    of_track = getattr(track.methods, f"{kind}s").get(method.name, {})
    options = effective_options(factory, who, of_track, dict(method.options))
    code = plugin_code(factory, registered.distribution, registered.version)
    return ResolvedMethod(who, method.name, factory, options, code, registered.reference)


def _registered(registry: Registry, kind: Kind, name: str, track: Track, row: str) -> Registered:
    provider = track.plan.providers.get(name)
    if provider and name not in registry.methods[kind] and (kind, name) not in registry.clashes:
        broken = next((problem for problem in registry.problems if problem.startswith(provider.split()[0])), None)
        raise MissingMethod(
            f"{row} needs the {kind} {name!r}, which comes with {provider}: "
            + (f"that plugin failed to load ({broken})" if broken else "not installed here")
        )
    return registry.get(kind, name, hint=f"Wanted by {row}.")


def _find_embedder(registry: Registry, method: Method, track: Track, row: str, above: Sequence[str]) -> ResolvedMethod:
    if method.name in above:
        raise UserError(f"embedders build on each other in a circle: {' -> '.join([*above, method.name])}")
    found = _find(registry, "embedder", method, track, row)
    below = tuple(
        _find_embedder(registry, Method(name), track, row, [*above, method.name])
        for name in getattr(found.factory, "builds_on", ())
    )
    return replace(found, builds_on=below)


def _check_dashes(scheme: Scheme, layout: ResolvedMethod) -> None:
    for part, given in (("embedder", bool(scheme.embedders)), ("quantizer", scheme.quantizer is not None)):
        used = getattr(layout.factory, f"uses_{part}", True)
        if used and not given:
            raise UserError(f"scheme {scheme}: {layout.who} needs one {part}; name it in place of '-'")
        if given and not used:
            raise UserError(f"scheme {scheme}: {layout.who} uses no {part}; write '-' in its place")
