"""The rules that a method is held to. docs/reference/plugin-api.md has a line about each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from semidbench.isolation.limits import Limits
from semidbench.methods.contracts import ALWAYS_CODES, MAX_LEVELS
from semidbench.methods.registry import KINDS, MethodKind, load_registry
from semidbench.testing.evidence import Evidence, gather, new_subject
from semidbench.testing.process import LIMITS

# Times, for ten times as many items and users. N * N takes 100 and N ** 1.5 takes 32; ENMF's training takes 16 to 33.
_TIME_GROWTH, _MEMORY_GROWTH = 50.0, 30.0
_SECONDS, _MIB = 1.0, 16.0  # below these a growth is noise; one float32 (N, N) is 22 MiB in the large world
_LEAST_MIB = 0.5  # what a small go is taken to need

_RETURNS = {
    "embedder": "views are float32 (N, d), finite, named `item`, or `search` and `rec`",
    "quantizer": f"codes are int64 (M, L) with 0 <= code < its level's size; codebook_sizes, known after fit, are 1 to "
    f"{MAX_LEVELS} positive ints, each at most {ALWAYS_CODES:,} or the number of items",
    "layout": f"each task gets ItemIds of 1 to {MAX_LEVELS} slots; codes are int64 (N, L), below their sizes; "
    "a slot has a printable name and one size, bounded as a quantizer's",
    "ranker": "scores are float32 (rows, N), without NaN",
}
_ROWS = {
    "quantizer": "encode gives a row the same code whatever other rows there are, in whatever order (1 row in 100 may "
    "differ: matrix products round otherwise for other sizes)",
    "ranker": "search and recommend score a row the same whatever other rows there are, in whatever order (to 1e-4)",
}

Status = Literal["passed", "failed", "not checked"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A promise that every method of a kind makes.

    Attributes:
        contract: the promise, in one sentence.
        seen: what was seen of its breach, None if it was kept.
        blocks: whether later rules cannot be judged where this one is broken.
    """

    name: str
    kind: MethodKind
    contract: str
    seen: Callable[[Evidence], str | None]
    blocks: bool = False

    def __str__(self) -> str:
        return self.name

    def check(self, method: str | Callable[..., Any], **options: Any) -> None:
        """For a plugin's own tests.

        Args:
            method: its factory, which a module defines; "module:attribute" of it; or its registered name.
            options: of the method.

        Raises:
            AssertionError: the method broke the rule, or one before it, without which this cannot be judged.
            UserError: an option does not fit, or the name is unknown.
        """
        evidence = examine(self.kind, _source(method), options, LIMITS)
        finding = next(each for each in judge(self.kind, evidence) if each.rule is self)
        if finding.status != "passed":
            where = f"\n{evidence.trace}" if self.name == "runs" and evidence.trace else ""
            raise AssertionError(
                f"{self.name} {finding.status}. Contract: {self.contract}. Seen: {finding.seen}{where}"
            )


@dataclass(frozen=True, slots=True)
class RuleResult:
    """A rule's judgment; `seen` says why it failed, or which rule kept it from being checked."""

    rule: Rule
    status: Status
    seen: str = ""


def rules(kind: MethodKind) -> tuple[Rule, ...]:
    """The rules of a kind, in the order they are judged in."""
    return tuple(rule for rule in _RULES if rule.kind == kind)


def embedder_rules() -> tuple[Rule, ...]:
    """The rules for embedders."""
    return rules("embedder")


def quantizer_rules() -> tuple[Rule, ...]:
    """The rules for quantizers."""
    return rules("quantizer")


def layout_rules() -> tuple[Rule, ...]:
    """The rules for layouts."""
    return rules("layout")


def ranker_rules() -> tuple[Rule, ...]:
    """The rules for rankers."""
    return rules("ranker")


def examine(kind: MethodKind, source: str, options: dict[str, Any], limits: Limits) -> Evidence:
    """Gather the evidence about a method by name or "module:attribute".

    Raises:
        UserError: unknown, or an option does not fit.
    """
    return gather(new_subject(kind, source, options, _distribution(kind, source)), limits)


def judge(kind: MethodKind, evidence: Evidence) -> tuple[RuleResult, ...]:
    """A finding for each rule of the kind."""
    findings, blocked = [], ""
    for rule in rules(kind):
        seen = rule.seen(evidence)
        if blocked and not seen:
            findings.append(RuleResult(rule, "not checked", f"{blocked} is broken"))
            continue
        findings.append(RuleResult(rule, "failed" if seen else "passed", seen or ""))
        blocked = blocked or (rule.name if seen and rule.blocks else "")
    return tuple(findings)


def _source(method: str | Callable[..., Any]) -> str:
    if isinstance(method, str):
        return method
    if (place := _place(method)) is None:
        raise ValueError(f"{method!r} cannot be found by a process of its own: give a class or function of a module")
    return place


def _place(factory: Any) -> str | None:
    """ "module:attribute" of what a module defines; None for anything else."""
    module, name = getattr(factory, "__module__", None), getattr(factory, "__qualname__", "")
    return f"{module}:{name}" if module and module != "__main__" and name and "<" not in name else None


def _distribution(kind: MethodKind, source: str) -> str | None:
    """That registers the method; None if none does.

    Raises:
        UserError: it is a name, and unknown.
    """
    registry = load_registry()
    if ":" not in source:
        return registry.get(kind, source).distribution
    package = source.split(":")[0].split(".")[0]
    for method in registry.methods[kind].values():
        registered = method.factory if isinstance(method.factory, str) else _place(method.factory) or ""
        # A package may register its class by a shorter way than the module that defines it.
        if registered == source or (
            registered.split(":")[0].split(".")[0] == package and _place(method.load()) == source
        ):
            return method.distribution
    return None


def _noted(name: str) -> Callable[[Evidence], str | None]:
    return lambda evidence: evidence.breaches.get(name)


def _unregistered(evidence: Evidence) -> str | None:
    return None if evidence.distribution else "no installed plugin registers it; is its distribution installed?"


def _growth(
    what: Literal["seconds", "mib"], most: float, least: float, floor: float
) -> Callable[[Evidence], str | None]:
    def seen(evidence: Evidence) -> str | None:
        if not evidence.measured:
            return None
        small, large = evidence.measured
        before, after = getattr(small, what), getattr(large, what)
        if after <= floor or after <= most * max(before, least):
            return None
        unit = "CPU seconds" if what == "seconds" else "MiB"
        return f"{before:.3g} {unit} for {small.items} items, {after:.3g} for {large.items}"

    return seen


def _rules(kind: MethodKind) -> list[Rule]:
    grows = "ten times as many items take at most"
    return [
        Rule("found", kind, "an installed plugin registers it, by a name as schemes write them", _unregistered),
        Rule(
            "light", kind, "importing the plugin, as `semidbench list` does, imports no heavy library", _noted("light")
        ),
        Rule("made", kind, "its factory takes its options, and makes what has the API's methods", _noted("made"), True),
        Rule(
            "runs",
            kind,
            "it does its work and returns, within the limits of time, memory and output, in a small and a large world",
            lambda evidence: evidence.ended,
            True,
        ),
        Rule("returns", kind, _RETURNS[kind], _noted("returns"), True),
        Rule(
            "same-bits",
            kind,
            "the same seed gives the same bits, whatever PYTHONHASHSEED and the global generators are",
            lambda evidence: evidence.differences,
        ),
        *([Rule("rows", kind, _ROWS[kind], _noted("rows"))] if kind in _ROWS else []),
        Rule("inputs", kind, "what it is given is left as it was", _noted("inputs")),
        Rule("state", kind, "what it shares with others in its process is left as it was", _noted("state")),
        Rule("private", kind, "it reads no held-out data", _noted("private")),
        Rule(
            "time",
            kind,
            f"{grows} {_TIME_GROWTH:g} times the CPU time, or less than {_SECONDS:g} s",
            _growth("seconds", _TIME_GROWTH, 0, _SECONDS),
        ),
        Rule(
            "memory",
            kind,
            f"{grows} {_MEMORY_GROWTH:g} times the memory, or less than {_MIB:g} MiB",
            _growth("mib", _MEMORY_GROWTH, _LEAST_MIB, _MIB),
        ),
    ]


_RULES = tuple(rule for kind in KINDS for rule in _rules(kind))
