"""From a scheme's words to methods: each found, its options checked and built once, before any work starts.

A run has this done in a process of its own (`semidbench.isolation.resolver`): it imports plugins and calls their
factories.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from semidbench.errors import UserError
from semidbench.methods.failure import PluginFailure, failing, failure_of
from semidbench.methods.options import effective_options
from semidbench.methods.plugin_code import plugin_code
from semidbench.methods.providers import provider_of
from semidbench.methods.registry import Before, MethodKind, Registered, Registry, unwatched
from semidbench.methods.resolved import MissingMethod, Outcome, ResolvedMethod, ResolvedRow, ResolvedScheme, Wanted
from semidbench.methods.scheme import Method, Scheme, parse_method, parse_scheme
from semidbench.tracks.track import Track


def outcome(registry: Registry, wanted: Wanted, track: Track, before: Before = unwatched) -> Outcome:
    """Resolve what is wanted and build each of its methods once.

    Args:
        before: called before a plugin's code runs.

    Returns:
        A plugin's failure, or that it is not installed, in place of what was wanted.

    Raises:
        UserError: names or options are wrong.
    """
    try:
        found = resolve(registry, wanted, track, before)
        if isinstance(found, ResolvedMethod):
            return _built(found, before)
        return replace(
            found,
            embedders=tuple(_built(each, before) for each in found.embedders),
            quantizer=_built(found.quantizer, before) if found.quantizer else None,
            layout=_built(found.layout, before),
        )
    except (MissingMethod, PluginFailure) as error:
        return error
    except UserError:
        raise
    except Exception as error:  # what nobody foresaw of a plugin costs this alone too
        return failure_of(wanted.text, error)


def resolve(registry: Registry, wanted: Wanted, track: Track, before: Before = unwatched) -> ResolvedRow:
    """What is wanted, by its kind; raises like `resolve_scheme`."""
    if wanted.kind == "scheme":
        return resolve_scheme(registry, wanted.text, track, before)
    method = parse_method(wanted.text, wanted.text)
    if wanted.kind == "embedder":
        return _find_embedder(registry, method, track, wanted.text, (), before)
    return replace(_find(registry, "ranker", method, track, wanted.text, before)[1], name=str(method))


def resolve_scheme(registry: Registry, text: str, track: Track, before: Before = unwatched) -> ResolvedScheme:
    """Parse a scheme and find its parts.

    Raises:
        MissingMethod: a part is not installed.
        PluginFailure: a part cannot be imported.
        UserError: malformed, unknown options, or `-` where the layout wants a part (or the reverse).
    """
    scheme = parse_scheme(text)
    for kind, method in _methods(scheme):  # names first: they are checked whatever a plugin does
        _registered(registry, kind, method.name, text)
    factory, layout = _find(registry, "layout", scheme.layout, track, text, before)
    _check_dashes(scheme, factory, layout.who)
    quantizer = _find(registry, "quantizer", scheme.quantizer, track, text, before)[1] if scheme.quantizer else None
    return ResolvedScheme(
        name=str(scheme),
        embedders=tuple(_find_embedder(registry, each, track, text, (), before) for each in scheme.embedders),
        quantizer=quantizer,
        layout=layout,
    )


def _built(method: ResolvedMethod, before: Before) -> ResolvedMethod:
    """The method with what an instance of it states; one is built, after those of the embedders it builds on."""
    below = tuple(_built(each, before) for each in method.builds_on)
    with failing(method.who):
        before(method.who, f"when it was made with options {json.dumps(method.options)}")
        tunes = getattr(method.named.build(), "fine_tunes_text_encoder", False)
        if not isinstance(tunes, bool):
            raise TypeError(f"fine_tunes_text_encoder must be True or False, not {tunes!r}")
    return replace(method, builds_on=below, fine_tunes_text_encoder=tunes)


def _methods(scheme: Scheme) -> list[tuple[MethodKind, Method]]:
    parts: list[tuple[MethodKind, Method]] = [
        ("layout", scheme.layout),
        *(("embedder", each) for each in scheme.embedders),
    ]
    return [*parts, ("quantizer", scheme.quantizer)] if scheme.quantizer else parts


def _find(
    registry: Registry, kind: MethodKind, method: Method, track: Track, row: str, before: Before
) -> tuple[Any, ResolvedMethod]:
    """The factory, and what stands for it elsewhere."""
    registered = _registered(registry, kind, method.name, row)
    who = f"{kind} {method.name!r} of {registered.distribution} {registered.version}"
    with failing(who):
        before(who, "when it was imported")
        factory, reference = registered.load(), registered.reference
        code = plugin_code(factory, registered.distribution, registered.version)
    of_track = getattr(track.methods, f"{kind}s").get(method.name, {})
    try:
        options = effective_options(factory, who, of_track, dict(method.options))
    except UserError:  # the user can fix the option
        raise
    except Exception as error:
        raise failure_of(who, error) from error
    return factory, ResolvedMethod(who, method.name, options, code, reference)


def _registered(registry: Registry, kind: MethodKind, name: str, row: str) -> Registered:
    installed = name in registry.methods[kind] or (kind, name) in registry.clashes
    if not installed and (provider := provider_of(kind, name)):
        named = f"{provider.distribution}: "
        broken = next((problem for problem in registry.problems if problem.startswith(named)), None)
        raise MissingMethod(
            f"{row} needs the {kind} {name!r}, which comes with {provider}: "
            + (f"that plugin failed to load ({broken})" if broken else "not installed here")
        )
    try:
        return registry.get(kind, name, hint=f"Wanted by {row}.")
    except UserError as error:
        if registry.problems and (kind, name) not in registry.clashes:  # one of these plugins may bring it
            raise MissingMethod(str(error).removesuffix(".")) from error
        raise


def _find_embedder(
    registry: Registry, method: Method, track: Track, row: str, above: Sequence[str], before: Before
) -> ResolvedMethod:
    if method.name in above:
        raise UserError(f"embedders build on each other in a circle: {' -> '.join([*above, method.name])}")
    factory, found = _find(registry, "embedder", method, track, row, before)
    with failing(found.who):
        names = [str(name) for name in getattr(factory, "builds_on", ())]
    circle = [*above, method.name]
    below = tuple(_find_embedder(registry, Method(name), track, row, circle, before) for name in names)
    return replace(found, builds_on=below)


def _check_dashes(scheme: Scheme, layout: Any, who: str) -> None:
    for part, given in (("embedder", bool(scheme.embedders)), ("quantizer", scheme.quantizer is not None)):
        used = getattr(layout, f"uses_{part}", True)
        if used and not given:
            raise UserError(f"scheme {scheme}: {who} needs one {part}; name it in place of '-'")
        if given and not used:
            raise UserError(f"scheme {scheme}: {who} uses no {part}; write '-' in its place")
