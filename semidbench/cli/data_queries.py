"""`semidbench data queries`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semidbench.cli.app import TrackName
from semidbench.cli.data import data_app
from semidbench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from semidbench.dataset.queries.llm.ask import Tally
    from semidbench.dataset.queries.llm.client import Endpoint
    from semidbench.dataset.queries.llm.write import QueryPlan
    from semidbench.tracks.track import MovieLens


@data_app.command()
def queries(
    data: Annotated[Path, typer.Option(help="Folder with the track's data; the queries go there.", file_okay=False)],
    model: Annotated[str, typer.Option(help="The model's name at the endpoint.")],
    base_url: Annotated[str, typer.Option(help="Of any OpenAI-compatible API, e.g. https://api.openai.com/v1.")],
    track: TrackName = "paper",
    api_key_variable: Annotated[str, typer.Option(help="Environment variable with the key.")] = "OPENAI_API_KEY",
    concurrency: Annotated[int, typer.Option(min=1, help="Questions at the same time.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask for at most so many items in this run.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="Default: the endpoint's own.")] = None,
    price_in: Annotated[float | None, typer.Option(min=0, help="Price of a million tokens of prompts.")] = None,
    price_out: Annotated[float | None, typer.Option(min=0, help="Price of a million tokens of answers.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to begin.")] = False,
) -> None:
    """Let a language model write each item's queries, into DATA/queries.jsonl.

    The cost is estimated first. Every answer is kept when it comes (DATA/queries.journal.jsonl): after a kill or an
    error, the same command goes on from there and asks for nothing twice.

    \b
    semidbench data queries --track paper --data DIR --model gemini-2.0-flash --base-url URL
    """
    from rich.console import Console

    from semidbench.dataset.movielens.read import read_movielens
    from semidbench.dataset.queries.llm.client import Endpoint
    from semidbench.dataset.queries.llm.write import exclusive_use, plan_queries

    _require_client()
    section = _section(track)
    prices = _prices(price_in, price_out)
    if not data.is_dir():
        raise UserError(
            f"data folder {data} does not exist. `semidbench data fetch --track {track} --data DIR` makes one"
        )
    console = Console(stderr=True)
    with exclusive_use(data):
        read = read_movielens(section, data)
        plan = plan_queries(section, read.catalogue, read.movie_ids, data, model, temperature)
        _print(console, *plan.notes, *_estimate(plan, limit, prices))
        endpoint = Endpoint(base_url, model, os.environ.get(api_key_variable, ""), api_key_variable, temperature)
        if plan.to_ask:
            _confirm(endpoint, yes)
        tally = _ask(console, plan, endpoint, concurrency, limit)
        _report(console, plan, tally)


def _section(name: str) -> MovieLens:
    from semidbench.tracks.files import load_track
    from semidbench.tracks.track import MovieLens

    section = load_track(name).dataset
    if not isinstance(section, MovieLens) or section.queries != "file":
        raise UserError(
            f'track {name} reads no queries of a language model. Name a track with recipe = "movielens" and '
            'queries = "file", such as paper'
        )
    return section


def _prices(price_in: float | None, price_out: float | None) -> tuple[float, float] | None:
    if price_in is None and price_out is None:
        return None
    if price_in is None or price_out is None:
        raise UserError("a price is missing. Give both --price-in and --price-out, or neither")
    return price_in, price_out


def _estimate(plan: QueryPlan, limit: int | None, prices: tuple[float, float] | None) -> list[str]:
    asked = len(plan.to_ask[:limit])
    done = f"{len(plan.answers):,} of {len(plan.items):,} items are answered"
    if not asked:
        return [done]
    tokens_in, tokens_out = plan.tokens(limit)
    cost = "give --price-in and --price-out to see the cost"
    if prices:
        cost = f"together {(tokens_in * prices[0] + tokens_out * prices[1]) / 1e6:,.2f} at the prices given"
    return [
        done,
        f"To ask: {asked:,} items, about {tokens_in:,} tokens in and {tokens_out:,} out; {cost}. An estimate: 4 "
        "characters a token, 16 tokens a query; answers that must be asked for again, and a model's thinking, are "
        "extra.",
    ]


def _require_client() -> None:
    from importlib.util import find_spec

    for library in ("openai", "sklearn"):
        if find_spec(library) is None:
            raise UserError(
                f"asking a language model needs {library}, which is missing: pip install 'semidbench[data]'"
            )


def _confirm(endpoint: Endpoint, yes: bool) -> None:
    if not endpoint.api_key:
        raise UserError(
            f"no key in the environment variable {endpoint.key_variable}. Put it there, or name another variable with "
            "--api-key-variable (a server of your own may accept any text)"
        )
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError("the questions may cost money, and there is no terminal to confirm that at. Add --yes to begin")
    if not typer.confirm("Ask?", err=True):
        raise typer.Exit(1)


def _ask(console: Console, plan: QueryPlan, endpoint: Endpoint, concurrency: int, limit: int | None) -> Tally:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from semidbench.dataset.queries.llm.write import ask_for_queries

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), Remaining())
    with Progress(
        TextColumn("items"), *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("items", total=len(plan.to_ask[:limit]))
        return ask_for_queries(
            plan,
            endpoint,
            concurrency=concurrency,
            limit=limit,
            progress=lambda done: bar.update(task, completed=done),
        )


def _report(console: Console, plan: QueryPlan, tally: Tally) -> None:
    from semidbench.dataset.movielens.locate import QUERIES
    from semidbench.dataset.queries.llm.write import REJECTED

    if tally.replies:
        _print(
            console,
            f"{tally.kept:,} items answered in {tally.replies:,} answers; the endpoint counted {tally.tokens_in:,} "
            f"tokens in and {tally.tokens_out:,} out",
        )
    left = len(plan.to_ask) - tally.kept
    if tally.rejected:
        raise UserError(
            f"{len(tally.rejected):,} items were given up, of {left:,} that are left: {plan.folder / REJECTED} has "
            "the reasons. The others are kept. Run the same command to ask for these again"
        )
    if left:
        _print(console, f"{left:,} items are left. Run the same command to go on")
        return
    _print(console, f"Written: {plan.folder / QUERIES}")


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
