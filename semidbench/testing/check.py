"""`semidbench check`: a method by name, all its rules, and how they read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from textwrap import indent
from typing import TYPE_CHECKING

from semidbench.errors import UserError, unknown
from semidbench.isolation.limits import Limits
from semidbench.methods.registry import KINDS, MethodKind, Registry, load_registry
from semidbench.methods.scheme import parse_method
from semidbench.testing.evidence import Evidence
from semidbench.testing.rules import RuleResult, examine, judge

if TYPE_CHECKING:
    from rich.table import Table

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found."""

    kind: MethodKind
    method: str
    findings: tuple[RuleResult, ...]
    evidence: Evidence

    @property
    def passed(self) -> bool:
        return all(finding.status == "passed" for finding in self.findings)


def check(text: str, kind: MethodKind | None, options: Mapping[str, str], limits: Limits) -> Report:
    """Hold a method to its rules.

    Args:
        text: its name, options in brackets as in schemes.
        kind: of the method; None where the name says it.
        options: more of them.

    Raises:
        UserError: unknown, of several kinds, or an option does not fit.
    """
    method = parse_method(text, text)
    kind = kind or _only_kind(load_registry(), method.name)
    given = dict(method.options) | dict(options)
    evidence = examine(kind, method.name, given, limits)
    named = f"{method.name}[{','.join(f'{key}={value}' for key, value in sorted(given.items()))}]"
    return Report(kind, named.removesuffix("[]"), judge(kind, evidence), evidence)


def _only_kind(registry: Registry, name: str) -> MethodKind:
    found = [kind for kind in KINDS if name in registry.methods[kind] or (kind, name) in registry.clashes]
    if len(found) > 1:
        raise UserError(f"{name!r} is registered as {' and as '.join(found)}. Say which with --kind")
    if not found:
        broken = f"Plugins that failed to load: {'; '.join(registry.problems)}." if registry.problems else ""
        raise unknown("method", name, {each for kind in KINDS for each in registry.methods[kind]}, broken)
    return found[0]


def to_json(report: Report) -> str:
    """All that was found, ending in a newline."""
    values = {
        "semidbench_check": FORMAT,
        "kind": report.kind,
        "method": report.method,
        "distribution": report.evidence.distribution,
        "passed": report.passed,
        "rules": [
            {"name": each.rule.name, "status": each.status, "contract": each.rule.contract, "seen": each.seen}
            for each in report.findings
        ],
        "measured": [asdict(each) for each in report.evidence.measured],
        "trace": report.evidence.trace,
    }
    return json.dumps(values, indent=1) + "\n"


def to_rich(report: Report) -> Table:
    """The rules that were kept, for a terminal."""
    from rich.table import Table
    from rich.text import Text

    owner = f" of {report.evidence.distribution}" if report.evidence.distribution else ""
    title = Text(f"{report.kind} {report.method}{owner}")
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for header in ("Rule", "Result", "Contract"):
        table.add_column(header, overflow="fold", no_wrap=header != "Contract")
    for each in report.findings:
        if each.status == "passed":
            table.add_row(Text(each.rule.name), Text(each.status, "green"), Text(each.rule.contract))
    return table


def shortfalls(report: Report) -> str:
    """What was not checked, and why, in a line; then each rule that was broken, with the method's own traceback."""
    parts: list[str] = []
    for why, group in groupby((each for each in report.findings if each.status == "not checked"), lambda one: one.seen):
        parts.append(f"not checked, because {why}: {', '.join(each.rule.name for each in group)}")
    trace = report.evidence.trace
    for each in report.findings:
        if each.status != "failed":
            continue
        parts.append(f"failed: {each.rule.name}\n  Contract: {each.rule.contract}\n  Seen: {each.seen}")
        if trace and each.rule.blocks:
            parts[-1] += "\n" + indent(trace.rstrip(), "    ")
            trace = None
    return "\n\n".join(parts)


def measurements(report: Report) -> str:
    """Time and memory at both sizes, in a line."""
    return "; ".join(
        f"{each.items:,} items: {each.seconds:.2f} CPU seconds, {each.mib:.1f} MiB" for each in report.evidence.measured
    )
