"""The workflow for pull requests: least rights, and every command in it and in its script exists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from semidbench.cli.app import app

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / ".ci" / "leaderboards"


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/leaderboards.yml").read_text())
    return found


def test_it_has_the_least_rights(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"pull_request"}  # YAML reads `on` as a truth value; pull_request_target has secrets
    assert "secrets" not in yaml.safe_dump(workflow)
    (job,) = workflow["jobs"].values()
    assert "permissions" not in job
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert uses
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", one) for one in uses)
    checkout = next(step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout"))
    assert checkout["with"]["persist-credentials"] is False


def test_nothing_of_the_pull_request_is_pasted_into_a_command(workflow: dict[str, Any]) -> None:
    (job,) = workflow["jobs"].values()
    assert not any("${{" in step.get("run", "") for step in job["steps"])


def test_its_commands_exist(workflow: dict[str, Any]) -> None:
    (job,) = workflow["jobs"].values()
    lines = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
    programs = {line.split()[0] for line in lines}
    assert str(SCRIPT.relative_to(ROOT)) in programs
    for program in programs:
        assert os.access(ROOT / program, os.X_OK) or shutil.which(program), program


def test_the_scripts_commands_exist() -> None:
    assert subprocess.run(["bash", "-n", SCRIPT]).returncode == 0
    commands = re.findall(r"^\s*(?:\w+\) )?semidbench ([a-z-]+(?: build)?)((?: --[a-z-]+)*)", SCRIPT.read_text(), re.M)
    assert {name for name, _ in commands} == {"verify", "leaderboard build", "check", "run"}
    for name, options in commands:
        command: Any = get_command(app)
        for part in name.split():
            command = command.commands[part]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(options.split()) <= known, name


def test_ci_runs_the_same_script() -> None:
    assert ".ci/leaderboards" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize(
    ("plugin", "some"),
    [
        ("semidbench-joint-ids", {"method layout gensar", "row content+rec/-/gensar"}),
        ("semidbench-popularity", {"method ranker popularity"}),
    ],
)
def test_a_plugins_methods_and_rows_are_named(plugin: str, some: set[str]) -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / ".ci/plugin_rows.py", ROOT / "plugins" / plugin],
        capture_output=True,
        text=True,
        check=True,
    )
    assert some <= set(ran.stdout.splitlines())
