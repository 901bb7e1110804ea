"""What the documents hold: fenced blocks, the files that some of them stand for, commands, and tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = tuple(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md")))
)
PLUGIN_READMES = tuple(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("plugins/*/README.md")))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./-]+\.(?:py|toml|csv|jsonl|json))`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        file: the paragraph before it begins with this file's name: the block is the file.
    """

    document: str
    line: int
    language: str
    text: str
    file: str | None

    @property
    def last_line(self) -> str:
        return self.text.rstrip("\n").rpartition("\n")[2]


def read(document: str) -> str:
    """A document of the repository."""
    return (ROOT / document).read_text("utf-8")


def blocks(document: str) -> list[Block]:
    """All fenced blocks, in order."""
    return [
        Block(document, text.count("\n", 0, found.start()) + 1, found[1], found[2], _file_before(text[: found.start()]))
        for text in [read(document)]
        for found in FENCE.finditer(text)
    ]


def _file_before(text: str) -> str | None:
    paragraph = text.rstrip("\n").rpartition("\n\n")[2]
    named = _FILE.match(paragraph)
    return named[1] if named and text.endswith("\n\n") else None


def commands(document: str) -> Iterator[list[str]]:
    """The words of each `semidbench` command in the document's blocks and running text, without "..." and notes."""
    text = read(document)
    lines = [line for block in blocks(document) for line in block.text.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`(semidbench [^`]*)`", FENCE.sub("", text))
    for line in [*lines, *(" ".join(command.split()) for command in inline)]:
        if line.startswith("semidbench "):
            command = re.split(r"\s{2,}#?|\s#|$", line, maxsplit=1)[0] if line in lines else line
            yield [word for word in shlex.split(command) if word != "..."]


def section(document: str, heading: str) -> str:
    """What stands under a heading, up to the next of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    _, _, rest = read(document).partition(f"\n{heading}\n")
    assert rest, f"{document} has no heading {heading!r}"
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def table(document: str, heading: str) -> list[list[str]]:
    """The cells of the rows of the first table under a heading, without its header."""
    found = re.search(r"(?:^\|.*\n)+", section(document, heading), re.MULTILINE)
    assert found, f"{document}: no table under {heading!r}"
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in found[0].splitlines()[2:]]
