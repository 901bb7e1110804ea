"""Result files that somebody made to do harm: each is refused in one clear line, quickly and with little memory."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from semidbench.cli.app import app
from semidbench.errors import UserError, one_line
from semidbench.results.cases import COUNTS
from semidbench.results.files import cell_bytes, read_cases, read_cell, stamped, write_cell
from semidbench.submissions.verify import verify_files
from tests.forged import CONTENT, TRACK, forge, made_cell, make_results, path_of

MIB = 2**20


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JSON of a result that is all right."""
    folder = tmp_path_factory.mktemp("results")
    write_cell(folder, *made_cell(CONTENT, 0))
    (path,) = folder.glob("*.json")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_cell(tmp_path, *made_cell(CONTENT, 0))
    (path,) = tmp_path.glob("*.json")
    return path


def refusal(path: Path, most_mib: float = 16) -> str:
    """The one line in which a result is refused, having taken little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as raised:
            read_cases(path.parent, read_cell(path))
        peak = tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()
    line = str(raised.value)
    assert one_line(line) == line, line
    assert str(path.parent) in line
    assert len(line) < 1_500
    assert peak < most_mib, peak
    return line


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_result_with_one_digit_changed_is_refused(whole: Path, data: st.DataObject) -> None:
    """Any digit anywhere: in a metric, a hash, a version, a timing."""
    text = whole.read_text()
    at = data.draw(st.sampled_from([match.start() for match in re.finditer(r"[0-9]", text)]))
    digit = data.draw(st.sampled_from([d for d in "0123456789" if d != text[at]]))
    whole.write_text(text[:at] + digit + text[at + 1 :])
    try:
        refusal(whole)
    finally:
        whole.write_text(text)
    read_cell(whole)


def edited(path: Path, **changes: Any) -> None:
    """Other values, with a hash that fits, for what the record itself does not refuse."""
    raw = json.loads(path.read_text()) | changes
    raw["result_sha256"] = ""
    text = json.dumps({key: value for key, value in raw.items() if key != "result_sha256"}, sort_keys=True)
    raw["result_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(raw, sort_keys=True, indent=1, ensure_ascii=False) + "\n")


EVIL = [
    "<script>alert(1)</script>",
    "![x](http://example.org)",
    r"\input{/etc/passwd}",
    "=HYPERLINK(1)",
    "@SUM(1)",
    "a|b",
    "a b",
]
INVISIBLE = ["\x1b[2J", "a\nb", "a\0b", "a\u202eb", "a\u2066b", "\u200b", "\ud800", "x" * 1_001, "a\x9bb", "a\u2028b"]


PLACES: list[Callable[[dict[str, Any], str], None]] = [
    lambda raw, text: raw["distributions"][0].update(name=text),
    lambda raw, text: raw["distributions"][0].update(version=text),
    lambda raw, text: raw["environment"]["libraries"].update({text: "1"}),
    lambda raw, text: raw["environment"]["libraries"].update(numpy=text),
    lambda raw, text: raw["environment"]["machines"][0].update(python=text),
    lambda raw, text: raw["track"].update(name=text),
    lambda raw, text: raw["models"].update(generator={text: "0" * 64}),
    lambda raw, text: raw.update(kind=text),
    lambda raw, text: raw.update(split=text),
]
FREE: list[Callable[[dict[str, Any], str], None]] = [
    lambda raw, text: raw.update(name=text),
    lambda raw, text: raw["environment"]["machines"][0].update(cpu=text),
    lambda raw, text: raw["environment"]["machines"][0].update(platform=text),
    lambda raw, text: raw["environment"].update(device=text),
    lambda raw, text: raw["options"].update({text: {}}),
    lambda raw, text: raw["options"].update(layout={"path": [text]}),
    lambda raw, text: raw["timings"].update({text: 1.0}),
    lambda raw, text: raw["ids"]["rec"]["levels"][0].update(slot=text),
]


@pytest.mark.parametrize("text", [*EVIL, *INVISIBLE])
@pytest.mark.parametrize("place", range(len(PLACES)))
def test_names_and_versions_have_set_forms(path: Path, place: int, text: str) -> None:
    raw = json.loads(path.read_text())
    PLACES[place](raw, text)
    path.write_bytes(json.dumps(raw).encode())
    refusal(path)


@pytest.mark.parametrize("text", INVISIBLE)
@pytest.mark.parametrize("place", range(len(FREE)))
def test_no_text_moves_the_cursor_or_turns_direction(path: Path, place: int, text: str) -> None:
    raw = json.loads(path.read_text())
    FREE[place](raw, text)
    path.write_bytes(json.dumps(raw).encode())
    assert "all printable" in refusal(path)


@pytest.mark.parametrize("name", ["..", "../x", "/etc/passwd", "a/../b", "a//b", "C:\\x", "a\\b", "", "a/", ".hidden"])
def test_paths_stay_in_their_folder(path: Path, name: str) -> None:
    edited(path, models={"generator": {name: "0" * 64}})
    assert "models.generator" in refusal(path)
    edited(path, models={}, track={"name": name, "version": 2, "protocol_sha256": "0" * 64})
    assert "track.name" in refusal(path)


def sparse(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(2**30)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (sparse, "1,073,741,824 bytes, and at most 1,048,576 are read"),
        (lambda path: path.write_text("[" * MIB), "cannot read result"),
        (lambda path: path.write_text('{"a":' * 2000 + "1" + "}" * 2000), "cannot read result"),
        (lambda path: edited(path, options={"layout": json.loads("[" * 400 + "]" * 400)}), "options"),
        (lambda path: path.write_text("[" + "[]," * (MIB // 3 - 2) + "[]]"), "is not a semidbench result"),
        (lambda path: path.write_text('{"semidbench_result": ' + "9" * 5000 + "}"), "cannot read result"),
        (lambda path: path.write_text('{"semidbench_result": ' + "9" * 4000 + "}"), "has schema 9999"),
        (lambda path: edited(path, semidbench_result=["\x1b[2J" * 1000]), "has schema"),
        (lambda path: edited(path, semidbench_result=2), "this result has schema 2, this semidbench reads 3"),
        (lambda path: edited(path, seed=10**400), "seed: a number is NaN or has more than 60 digits"),
        (lambda path: edited(path, seed=-1), "seed: "),
        (lambda path: edited(path, seed=2**32), "seed: "),
        (lambda path: edited(path, seed=True), "seed"),
        (lambda path: edited(path, seed=1.0), "seed"),
        (lambda path: edited(path, peak_memory_mib=float("nan")), "peak_memory_mib: a number is NaN"),
        (lambda path: edited(path, timings={"x": float("inf")}), "timings.x: a number is NaN"),
        (lambda path: edited(path, options={"layout": {"x": float("-inf")}}), "options.layout.x: a number is NaN"),
        (lambda path: path.write_text(path.read_text().replace('"seed": 0', '"seed": 1e999')), "seed: a number is NaN"),
        (lambda path: path.write_text(path.read_text().replace('"seed": 0', '"seed": 1, "seed": 0')), "was changed"),
        (lambda path: path.write_text(path.read_text() + " "), "was changed after"),
        (lambda path: path.write_text(path.read_text().replace("\n", "\r\n")), "was changed after"),
        (lambda path: path.write_text(path.read_text(), "utf-16"), "was changed after"),
        (lambda path: path.write_text(path.read_text(), "utf-8-sig"), "was changed after"),
        (lambda path: edited(path, metrics={}), "metrics must hold the tasks"),
    ],
)  # fmt: skip
def test_harmful_json_is_one_line(path: Path, harm: Callable[[Path], object], message: str) -> None:
    harm(path)
    assert message in refusal(path, most_mib=40)


def test_a_cut_off_that_would_take_the_memory_is_refused(path: Path) -> None:
    metrics = json.loads(path.read_text())["metrics"]
    for groups in metrics.values():
        for of in groups.values():
            of["ndcg"]["1000000000"] = 0.5
    edited(path, metrics=metrics)
    assert "cut-offs" in refusal(path)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/etc/passwd"), lambda path: path.mkdir()])
@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_links_pipes_and_folders_are_not_read(path: Path, make: Callable[[Path], object], suffix: str) -> None:
    there = path.with_suffix(suffix)
    there.unlink()
    make(there)
    assert "is a link or no file" in refusal(path)


def with_parquet(path: Path, data: bytes) -> Path:
    """Another Parquet, with a JSON whose hashes fit."""
    cell = read_cell(path).model_copy(update={"placements_sha256": hashlib.sha256(data).hexdigest()})
    path.with_suffix(".parquet").write_bytes(data)
    path.write_bytes(cell_bytes(stamped(cell)))
    return path


def as_bytes(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return bytes(sink.getvalue().to_pybytes())


def table_of(path: Path) -> pa.Table:
    return pq.read_table(path.with_suffix(".parquet"))


def bomb(rows: int) -> pa.Table:
    """Zeros, which compress to almost nothing."""
    zeros = pa.array(np.zeros(rows, np.int32))
    task = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), ["search", "rec"])
    return pa.table({"task": task, **dict.fromkeys(COUNTS, zeros), "head": pa.array(np.zeros(rows, bool))})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda table: as_bytes(bomb(2**22), compression="zstd", use_dictionary=["task"]), "4,194,304 rows for"),
        (lambda table: as_bytes(table.slice(1)), "159 rows for 160 cases"),
        (lambda table: as_bytes(pa.concat_tables([table, table])), "320 rows for 160 cases"),
        (lambda table: as_bytes(table.append_column("more", table["unit"])), "columns task, start,"),
        (lambda table: as_bytes(table.set_column(1, "start", table["start"].cast(pa.int64()))), "of types"),
        (lambda table: as_bytes(table.set_column(0, "task", pa.array(["x"] * 160).dictionary_encode())), "of types"),
        (lambda table: as_bytes(table.set_column(0, "task", _tasks(["x" * 10**6]))), "it unpacks to"),
        (lambda table: as_bytes(table.set_column(0, "task", _tasks(["x"]))), "an unknown task"),
        (lambda table: as_bytes(table.set_column(2, "size", pa.array(np.full(160, -1, np.int32)))), "a negative"),
        (lambda table: b"PAR1" + b"\0" * 100 + b"PAR1", "holds no placements"),
        (lambda table: as_bytes(table)[:-9] + b"\xff" * 5 + b"PAR1", "holds no placements"),
        (lambda table: b"", "holds no placements"),
    ],
)  # fmt: skip
def test_harmful_parquet_is_one_line(path: Path, make: Callable[[pa.Table], bytes], message: str) -> None:
    before = pa.default_memory_pool().max_memory()
    with_parquet(path, make(table_of(path)))
    built = pa.default_memory_pool().max_memory()
    assert message in refusal(path)
    assert pa.default_memory_pool().max_memory() - max(before, built) < MIB  # Arrow's memory is its own


def _tasks(values: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(160, np.int8)), values)


def test_a_large_parquet_is_not_read(path: Path) -> None:
    sparse(path.with_suffix(".parquet"))
    assert "1,073,741,824 bytes" in refusal(path)


def test_what_stays_free_text_is_printed_as_escapes(tmp_path: Path) -> None:
    """A file's name is no part of a result: nothing but the output can make it inert."""
    results = tmp_path / TRACK.name / "results"
    make_results(results, (CONTENT,), seeds=1)
    (results / "\x1b[31mred\u202e\x07.json").write_text("{}")
    ran = CliRunner().invoke(app, ["verify", "--out", str(tmp_path)])
    assert r"\x1b[31mred\u202e\x07.json" in ran.stdout
    assert all(character.isprintable() or character == "\n" for character in ran.stdout)


def test_a_processor_with_markup_is_read_and_shown_as_it_is(tmp_path: Path) -> None:
    """Free text that is printable stays: whoever shows it escapes it."""
    results = tmp_path / TRACK.name / "results"
    make_results(results, (CONTENT,), seeds=1)
    path = path_of(results, CONTENT, 0)
    forge(path, lambda raw: raw["environment"]["machines"][0].update(cpu=r"<b>=1+1 $x$ [red]x[/red] \input{x}"))
    found = verify_files(TRACK, tmp_path)
    assert [one.cell.environment.machines[0].cpu for one in found.results] == [r"<b>=1+1 $x$ [red]x[/red] \input{x}"]
