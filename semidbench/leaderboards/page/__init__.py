"""All leaderboards as one HTML page that needs no network."""

from __future__ import annotations

from semidbench.leaderboards.page.render import render_page

__all__ = ["render_page"]
