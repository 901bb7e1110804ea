"""The documentation site: a navigation with every page, every public name, and a build without warnings."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

import semidbench
from semidbench import api, hookspecs, testing
from tests.doc_blocks import DOCUMENTS, PLUGIN_READMES, ROOT, read

PYTHON_API = "docs/reference/python-api.md"


def navigation(entries: list[Any]) -> Iterator[str]:
    """The pages of a navigation, as it names them."""
    for entry in entries:
        for value in entry.values():
            yield from navigation(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_navigation_once() -> None:
    from_script = runpy.run_path(str(ROOT / ".ci" / "site.py"))
    pages = [from_script["place"](page) for page in from_script["pages"]()]
    assert {f"plugins/{Path(readme).parent.name}.md" for readme in PLUGIN_READMES} <= set(pages)
    assert {document.removeprefix("docs/") for document in DOCUMENTS if document.startswith("docs/")} <= set(pages)
    settings = yaml.safe_load(read("mkdocs.yml"))
    assert sorted(navigation(settings["nav"])) == sorted(pages)


def test_the_python_api_has_every_public_name() -> None:
    shown = re.findall(r"^::: (\S+)$", read(PYTHON_API), re.MULTILINE)
    assert api.__name__ in shown
    missing = [name for name in semidbench.__all__ if not re.search(rf"\bsemidbench[\w.]*\.{name}\b", read(PYTHON_API))]
    assert missing == ["__version__"]
    assert {f"semidbench.testing.{name}" for name in testing.__all__} <= set(shown)
    hooks = [name for name in vars(hookspecs) if name.startswith("semidbench_")]
    assert hooks
    assert set(hooks) <= set(re.findall(r"\w+", read(PYTHON_API)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with strict checks."""
    if find_spec("zensical") is None or find_spec("mkdocstrings") is None:
        pytest.skip("the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "site.py", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return folder


class Loads(HTMLParser):
    """What a page loads by itself: addresses of scripts, styles, pictures and frames."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in {"script", "img", "iframe", "source", "video", "audio", "embed"}:
            self.found.append(values.get("src") or "")
        if tag == "link" and {"stylesheet", "preload", "preconnect", "icon"} & set((values.get("rel") or "").split()):
            self.found.append(values.get("href") or "")


def test_the_site_has_every_page_and_loads_nothing_from_elsewhere(site: Path) -> None:
    settings = yaml.safe_load(read("mkdocs.yml"))
    for page in navigation(settings["nav"]):
        assert (site / page).with_suffix(".html").is_file(), page
    written = [*site.rglob("*.html")]
    assert len(written) > 30
    for path in written:
        elsewhere = [address for address in Loads(path.read_text("utf-8")).found if re.match(r"(https?:)?//", address)]
        assert not elsewhere, f"{path.relative_to(site)} loads {elsewhere}"
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", styles)


def test_links_of_the_site_lead_to_files_of_it(site: Path) -> None:
    """Another way than the builder's own check: every relative link of every page, as the browser resolves it."""
    checked = 0
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        for target in re.findall(r"<a [^>]*href=\"?([^\"\s>]+)", text):
            path, _, _ = target.partition("#")
            if not path or re.match(r"[a-z]+:|//", path) or page.name == "404.html":
                continue
            checked += 1
            where = site / path.lstrip("/") if path.startswith("/") else page.parent / path
            assert (where / "index.html" if where.is_dir() else where).is_file(), f"{page.relative_to(site)}: {target}"
    assert checked > 500
