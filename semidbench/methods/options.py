"""A method's options: declared by its factory's signature, given by the track, overridden by the scheme."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic_core import to_jsonable_python

from semidbench.errors import UserError, unknown
from semidbench.store.plain_values import unfit


def effective_options(
    factory: Callable[..., Any], method: str, of_track: Mapping[str, Any], of_scheme: Mapping[str, str]
) -> dict[str, Any]:
    """Every option of a method with its value, as JSON values.

    Types and defaults are read off the factory's signature (for a class, that of `__init__`).

    Args:
        method: kind and name, for errors.

    Raises:
        UserError: an unknown option (with the nearest names) or a value that does not fit its type.
    """
    fields = _declared(factory)
    for given in (of_track, of_scheme):
        for name in given:
            if name not in fields:
                raise unknown(f"option of {method}", name, fields)
    config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)  # JSON has neither
    model: Any = create_model("Options", __config__=config, **fields)
    try:
        values = model.model_validate({**of_track, **of_scheme})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(f"option {first['loc'][0]} of {method}: {first['msg']}, not {first['input']!r}") from error
    dumped: dict[str, Any] = to_jsonable_python(_ordered(values.model_dump()))
    return dumped


def build(factory: Callable[..., Any], method: str, options: Mapping[str, Any]) -> Any:
    """Call the factory with its options, as their declared types."""
    if why := unfit(dict(options)):
        raise UserError(f"{method} cannot be made with an option that results cannot keep: {why}")
    hints = {name: hint for name, (hint, _) in _declared(factory).items()}
    try:
        return factory(**{name: TypeAdapter(hints[name]).validate_python(value) for name, value in options.items()})
    except Exception as error:
        raise UserError(f"{method} cannot be made with options {dict(options)}: {error}") from error


def _ordered(value: Any) -> Any:
    """With lists for sets: a set's order is another in every process."""
    match value:
        case dict():
            return {key: _ordered(below) for key, below in value.items()}
        case list() | tuple():
            return [_ordered(below) for below in value]
        case set() | frozenset():
            return sorted(map(_ordered, value), key=lambda below: json.dumps(to_jsonable_python(below), sort_keys=True))
    return value


def _declared(factory: Callable[..., Any]) -> dict[str, Any]:
    """Name to (type, default) of a factory's keyword parameters."""
    target = factory.__init__ if inspect.isclass(factory) else factory
    if target is object.__init__:
        return {}
    hints = get_type_hints(target)
    declared = {}
    for parameter in inspect.signature(factory).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        declared[parameter.name] = (hints.get(parameter.name, str), default)
    return declared
