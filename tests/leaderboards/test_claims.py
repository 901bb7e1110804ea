"""The claims ledger on synthetic results whose winners are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from semidbench.leaderboards.board import leaderboard
from semidbench.leaderboards.claims.compare import to_markdown
from semidbench.leaderboards.claims.judge import JudgedStatement, Judgement, Ledger, counts, judge, judge_claims
from semidbench.leaderboards.claims.ledger import (
    claims_grid,
    ledger_caption,
    ledger_json,
    short_ledger_caption,
    statements_grid,
)
from semidbench.published import claims
from semidbench.published.statements import Statement
from tests.facts import FACTS
from tests.leaderboards.test_leaderboard import CONTENT, REC, SEARCH, environment_of, write

CONCAT, SVD = "fused-concat/rq-kmeans/shared", "fused-svd/rq-kmeans/shared"
SKILLS = {CONTENT: (0.3, 0.3), SEARCH: (0.6, 0.0), REC: (0.0, 0.6), SVD: (0.6, 0.45), CONCAT: (0.6, 0.0)}


def ledger_of(out: Path, seeds: int, names: tuple[str, ...] = tuple(SKILLS)) -> Ledger:
    for name in (*names, "-/-/random"):
        for seed in range(seeds):
            write(out, name, seed, *SKILLS.get(name, (0.0, 0.0)))
    return judge(leaderboard("smoke", out))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return ledger_of(tmp_path_factory.mktemp("out"), 3)


def of(ledger: Ledger, id: str) -> Judgement:
    return next(one for one in ledger.judgements if one.claim.id == id)


def test_every_claim_is_judged(ledger: Ledger) -> None:
    assert [one.claim.id for one in ledger.judgements] == [claim.id for claim in claims().claims]
    assert {one.claim.id: one.verdict for one in ledger.judgements if one.verdict != "not run"} == {
        "search-over-content-on-search": "holds",
        "search-over-rec-on-search": "holds",
        "rec-over-content-on-rec": "holds",
        "rec-over-search-on-rec": "holds",
        "fine-tuning-costs-the-other-task": "holds",
        "trade-off": "holds",
        "search-boost": "holds",
        "search-cost": "holds",
        "boost-and-cost": "holds",
        "rec-flips-it": "holds",
        "best-on-torso": "fails",  # one of its statements does, whatever has not been run
        "second-on-torso": "fails",
        "torso-search-over-rec": "fails",
        "head-rec-over-search": "holds",
        "svd-over-concat-on-rec": "holds",
        "concat-over-svd-on-search": "undecided",
    }
    assert sum(counts(ledger.judgements).values()) == len(ledger.judgements)


def test_numbers_are_those_of_the_leaderboard(ledger: Ledger) -> None:
    board = ledger.board
    rows = [row.name for row in board.rows]
    for finding in ledger.findings:
        said = finding.statement
        if finding.verdict == "not run":
            assert said.better not in rows or said.worse not in rows
            assert finding.difference is None
            continue
        column = next(one for one in board.columns if (one.task, one.group) == (said.task, said.group))
        a, b = rows.index(said.better), rows.index(said.worse)
        tests, verdicts = column.tests, column.verdicts
        assert (finding.p, finding.reversed_p) == (verdicts.tests.one_sided[a, b], verdicts.tests.one_sided[b, a])
        assert finding.difference == verdicts.difference[a, b]
        assert (finding.seeds_ahead, finding.seeds_behind) == (tests.seeds_ahead[a, b], tests.seeds_ahead[b, a])
        ahead, word = finding.difference > 0, verdicts.verdict(a, b)
        assert finding.verdict == (word if ahead or word == "unsettled" else f"reverse {word}")
        assert finding.means == (board.rows[a].mean(column.key), board.rows[b].mean(column.key))
        assert finding.paper_p == tests.p[a, b]
        assert finding.paper_test is not None
        assert finding.paper_test.p == pytest.approx(tests.uncorrected_p[a, b], rel=1e-9)
    assert {finding.verdict for finding in ledger.findings} >= {"holds", "reverse holds", "unsettled", "not run"}


def test_means_are_over_all_seeds_of_each_row(tmp_path: Path) -> None:
    for seed in range(3):
        write(tmp_path, SEARCH, seed, 0.1 + 0.3 * seed, 0.0)
    for seed in range(1, 4):
        write(tmp_path, CONTENT, seed, 0.2, 0.0)
    ledger = judge(leaderboard("smoke", tmp_path))
    (finding,) = of(ledger, "search-over-content-on-search").findings
    rows = {row.name: row for row in ledger.board.rows}
    key = ("search", "all", "R@30")
    assert finding.n_seeds == 2
    assert finding.means == (rows[SEARCH].mean(key), rows[CONTENT].mean(key))
    assert finding.difference == pytest.approx(rows[SEARCH].means[key] - rows[CONTENT].means[key])  # type: ignore[operator]
    alone = of(ledger, "search-over-rec-on-search").findings[0]
    assert (alone.means, alone.verdict) == ((rows[SEARCH].mean(key), None), "not run")
    text = " ".join(ledger_caption(ledger))
    assert f"rows differ in their seeds: 1, 2, 3 for {CONTENT}; 0, 1, 2 for {SEARCH}" in text


@pytest.mark.parametrize("seeds", [1, 2])
def test_with_few_seeds_nothing_is_decided(tmp_path: Path, seeds: int) -> None:
    ledger = ledger_of(tmp_path, seeds)
    assert {one.verdict for one in ledger.judgements} == {"provisional", "not run"}
    assert {one.p for one in ledger.judgements} == {None}
    assert ledger_caption(ledger)[0].startswith("Provisional:")
    lines = {row[0].text: row[-1].text for row in claims_grid(ledger).rows}
    assert lines["Search-based IDs beat content-based ones on search"] == "provisional: ahead"
    assert lines["On torso items, search-based IDs beat recommendation-based ones"] == "provisional: behind"
    assert lines["Each task-specific ID wins its own task and loses the other's"] == "provisional: 2 of 2 ahead"


def test_far_ahead_in_half_of_the_seeds_decides_nothing(tmp_path: Path) -> None:
    for seed, skill in enumerate((0.9, 0.9, 0.0, 0.0)):
        write(tmp_path, SEARCH, seed, skill, 0.0)
        write(tmp_path, CONTENT, seed, 0.2, 0.0)
    judgement = of(judge(leaderboard("smoke", tmp_path)), "search-over-content-on-search")
    (finding,) = judgement.findings
    assert finding.paper_p is not None
    assert finding.paper_p < 0.05
    assert (finding.seeds_ahead, finding.seeds_behind, finding.verdict) == (2, 2, "unsettled")
    assert judgement.verdict == "undecided"


ONE = next(claim for claim in claims().claims if claim.id == "search-boost")
TWO = next(claim for claim in claims().claims if claim.id == "trade-off")


def finding_with(p: float | None, verdict: str = "unsettled") -> JudgedStatement:
    reverse = None if p is None else 1 - p
    statement = Statement(SEARCH, REC, "search", "all")
    difference = 0.0 if p is None else 0.5 - p
    return JudgedStatement(  # the tables' word plays no part in a claim, but for what was not tested
        statement,
        ("0.072", "0.004"),
        (0.2, 0.1),
        difference,
        p=p,
        reversed_p=reverse,
        verdict=verdict,  # type: ignore[arg-type]
    )


UNTESTED, NOT_RUN = finding_with(None, "provisional"), finding_with(None, "not run")


@pytest.mark.parametrize(
    ("findings", "p", "verdict", "deciding"),
    [
        ((finding_with(0.001), finding_with(0.02)), 0.04, "holds", 1),
        ((finding_with(0.001), finding_with(0.03)), 0.06, "undecided", 1),
        ((finding_with(0.001), finding_with(0.99)), 0.04, "fails", 1),  # 2 sides x 2 statements x .01
        ((finding_with(0.001), finding_with(0.98)), 0.08, "undecided", 1),
        ((finding_with(0.995), finding_with(0.999)), 0.004, "fails", 1),
        ((finding_with(0.999), UNTESTED), 0.004, "fails", 0),  # one failure fails it, whatever was not tested
        ((finding_with(0.999), NOT_RUN), 0.004, "fails", 0),
        ((finding_with(0.0001), UNTESTED), 1, "provisional", 1),
        ((finding_with(0.0001), NOT_RUN), 1, "not run", 1),
        ((UNTESTED, NOT_RUN), None, "not run", 1),
        ((UNTESTED, UNTESTED), None, "provisional", 0),
    ],
)
def test_a_claim_of_two_statements(
    findings: tuple[JudgedStatement, ...], p: float | None, verdict: str, deciding: int
) -> None:
    (judgement,) = judge_claims([TWO], [findings], 0.05)
    assert judgement.p == (None if p is None else pytest.approx(p))
    assert judgement.verdict == verdict
    assert judgement.deciding is findings[deciding]
    assert judgement.n_ahead == sum((finding.difference or 0) > 0 for finding in findings)


def test_claims_are_corrected_for_those_with_results_alone() -> None:
    findings = [(finding_with(p),) for p in (0.001, 0.006, 0.01, 0.9)] + [(NOT_RUN,)]
    judgements = judge_claims([ONE] * 5, findings, 0.05)
    assert [one.p for one in judgements] == [pytest.approx(p) for p in (0.008, 0.036, 0.04, 0.2)] + [None]
    assert [one.verdict for one in judgements] == ["holds", "holds", "holds", "undecided", "not run"]
    assert judge_claims([ONE] * 5, findings, 0.04)[2].verdict == "undecided"
    board = Ledger(None, judgements)  # type: ignore[arg-type]
    assert board.family == 4


def test_the_ledger_shows_the_size_that_the_paper_states_beside_ours(ledger: Ledger) -> None:
    line = next(row for row in claims_grid(ledger).rows if "about 5 times" in row[0].text)
    (finding,) = of(ledger, "search-boost").findings
    ours, theirs = finding.means
    assert ours is not None
    assert theirs
    assert line[2].text == "0.072 > 0.013 (5.5 times)"
    assert line[3].text == f"{finding.difference:+.3f} ({ours / theirs:.1f} times)"
    assert finding.difference is not None
    assert finding.half_width is not None
    low, high = finding.difference - finding.half_width, finding.difference + finding.half_width
    assert line[4].text == f"{low:+.3f} to {high:+.3f}"
    verdicts = {
        one.claim.id: row[-1].text for one, row in zip(ledger.judgements, claims_grid(ledger).rows, strict=True)
    }
    assert verdicts["search-boost"] == verdicts["search-cost"] == "holds (direction)"  # the size is not judged
    assert verdicts["search-over-content-on-search"] == "holds"
    contradicted = next(row for row in claims_grid(ledger).rows if "Separate and Prefix-share" in row[0].text)
    assert contradicted[2].text == "6 of 6 in order"
    assert "4 of 6 in order" in [row[2].text for row in claims_grid(ledger).rows]
    assert "1 of 2 in order" in [row[2].text for row in claims_grid(ledger).rows]


def test_grids_and_json_hold_every_claim_and_statement(ledger: Ledger) -> None:
    said = claims()
    distinct = {statement for claim in said.claims for statement in said.statements(claim)}
    assert len(statements_grid(ledger).rows) == len(distinct) == len(ledger.findings)
    raw = json.loads(json.dumps(ledger_json(ledger), allow_nan=False))
    assert [len(one["statements"]) for one in raw] == [len(list(said.statements(claim))) for claim in said.claims]
    assert raw[0]["verdict"] == "holds"
    assert raw[0]["corrected_p"] == pytest.approx(ledger.judgements[0].p, rel=1e-9)
    first, said_first = raw[0]["statements"][0], ledger.judgements[0].findings[0]
    assert first["one_sided_p"] == pytest.approx(said_first.p, rel=1e-9)
    assert said_first.paper_test is not None
    assert first["paper_test"]["cohens_d"] == pytest.approx(said_first.paper_test.effect_size, rel=1e-9)
    text = " ".join(ledger_caption(ledger))
    assert f"Holm-corrected over the {ledger.family} claims with results" in text
    assert ledger.family == sum(
        any(finding.verdict != "not run" for finding in one.findings) for one in ledger.judgements
    )
    assert "every row has the seeds 0, 1, 2." in text
    assert f"Data {FACTS.sha256[:12]}: 30 items" in text
    assert "find something where there is nothing: docs/explanation/false-alarms.md" in text
    assert all(one.claim.says in to_markdown(ledger).replace("\\", "") for one in ledger.judgements)


def test_mixed_results_are_pointed_out(ledger: Ledger, tmp_path: Path) -> None:
    write(tmp_path, REC, 0, 0.1, 0.1, environment=environment_of(numpy="2"))
    write(tmp_path, REC, 1, 0.1, 0.1, environment=environment_of(numpy="3"))
    mixed = judge(leaderboard("smoke", tmp_path))
    for caption in (ledger_caption, short_ledger_caption):
        assert "Take care" not in " ".join(caption(ledger))
        assert "more than one state of: the library numpy." in " ".join(caption(mixed))


def test_a_column_without_cases_runs_no_claim_about_it(ledger: Ledger, tmp_path: Path) -> None:
    """A board of which the head has no case: its means are None."""
    from dataclasses import replace

    rows = tuple(
        replace(row, means={key: None if key[1] == "head" else mean for key, mean in row.means.items()})
        for row in ledger.board.rows
    )
    bare = judge(replace(ledger.board, rows=rows))
    assert of(bare, "head-rec-over-search").verdict == "not run"
    assert of(bare, "torso-search-over-rec").verdict == "fails"
