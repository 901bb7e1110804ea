"""The paper's numbers as typed, held to what the paper says in words and to each other."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from semidbench.errors import UserError
from semidbench.methods.scheme import parse_scheme
from semidbench.published import claims, extra_rows, paper, published_order, table_rows
from semidbench.published.papers import Paper, read_toml
from semidbench.published.statements import Claims

T1, T2, T3 = paper().tables
ALL, HEAD, TORSO = "all", "head", "torso"


def number(table: int, label: str, task: str, group: str = ALL) -> float:
    (row,) = [row for row in paper().tables[table - 1].rows if row.label.startswith(label)]
    cell = row.cell(task, group)  # type: ignore[arg-type]
    assert cell is not None
    return cell.value


def column(table: int, task: str, group: str = ALL) -> dict[str, float]:
    return {row.label: number(table, row.label, task, group) for row in paper().tables[table - 1].rows}


def test_tables_have_the_printed_shape() -> None:
    assert [(table.number, len(table.rows)) for table in paper().tables] == [(1, 3), (2, 7), (3, 4)]
    both = (("search", ALL), ("rec", ALL))
    assert [table.columns for table in paper().tables] == [both, (*both, ("rec", HEAD), ("rec", TORSO)), both]


def test_the_data_has_the_size_that_section_4_states() -> None:
    """20 queries for each movie make 1.24 M, the number that it gives for the interactions."""
    said = paper().dataset
    assert (said.items, said.interactions) == (62138, "1.24 M")
    assert f"{said.items * 20 / 1e6:.2f} M" == said.interactions


def test_the_trade_off_has_the_size_that_section_2_states() -> None:
    """About five times on search against content-based IDs; 60% less on recommendation than recommendation-based."""
    assert number(1, "Search", "search") / number(1, "Content", "search") == pytest.approx(5.5, abs=0.1)
    assert 1 - number(1, "Search", "rec") / number(1, "Rec.", "rec") == pytest.approx(0.6, abs=0.02)


def test_tables_that_share_a_row_agree() -> None:
    for label in ("Search", "Rec."):
        for task in ("search", "rec"):
            assert number(1, label, task) == number(2, label, task)
    for task in ("search", "rec"):
        assert number(2, "Multi-task", task) == number(3, "RQ-KMeans", task)


def test_bold_is_the_highest_and_underline_the_second_of_each_column() -> None:
    for table in paper().tables:
        for task, group in table.columns:
            cells = {row.label: row.cell(task, group) for row in table.rows}
            ranked = sorted(cells, key=lambda label: -cells[label].value)  # type: ignore[union-attr]
            assert [label for label, cell in cells.items() if cell and cell.mark == "bold"] == ranked[:1]
            seconds = [label for label, cell in cells.items() if cell and cell.mark == "underline"]
            assert seconds == (ranked[1:2] if table.number == 2 else [])


def test_only_table_1_has_deviations_and_superscripts_and_they_point_at_lower_rows() -> None:
    for table in paper().tables:
        for row in table.rows:
            for task, group in table.columns:
                cell = row.cell(task, group)
                assert cell is not None
                assert (cell.std is not None) == (table.number == 1)
                others = {other.number: other.cell(task, group) for other in table.rows}
                assert all(others[beaten].value < cell.value for beaten in cell.beats)  # type: ignore[union-attr]
    assert [row.rec[ALL].beats for row in T1.rows] == [(), (), (1, 2)]
    assert [row.search[ALL].beats for row in T1.rows] == [(), (1, 3), ()]


def test_head_and_torso_are_no_partition_in_four_rows_of_table_2() -> None:
    whole, head, torso = (column(2, "rec", group) for group in (ALL, HEAD, TORSO))
    outside = {label for label in whole if not min(head[label], torso[label]) <= whole[label]}
    assert outside == {"Search based", "Separate", "Fused concat", "Fused SVD"}
    # The other three are weighted means, and agree on the share of head cases to rounding.
    shares = [(whole[x] - torso[x]) / (head[x] - torso[x]) for x in whole if x not in outside]
    assert min(shares) == pytest.approx(0.20, abs=0.01)
    assert max(shares) == pytest.approx(0.23, abs=0.01)
    assert any("no partition" in note or "cannot partition" in note for note in T2.notes)


def test_section_5_on_the_fusions() -> None:
    """SVD improves recommendation and degrades search; both tests of Table 3's order."""
    assert number(2, "Fused SVD", "rec") > number(2, "Fused concat", "rec")
    assert number(2, "Fused SVD", "search") < number(2, "Fused concat", "search")
    assert sum(column(2, "search").values()) == pytest.approx(0.238)  # .072 .004 .028 .007 .048 .033 .046
    assert sum(column(2, "rec").values()) == pytest.approx(0.246)  # .026 .062 .032 .021 .018 .038 .049
    assert sum(column(2, "rec", HEAD).values()) == pytest.approx(0.723)
    assert sum(column(2, "rec", TORSO).values()) == pytest.approx(0.291)
    assert sum(column(3, "search").values()) == pytest.approx(0.085)
    assert sum(column(3, "rec").values()) == pytest.approx(0.125)


def test_rows_of_each_table() -> None:
    assert table_rows("1") == tuple(f"{x}/rq-kmeans/shared" for x in ("content", "search", "rec"))
    assert len(table_rows("2")) == 7
    assert table_rows("2")[2:4] == ("search+rec/rq-kmeans/separate", "search+rec/-/prefix-share")
    assert table_rows("3") == tuple(
        f"multi-task/{x}/shared" for x in ("rq-kmeans", "dictionary", "residual-lfq", "rq-vae")
    )
    assert table_rows("extra") == extra_rows()
    assert table_rows("extra")[1:3] == ("multi-task/kmeans/shared", "content+rec/-/gensar")
    whole = table_rows("all")
    assert whole == published_order()
    assert len(whole) == len(set(whole)) == 3 + 5 + 3 + 6
    assert not set(extra_rows()) & {row.scheme for table in paper().tables for row in table.rows}
    assert all(str(parse_scheme(name)) == name for name in whole)
    with pytest.raises(UserError, match="unknown table '4'"):
        table_rows("4")


def test_a_misspelt_or_missing_number_is_refused() -> None:
    for change in ({"printed": "0.72"}, {"printed": "0.072", "bold": True}, {"printed": 0.072}):
        raw = read_toml("2508.10478.toml")
        raw["tables"][0]["rows"][1]["search"]["all"] = change
        with pytest.raises(ValidationError):
            Paper.model_validate(raw)
    raw = read_toml("2508.10478.toml")
    del raw["tables"][1]["rows"][3]["rec"]["torso"]
    with pytest.raises(ValidationError, match="Table 2 differ in their columns"):
        Paper.model_validate(raw)


def test_claims_follow_the_paper_s_tables_but_for_three_that_they_contradict() -> None:
    said, printed = claims(), paper()
    against = {}
    for claim in said.claims:
        for one in said.statements(claim):
            better, worse = (printed.cell(name, one.task, one.group) for name in (one.better, one.worse))
            assert better is not None
            assert worse is not None
            if better.value <= worse.value:
                against.setdefault(claim.id, []).append((better.printed, worse.printed))
    assert against == {
        "fine-tuning-costs-the-other-task": [("0.023", "0.026")],
        "combined-over-apart-on-rec": [("0.018", "0.032"), ("0.018", "0.021")],
        "prefix-share-last-on-rec": [("0.018", "0.021")],
    }


def test_claims_marked_significant_are_the_superscripts_of_table_1() -> None:
    said = claims()
    found = {one for claim in said.claims if claim.significant for one in said.statements(claim)}
    printed = {
        (row.scheme, T1.rows[beaten - 1].scheme, task, ALL)
        for row in T1.rows
        for task, group in T1.columns
        for beaten in row.cell(task, group).beats  # type: ignore[union-attr]
    }
    assert {(one.better, one.worse, one.task, one.group) for one in found} == printed


def test_each_claim_that_reads_something_into_the_text_says_so() -> None:
    """A quote of a pair or a ratio names no baseline, and a printed order is nobody's sentence."""
    noted = {claim.id for claim in claims().claims if claim.note}
    assert noted == {
        "fine-tuning-costs-the-other-task",
        "search-boost",
        "search-cost",
        "boost-and-cost",
        "rec-flips-it",
        "torso-search-over-rec",
        "head-rec-over-search",
        "prefix-share-last-on-search",
        "prefix-share-last-on-rec",
        "multi-task-trade-off",
        "shared-over-separate-tokens",
        "rq-kmeans-over-vq-vaes",
    }


def test_every_mark_of_table_2_is_a_claim() -> None:
    said = claims()
    for task, group in T2.columns:
        ranked = sorted(T2.rows, key=lambda row: -row.cell(task, group).value)  # type: ignore[union-attr]
        where = {"search": "on-search", "rec": f"on-{'rec' if group == ALL else group}"}[task]
        for place, lower in (("best", ranked[1:]), ("second", [*ranked[2:], ranked[1]])):
            (claim,) = [claim for claim in said.claims if claim.id == f"{place}-{where}"]
            top = ranked[0 if place == "best" else 1].scheme
            found = {(one.better, one.worse) for one in said.statements(claim)}
            expected = {(top, row.scheme) for row in lower if row.scheme != top}
            assert found == expected | ({(ranked[0].scheme, top)} if place == "second" else set())


def test_claims_that_contradict_their_own_form_are_refused() -> None:
    def broken(**changes: object) -> dict[str, object]:
        raw = read_toml("claims.toml")
        raw["claims"][0] |= changes
        return raw

    part = {"task": "search", "group": "all", "better": ["search"], "worse": ["content", "rec"]}
    for changes, message in (
        ({"parts": [part]}, "kind 'pair' with 2 statements"),
        ({"kind": "ratio"}, "`stated` goes with kind 'ratio'"),
        ({"quote": "word " * 26}, "at most 25 words"),
        ({"id": "trade-off"}, "same id"),
        ({"parts": [part | {"worse": ["contnt"]}]}, "no row 'contnt'"),
        ({"verdict": "holds"}, "Extra inputs"),
    ):
        with pytest.raises(ValidationError, match=message):
            Claims.model_validate(broken(**changes))
