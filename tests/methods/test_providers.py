"""What a row that needs a method which is not installed is told, whatever its track."""

from __future__ import annotations

import pytest

from semidbench.errors import UserError
from semidbench.methods.providers import provider_of, providers
from semidbench.methods.registry import KINDS, Registry
from semidbench.methods.resolve import resolve
from semidbench.methods.resolved import MissingMethod, Wanted
from semidbench.tracks.files import load_track

OWN = load_track("smoke").model_copy(update={"name": "a-track-of-ones-own"})


def message(kind: str, text: str, *problems: str) -> str:
    with pytest.raises(UserError) as raised:
        resolve(Registry(problems=list(problems)), Wanted(kind, text), OWN)  # type: ignore[arg-type]
    assert isinstance(raised.value, MissingMethod) == ("comes with" in str(raised.value))
    return str(raised.value)


def test_the_message_names_the_distribution() -> None:
    assert message("ranker", "bm25") == (
        "bm25 needs the ranker 'bm25', which comes with semidbench-bm25: not installed here"
    )
    assert message("scheme", "rec/rq-kmeans/shared").endswith("semidbench-layouts: not installed here")
    assert "comes with semidbench-recbole (Python 3.11 only): not installed here" in message("ranker", "enmf")


def test_the_message_says_why_the_distribution_failed_to_load() -> None:
    others = ("semidbench-bm25-of-mine: ImportError: another", "semidbench-bm25: ImportError: no numpy")
    assert message("ranker", "bm25", *others).endswith(
        "which comes with semidbench-bm25: that plugin failed to load (semidbench-bm25: ImportError: no numpy)"
    )


def test_a_method_of_another_kind_is_no_missing_one() -> None:
    assert message("ranker", "content").startswith("unknown ranker 'content'")


def test_no_method_has_two_providers() -> None:
    for kind in KINDS:
        named = [name for provider in providers() for name in getattr(provider, f"{kind}s")]
        assert named
        assert len(named) == len(set(named))
    assert provider_of("embedder", "nobody-brings-this") is None
