"""What the resolver reads off a method's instance."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semidbench.isolation.resolver import resolve_here, resolve_isolated
from semidbench.methods.failure import PluginFailure
from semidbench.methods.registry import Registered, load_registry
from semidbench.methods.resolve import outcome
from semidbench.methods.resolved import Outcome, Wanted
from semidbench.tracks.files import load_track


def test_a_method_states_whether_it_fine_tunes_the_text_encoder() -> None:
    """By its options, in whatever process; an embedder that builds on it does not, and no stage's key holds it."""
    wanted = [
        Wanted("ranker", "dense"),
        Wanted("ranker", "dense[mini_batch=0,tune=head]"),
        Wanted("embedder", "fused-svd"),
        Wanted("ranker", "popularity"),
    ]
    paper = load_track("paper")
    found = resolve_isolated(paper, wanted)
    assert found == resolve_here(paper, wanted)
    methods = [each for method in found for each in method.with_below()]  # type: ignore[union-attr]
    assert [(method.name, method.fine_tunes_text_encoder) for method in methods] == [
        ("dense", True),
        ("dense[mini_batch=0,tune=head]", False),
        ("search", True),
        ("rec", False),
        ("fused-svd", False),
        ("popularity", False),
    ]
    silent = [replace(method, fine_tunes_text_encoder=False) for method in methods]
    assert [method.as_key() for method in methods] == [method.as_key() for method in silent]
    assert [method.named for method in methods] == [method.named for method in silent]


class Unclear:
    """A ranker that states of itself whatever is asked for."""

    def __init__(self, states: str = "True") -> None:
        self.states = states

    @property
    def fine_tunes_text_encoder(self) -> object:
        return eval(self.states)


def test_a_statement_that_is_no_bool_or_raises_costs_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = load_registry()
    registry.methods["ranker"]["unclear"] = Registered("ranker", "unclear", Unclear, "theirs", "1")
    monkeypatch.setattr("semidbench.methods.registry.load_registry", lambda: registry)

    def stated(what: str) -> Outcome:
        return outcome(registry, Wanted("ranker", f"unclear[states={what}]"), load_track("smoke"))

    assert [getattr(stated(what), "fine_tunes_text_encoder", None) for what in ("True", "False")] == [True, False]
    for what, cause in (("1", "TypeError: fine_tunes_text_encoder must be True or False, not 1"), ("2/0", "ZeroDiv")):
        failed = stated(what)
        assert isinstance(failed, PluginFailure)
        assert failed.message.startswith(f"ranker 'unclear' of theirs 1 failed: {cause}")
