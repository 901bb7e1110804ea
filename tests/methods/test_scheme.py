from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.errors import UserError
from semidbench.methods.options import build, effective_options
from semidbench.methods.scheme import Method, Scheme, parse_scheme

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,6}", fullmatch=True)
VALUES = st.from_regex(r"[a-z0-9:./+-]{1,6}", fullmatch=True)
METHODS = st.builds(
    lambda name, options: Method(name, tuple(sorted(options.items()))),
    NAMES,
    st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,4}", fullmatch=True), VALUES, max_size=3),
)


@given(st.lists(METHODS, max_size=2), st.none() | METHODS, METHODS)
def test_a_scheme_reads_back_as_written(embedders: list[Method], quantizer: Method | None, layout: Method) -> None:
    scheme = Scheme(tuple(embedders), quantizer, layout)
    assert parse_scheme(str(scheme)) == scheme


def test_options_are_sorted_and_spaces_dropped() -> None:
    assert str(parse_scheme(" search[lr=1e-4, epochs=3] / rq-kmeans/shared")) == (
        "search[epochs=3,lr=1e-4]/rq-kmeans/shared"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("content/shared", "has 2 parts, not 3"),
        ("a/b/c/d", "has 4 parts"),
        ("a+b+c/rq/shared", "joins 3 embedders"),
        ("a[epochs]/rq/shared", "cannot read option 'epochs'"),
        ("a[x=1,x=2]/rq/shared", "twice the option"),
        ("a b/rq/shared", "cannot read 'a b'"),
        ("a/rq/-", "cannot read '-'"),
        ("", "has 1 part, not 3"),
    ],
)
def test_malformed_schemes(text: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_scheme(text)
    assert message in str(raised.value)


class Typed:
    def __init__(self, *, epochs: int = 5, lr: float = 2e-5, ratio: str = "1:1", deep: bool = False) -> None:
        self.given = (epochs, lr, ratio, deep)


def test_options_are_typed_and_the_scheme_wins_over_the_track() -> None:
    found = effective_options(Typed, "embedder 'x'", {"epochs": 7, "lr": 0.1}, {"lr": "1e-3", "deep": "true"})
    assert found == {"epochs": 7, "lr": 1e-3, "ratio": "1:1", "deep": True}
    assert build(Typed, "embedder 'x'", found).given == (7, 1e-3, "1:1", True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": "3"}, "unknown option of embedder 'x' 'epoch'. Did you mean 'epochs'"),
        ({"epochs": "many"}, "option epochs of embedder 'x'"),
        ({"lr": "nan"}, "option lr of embedder 'x': Input should be a finite number, not 'nan'"),
        ({"lr": "-inf"}, "option lr of embedder 'x': Input should be a finite number, not '-inf'"),
    ],
)
def test_wrong_options(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as raised:
        effective_options(Typed, "embedder 'x'", {}, options)
    assert message in str(raised.value)


class Kept:
    def __init__(
        self, value: object = None, parts: frozenset[str] = frozenset({"year", "tags", "genre", "title"})
    ) -> None:
        self.value, self.parts = value, parts


def test_sets_have_one_order() -> None:
    options = effective_options(Kept, "embedder 'x'", {}, {})
    assert options["parts"] == ["genre", "tags", "title", "year"]
    assert build(Kept, "embedder 'x'", options).parts == {"genre", "tags", "title", "year"}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("two\nlines", "value: a text must have at most 1000 characters, all printable, not 'two\\nlines'"),
        ("long" * 300, "value: a text must have at most 1000 characters"),
        ([1, {"deep": float("inf")}], "value.deep: a number is NaN or has more than 60 digits"),
        (float("nan"), "value: a number is NaN"),
        (10**61, "value: a number is NaN or has more than 60 digits"),
    ],
)
def test_options_that_results_cannot_keep(value: object, why: str) -> None:
    with pytest.raises(UserError, match="cannot be made with an option that results cannot keep") as raised:
        build(Kept, "embedder 'x'", {"value": value})
    assert why in str(raised.value)
