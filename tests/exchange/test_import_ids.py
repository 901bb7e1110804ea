"""IDs from files: what is read equals what was written, and what is wrong is refused in one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semidbench.api import TASKS, ItemIds, Task
from semidbench.cli import main
from semidbench.errors import UserError
from semidbench.exchange import imported_ids
from semidbench.exchange.ids_json import from_json, to_ids, to_json, to_tokens
from semidbench.exchange.ids_parquet import from_parquet, same_ids, to_parquet
from semidbench.exchange.imported_ids import IDS_VARIABLE, import_ids, imported_part, load_imported_ids
from semidbench.ids.layout import ids_sha256
from semidbench.ids.vocabulary import id_vocabulary
from semidbench.methods.contracts import check_item_ids
from semidbench.methods.registry import load_registry
from semidbench.methods.resolve import resolve_scheme
from semidbench.methods.scheme import parse_scheme
from semidbench.tracks.files import load_track

SMOKE, N = load_track("smoke"), 4
INDEX = {"0": ["<a_0>", "<b_1>"], "1": ["<a_1>", "<b_0>"], "2": ["<a_1>", "<b_1>"], "3": ["<a_0>", "<b_1>"]}
HERE = Path("index.json")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where imported IDs are kept."""
    monkeypatch.setenv(IDS_VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept"


def written(folder: Path, content: object, name: str = "index.json") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def item_ids(codes: np.ndarray, slots: tuple[str, ...], sizes: tuple[int, ...]) -> ItemIds:
    return ItemIds(np.asarray(codes, np.int64), slots, sizes)


@st.composite
def some_ids(draw: st.DrawFn) -> dict[Task, ItemIds]:
    """IDs of both tasks with slots that levels and tasks share or do not."""
    n_items = draw(st.integers(1, 6))
    sizes = draw(st.fixed_dictionaries({name: st.integers(1, 5) for name in ("s", "t", "u")}))
    found: dict[Task, ItemIds] = {}
    for task in TASKS:
        slots = tuple(draw(st.lists(st.sampled_from(sorted(sizes)), min_size=1, max_size=4)))
        rows = draw(
            st.lists(st.tuples(*(st.integers(0, sizes[s] - 1) for s in slots)), min_size=n_items, max_size=n_items)
        )
        found[task] = item_ids(np.array(rows), slots, tuple(sizes[slot] for slot in slots))
    if draw(st.booleans()):
        found["rec"] = found["search"]
    return found


@settings(max_examples=30, deadline=None)
@given(some_ids(), st.dictionaries(st.text(), st.integers() | st.text()))
def test_parquet_holds_ids_to_the_bit(ids: dict[Task, ItemIds], made_by: dict[str, Any]) -> None:
    data = to_parquet(ids, made_by)
    back = from_parquet(data, "file")
    assert ids_sha256(back.ids) == ids_sha256(ids)
    assert back.made_by == made_by
    assert (back.ids["search"] is back.ids["rec"]) == same_ids(ids)
    assert to_parquet(back.ids, made_by) == data
    assert all(back.ids[task].codes.dtype == np.int64 for task in TASKS)


def vocabulary_tokens(ids: Mapping[Task, ItemIds]) -> dict[Task, list[list[int]]]:
    vocabulary = id_vocabulary(ids, 0)
    return {task: vocabulary.tokens(ids[task]).tolist() for task in TASKS}


@settings(deadline=None)
@given(some_ids())
def test_an_index_tells_the_same_tokens_apart(ids: dict[Task, ItemIds]) -> None:
    """Written as JSON and read again, two tokens are the same if and only if the generator's vocabulary says so."""
    tokens = to_tokens(ids)
    n_items = len(ids["search"].codes)
    search, rec = (from_json(to_json(tokens[task]).encode(), HERE, n_items) for task in TASKS)
    assert (search, rec) == (tokens["search"], tokens["rec"])
    back = to_ids(search, rec)
    check_item_ids("back", back, n_items)
    before, after = vocabulary_tokens(ids), vocabulary_tokens(back)
    pairs = {
        pair
        for task in TASKS
        for old, new in zip(before[task], after[task], strict=True)
        for pair in zip(old, new, strict=True)
    }
    assert len({old for old, _ in pairs}) == len({new for _, new in pairs}) == len(pairs)


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_an_index_with_every_code_used_comes_back_to_the_bit(size: int, levels: int, shared: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids: dict[Task, ItemIds] = {}
    for task in TASKS:
        codes = np.vstack(
            [np.repeat(np.arange(size), levels).reshape(size, levels), rng.integers(0, size, (9, levels))]
        )
        slots = tuple(f"{'item' if shared else task}-{level}" for level in range(1, levels + 1))
        ids[task] = item_ids(rng.permuted(codes, axis=0), slots, (size,) * levels)
    if shared:
        ids["rec"] = ids["search"]
    tokens = to_tokens(ids)
    assert ids_sha256(to_ids(tokens["search"], tokens["rec"])) == ids_sha256(ids)


def test_numbers_in_tokens_are_ordered_as_numbers() -> None:
    ids = to_ids([["x9"], ["x10"], ["x1"], ["w99"]], [["x9"], ["x10"], ["x1"], ["w99"]])["search"]
    assert ids.codes[:, 0].tolist() == [2, 3, 1, 0]
    assert (ids.slots, ids.sizes) == (("item-1",), (4,))
    ids = to_ids([["01"], ["1"], ["2"]], [["01"], ["1"], ["2"]])["rec"]
    assert ids.codes[:, 0].tolist() == [0, 1, 2]


def test_whole_numbers_are_codes_of_their_level_and_task() -> None:
    shared = to_ids([[5, 7], [7, 5]], [[5, 7], [7, 5]])
    assert shared["search"] is shared["rec"]
    assert shared["search"].slots == ("item-1", "item-2")
    assert shared["search"].codes.tolist() == [[0, 1], [1, 0]]
    own = to_ids([[5, 7], [7, 5]], [[5], [10]])
    assert (own["search"].slots, own["rec"].slots) == (("search-1", "search-2"), ("rec-1",))
    assert own["rec"].codes.tolist() == [[0], [1]]


def test_tokens_in_common_share_a_slot() -> None:
    """Prefix-share: one first level for both tasks, second levels of their own."""
    ids = to_ids([["a1", "b1"], ["a2", "b2"]], [["a2", "c1"], ["a3", "c1"]])
    assert (ids["search"].slots, ids["search"].sizes) == (("shared-1", "search-2"), (3, 2))
    assert (ids["rec"].slots, ids["rec"].sizes) == (("shared-1", "rec-2"), (3, 1))
    assert ids["rec"].codes.tolist() == [[1, 0], [2, 0]]
    chained = to_ids([["p", "q"], ["q", "r"]], [["s"], ["s"]])  # a token on two levels joins them
    assert chained["search"].slots == ("search-1", "search-1")
    assert chained["search"].codes.tolist() == [[0, 1], [1, 2]]


def test_an_import_is_kept_under_its_hash(tmp_path: Path, folder: Path) -> None:
    done = import_ids(written(tmp_path, INDEX), None, "mine", SMOKE, N)
    digits = ids_sha256(done.ids)[:12]
    assert (done.new, done.path, done.scheme) == (
        True,
        folder / f"mine.{digits}.parquet",
        f"-/-/imported[ids=mine,sha256={digits}]",
    )
    assert str(parse_scheme(done.scheme)) == done.scheme
    kept = done.path.read_bytes()
    assert ids_sha256(load_imported_ids("mine", digits)) == ids_sha256(done.ids)
    shuffled = written(tmp_path, dict(sorted(INDEX.items(), reverse=True)), "other.json")
    again = import_ids(shuffled, shuffled, "mine", SMOKE, N)  # the same IDs, told otherwise
    assert (again.new, again.path, again.path.read_bytes()) == (False, done.path, kept)
    other = import_ids(written(tmp_path, INDEX | {"0": ["<a_1>", "<b_0>"]}), None, "mine", SMOKE, N)
    assert other.path != done.path
    assert len(list(folder.iterdir())) == 2  # nobody's row lost its IDs


def test_parquet_and_json_of_the_same_ids_are_the_same_row(tmp_path: Path) -> None:
    first = import_ids(written(tmp_path, INDEX), None, "mine", SMOKE, N)
    parquet = written(tmp_path, to_parquet(first.ids, {"scheme": "somebody's"}), "ids.parquet")
    again = import_ids(parquet, None, "mine", SMOKE, N)
    assert (again.new, again.scheme) == (False, first.scheme)


def test_imported_ids_are_a_scheme(tmp_path: Path) -> None:
    done = import_ids(written(tmp_path, INDEX), None, "mine", SMOKE, N)
    resolve_scheme(load_registry(), done.scheme, SMOKE).layout.named.build()
    for options, message in (
        (
            "ids=mine,sha256=000000000000",
            r"no IDs 'mine' with sha256 0{12} in .*Of that name there are: [0-9a-f]{12}\.",
        ),
        ("ids=other,sha256=000000000000", r"no IDs 'other' .*`semidbench import ids FILE --name other`"),
        ("ids=../mine,sha256=000000000000", "are named as `semidbench import ids` prints it"),
        ("ids=mine,sha256=../../x", "are named as `semidbench import ids` prints it"),
    ):
        with pytest.raises(UserError, match=message):
            resolve_scheme(load_registry(), f"-/-/imported[{options}]", SMOKE).layout.named.build()
    with pytest.raises(UserError, match="option ids of layout 'imported'"):
        resolve_scheme(load_registry(), "-/-/imported", SMOKE)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("-/-/imported[ids=mine,sha256=0123456789ab]", ("mine", "0123456789ab")),
        ("-/-/theirs[depth=2,ids=mine,sha256=0123456789ab]", ("mine", "0123456789ab")),
        ("-/-/imported[ids=mine]", None),
        ("-/-/imported", None),
        ("mine[ids=mine,sha256=0123456789ab]/rq-kmeans/shared", None),
    ],
)
def test_a_row_of_imported_ids_is_known_by_its_layout_s_options(row: str, expected: tuple[str, str] | None) -> None:
    assert imported_part(row) == expected


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"", lambda data: b"PAR1" + data[4:][::-1]])
def test_a_damaged_copy_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    done = import_ids(written(tmp_path, INDEX), None, "mine", SMOKE, N)
    digits = done.path.name.split(".")[1]
    done.path.write_bytes(damage(done.path.read_bytes()))
    with pytest.raises(UserError, match="holds no IDs that can be read"):
        load_imported_ids("mine", digits)


def test_a_copy_of_other_ids_is_refused(tmp_path: Path) -> None:
    done = import_ids(written(tmp_path, INDEX), None, "mine", SMOKE, N)
    other = import_ids(written(tmp_path, {str(item): [item] for item in range(N)}), None, "mine", SMOKE, N)
    done.path.write_bytes(other.path.read_bytes())
    with pytest.raises(UserError, match=r"holds IDs with sha256 [0-9a-f]{12}\.\.\., not"):
        load_imported_ids("mine", done.path.name.split(".")[1])


def changed(**items: object) -> dict[str, object]:
    return INDEX | {key.removeprefix("item"): value for key, value in items.items()}


BAD_JSON: dict[str, tuple[object, str]] = {
    "empty": (b"", "not JSON that can be read"),
    "cut": (json.dumps(INDEX).encode()[:-5], "not JSON that can be read"),
    "not UTF-8": (b'{"0": ["\xff"]}', "not JSON that can be read"),
    "deep": (b"[" * 200_000, "not JSON that can be read"),
    "deep in an item": (b'{"0": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON that can be read"),
    "a huge number": (b'{"0": [' + b"9" * 5000 + b"]}", "not JSON that can be read"),
    "a list": ([["a"]] * N, "the top level is list, not an object"),
    "twice": (b'{"0": ["a"], "1": ["a"], "2": ["a"], "0": ["b"], "3": ["a"]}', "item '0' is there twice"),
    "missing": ({key: INDEX[key] for key in ("0", "3")}, "2 of 4 items are missing, the first is 1"),
    "too many": (changed(item4=["<a_0>", "<b_0>"]), "there is no item '4': the track has items 0 to 3"),
    "padded": (changed(item03=["<a_0>", "<b_0>"]), "there is no item '03'"),
    "a path": (INDEX | {"../3": ["a", "b"]}, r"there is no item '\.\./3'"),
    "a long key": (INDEX | {"k" * 10_000: ["a", "b"]}, "there is no item 'kkk"),
    "ragged": (changed(item2=["<a_1>"]), "item 2 has 1 tokens where item 0 has 2"),
    "none": ({str(item): [] for item in range(N)}, "not a list of 1 to 8 tokens"),
    "nine": ({str(item): [item] * 9 for item in range(N)}, "not a list of 1 to 8 tokens"),
    "no list": (changed(item1="<a_1><b_0>"), "item 1 has '<a_1><b_0>', not a list"),
    "mixed": (changed(item1=["<a_1>", 0]), "item 1 has 0, item 0 '<a_0>': one kind only"),
    "true": ({str(item): [True] for item in range(N)}, "True, which is no token"),
    "a fraction": ({str(item): [0.5] for item in range(N)}, "0.5, which is no token"),
    "negative": ({str(item): [-1] for item in range(N)}, "-1, which is no token"),
    "too large": ({str(item): [2**40] for item in range(N)}, "which is no token"),
    "blank": ({str(item): [""] for item in range(N)}, "'', which is no token"),
    "a long token": ({str(item): ["x" * 65] for item in range(N)}, "which is no token"),
    "control characters": ({str(item): ["\0search\x001\x005"] for item in range(N)}, "which is no token"),
    "nested": ({str(item): [[1]] for item in range(N)}, "which is no token"),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_a_bad_index_is_refused_and_leaves_nothing(case: str, tmp_path: Path, folder: Path) -> None:
    content, message = BAD_JSON[case]
    path = written(tmp_path, content)
    for first, second in ((path, None), (written(tmp_path, INDEX, "good.json"), path)):
        with pytest.raises(UserError, match=message) as refused:
            import_ids(first, second, "mine", SMOKE, N)
        assert "index.json" in str(refused.value)
        assert len(str(refused.value)) < 400 + len(str(path))
        assert "\n" not in str(refused.value)
    assert not folder.exists()


def altered(header: Mapping[str, Any] = {}, drop: str | None = None, rows: int = 8, **columns: list[Any]) -> bytes:
    """An export's bytes with another header or other columns."""
    good = item_ids(np.array([[0, 1], [1, 0], [1, 1], [0, 1]]), ("item-1", "item-2"), (2, 2))
    table = pq.read_table(pa.BufferReader(to_parquet({"search": good, "rec": good}, {})))
    held = json.loads(table.schema.metadata[b"semidbench_ids"]) | header
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    table = table.drop_columns([drop] if drop else []).replace_schema_metadata({"semidbench_ids": json.dumps(held)})
    sink = pa.BufferOutputStream()
    pq.write_table(table.slice(0, rows), sink)
    return bytes(sink.getvalue())


def plain_parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"item": [0, 1]}), sink)
    return bytes(sink.getvalue())


ITEMS = [*range(N), *range(N)]
BAD_PARQUET: dict[str, tuple[bytes, str]] = {
    "cut": (altered()[:-20], "holds no IDs that can be read"),
    "another's": (plain_parquet(), "no semidbench export of IDs"),
    "another format": (altered({"format": 2}), "has format 2, this semidbench reads 1"),
    "another header": (altered({"search": 5}), "search.slots and search.sizes of its semidbench_ids are"),
    "no hash": (altered({"id_table_sha256": None}), "its semidbench_ids lacks id_table_sha256, a text"),
    "nobody who made it": (altered({"made_by": 3}), "or made_by, an object"),
    "no sizes": (altered({"search": {"slots": ["a", "b"]}}), "search.slots and search.sizes of its semidbench_ids are"),
    "an endless size": (
        altered({"rec": {"slots": ["a", "b"], "sizes": [2, float("inf")]}}),
        "rec.slots and rec.sizes of its",
    ),
    "a huge codebook": (altered({"rec": {"slots": ["a", "b"], "sizes": [2, 10**12]}}), "2,097,152 codes at most"),
    "nine levels": (altered({"rec": {"slots": list("abcdefghi"), "sizes": [2] * 9}}), "1 to 8 levels"),
    "a level too many": (altered({"rec": {"slots": list("abc"), "sizes": [2] * 3}}), "columns task, item, code_1"),
    "no items": (altered(drop="item"), "columns task, code_1"),
    "an item twice": (altered(item=[0, 1, 2, 2, *range(N)]), "each once and in order"),
    "a row too few": (altered(rows=7), "each once and in order"),
    "no rows": (altered(rows=0), "sha256 differs"),
    "other tasks": (altered(task=["rec"] * 4 + ["search"] * 4), "each once and in order"),
    "a code edited": (altered(code_1=[1, 1, 1, 0, 0, 1, 1, 0]), "sha256 differs"),
    "a slot renamed": (altered({"rec": {"slots": ["a", "b"], "sizes": [2, 2]}}), "sha256 differs"),
    "a code too large": (altered(code_1=[2, 1, 1, 0, 0, 1, 1, 0]), r"codes in 0\.\.1 at level 0"),
    "a code missing": (altered(code_1=[None, 1, 1, 0, 0, 1, 1, 0]), "more or fewer codes"),
    "a text for a code": (altered(code_1=list("01100110")), "holds no IDs that can be read"),
    "a fraction for a code": (altered(code_1=[0.5] * 8), "holds no IDs that can be read"),
    "a slot with two sizes": (altered({"rec": {"slots": ["item-1", "b"], "sizes": [3, 2]}}), "one size for slot"),
}


@pytest.mark.parametrize("case", BAD_PARQUET)
def test_a_bad_parquet_is_refused_and_leaves_nothing(case: str, tmp_path: Path, folder: Path) -> None:
    data, message = BAD_PARQUET[case]
    path = written(tmp_path, data, "ids.parquet")
    with pytest.raises(UserError, match=message) as refused:
        import_ids(path, None, "mine", SMOKE, N)
    assert "ids.parquet" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not folder.exists()


def test_an_unaltered_parquet_is_taken(tmp_path: Path) -> None:
    """What the cases above change is all that is wrong with them."""
    assert import_ids(written(tmp_path, altered(item=ITEMS)), None, "mine", SMOKE, N).new


def test_ids_for_another_track_are_refused(tmp_path: Path, folder: Path) -> None:
    path = written(tmp_path, altered(), "ids.parquet")
    with pytest.raises(UserError, match="IDs for 4 items, track smoke has 240"):
        import_ids(path, None, "mine", SMOKE, 240)
    with pytest.raises(UserError, match="is Parquet, which holds the IDs of both tasks"):
        import_ids(path, path, "mine", SMOKE, N)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a.b", "A", "-a", "a b", "x" * 65, "a\n", "é"])
def test_names_that_are_no_file_names_are_refused(name: str, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="1 to 64 of the characters a-z"):
        import_ids(written(tmp_path, INDEX), None, name, SMOKE, N)
    assert not folder.exists()


def test_a_gigabyte_is_not_read(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(2**30)  # a hole: nothing is written
    with pytest.raises(UserError, match="is too large: a file of IDs has at most 67,108,864 bytes"):
        import_ids(path, None, "mine", SMOKE, N)
    assert not folder.exists()


def test_files_that_cannot_be_read_or_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"cannot read .*nothing\.json: No such file"):
        import_ids(tmp_path / "nothing.json", None, "mine", SMOKE, N)
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        import_ids(written(tmp_path, INDEX), tmp_path, "mine", SMOKE, N)
    monkeypatch.setenv(IDS_VARIABLE, str(written(tmp_path, INDEX)))
    with pytest.raises(UserError, match=r"cannot keep IDs in .*\$SEMIDBENCH_IDS"):
        import_ids(written(tmp_path, INDEX), None, "mine", SMOKE, N)


def test_a_disk_that_fills_leaves_nothing(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(imported_ids, "write_atomically", full)
    with pytest.raises(UserError, match="No space left on device"):
        import_ids(written(tmp_path, INDEX), None, "mine", SMOKE, N)
    assert list(folder.iterdir()) == []


def test_the_users_folder_is_where_no_variable_says_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(IDS_VARIABLE)
    monkeypatch.setattr("platformdirs.user_data_path", lambda name: tmp_path / name)
    assert import_ids(written(tmp_path, INDEX), None, "mine", SMOKE, N).path.parent == tmp_path / "semidbench" / "ids"


def test_command_line(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index = {str(item): [f"<a_{item // 16}>", f"<b_{item % 16}>"] for item in range(240)}
    words = ["import", "ids", str(written(tmp_path, index)), "--name", "mine"]
    common = ["--track", "smoke", "--cache", str(tmp_path / "cache")]

    def told(*more: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["semidbench", *words, *common, *more])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    code, out, _ = told()
    lines = out.splitlines()
    (kept,) = folder.iterdir()
    scheme = f"-/-/imported[ids=mine,sha256={kept.name.split('.')[1]}]"
    assert code == 0
    assert lines[0] == "both tasks: 240 items, 240 IDs; codes used: item-1 15/15, item-2 16/16"
    assert lines[1:] == [f"kept: {kept}", f"next: semidbench run --track smoke --scheme '{scheme}'"]
    assert told()[1].splitlines()[1] == f"was there already: {kept}"
    rec = written(tmp_path, {str(item): [item] for item in range(240)}, "rec.json")
    assert told("--rec", str(rec))[1].splitlines()[:2] == [
        "search: 240 items, 240 IDs; codes used: search-1 15/15, search-2 16/16",
        "rec: 240 items, 240 IDs; codes used: rec-1 240/240",
    ]
    assert told("--name", "../x") == (
        2,
        "",
        "error: --name '../x': a name has 1 to 64 of the characters a-z 0-9 _ - and begins with a letter or digit\n",
    )
