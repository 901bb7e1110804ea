"""The claims ledger as grids, as a caption and as plain JSON values."""

from __future__ import annotations

from typing import Any

from semidbench.leaderboards.caption import data_line, mixed_warning, provisional_warning, seeds_line, verdict_rule
from semidbench.leaderboards.claims.judge import JudgedStatement, Judgement, Ledger, comparable, counts
from semidbench.leaderboards.grids import DASH, TASK_NAMES, Cell, Grid, interval_header, interval_text, ten_digits
from semidbench.leaderboards.verdicts.crossed_test import MIN_SEEDS


def claims_grid(ledger: Ledger) -> Grid:
    """One line per claim. Numbers are those of the statement that decides it."""
    interval = interval_header(ledger.board)
    headers = ("Claim", "Where", "Paper", "Ours: by", interval, "corrected p", "seeds ahead", "ahead", "Verdict")
    return Grid(_title(ledger), headers, tuple(_claim_line(judgement) for judgement in ledger.judgements))


def _title(ledger: Ledger) -> str:
    track = ledger.board.track
    return f"The paper's claims on track {track.name}, version {track.version}"


def _claim_line(judgement: Judgement) -> tuple[Cell, ...]:
    claim, deciding = judgement.claim, judgement.deciding
    return (
        Cell(f"{claim.says} (stated: {claim.stated})" if claim.stated else claim.says),
        Cell(claim.where),
        Cell(_in_print(judgement)),
        Cell(_by(deciding) + (f" ({_times(deciding.means)})" if claim.kind == "ratio" else "")),
        Cell(_interval(deciding)),
        Cell(_p(judgement.p)),
        Cell(_seeds(deciding)),
        Cell(f"{judgement.n_ahead}/{len(judgement.findings)}"),
        Cell(_verdict(judgement), best=judgement.verdict == "holds"),
    )


def _in_print(judgement: Judgement) -> str:
    """What the paper's own tables say on the claim."""
    if judgement.claim.kind == "all":
        agree = sum(finding.borne_out_in_print for finding in judgement.findings)
        return f"{agree} of {len(judgement.findings)} in order"
    better, worse = judgement.findings[0].printed
    size = f" ({_times((float(better), float(worse)))})" if judgement.claim.kind == "ratio" else ""
    return f"{better} > {worse}{size}{', significant' if judgement.claim.significant else ''}"


def short_claims_grid(ledger: Ledger) -> Grid:
    """The same without the columns that a terminal of 80 has no room for."""
    grid = claims_grid(ledger)
    dropped = ("Where", interval_header(ledger.board), "corrected p", "ahead")
    kept = [i for i, header in enumerate(grid.headers) if header not in dropped]
    headers = ("Claim", "Paper", "By", "Seeds", "Verdict")
    return Grid(grid.title, headers, tuple(tuple(row[i] for i in kept) for row in grid.rows))


def statements_grid(ledger: Ledger) -> Grid:
    """Each statement of all claims once, with every number behind its verdict."""
    interval = interval_header(ledger.board)
    headers = ("Column", "Row", "above", "Paper", "Ours", "by", interval, "one-sided p", "seeds ahead", "Verdict")
    return Grid("Every statement", headers, tuple(_statement_line(finding) for finding in ledger.findings))


def _statement_line(finding: JudgedStatement) -> tuple[Cell, ...]:
    statement = finding.statement
    return (
        Cell(f"{TASK_NAMES[statement.task]} {statement.group.title()}"),
        Cell(statement.better),
        Cell(statement.worse),
        Cell(" / ".join(finding.printed)),
        Cell(" / ".join(DASH if mean is None else f"{mean:.3f}" for mean in finding.means)),
        Cell(_by(finding)),
        Cell(_interval(finding)),
        Cell(_p(finding.p)),
        Cell(_seeds(finding)),
        Cell(_provisional(finding) if finding.verdict == "provisional" else finding.verdict),
    )


def _by(finding: JudgedStatement) -> str:
    return DASH if finding.difference is None else f"{finding.difference:+.3f}"


def _interval(finding: JudgedStatement) -> str:
    if finding.difference is None or finding.half_width is None:
        return DASH
    return interval_text(finding.difference, finding.half_width)


def _p(p: float | None) -> str:
    return DASH if p is None else "1" if p == 1 else f"{p:.1e}"


def _seeds(finding: JudgedStatement) -> str:
    return f"{finding.seeds_ahead}/{finding.n_seeds}" if finding.n_seeds else DASH


def _times(means: tuple[float | None, float | None]) -> str:
    better, worse = means
    return DASH if better is None or not worse else f"{better / worse:.1f} times"


def _verdict(judgement: Judgement) -> str:
    if judgement.verdict == "holds" and judgement.claim.kind == "ratio":
        return "holds (direction)"
    if judgement.verdict != "provisional":
        return judgement.verdict
    if len(judgement.findings) == 1:
        return _provisional(judgement.findings[0])
    return f"provisional: {judgement.n_ahead} of {len(judgement.findings)} ahead"


def _provisional(finding: JudgedStatement) -> str:
    difference = finding.difference or 0
    return f"provisional: {'ahead' if difference > 0 else 'behind' if difference < 0 else 'level'}"


def ledger_caption(ledger: Ledger) -> list[str]:
    """What the ledger says beneath: what the results are, the rule, the tests, and which readings are ours."""
    board = ledger.board
    track = board.track
    return [
        *provisional_warning(board),
        *_judged(ledger),
        f"Track {track.name}, version {track.version}; {seeds_line(board)}.",
        data_line(board),
        "Where a claim has several statements, the numbers are those of the one that decides: one that was not run or "
        "not tested, else the one that contradicts the claim most if it more likely fails, else the one that supports "
        "it least. ahead: for how many of its statements our means stand in the claimed order; seeds ahead: in how "
        "many common seeds the row was. A stated size is shown beside ours, the ratio of the two means; only the "
        "direction is judged. Ours: means over all seeds of each row.",
        "Paper: the numbers it prints, or for how many statements of the claim they stand in the claimed order.",
        *(f"Our reading. {one.claim.says}: {one.claim.note}" for one in ledger.judgements if one.claim.note),
        *mixed_warning(board),
    ]


def short_ledger_caption(ledger: Ledger) -> list[str]:
    """What the terminal shows, and where the rest is."""
    return [*provisional_warning(ledger.board), *_judged(ledger), *mixed_warning(ledger.board), "claims.md says more."]


def _judged(ledger: Ledger) -> list[str]:
    """The count, the rule and the tests."""
    board = ledger.board
    found = ", ".join(f"{verdict}: {n}" for verdict, n in counts(ledger.judgements).items())
    carried = "" if comparable(board) else " The data are not the paper's: a verdict says whether a claim carries over."
    return [
        f"{len(ledger.judgements)} claims of arXiv 2508.10478, {board.split} split. {found}.{carried}",
        "A statement says that one row is above another; its p is one-sided, by the test of the verdicts. A claim "
        "holds if all its statements do, and its p is then the largest of theirs. It fails if one is false: the number "
        "of statements times the smallest p of their opposites. The claim's p is twice the smaller of these two, "
        f"Holm-corrected over the {ledger.family} claims with results; at {board.track.evaluation.alpha:g} or more the "
        f"claim is undecided. With fewer than {MIN_SEEDS} seeds of a row it is provisional: only its direction is "
        "shown.",
        f"Every statement has the tables' verdict on its two rows, too, among all rows. {verdict_rule(board)}",
    ]


def ledger_json(ledger: Ledger) -> list[dict[str, Any]]:
    """Every claim with every statement, as JSON values."""
    return [
        {
            "id": judgement.claim.id,
            "where": judgement.claim.where,
            "quote": judgement.claim.quote,
            "says": judgement.claim.says,
            "kind": judgement.claim.kind,
            "marked_significant_in_print": judgement.claim.significant,
            "stated": judgement.claim.stated,
            "note": judgement.claim.note,
            "borne_out_in_print": judgement.borne_out_in_print,
            "corrected_p": ten_digits(judgement.p),
            "verdict": judgement.verdict,
            "statements": [_finding_json(finding) for finding in judgement.findings],
        }
        for judgement in ledger.judgements
    ]


def _finding_json(finding: JudgedStatement) -> dict[str, Any]:
    statement = finding.statement
    return {
        "task": statement.task,
        "group": statement.group,
        "better": statement.better,
        "worse": statement.worse,
        "printed": finding.printed,
        "means": [ten_digits(mean) for mean in finding.means],
        "difference": ten_digits(finding.difference),
        "margin_of_error": ten_digits(finding.half_width),
        "one_sided_p": ten_digits(finding.p),
        "reversed_one_sided_p": ten_digits(finding.reversed_p),
        "seeds_ahead": finding.seeds_ahead,
        "seeds_behind": finding.seeds_behind,
        "common_seeds": finding.n_seeds,
        "paper_test": finding.paper_test.as_json() if finding.paper_test else None,
        "paper_corrected_p": ten_digits(finding.paper_p),
        "verdict": finding.verdict,
    }
