"""The documentation as a site: `python .ci/site.py [FOLDER]`, by default into build/site. Needs the extra `docs`.

The Markdown files link to each other, and to code, by their places in the repository. The site has its pages in other
places, and shows code as pages. So this script copies the pages to a folder, changes their links, and has Zensical
build them with the settings of mkdocs.yml. A dead link, a dead anchor or an unknown Python name is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

import yaml

ROOT = Path(__file__).parents[1]
DEFAULT = ROOT / "build" / "site"
BOARDS = "leaderboards/index.html"  # all leaderboards on one page
FIXED = {"README.md": "readme.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml"}
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]+)?(?=\))")
_PIPE = re.compile(r"\\\|(?=[^`\n|]*`)")  # in code in a table: GitHub wants it escaped, Python-Markdown does not
_LINE = re.compile(r"#L(\d+)(?:-L\d+)?")


def pages() -> list[str]:
    """The Markdown files that are pages of the site, as places in the repository."""
    found = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")]
    return [*FIXED, *sorted(path.relative_to(ROOT).as_posix() for path in found)]


def place(path: str) -> str:
    """Where the site has a file of the repository."""
    top, *below = PurePosixPath(path).parts
    if path in FIXED:
        return FIXED[path]
    if top == "docs":
        return "/".join(below)
    if top == "plugins" and below[1:] == ["README.md"]:
        return f"plugins/{below[0]}.md"
    return BOARDS if top == "leaderboards" else f"source/{path}.md"


def target(page: str, link: str) -> str:
    """The file of the repository that a page's link leads to."""
    return normpath(f"{PurePosixPath(page).parent}/{link}")


def moved(page: str, text: str) -> str:
    """A page's text with links that lead to where the site has their targets."""
    here = str(PurePosixPath(place(page)).parent)

    def link(found: re.Match[str]) -> str:
        there, anchor = place(target(page, found[1])), found[2] or ""
        if there == BOARDS:
            anchor = ""
        if there.startswith("source/"):
            anchor = _LINE.sub(r"#__codelineno-0-\1", anchor)
        return relpath(there, here) + anchor

    prose = [_PIPE.sub("|", _LINK.sub(link, part)) for part in _FENCE.split(text)]
    return "".join(part + block for part, block in zip(prose, [*_FENCE.findall(text), ""], strict=True))


def linked(page: str, text: str) -> Iterator[str]:
    """The files of code that a page links to."""
    for found in _LINK.finditer(_FENCE.sub("", text)):
        path = target(page, found[1])
        if place(path).startswith("source/"):
            yield path


def source(path: str) -> str:
    """A page that shows a file of code."""
    text = (ROOT / path).read_text("utf-8")
    fence = "`" * (max([2, *map(len, re.findall("`+", text))]) + 1)
    language = LANGUAGES.get(PurePosixPath(path).suffix, "text")
    settings = "---\nsearch:\n  exclude: true\nhide:\n  - toc\n---\n"
    return f'{settings}\n# {path}\n\n{fence} {{.{language} linenums="1"}}\n{text}{fence}\n'


def write_pages(folder: Path) -> None:
    """All pages of the site as Markdown, and the files beside them."""
    texts = {page: (ROOT / page).read_text("utf-8") for page in pages()}
    written = {place(page): moved(page, text) for page, text in texts.items()}
    written |= {place(path): source(path) for page, text in texts.items() for path in linked(page, text)}
    for where, text in written.items():
        (folder / where).parent.mkdir(parents=True, exist_ok=True)
        (folder / where).write_text(text, "utf-8")
    shutil.copytree(ROOT / "docs" / "assets", folder / "assets")
    (folder / BOARDS).parent.mkdir()
    shutil.copy(ROOT / BOARDS, folder / BOARDS)


def main(site: Path) -> int:
    """Write the pages and build the site; the builder's exit code."""
    with tempfile.TemporaryDirectory() as work:
        write_pages(Path(work, "pages"))
        settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
        settings |= {"docs_dir": "pages", "site_dir": "site"}
        settings["plugins"][-1]["mkdocstrings"]["handlers"]["python"]["paths"] = [str(ROOT)]
        Path(work, "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
        code = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
        done = subprocess.run(code, cwd=work, env={**os.environ, "NO_COLOR": "1"}).returncode
        if done == 0:
            if site == DEFAULT:
                shutil.rmtree(site, ignore_errors=True)
            shutil.copytree(Path(work, "site"), site, dirs_exist_ok=True)
            print(f"the site is in {site}; open {site / 'index.html'}")
        return done


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else DEFAULT))
