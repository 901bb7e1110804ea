"""CSV files: numbers in batches are the rows' numbers, and so are the errors."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semidbench.dataset.tables import csv_files
from semidbench.dataset.tables.csv_files import CsvFile, lines_of, read_numbers, read_rows
from semidbench.errors import UserError

FIELDS = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.floats(-100, 100).map(repr),
    st.sampled_from(
        ["", "+1", " 7", "1_000", '"8"', '"9x', '"9', 'a"b', "nan", "-inf", "x", "9" * 19, '"1\n2"', '"a,b"', "é"]
    ),
)
RECORDS = st.one_of(
    st.tuples(st.integers(0, 99).map(str), FIELDS, st.integers(0, 5).map(str)).map(",".join),
    st.tuples(FIELDS, FIELDS, FIELDS).map(",".join),
    st.lists(FIELDS, max_size=5).map(",".join),
    st.just(""),
)


def csv_of(text: str | bytes) -> CsvFile:
    content = text.encode() if isinstance(text, str) else text
    return CsvFile("some.csv", lambda: io.BytesIO(content))


def by_rows(file: CsvFile) -> list[tuple[int, int, float]] | str:
    try:
        rows = read_rows(file, ("a", "b", "c"))
        return [(row.integer(0, "a"), row.integer(1, "b"), row.number(2, "c")) for row in rows]
    except UserError as error:
        return str(error)


def by_batches(file: CsvFile) -> list[tuple[int, int, float]] | str:
    try:
        batches = list(read_numbers(file, ("a", "b"), ("c",)))
    except UserError as error:
        return str(error)
    assert [batch.first for batch in batches] == [
        sum(len(before["b"]) for before in batches[:number]) for number in range(len(batches))
    ]
    columns = [[value for batch in batches for value in batch[name].tolist()] for name in "abc"]
    return list(zip(*columns, strict=True))


@settings(max_examples=200, deadline=None)  # pyarrow is imported in the first
@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 5)), max_size=12),
    st.lists(RECORDS, max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(40, 400),
    st.integers(1, 5),
)
def test_numbers_are_those_of_the_rows(
    plain: list[tuple[int, int, int]], odd: list[str], end: str, batch_bytes: int, batch_rows: int
) -> None:
    """Whatever stands behind plain records: the same numbers, or the same error."""
    lines = ["a,b,c", *(",".join(map(str, record)) for record in plain), *odd]
    file = csv_of(end.join(lines) + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "BATCH_BYTES", batch_bytes)
        patch.setattr(csv_files, "BATCH_ROWS", batch_rows)
        assert by_batches(file) == by_rows(file)


@pytest.mark.parametrize("batch_bytes", [20, 1 << 20])
@pytest.mark.parametrize(
    ("content", "lines"),
    [("a,b\n0,1\n\n0,4\n\n\n0,7\n0,10\n", [2, 4, 7, 8]), ('a,b\n0,1\n\n"two\nlines",4\n\n6,7\n9,+1\n', [2, 5, 7, 8])],
    ids=["blank", "quoted"],
)
def test_a_batch_names_the_line_of_a_record(
    monkeypatch: pytest.MonkeyPatch, content: str, lines: list[int], batch_bytes: int
) -> None:
    """Not its number: blank lines and line ends within quotes count."""
    monkeypatch.setattr(csv_files, "BATCH_BYTES", batch_bytes)
    file = csv_of(content)
    integers = ("b",) if '"' in content else ("a", "b")
    errors = [
        str(batch.error(row, "is wrong"))
        for batch in read_numbers(file, integers, ())
        for row in range(len(batch["b"]))
    ]
    assert errors == [f"some.csv, line {line}: is wrong. Correct the line and run again" for line in lines]
    assert lines_of(file, {3, 1}) == [lines[1], lines[3]]


def test_rows_go_on_where_pyarrow_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "BATCH_BYTES", 64)
    monkeypatch.setattr(csv_files, "BATCH_ROWS", 3)
    file = csv_of("a,b,c\n" + "".join(f"{n},+{n},2\n" if n > 200 else f"{n},{n},2\n" for n in range(210)))
    assert by_batches(file) == by_rows(file)
    lengths = [len(batch["b"]) for batch in read_numbers(file, ("a", "b"), ("c",))]
    assert lengths[0] > 3
    assert 3 in lengths


def test_a_quote_in_another_column_counts() -> None:
    """The line end in it ends no record."""
    (batch,) = read_numbers(csv_of('a,b,c\n1,2,"x\n4,5,6"\n'), ("a", "b"), ())
    assert (batch["a"].tolist(), batch["b"].tolist()) == ([1], [2])


def test_a_mistake_behind_many_records_is_reported_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "BATCH_BYTES", 64)
    text = "b,c\n" + "1,2\n" * 500
    for last, what in (
        ("1,x", "c 'x' is not a number"),
        ("1,nan", "c 'nan' is not a number"),
        ("1.5,1", "b '1.5' is not a whole number"),
        ("1,2,3", "3 fields where the header has 2"),
        ('1,"2', "unexpected end of data. The file is cut short"),
    ):
        batches = read_numbers(csv_of(text + last), ("b",), ("c",))
        for _ in range(20):  # are read before
            next(batches)
        with pytest.raises(UserError, match=f"some.csv, line 502: {what}"):
            list(batches)
    with pytest.raises(UserError, match=r"line 503: byte 0xff at offset 2010 is not UTF-8"):
        list(read_numbers(csv_of(text.encode() + b"1,2\n1,\xff"), ("b",), ("c",)))
