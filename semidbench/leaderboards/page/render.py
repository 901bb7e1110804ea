"""The page as text: templates, styles and scripts put into one file."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from semidbench.leaderboards.claims.judge import Ledger, comparable
from semidbench.leaderboards.page.escaping import script_json, visible
from semidbench.leaderboards.page.track_view import paper_tables, track_view
from semidbench.published import paper

if TYPE_CHECKING:
    from jinja2 import Environment

_SCRIPTS = ("tracks", "tables", "tips", "copy", "theme")


def render_page(ledgers: Sequence[Ledger]) -> str:
    """All tracks as one self-contained HTML page, ending in a newline.

    It loads nothing and runs its own script and styles only (a Content-Security-Policy names them by hash). Text from
    results is escaped, and characters that cannot be seen are spelled out. The bytes depend on the ledgers alone.

    Args:
        ledgers: one per track, in the order to show.
    """
    style = _asset("page.css")
    script = "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    apart = next((ledger.board for ledger in ledgers if not comparable(ledger.board)), None)
    return (
        _environment()
        .get_template("page.html")
        .render(
            policy=_policy(style, script),
            style=style,
            script=script,
            tracks=[track_view(ledger) for ledger in ledgers],
            paper=paper(),
            apart=() if apart is None else paper_tables(apart),
        )
    )


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("semidbench.leaderboards.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
    )
    environment.filters["script_json"] = script_json
    return environment


def _finalize(value: object) -> object:
    """Each value on its way into the page: text with nothing unseen in it. Markup is the templates' own."""
    return visible(value) if type(value) is str else value


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_source(style)}'; script-src '{_source(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _source(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _asset(name: str) -> str:
    return (files("semidbench.leaderboards.page") / "assets" / name).read_text("utf-8")
