"""The page as text: its structure, its numbers, and that nothing in results can act on it."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations, pairwise
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semidbench.leaderboards.board import Column, Leaderboard
from semidbench.leaderboards.claims.compare import paper_grids
from semidbench.leaderboards.claims.judge import Ledger
from semidbench.leaderboards.grids import Grid, main_grid
from semidbench.leaderboards.page import render_page
from semidbench.leaderboards.page.axes import Tick, fitted_axis
from semidbench.leaderboards.page.escaping import script_json, visible
from semidbench.leaderboards.page.id_tables import id_grid
from semidbench.leaderboards.page.labels import place_labels
from semidbench.leaderboards.page.origin import rerun_command
from semidbench.leaderboards.page.pairs import listed_pairs, p_code, packed_pairs, superscripts_grid, wins_grid
from semidbench.leaderboards.page.tradeoff import BOTTOM, LEFT, RIGHT, TOP, pareto_front, tradeoff
from semidbench.published import table_rows
from tests.page_boards import HOSTILE_NAMES, HOSTILE_TEXT, hostile, ledger, many_rows

VOID = {"meta", "link", "br", "wbr", "input"}


class Element:
    """A parsed element: tag, attributes, children; text among them."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag, self.attributes = tag, attributes
        self.children: list[Element | str] = []

    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)

    def all(self, tag: str = "", **attributes: str) -> list[Element]:
        found = []
        for child in self.children:
            if isinstance(child, Element):
                wanted = tag in ("", child.tag)
                if wanted and all(
                    (child.attributes.get(key) or "").split().count(value) for key, value in attributes.items()
                ):
                    found.append(child)
                found += child.all(tag, **attributes)
        return found


class Reader(HTMLParser):
    """Reads a page whose tags must all be closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        made = Element(tag, dict(attrs))
        self.open[-1].children.append(made)
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            assert self.open.pop().tag == tag
        elif tag not in VOID and self.open[-1].tag == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(text: str) -> Element:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == [reader.root]
    return reader.root


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return ledger(tmp_path_factory.mktemp("paper"), "paper", table_rows("2"), 2)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return ledger(tmp_path_factory.mktemp("demo"), "demo", table_rows("extra"), 4)


@pytest.fixture(scope="module")
def many(demo: Ledger) -> Ledger:
    return many_rows(demo, 40)


@pytest.fixture(scope="module")
def page(paper: Ledger, demo: Ledger) -> Element:
    return parse(render_page([paper, demo]))


def by_id(root: Element, id: str) -> Element:
    (found,) = [element for element in root.all() if element.attributes.get("id") == id]
    return found


def cells(line: Element) -> list[str]:
    return [" ".join(cell.text().split()) for cell in line.children if isinstance(cell, Element)]


def test_ids_are_unique_and_every_reference_leads_somewhere(page: Element) -> None:
    elements = page.all()
    ids = [element.attributes["id"] for element in elements if "id" in element.attributes]
    assert len(ids) == len(set(ids)) > 100
    for element in elements:
        href = element.attributes.get("href") or ""
        assert not href.startswith("#") or href[1:] in ids, href
        for label in (element.attributes.get("aria-labelledby") or "").split():
            assert label in ids


def test_the_page_has_the_outline_that_assistive_software_needs(page: Element) -> None:
    assert len(page.all("h1")) == 1
    assert page.all("html")[0].attributes["lang"] == "en"
    levels = [int(element.tag[1]) for element in page.all() if re.fullmatch("h[1-6]", element.tag)]
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert all(header.attributes.get("scope") in ("col", "row", "colgroup", "rowgroup") for header in page.all("th"))
    assert all(table.all("caption") for table in page.all("table"))
    assert not page.all("button"), "without a script there would be nothing to press them for"


def test_the_page_loads_nothing_and_runs_its_own_script_only(page: Element) -> None:
    elements = page.all()
    assert not [name for element in elements for name in element.attributes if name == "style" or name.startswith("on")]
    assert not [element for element in elements if "src" in element.attributes or element.tag in ("img", "iframe")]
    (link,) = page.all("link")
    assert (link.attributes["href"] or "").startswith("data:image/svg+xml,")
    policy = next(
        one.attributes["content"] or ""
        for one in page.all("meta")
        if one.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    scripts = [one for one in page.all("script") if "type" not in one.attributes]
    for kind, (element,) in (("style-src", page.all("style")), ("script-src", scripts)):
        digest = b64encode(hashlib.sha256(element.text().encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}';" in policy


@pytest.mark.parametrize("which", ["paper", "demo"])
def test_the_main_table_is_that_of_the_leaderboard(page: Element, which: str, request: pytest.FixtureRequest) -> None:
    board = request.getfixturevalue(which).board
    grid = main_grid(board)
    wanted = [(row.number, row.name, line) for row, line in zip(board.rows, grid.rows, strict=True)]
    wanted += [
        (f"R{i}", row.name, line)
        for i, (row, line) in enumerate(zip(board.references, grid.references, strict=True), 1)
    ]
    for label, name, line in wanted:
        row = by_id(page, f"{board.track.name}.row.{label}")
        shown = cells(row)
        assert shown[:2] == [str(label), name]
        for i, cell in enumerate(line[2:]):
            td = row.all("td")[1 + i]
            (mean,) = td.all("span", **{"class": "mean"})
            (std,) = td.all("span", **{"class": "std"})
            said = f"{mean.text()} ± {std.text().removeprefix('±') or '–'}"
            assert said == cell.text
            assert (bool(mean.all("b")), bool(mean.all("u"))) == (cell.best, cell.second)
            above = [one.text() for one in td.all("span", **{"class": "wins"})]
            n = (
                sum(bool(board.columns[i].verdicts.holds[label - 1, b]) for b in range(len(board.rows)))
                if isinstance(label, int)
                else 0
            )
            assert above == ([f"▲{n} below,"] if n else [])
            exact = (board.rows + board.references)[wanted.index((label, name, line))].mean(board.columns[i].key)
            assert td.attributes["data-v"] == f"{exact:.6g}"


def test_how_many_units_stands_beneath_each_header(page: Element, demo: Ledger) -> None:
    (table,) = [table for table in page.all("table", **{"data-track": "demo"}) if table.all("caption")]
    headers = [header for header in table.all("th", scope="col") if "data-group" in header.attributes]
    for header, column in zip(headers, demo.board.columns, strict=True):
        unit = "item" if column.task == "search" else "user"
        n = f"{column.tests.n:,} {unit}{'s' * (column.tests.n > 1)}"
        assert " ".join(header.text().split()) == f"{column.group.title()} n = {n}"
        assert header.attributes["data-units"] == n


def grid_of(table: Element) -> tuple[list[str], list[list[str]]]:
    lines = [cells(row) for row in table.all("tr")]
    return lines[0], lines[1:]


def assert_shows(page: Element, id: str, grid: Grid) -> None:
    (table,) = [table for table in page.all("table") if table.all("caption")[0].attributes.get("id") == id]
    headers, lines = grid_of(table)
    assert headers == list(grid.headers)
    wanted = [[f"{' '.join(cell.text.split())}{cell.beats}" for cell in row] for row in (*grid.rows, *grid.references)]
    assert lines == wanted


def test_every_other_table_is_there(page: Element, paper: Ledger, demo: Ledger) -> None:
    assert_shows(page, "demo.ids.caption", id_grid(demo.board))
    assert_shows(page, "demo.wins", wins_grid(demo.board))
    assert_shows(page, "demo.superscripts", superscripts_grid(demo.board))
    for i, grid in enumerate(listed_pairs(demo.board), 1):
        if grid.rows:
            assert_shows(page, f"demo.pairs.{i}", grid)
    for i, (beside, printed) in enumerate(zip(paper_grids(paper.board), paper_grids(demo.board), strict=True), 1):
        assert_shows(page, f"paper.paper.{i}", beside)
        assert_shows(page, f"page.paper.{i}", printed)
    assert "Other data" in by_id(page, "page.paper").text()
    assert not [element for element in page.all() if element.attributes.get("id") == "demo.paper"]


def test_the_papers_tables_stand_apart_only_where_they_do_not_compare(paper: Ledger) -> None:
    alone = parse(render_page([paper]))
    assert "page.paper" not in {element.attributes.get("id") for element in alone.all()}
    assert "Difference" in by_id(alone, "paper.paper").text()


def test_claims_show_verdict_statement_and_numbers(page: Element, demo: Ledger) -> None:
    (table,) = [t for t in page.all("table") if t.all("caption")[0].attributes.get("id") == "demo.claims.caption"]
    headers, lines = grid_of(table)
    assert headers[:2] == ["Claim", "Verdict"]
    assert len(lines) == len(demo.judgements)
    for line, judgement in zip(lines, demo.judgements, strict=True):
        assert line[0].startswith(judgement.claim.says)
        assert line[1].startswith(judgement.verdict)


SIGNED = ("difference", "low", "high")


def unpacked(column: dict[str, str], n: int) -> dict[tuple[int, int], dict[str, int]]:
    """The packed tests of a column by pair, read in another way than the page's script does."""
    pairs = list(combinations(range(n), 2))
    found: dict[tuple[int, int], dict[str, int]] = {pair: {} for pair in pairs}
    for name, text in column.items():
        data = b64decode(text)
        width = len(data) // len(pairs)
        for i, pair in enumerate(pairs):
            found[pair][name] = int.from_bytes(data[width * i : width * (i + 1)], "little", signed=name in SIGNED)
    return found


def printed_p(code: int) -> str:
    if code >= 65_534:
        return "nan" if code == 65_535 else "0.0e+00"
    exponent, digits = divmod(code, 90)
    return f"{10 + digits}e-{exponent + 1}"


def assert_packed(column: Column, packed: dict[str, str]) -> None:
    tests, verdicts = column.tests, column.verdicts
    words = ("unsettled", "likely", "holds", "not tested")
    for (a, b), entry in unpacked(packed, len(tests.rows)).items():
        p = verdicts.holm[a, b]
        assert (isnan(p) and entry["p"] == 65_535) or float(printed_p(entry["p"])) == float(f"{p:.1e}")
        assert f"{entry['difference'] / 1000:.3f}".lstrip("-") == f"{verdicts.difference[a, b]:.3f}".lstrip("-")
        for end, sign in (("low", -1), ("high", 1)):
            exact = verdicts.difference[a, b] + sign * verdicts.margin_of_error[a, b]
            assert (isnan(exact) and entry[end] == -32_768) or entry[end] / 1000 == pytest.approx(exact, abs=5.1e-4)
        assert (entry["ahead"], entry["behind"], entry["seeds"]) == (
            tests.seeds_ahead[a, b],
            tests.seeds_ahead[b, a],
            tests.n_seeds[a, b],
        )
        word = verdicts.verdict(a, b)
        assert words[entry["verdict"] % 4] == ("not tested" if word == "provisional" else word)
        assert entry["verdict"] // 4 == int(verdicts.difference[a, b] > 0)  # nothing holds against All here


def test_packed_verdicts_are_the_boards(page: Element, demo: Ledger) -> None:
    (script,) = [one for one in page.all("script") if one.attributes.get("data-track") == "demo"]
    packed = json.loads(script.text())
    assert packed == packed_pairs(demo.board)
    assert (packed["rows"], packed["level"]) == (len(demo.board.rows), "95% interval")
    for column, entries in zip(demo.board.columns, packed["columns"], strict=True):
        assert_packed(column, entries)


def test_packed_verdicts_of_many_rows(many: Ledger) -> None:
    assert_packed(many.board.columns[0], packed_pairs(many.board)["columns"][0])


def test_what_was_not_tested_and_what_the_reverse_holds_of_in_all_is_packed(tmp_path: Path, demo: Ledger) -> None:
    few = ledger(tmp_path, "demo", table_rows("1"), 2).board
    assert {one["verdict"] % 4 for one in unpacked(packed_pairs(few)["columns"][0], len(few.rows)).values()} == {3}
    every, head = demo.board.columns[:2]
    turned = replace(every.verdicts, difference=-every.verdicts.difference)
    board = replace(
        demo.board, columns=(every, replace(head, tests=every.tests, verdicts=turned), *demo.board.columns[2:])
    )
    codes = unpacked(packed_pairs(board)["columns"][1], len(board.rows))
    reverse = {pair for pair, entry in codes.items() if entry["verdict"] & 8}
    assert reverse == {pair for pair, entry in codes.items() if entry["verdict"] % 4 == 2} != set()


def test_who_is_above_whom_is_said_in_full(many: Ledger) -> None:
    column, kinds = many.board.columns[0], set()
    verdicts = column.verdicts
    for a, row in enumerate(wins_grid(many.board).rows):
        said = numbers_of(row[2].text)
        kinds |= set(said.values())
        assert said == {
            b + 1: bool(verdicts.holds[a, b]) for b in range(40) if verdicts.holds[a, b] or verdicts.likely[a, b]
        }
    assert kinds == {True, False}
    for a, row in enumerate(superscripts_grid(many.board).rows):
        assert [*numbers_of(row[2].text)] == [b + 1 for b in range(40) if column.tests.beats(a, b)]
    assert listed_pairs(many.board) == ()


def numbers_of(text: str) -> dict[int, bool]:
    """The numbers in a text such as `1–3, (5)`, and whether each stands without parentheses."""
    said: dict[int, bool] = {}
    for span in text.split(", ") if text != "–" else []:
        first, _, last = span.strip("()").partition("–")
        said |= dict.fromkeys(range(int(first), int(last or first) + 1), not span.startswith("("))
    return said


@given(st.floats(0, 1))
def test_p_is_packed_to_two_digits(p: float) -> None:
    assert float(printed_p(p_code(p))) == float(f"{p:.1e}")
    assert p_code(p) <= 65_534


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_the_front_is_what_nothing_dominates(whole: list[tuple[int, int]]) -> None:
    points = [(x / 10, y / 10) for x, y in whole]
    expected = {
        one for one in points if not any(other != one and other[0] >= one[0] and other[1] >= one[1] for other in points)
    }
    assert pareto_front(points) == expected


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(60, 620), st.integers(20, 420)), max_size=40))
def test_labels_cover_neither_each_other_nor_marks(at: list[tuple[int, int]]) -> None:
    marks = [(float(x), float(y), str(i)) for i, (x, y) in enumerate(at, 1)]
    labels = place_labels(marks, [(60, 100, 620, 100)], (60, 18, 622, 424))
    boxes = []
    for label, (x, y, text) in zip(labels, marks, strict=True):
        if label:
            half = 3.8 * len(text)
            boxes.append((label.x - half, label.y - 6, label.x + half, label.y + 6))
            assert abs(label.x - x) + abs(label.y - y) < 90
    boxes += [(x - 5, y - 5, x + 5, y + 5) for x, y, _ in marks]
    n = sum(label is not None for label in labels)
    assert all(box[0] >= 60 and box[1] >= 18 and box[2] <= 622 and box[3] <= 424 for box in boxes[:n])
    for i, j in combinations(range(len(boxes)), 2):
        if i < n:
            a, b = boxes[i], boxes[j]
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


SEARCH, REC = ("search", "all", "R@30"), ("rec", "all", "R@30")


def value_at(pixel: float, ticks: Sequence[Tick]) -> float:
    """What a place on an axis stands for, from two of its ticks."""
    (low, first), (high, last) = ((tick.at, float(tick.text)) for tick in (ticks[0], ticks[-1]))
    return first + (pixel - low) / (high - low) * (last - first)


def test_the_plot_puts_marks_where_the_means_are(demo: Ledger) -> None:
    plot, board = tradeoff(demo.board), demo.board
    rows = {row.name: row for row in (*board.rows, *board.references)}
    assert {mark.name for mark in plot.marks} == set(rows)
    for mark in plot.marks:
        row = rows[mark.name]
        for pixel, ends, ticks, key in (
            (mark.x, mark.across, plot.x_ticks, SEARCH),
            (mark.y, mark.along, plot.y_ticks, REC),
        ):
            mean, std = row.mean(key), row.std(key)  # type: ignore[arg-type]
            least, most = float(ticks[0].text), float(ticks[-1].text)
            assert value_at(pixel, ticks) == pytest.approx(min(max(mean, least), most), abs=0.001)  # type: ignore[type-var]
            if std is None or not least <= mean <= most:  # type: ignore[operator]
                assert ends is None
            else:
                bar = [min(max(mean + sign * std, least), most) for sign in (-1, 1)]  # type: ignore[operator]
                assert [value_at(end, ticks) for end in ends or ()] == pytest.approx(bar, abs=0.001)
        assert mark.reference == (row.kind == "ranker")
    front = {mark.name for mark in plot.marks if mark.front}
    assert front
    for name in front:
        x, y = (rows[name].mean(key) for key in (SEARCH, REC))  # type: ignore[arg-type]
        assert not any(o.mean(SEARCH) > x and o.mean(REC) > y for o in board.rows)  # type: ignore[operator, arg-type]
    assert all(mark.label for mark in plot.marks), "so few rows all have room for a label"


def with_references(board: Leaderboard, means: Sequence[tuple[float, float]]) -> Leaderboard:
    """The board with reference rows of these means of search and recommendation."""
    one = board.references[-1]
    rows = tuple(
        replace(one, name=f"r{i}", means=dict(one.means) | {SEARCH: x, REC: y}) for i, (x, y) in enumerate(means)
    )
    return replace(board, references=rows)


def close_schemes(board: Leaderboard) -> Leaderboard:
    """The board with schemes of seeds that agree, whose means are from .4 to .46 and from .44 to .5."""
    rows = tuple(
        replace(row, means=dict(row.means) | {SEARCH: 0.4 + 0.01 * i, REC: 0.5 - 0.01 * i}, stds={})
        for i, row in enumerate(board.rows)
    )
    return replace(board, rows=rows)


def test_references_off_the_plot_stand_at_its_edge_with_their_values(paper: Ledger) -> None:
    board = close_schemes(paper.board)
    right, left, top, bottom = (0.77, 0.48), (0.01, 0.46), (0.42, 0.88), (0.44, 0.02)
    inside, corner = (0.43, 0.45), (0.9, 0.95)
    plot = tradeoff(with_references(board, [right, left, top, bottom, corner, inside]))
    *off, within = (mark for mark in plot.marks if mark.reference)
    at = dict(zip(("right", "left", "top", "bottom", "corner"), off, strict=True))
    assert [mark.beyond for mark in off] == [
        ("search 0.770",),
        ("search 0.010",),
        ("recommendation 0.880",),
        ("recommendation 0.020",),
        ("search 0.900", "recommendation 0.950"),
    ]
    assert [mark.arrow for mark in off] == [0, 180, 270, 90, 315]  # degrees as SVG turns: clockwise
    assert [mark.text for mark in off] == ["R1 0.770", "R2 0.010", "R3 0.880", "R4 0.020", "R5 0.900 0.950"]
    assert (at["right"].x, at["left"].x) == (RIGHT, LEFT) == (at["corner"].x, LEFT)
    assert (at["top"].y, at["bottom"].y) == (TOP, BOTTOM) == (at["corner"].y, BOTTOM)
    assert value_at(at["right"].y, plot.y_ticks) == pytest.approx(0.48, abs=0.001)
    assert value_at(at["top"].x, plot.x_ticks) == pytest.approx(0.42, abs=0.001)
    assert [(mark.across is None, mark.along is None) for mark in off] == [
        *2 * [(True, False)],
        *2 * [(False, True)],
        (True, True),
    ], "no bar along the axis that the mean is not on"
    assert all(mark.label for mark in off)
    assert (within.beyond, within.arrow, within.text) == ((), None, "R6")
    assert value_at(within.x, plot.x_ticks) == pytest.approx(0.43, abs=0.001)
    assert float(plot.x_ticks[0].text) >= 0.38, "the axes fit the schemes"
    assert float(plot.x_ticks[-1].text) <= 0.48
    assert tradeoff(board).x_ticks == plot.x_ticks, "references do not move the axes"


def test_the_page_says_which_references_are_off_the_plot(paper: Ledger) -> None:
    board = with_references(close_schemes(paper.board), [(0.99, 0.45), (0.43, 0.45)])
    page = parse(render_page([replace(paper, board=board)]))
    (figure,) = page.all("figure")
    off, inside = figure.all("a", **{"class": "reference"})
    assert "beyond" in (off.attributes["class"] or "")
    assert "beyond" not in (inside.attributes["class"] or "")
    assert "search 0.990 ±" in (off.attributes["aria-label"] or "")
    assert off.all("path", **{"class": "arrow"})
    assert not inside.all("path", **{"class": "arrow"})
    assert "R1 0.990" in off.text()
    legend = [" ".join(line.text().split()) for line in figure.all("dd")]
    assert [line for line in legend if line.startswith("R")] == ["R1 r0: search 0.990"]
    assert any("off the plot" in line.text() for line in figure.all("dt"))


def test_the_legend_is_silent_about_what_is_not_there(paper: Ledger) -> None:
    board = with_references(close_schemes(paper.board), [(0.43, 0.45)])
    page = parse(render_page([replace(paper, board=board)]))
    assert "off the plot" not in page.all("figure")[0].text()


@given(st.lists(st.floats(0, 1), max_size=6))
def test_an_axis_fits_its_ends_with_some_room(ends: list[float]) -> None:
    axis = fitted_axis(ends, 60.0, 620.0)
    values = [float(tick.text) for tick in axis.ticks]
    assert 3 <= len(values) <= 9
    assert len(set(values)) == len(values), "no two ticks read alike"
    assert np.diff(values) == pytest.approx([values[1] - values[0]] * (len(values) - 1))
    assert (axis.ticks[0].at, axis.ticks[-1].at) == (60, 620)
    assert values[0] >= 0
    spanned = max(ends) - min(ends) if ends else 0.0
    for end in ends:
        assert 60 <= axis.at(end) < 620
        assert axis.at(end) > 60 or values[0] == 0
        assert not axis.beyond(end)
        assert value_at(axis.at(end), axis.ticks) == pytest.approx(end, abs=0.001)
    room = max(0.05 * spanned, 0.003) + values[1] - values[0]
    assert values[-1] - values[0] <= spanned + 2 * room, "at each end some room, and less than a step to a round tick"


def test_a_label_keeps_away_from_other_marks() -> None:
    above, beneath = place_labels([(300, 200, "7"), (300, 218, "9")], [], (60, 18, 622, 424))
    assert above
    assert beneath
    assert abs(above.y - 200) < abs(above.y - 218) - 4
    assert abs(beneath.y - 218) < abs(beneath.y - 200) - 4


def test_id_diagnostics_are_means_over_seeds(demo: Ledger) -> None:
    lines = {(row[1].text, row[2].text): [cell.text for cell in row[3:]] for row in id_grid(demo.board).rows}
    row = demo.board.rows[2]
    uses = [cell.ids["rec"] for cell in row.cells if cell.ids]
    line = lines[row.name, "Recommendation"]
    assert line[0].split(" · ")[1] == f"{np.mean([use.levels[1].used for use in uses]):.1f}/8".replace(".0/", "/")
    assert line[1].split(" · ")[0] == f"{np.mean([use.levels[0].perplexity for use in uses]):.1f}"
    assert line[2:4] == ["22", "384"]
    assert line[5] == f"{np.mean([use.mean_items for use in uses]):.2f}"
    assert line[7] == f"{100 * np.mean([use.colliding for use in uses]):.1f}%"
    assert (demo.board.rows[0].name, "Both") in lines


def test_the_command_makes_the_row_again(paper: Ledger, demo: Ledger) -> None:
    row = demo.board.rows[0]
    words = shlex.split(rerun_command(demo.board.track, row, "test"))
    assert words == ["semidbench", "run", "--track", "demo", "--scheme", row.name, "--seeds", "4"]
    popularity = next(one for one in paper.board.references if one.name == "popularity")
    command = rerun_command(paper.board.track, popularity, "development")
    assert command == "semidbench run --track paper --seeds 1 --data DIR --split development"
    bad = hostile(demo).board
    for one in bad.rows:
        assert shlex.split(rerun_command(bad.track, one, "test"))[5] == one.name


def test_origins_name_plugins_versions_options_and_machines(page: Element, demo: Ledger) -> None:
    text = " ".join(by_id(page, "demo.origin.1").text().split())
    for words in ("semidbench 0.1.0 (cccccccc)", "semidbench-faiss 0.1.0 (ffffffff)", "embedder: epochs=10, lr=0.01"):
        assert words in text
    assert "Seeds0, 1, 2, 3" in text.replace(" Seeds ", "Seeds").replace("Seeds ", "Seeds")
    assert "cpu, AMD EPYC, Python 3.11.7" in text
    assert rerun_command(demo.board.track, demo.board.rows[0], "test") in text


def test_hostile_text_is_inert(demo: Ledger) -> None:
    text = render_page([hostile(demo)])
    root = parse(text)
    assert len(root.all("script")) == 2
    assert len(root.all("style")) == 1
    assert not root.all("img")
    assert not [name for element in root.all() for name in element.attributes if name.startswith("on")]
    assert visible(text.replace("\n", "")) == text.replace("\n", "")
    text.encode()
    shown = {name.text() for name in root.all("bdi")}
    assert {visible(name) for name in HOSTILE_NAMES} <= shown
    assert visible(HOSTILE_TEXT) in root.text()
    assert "49" not in {" ".join(name.split()[-3:]) for name in shown}, "templates run nothing that results say"


def test_a_name_can_be_read_but_not_hidden_in() -> None:
    assert visible("a\u202eb\x00c\ud800d") == r"a\u202eb\u0000c\ud800d"
    assert visible("naïve 模型 שלום") == "naïve 模型 שלום"
    assert json.loads(script_json({"</script><!--": "&\u2028"})) == {"</script><!--": "&\u2028"}
    assert not re.search("[<>&\u2028]", script_json({"</script><!--": "&\u2028"}))


def test_warnings_come_first(tmp_path: Path) -> None:
    alone = parse(render_page([ledger(tmp_path, "demo", ("-/-/random", "-/-/atomic"), 1)]))
    (header,) = by_id(alone, "demo").all("header")
    assert "Provisional: a row with fewer than 3 seeds" in header.text()
    assert "version 2 · test split" in header.text()


def test_no_schemes_and_no_tracks_still_make_a_page(tmp_path: Path) -> None:
    only = parse(render_page([ledger(tmp_path, "demo", (), 1)]))
    assert "popularity" in only.text()
    assert parse(render_page([])).all("h1")


def test_two_hundred_rows_make_a_small_page_soon(demo: Ledger) -> None:
    many = many_rows(demo, 200)
    start = time.process_time()
    text = render_page([many])
    assert time.process_time() - start < 5  # about .7 on an idle machine
    assert len(text.encode()) < 4 * 2**20
    assert text.count('<tr id="demo.row.') == 200 + len(many.board.references)
    assert text.endswith("</html>\n")


def test_listing_commands_loads_no_templates() -> None:
    code = "import sys, semidbench.leaderboards.page; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
