"""Names in Markdown are text: nothing is lost, and nothing in them becomes markup or a link."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from semidbench.leaderboards.grids import Cell, Grid
from semidbench.leaderboards.markdown import md_table, md_text

# GFM 6.9, and a little more. GitHub looks for these in the text between two pieces of markup, entities read.
LINK = re.compile(r"(?<![a-z0-9])www\.|(?:https?|ftp)://\S|[a-z0-9.+_:-]@[a-z0-9._-]*\.[a-z0-9_-]*[a-z]", re.I)
PARTS = ["www", ".", "http", "https", "FTP", ":", "//", "a", "@", "b.co", "www.", "://", "@b.co", "_", "-", "+", "1"]
MARKUP = [*r"\`*_{}[]<>|~$&#()=/;!", " ", "é", "&#64;", "<!--", "-->", "&amp;", "mailto:", "xmpp:"]


def text_pieces(markdown: str) -> list[str]:
    """The texts of a table's first cell, as they stand between pieces of markup."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    cell = next(token for token in tokens[[token.type for token in tokens].index("td_open") :] if token.children)
    pieces = [child for child in cell.children or () if child.type != "html_inline" or child.content != "<!-- -->"]
    assert all(child.type == "text" for child in pieces)
    return [child.content for child in cell.children or () if child.type == "text"]


@given(st.lists(st.sampled_from(PARTS + MARKUP), min_size=1, max_size=24).map("".join).filter(str.strip))
def test_a_name_is_text_and_no_link(name: str) -> None:
    pieces = text_pieces(md_table(Grid("", ("a",), ((Cell(name),),))))
    assert "".join(pieces) == " ".join(name.split())
    assert not any(LINK.search(piece) for piece in pieces)


@pytest.mark.parametrize(
    "text",
    [
        "content/sign[a=… www.evil.example a@b.co]/shared",
        "_www.evil.example",
        "www. _",
        "(HTTPS://evil.example)",
        "1ftp://evil.example",
        "mailto:a.b+c@d-e.co",
        "xmpp:a_@b.co/c",
        "xmpp:@.co",
    ],
)
def test_what_github_links_is_cut(text: str) -> None:
    assert md_text(text).replace("<!-- -->", "").replace("\\", "") == text
    assert not any(LINK.search(piece) for piece in text_pieces(f"| a |\n|---|\n| {md_text(text)} |"))


@pytest.mark.parametrize(
    "text", ["R@30.", "R@30 .088", "a@b", "@home.co", "awww.x", "www", "s3://x", "http:", "a.b.co"]
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert md_text(text) == text
