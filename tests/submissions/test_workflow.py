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
from semidbench.leaderboards.build import build, write
from semidbench.results.cell_result import protocol_sha256
from semidbench.runs import run as runs
from semidbench.runs.run import run
from semidbench.submissions.submit import submit
from semidbench.tracks.files import load_track
from tests.sites import add_plugin

ROOT = Path(__file__).parents[2]
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


def test_it_installs_as_a_contributor_does_with_torch_from_the_index_of_the_readme(workflow: dict[str, Any]) -> None:
    (job,) = workflow["jobs"].values()
    (step,) = (step for step in job["steps"] if "./dev setup" in step.get("run", "").splitlines())
    assert f"TORCH_INDEX={step['env']['TORCH_INDEX']} ./dev demo\n" in (ROOT / "README.md").read_text()
    assert not any("pip install" in step.get("run", "") for step in job["steps"])


def test_it_runs_whenever_what_it_needs_changes(workflow: dict[str, Any]) -> None:
    paths = set(workflow[True]["pull_request"]["paths"])
    needed = {"pyproject.toml", "constraints.txt", "torch.txt", "dev", ".ci/**", ".github/workflows/**", "plugins/**"}
    assert needed <= paths
    assert all((ROOT / path.removesuffix("/**")).exists() for path in paths)


def test_ci_runs_the_same_script() -> None:
    assert ".ci/leaderboards" in (ROOT / ".ci" / "run").read_text()


def copied(tmp_path: Path, *plugins: str) -> Path:
    """The script beside the boards of a run and folders of these plugins, which hold what names them and no code."""
    root = tmp_path / "checkout"
    (root / "plugins").mkdir(parents=True)
    shutil.copytree(ROOT / ".ci", root / ".ci", ignore=shutil.ignore_patterns("__pycache__"))
    for plugin in plugins:
        (root / "plugins" / plugin).mkdir()
        (root / "plugins" / plugin / "pyproject.toml").write_text(f'[project]\nname = "{plugin}"\n')
    return root


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard of `smoke` with one ranker."""
    folder = tmp_path_factory.mktemp("boards")
    track = load_track("smoke")
    plan = track.plan.model_copy(update={"rows": (), "references": ("popularity",)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "load_track", lambda name: track.model_copy(update={"plan": plan}))
        run("smoke", seeds=1, out=folder / "run", cache=folder / "cache", device="cpu", jobs=1)
    submit(folder / "run" / "smoke", folder / "leaderboards")
    write(build(folder / "leaderboards"))
    return folder


def script(root: Path, boards: Path, *args: str) -> subprocess.CompletedProcess[str]:
    shutil.copytree(boards / "leaderboards", root / "leaderboards")
    programs = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "SEMIDBENCH_CACHE": str(boards / "cache"),
        "PYTHONPATH": os.pathsep.join([str(root / "more"), str(ROOT)]),
    }
    command = ["bash", ".ci/leaderboards", *args]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def test_a_changed_ranker_is_checked_and_run_on_smoke(tmp_path: Path, boards: Path) -> None:
    ran = script(copied(tmp_path, "semidbench-popularity"), boards)
    assert ran.returncode == 0, ran.stderr
    assert "nothing wrong" in ran.stdout
    assert "ranker popularity" in ran.stdout  # of `semidbench check`
    assert "popularity seed 0: search R@30" in ran.stderr  # of `semidbench run`
    assert "bm25" not in ran.stdout + ran.stderr  # nothing but the plugin's own rows


def broken_plugin(root: Path) -> None:
    """An installed distribution whose plugin raises when it is imported."""
    add_plugin(root / "more", "semidbench-broken", "semidbench_broken", "import nowhere_to_be_found\n")


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        ("semidbench-not-there", "semidbench-not-there is not installed here, or registers no method"),
        ("semidbench-broken", "semidbench-broken: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    ],
)
def test_a_plugin_that_does_not_load_fails(tmp_path: Path, boards: Path, plugin: str, says: str) -> None:
    root = copied(tmp_path, plugin)
    broken_plugin(root)
    ran = script(root, boards)
    assert ran.returncode != 0
    assert says in ran.stderr
    assert not (root / "semidbench-results").exists()


def git(root: Path, *args: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *args], cwd=root, check=True, capture_output=True)


def test_only_changed_plugins_are_run_and_none_that_was_removed(tmp_path: Path, boards: Path) -> None:
    root = copied(tmp_path, "semidbench-not-there", "semidbench-gone")
    git(root, "init")
    git(root, "add", ".")
    git(root, "commit", "-m", "one")
    shutil.rmtree(root / "plugins" / "semidbench-gone")
    git(root, "commit", "-am", "two")
    ran = script(root, boards, "HEAD~1")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_changed_plugin_is_found_whatever_its_folder_is_called(tmp_path: Path, boards: Path) -> None:
    plugin = 'semidbench-é two *\n"'
    root = copied(tmp_path, "semidbench-not-there")
    git(root, "init")
    git(root, "add", ".")
    git(root, "commit", "-m", "one")
    (root / "plugins" / plugin).mkdir()
    (root / "plugins" / plugin / "pyproject.toml").write_text('[project]\nname = "semidbench-of-nobody"\n')
    git(root, "add", ".")
    git(root, "commit", "-m", "two")
    ran = script(root, boards, "HEAD~1")
    assert ran.returncode != 0
    assert f"plugins/{plugin}: semidbench-of-nobody is not installed here" in ran.stderr


def test_a_plugin_that_lost_a_file_to_another_has_changed(tmp_path: Path, boards: Path) -> None:
    root = copied(tmp_path, "semidbench-not-there", "other")
    (root / "plugins" / "semidbench-not-there" / "method.py").write_text("x = 1\n" * 9)
    git(root, "init")
    git(root, "add", ".")
    git(root, "commit", "-m", "one")
    (root / "plugins" / "other" / "pyproject.toml").unlink()
    (root / "plugins" / "semidbench-not-there" / "method.py").rename(root / "plugins" / "other" / "method.py")
    git(root, "add", ".")
    git(root, "commit", "-m", "two")
    assert "plugins/semidbench-not-there: " in script(root, boards, "HEAD~1").stderr


def test_a_commit_that_is_none_stops_it(tmp_path: Path, boards: Path) -> None:
    root = copied(tmp_path)
    git(root, "init")
    assert script(root, boards, "nowhere").returncode != 0


def test_stale_pages_stop_it(tmp_path: Path, boards: Path) -> None:
    root = copied(tmp_path)
    shutil.copytree(boards, tmp_path / "boards")
    (tmp_path / "boards" / "leaderboards" / "notes.txt").touch()
    ran = script(root, tmp_path / "boards")
    assert ran.returncode == 2
    assert "should not be there: leaderboards/notes.txt" in ran.stdout


@pytest.mark.parametrize(
    ("plugin", "methods", "rows", "references"),
    [
        ("semidbench-joint-ids", {"layout gensar"}, {"content+rec/-/gensar"}, ()),
        ("semidbench-popularity", {"ranker popularity"}, set(), ("popularity",)),
    ],
)
def test_a_plugins_methods_and_rows_are_named(
    tmp_path: Path, plugin: str, methods: set[str], rows: set[str], references: tuple[str, ...]
) -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / ".ci/plugin_rows.py", tmp_path / "track.toml", ROOT / "plugins" / plugin],
        capture_output=True,
        text=True,
        check=True,
    )
    assert methods <= set(ran.stdout.splitlines())
    track, smoke = load_track(str(tmp_path / "track.toml")), load_track("smoke")
    assert rows <= set(track.plan.rows)
    assert track.plan.references == references
    assert protocol_sha256(track.model_copy(update={"name": "smoke"})) == protocol_sha256(smoke)
