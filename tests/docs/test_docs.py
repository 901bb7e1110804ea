"""The documents do what they say: a block marked sh, python, toml or json is run or read, or in NOT_RUN, with why."""

from __future__ import annotations

import ast
import json
import os
import re
import site
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import TypeAdapter

from semidbench.methods.registry import GROUP
from semidbench.published.statements import Claim
from semidbench.tracks.files import parse_track
from semidbench.tracks.recipes import Folder
from tests.doc_blocks import DOCUMENTS, PLUGIN_READMES, ROOT, Block, blocks, commands, read

NOT_RUN = {  # document and last line of the block: why
    ("README.md", "./dev demo"): "installs from the network, and runs demo for minutes",
    ("README.md", "./dev test"): "it is what .ci/run runs, this test included",
    ("CONTRIBUTING.md", ". .venv/bin/activate"): "installs from the network; .ci/run does it",
    (
        "docs/tutorial/first-plugin.md",
        "semidbench run --split development --scheme content/sign/shared --scheme content/rq-kmeans/shared",
    ): "trains on demo for minutes",
    (
        "docs/reference/performance.md",
        ".venv-peer/bin/pip install -r benchmarks/peer-requirements.txt",
    ): "installs another environment from the network",
}
RUNNABLE = ("sh", "python", "toml", "json")
LANGUAGES = {*RUNNABLE, "", "csv"}


def left_out(block: Block) -> bool:
    return (block.document, block.last_line) in NOT_RUN


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with which sh finds this environment's programs, in an environment of its own that packages go into."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages()]
    (packages / "this.pth").write_text("".join(lines))
    for name, code in {
        "pip": "-m pip",
        "pytest": "-m pytest -p no:cacheprovider",
        "semidbench": "-c 'from semidbench.cli import main; main()'",
    }.items():
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec "{folder}/bin/python" {code} "$@"\n')
        (folder / "bin" / name).chmod(0o755)
    # pip takes the value for that of "build isolation", whatever the variable is called.
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return {**os.environ, **offline, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if any(b.language in RUNNABLE for b in blocks(each))])
def test_blocks_run(
    document: str, tmp_path: Path, environment: dict[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, in one folder and one namespace. A file that a block shows and a command wrote has that content."""
    monkeypatch.setenv("SEMIDBENCH_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    shell = Shell(tmp_path, {**environment, "SEMIDBENCH_CACHE": str(cache)})
    namespace: dict[str, Any] = {"__name__": "document"}
    for block in blocks(document):
        where = f"{document}, line {block.line}"
        if left_out(block):
            continue
        if block.language == "toml":
            check_toml(block.text, where)
        if block.language == "json":
            [json.loads(line) for line in block.text.splitlines()]
        if block.file:
            path = tmp_path / block.file
            assert not path.exists() or path.read_text("utf-8") == block.text, f"{where}: {path} has other content"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
        elif block.language == "sh":
            shell.run(block.text, where)
        elif block.language == "python":
            exec(compile("\n" * block.line + block.text, document, "exec"), namespace)


class Shell:
    """bash, from one block to the next in the folder that the last one went to."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder, self.variables, self.left = folder, variables, folder / ".left"

    def run(self, text: str, where: str) -> None:
        script = f"{text}\npwd >'{self.left}'\n"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{where}: exit code {done.returncode}\n{done.stdout[-5000:]}"
        self.folder = Path(self.left.read_text().rstrip("\n"))


def check_toml(text: str, where: str) -> None:
    """Read it as what it is a piece of."""
    found = tomllib.loads(text)
    for start, check in TOML.items():
        if start in found:
            check(found)
            return
    raise AssertionError(f"{where}: nothing here reads a table {next(iter(found))!r}")


def _is_plugin(found: dict[str, Any]) -> None:
    assert found["project"]["entry-points"][GROUP]


TOML: dict[str, Callable[[dict[str, Any]], object]] = {
    "semidbench_track": lambda found: None,  # its text is read whole, beneath
    "dataset": lambda found: Folder.model_validate(found["dataset"]),
    "claims": lambda found: TypeAdapter(list[Claim]).validate_python(found["claims"]),
    "project": _is_plugin,
}


def test_tracks_in_documents_are_tracks() -> None:
    tracks = [block for document in DOCUMENTS for block in blocks(document) if "semidbench_track = " in block.text]
    assert tracks
    for block in tracks:
        parse_track(block.text, f"{block.document}, line {block.line}")


def test_every_block_says_truly_what_it_is() -> None:
    """Fences are closed, their languages are known, and NOT_RUN names blocks that there are."""
    every = [block for document in DOCUMENTS for block in blocks(document)]
    assert {block.language for block in every} <= LANGUAGES
    assert {(block.document, block.last_line) for block in every if block.language in RUNNABLE} >= NOT_RUN.keys()
    for document in DOCUMENTS:
        assert read(document).count("```") == 2 * len(blocks(document)), f"{document} has a fence that is not closed"


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the command line that does something, with its words."""
    for name, below in getattr(command, "commands", {}).items():
        yield from leaves(below, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


@pytest.fixture(scope="module")
def application() -> Any:
    from semidbench.cli import app

    return typer.main.get_command(app)


@pytest.mark.parametrize("document", [*DOCUMENTS, *PLUGIN_READMES])
def test_commands_and_their_options_exist(document: str, application: Any) -> None:
    for words in commands(document):
        command, rest = application, words[1:]
        while rest and rest[0] in getattr(command, "commands", {}):
            command, rest = command.commands[rest[0]], rest[1:]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        options = {word.partition("=")[0] for word in rest if word.startswith("--")}
        unknown = options - known or ({rest[0]} if rest and hasattr(command, "commands") and not options else set())
        assert not unknown, f"{document}: {' '.join(words)}: no {', '.join(unknown)}"


def test_the_readme_lists_every_command_and_help_explains_each_option(application: Any) -> None:
    readme = read("README.md")
    for path, command in leaves(application):
        assert f"semidbench {' '.join(path)}" in readme, f"the README does not list {' '.join(path)}"
        assert command.help, path
        for parameter in command.params:
            assert parameter.help, f"{' '.join(path)}: {parameter.name} has no help"


def test_the_readme_maps_every_folder() -> None:
    """One line for each folder, under 30 lines, and every file that a line names is in its folder."""
    (block,) = [each for each in blocks("README.md") if each.text.startswith("semidbench/ ")]
    lines = block.text.splitlines()
    assert len(lines) < 30
    mapped = {}
    for line in lines:
        name, _, about = line.strip().partition(" ")
        folder = ROOT / ("semidbench" if line.startswith(" ") else "") / name
        assert folder.is_dir(), line
        assert about, line
        missing = [file for file in re.findall(r"\w+\.py", about) if not (folder / file).exists()]
        assert not missing, f"{line}: no {', '.join(missing)}"
        mapped[folder] = about
    folders = {path.parent for path in ROOT.glob("semidbench/*/__init__.py")}
    others = {ROOT / name for name in ("semidbench", "plugins", "leaderboards", "benchmarks", "docs", "tests")}
    assert mapped.keys() == folders | others


def test_every_folder_says_what_it_is_for_and_in_which_order_to_read_it() -> None:
    """Its `__init__` names every module of the folder; that of cli/ has a list of the commands."""
    for path in set(ROOT.glob("semidbench/*/**/__init__.py")) - {ROOT / "semidbench" / "cli" / "__init__.py"}:
        about = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        modules = {module.stem for module in path.parent.glob("[a-z]*.py")}
        modules |= {f"{folder.parent.name}/" for folder in path.parent.glob("*/__init__.py")}
        missing = sorted(name for name in modules if f"`{name}`" not in about)
        assert not missing, f"{path.relative_to(ROOT)} does not name {', '.join(missing)}"


def test_a_first_plugin_is_small() -> None:
    tutorial = "docs/tutorial/first-plugin.md"
    sizes = {block.file: sum(map(bool, block.text.splitlines())) for block in blocks(tutorial) if block.file}
    assert sizes["semidbench-sign/semidbench_sign.py"] <= 25
    assert sizes["semidbench-sign/pyproject.toml"] <= 12
    assert sizes["semidbench-sign/tests/test_sign.py"] <= 8
