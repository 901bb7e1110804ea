"""`semidbench verify`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from semidbench.cli.app import app, cause_shown
from semidbench.errors import UserError, one_line

if TYPE_CHECKING:
    from semidbench.submissions.filed_result import FiledResult
    from semidbench.submissions.verify import Verified
    from semidbench.tracks.track import Track


@app.command()
def verify(
    out: Annotated[Path, typer.Option(help="Folder of the leaderboards: OUT/TRACK/results.", file_okay=False)] = Path(
        "leaderboards"
    ),
    track: Annotated[
        list[str] | None,
        typer.Option(help="This track only, or the file of a track that is not built in. Default: all in OUT."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with the data of tracks that read some. Built-in data is always checked."),
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Run the cells again, and compare to the bit. Needs the plugins.")
    ] = False,
    scheme: Annotated[
        list[str] | None,
        typer.Option(help="With --recompute: this row only, a scheme or a ranker. Repeat it for more."),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="With --recompute: this seed only. Repeat it for more.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="With --recompute: finished stages of the same code come from here. An empty folder: none do."
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="With --recompute; auto: CUDA where there is some.")
    ] = "auto",
    traceback: Annotated[bool, typer.Option("--traceback", help="On an error, show where it happened.")] = False,
) -> None:
    """Check that runs can have written the results.

    And that the tables and the page are what the results give. Every problem is a line; exit code 2.

    Exit code 1: nothing is wrong, but --recompute leaves cells undecided, which ran elsewhere or do not run here.

    The files alone show edits, other protocol versions, missing seeds, repeated rows and stale tables. The data shows
    other test cases. --recompute shows the rest: docs/reference/verify.md says what each check can find.

    \b
    semidbench verify
    semidbench verify --track ml-small --data DIR
    semidbench verify --track demo --recompute --scheme content/rq-kmeans/shared --seed 0
    """
    from semidbench.submissions.verify import page_problems, select_results, tracks_of

    if (scheme or seed) and not recompute:
        raise UserError("--scheme and --seed choose what --recompute runs: give that too, or leave them out")
    tracks, problems = tracks_of(out, track or ())
    _print(problems)
    with cause_shown(traceback):
        boards = [_checked(each, out, data) for each in tracks]
        of_page = page_problems(boards, out)
        _print(of_page)
        count, undecided = len(problems) + len(of_page), 0
        selected = select_results(boards, scheme or [], seed or []) if recompute else [[] for _ in boards]
        for board, results in zip(boards, selected, strict=True):
            wrong, unclear = _recompute(results, board, data, cache, device) if results else (0, 0)
            count, undecided = count + len(board.problems) + wrong, undecided + unclear
            if not (board.problems or wrong or unclear):
                print(_summary(board, data))
    undecided_cells = f"{undecided} cell{'s' * (undecided > 1)} undecided"
    if count:
        raise UserError(f"{count} problem{'s' * (count > 1)} in {out}{f', and {undecided_cells}' if undecided else ''}")
    if undecided:
        print(f"{undecided_cells} in {out}, and nothing else is wrong", file=sys.stderr)
        raise typer.Exit(1)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(one_line(line))


def _checked(track: Track, out: Path, data: Path | None) -> Verified:
    """What a track's files show, and its data where that is at hand; problems are printed as they are found."""
    from semidbench.submissions.data_checks import data_at_hand, data_problems
    from semidbench.submissions.verify import verify_files

    board = verify_files(track, out)
    _print(board.problems)
    if not data_at_hand(track, data) or not board.results:
        return board
    wrong = tuple(data_problems(board.results, track, data))
    _print(wrong)
    return replace(board, problems=(*board.problems, *wrong))


def _summary(board: Verified, data: Path | None) -> str:
    from semidbench.submissions.data_checks import data_at_hand

    checked = "files and data" if data_at_hand(board.track, data) else "files only (--data DIR checks the data too)"
    counted = [
        f"{n} {noun}{'s' * (n != 1)}"
        for n, noun in ((len(board.results), "result"), (board.rows, "row"), (board.track.submission.seeds, "seed"))
    ]
    return f"{board.track.name}: {counted[0]}, {counted[1]} of {counted[2]}: nothing wrong; checked {checked}"


def _recompute(
    results: Sequence[FiledResult], board: Verified, data: Path | None, cache: Path | None, device: str
) -> tuple[int, int]:
    """Run cells again and print how each compares; how many are problems, and how many are undecided."""
    from rich.console import Console

    from semidbench.cli.progress import reporter_for
    from semidbench.submissions.recompute import recompute

    problems = undecided = 0
    with reporter_for(Console(stderr=True)) as reporter:
        for recomputed in recompute(results, board.results, board.track, data, cache, device, reporter):
            print(one_line(recomputed))
            problems += recomputed.is_problem
            undecided += recomputed.is_undecided
    return problems, undecided
