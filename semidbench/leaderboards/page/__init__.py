"""All leaderboards as one HTML page that needs no network.

Read `render`, then `track_view` (one track). Its parts: `pairs` (the tests), `id_tables`, `origin` (where a row comes
from), `tradeoff` (a plot, with `axes` and `labels`). `escaping` makes text from results harmless.
"""

from __future__ import annotations

from semidbench.leaderboards.page.render import render_page

__all__ = ["render_page"]
