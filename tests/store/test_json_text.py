"""The hash of a JSON value."""

from __future__ import annotations

import hashlib

import pytest

from semidbench.store.json_text import hash_json


def test_a_hash_is_of_one_canonical_text() -> None:
    text = b'{"a": [1, 2.5, null, true], "b": {"\\u00fc": "\\ud83d\\ude00"}}'
    for value in ({"b": {"ü": "😀"}, "a": [1, 2.5, None, True]}, {"a": (1, 2.5, None, True), "b": {"ü": "😀"}}):
        assert hash_json(value) == hashlib.sha256(text).hexdigest()


def test_a_number_that_is_not_finite_has_no_hash() -> None:
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            hash_json({"a": [wrong]})
