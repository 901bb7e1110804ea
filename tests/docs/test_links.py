"""The documents as a whole: links, files and pictures that exist, and lists that every reader of Markdown sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doc_blocks import DOCUMENTS, FENCE, PLUGIN_READMES, ROOT, read
from tests.docs.picture import PICTURE, picture

PAGES = (*DOCUMENTS, *PLUGIN_READMES, "CHANGELOG.md")
_LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]+))?\)")


def prose(document: str) -> str:
    """A document without its blocks."""
    return FENCE.sub("", read(document))


def links(document: str) -> Iterator[tuple[Path, str | None]]:
    """The file, and the anchor in it, of every link to something in the repository."""
    for target, anchor in _LINK.findall(prose(document)):
        path = (ROOT / document).parent.joinpath(target) if target else ROOT / document
        yield path.resolve(), anchor or None


def anchors(path: Path) -> set[str]:
    """Those that GitHub gives to a Markdown file's headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "") for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", PAGES)
def test_links_lead_to_files_and_anchors_that_exist(document: str) -> None:
    """Those into leaderboards/ are looked for where a clone has that folder."""
    for path, anchor in links(document):
        if path.is_relative_to(ROOT / "leaderboards") and not (ROOT / "leaderboards").exists():
            continue
        assert path.is_file(), f"{document}: no {path}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{document}: {path.name} has no heading #{anchor}"
        elif anchor:
            line = int(re.fullmatch(r"L(\d+)(?:-L\d+)?", anchor)[1])  # type: ignore[index]
            assert line <= path.read_text("utf-8").count("\n"), f"{document}: {path.name} has no line {line}"


@pytest.mark.parametrize("document", PAGES)
def test_lists_read_the_same_everywhere(document: str) -> None:
    """Python-Markdown, unlike GitHub, makes a list of a line that begins with "18. ", and none without a blank line."""
    for block in re.split(r"\n\s*\n", prose(document)):
        first, *rest = block.strip("\n").splitlines() or [""]
        last = _item(first)
        for line in rest:
            if (number := _item(line)) is not None:
                assert last is not None, f"{document}: a blank line is missing before {line!r}"
                assert number in {0, last + 1}, f"{document}: this looks like an item of a list: {line!r}"
                last = number


def _item(line: str) -> int | None:
    """The number of a list's item, 0 for one with a dash, None for other lines."""
    found = re.match(r"\s*(?:[-+*]|(\d+)\.)\s", line)
    return found and int(found[1] or 0)


def test_there_are_links_and_anchors_to_check() -> None:
    found = [link for document in PAGES for link in links(document)]
    assert len(found) > 100
    assert len([anchor for _, anchor in found if anchor]) > 10


@pytest.mark.parametrize("document", [page for page in PAGES if page != "CHANGELOG.md"])
def test_files_that_a_document_names_exist(document: str) -> None:
    """Those in backticks that begin with a folder of the repository; * stands for anything."""
    for named in re.findall(r"`((?:semidbench|tests|benchmarks|docs|\.ci|\.github)/[\w./*-]*)[^`]*`", prose(document)):
        assert list(ROOT.glob(named.rstrip("/."))), f"{document}: no {named}"


def test_documents_that_the_code_names_exist() -> None:
    sources = [*ROOT.glob("semidbench/**/*"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("tests/**/*.py")]
    sources += [*ROOT.glob("leaderboards/**/*.md"), ROOT / "pyproject.toml"]
    named = {
        (path.relative_to(ROOT), document)
        for path in sources
        if path.suffix in {".py", ".toml", ".html", ".js", ".template", ".md"}
        for document in re.findall(r"\bdocs/[\w/-]+\.(?:md|py|svg)\b", path.read_text("utf-8"))
    }
    assert len(named) > 10
    missing = [f"{path}: {document}" for path, document in named if not (ROOT / document).is_file()]
    assert not missing


def test_the_picture_shows_the_committed_results() -> None:
    if not (ROOT / "leaderboards" / "demo" / "results").exists():
        pytest.skip("no results are committed")
    assert PICTURE.read_text("utf-8") == picture(), "draw it again: python -m tests.docs.picture"
