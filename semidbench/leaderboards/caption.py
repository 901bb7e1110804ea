"""What every leaderboard says beneath its main table: the protocol, the tests, and which choices are ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from semidbench.api import TASKS, Task
from semidbench.leaderboards.verdicts.crossed_test import MIN_SEEDS

if TYPE_CHECKING:
    from semidbench.leaderboards.board import Column, Leaderboard


def caption(board: Leaderboard) -> list[str]:
    """One plain-text paragraph per entry."""
    return [
        *provisional_warning(board),
        *_numbers(board),
        *_tests(board),
        *_ours(board),
        *_left_out(board),
        *mixed_warning(board),
    ]


def short_caption(board: Leaderboard) -> list[str]:
    """What the terminal shows: seeds, tests, and where the rest is."""
    tests = _tests(board)
    details = [_task_tests(board, task) for task in TASKS] if len(tests) > 1 else []
    return [
        *provisional_warning(board),
        f"Track {board.track.name}, version {board.track.version}, {board.split} split; {seeds_line(board)}. "
        "Mean, and standard deviation over seeds beneath. Bold: best; underlined: second. #: row number, not rank.",
        _CROWDED if superscripts_crowd(board) else tests[0],
        *details,
        "Beneath the rule: reference rows, not tested. leaderboard.md says which differences hold or are likely, what "
        "that means, and which choices of the protocol are ours.",
    ]


_CROWDED = "Who beats whom stands in leaderboard.md: the superscripts of so many rows do not fit here."


def superscripts_crowd(board: Leaderboard) -> bool:
    """Whether the rows' numbers have two digits, so that a terminal has no room for the lists of them."""
    return len(board.rows) > 9


def superscripts_count(board: Leaderboard) -> bool:
    """Whether the rows are too many to list whom each beats, so that a superscript says how many it beats."""
    return len(board.rows) > 30


HOW_OFTEN_WRONG = "How often these tests find something where there is nothing: docs/explanation/false-alarms.md."

_HELD_OUT = {
    "test": "test queries are paraphrases or otherwise held out, and no test query equals a training query",
    "development": "held out are the last fifth of each item's training queries and each user's second-last "
    "interaction; a held-out query may equal a training query of another item",
}


def provisional_warning(board: Leaderboard) -> list[str]:
    """A warning if some row has too few seeds for a verdict."""
    few = f"Provisional: a row with fewer than {MIN_SEEDS} seeds shows a direction and no more; it has no verdicts."
    return [few] if board.provisional else []


def mixed_warning(board: Leaderboard) -> list[str]:
    """A warning if the results were not all made with the same code, libraries and machines."""
    states = ", ".join(board.mixed)
    return [f"Take care: the results were made with more than one state of: {states}."] if states else []


def _left_out(board: Leaderboard) -> list[str]:
    if not board.left_out:
        return []
    return [
        "Schemes with results that this table and its tests leave out (m counts the pairs of the rows shown): "
        f"{', '.join(board.left_out)}."
    ]


def _numbers(board: Leaderboard) -> list[str]:
    rule = board.track.evaluation
    return [
        f"Track {board.track.name}, version {board.track.version}, {board.split} split; {seeds_line(board)}.",
        data_line(board),
        f"R@{rule.primary} counts items. Mean ± standard deviation over seeds (ddof 1; a dash for a single seed). "
        "Bold: the best mean of a column's schemes; underlined: the second. #: the row's number, not its rank.",
        f"Head: cases whose target is one of the {100 * rule.head_share:.4g}% of items with the most training "
        "interactions (rounded up, ties by item number); Torso: the others; All is their mean, weighted by their test "
        "items or users.",
        "Reference rows are not generative: what one would use instead. They are outside the tests.",
    ]


def data_line(board: Leaderboard) -> str:
    """The dataset's hash and counts, and its ceiling where it has one."""
    facts = board.dataset
    return (
        f"Data {facts.sha256[:12]}: {facts.items:,} items ({facts.load:.2f} per possible ID), {facts.users:,} users, "
        f"{facts.train_interactions:,} training interactions, {facts.train_queries:,} training and "
        f"{facts.test_queries:,} held-out queries{_ceiling(board)}."
    )


def _ceiling(board: Leaderboard) -> str:
    """What queries that were written for several items leave to reach; nothing where that is all there is."""
    facts, reached = board.dataset, f"{board.dataset.query_recall_ceiling:.3f}"
    if reached == "1.000":
        return ""
    return (
        f"; {100 * facts.shared_query_share:.1f}% of the held-out queries were written for several items, so no "
        f"ranking by the text alone can exceed a search R@{board.track.evaluation.primary} of {reached}"
    )


def seeds_line(board: Leaderboard) -> str:
    """Which seeds each row has."""
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for row in (*board.rows, *board.references):
        by_seeds.setdefault(row.seeds, []).append(row.name)
    texts = [", ".join(map(str, seeds)) for seeds in by_seeds]
    if len(texts) == 1:
        return f"every row has the seeds {texts[0]}"
    lists = zip(texts, by_seeds.values(), strict=True)
    return "rows differ in their seeds: " + "; ".join(f"{text} for {', '.join(names)}" for text, names in lists)


def _tests(board: Leaderboard) -> list[str]:
    """The paper's test in one line, the verdicts in another, and then the numbers of both by task."""
    if not any(column.tests.m for column in board.columns):
        return ["No significance tests: they need two schemes and two test cases at least."]
    rule = board.track.evaluation
    superscripts = "how many schemes" if superscripts_count(board) else "numbers of the schemes that"
    return [
        f"Superscripts: {superscripts} the row beats significantly by the paper's test: two-sided paired Student's "
        f"t-tests over test items or users, of means over each row's seeds, at alpha = {rule.alpha:g}, Bonferroni-"
        "corrected over the m pairs of schemes in the column. It leaves out that other seeds give other means. n: test "
        f"items or users; d: the smallest difference that it finds with power {rule.power:g}, from the largest "
        "standard deviation of paired differences in the column.",
        verdict_rule(board),
        *(_task_tests(board, task) for task in TASKS),
    ]


def verdict_rule(board: Leaderboard) -> str:
    """What holds, likely and unsettled mean."""
    rule, equivalence = board.track.evaluation, board.track.equivalence
    equivalent = (
        f" Equivalent: the {100 * (1 - 2 * rule.alpha):g}% interval lies within ±{equivalence.margin:g} (our margin)."
        if equivalence
        else ""
    )
    return (
        "Verdicts are about other seeds and other test items or users, too: both are random in a crossed (quasi-F) "
        "test, each row has its own seeds, and the seeds' variance is moderated over the column's rows. A difference "
        f"holds if it is significant at {rule.alpha:g} after Holm's correction over the column's pairs, it is likely "
        "after Benjamini and Hochberg's (of all that hold or are likely, at most that share is expected to be wrong), "
        "and else unsettled, which does not mean equal. Rows with fewer than "
        f"{MIN_SEEDS} seeds are provisional.{equivalent} {HOW_OFTEN_WRONG}"
    )


def _task_tests(board: Leaderboard, task: Task) -> str:
    units = {"search": "test items (mean over an item's queries)", "rec": "users"}
    columns = [_column(board, column) for column in board.columns if column.task == task]
    return f"{'Search' if task == 'search' else 'Recommendation'}: the units are {units[task]}. {'; '.join(columns)}."


def _column(board: Leaderboard, column: Column) -> str:
    tests, verdicts = column.tests, column.verdicts
    start = f"{column.group.title()} ({column.n_cases:,} cases): n = {tests.n:,}, m = {tests.m}"
    if not tests.m:
        return f"{start}, not tested"
    found = "none" if tests.detectable is None else f"{tests.detectable:.3f}"
    start += f", d = {found}"
    hold, likely = int(verdicts.holds.sum()), int(verdicts.likely.sum())
    judged = f"{hold} hold, {likely} are likely, {verdicts.m - hold - likely} unsettled"
    if board.track.equivalence:
        judged += f", {int(np.triu(verdicts.equivalent(board.track.equivalence.margin)).sum())} equivalent"
    return f"{start}; {judged if verdicts.m else 'no verdicts'}"


def _examples(board: Leaderboard) -> str:
    cap = board.track.training.prefixes_per_user
    return "every prefix of a history" if cap is None else f"the latest {cap} prefixes of each history"


def _ours(board: Leaderboard) -> list[str]:
    track = board.track
    history = f"the IDs of up to the last {track.prompts.history} items, oldest first"
    choices = [
        "a generated ID stands for all its items and ties within an ID are broken uniformly at random, in expectation "
        "(closed form)",
        "an ID found by several beam groups counts once, with its best score",
        "decoding is constrained to IDs that exist for the task",
        f"the prompts are '{track.prompts.search}' and '{track.prompts.rec}', where the history is {history}",
        "items of the history stay in the ranking",
        f"every interaction counts; {_examples(board)} and all queries are shuffled together, unweighted",
        _HELD_OUT[board.split],
        "Head and Torso partition the test cases by target item (the paper's Table 2 does not)",
        "the units of the t-tests, their Bonferroni family, and the verdicts",
    ]
    return [f"Ours, the paper is silent: {'; '.join(choices)}."]
