"""`semidbench new-plugin`: what it writes installs, passes its own tests, and runs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from semidbench.cli import main
from semidbench.errors import UserError
from semidbench.methods.scaffold import NewKind, new_plugin

KINDS: tuple[NewKind, ...] = ("embedder", "quantizer", "layout")


def run(where: Path, site: Path, *command: str) -> str:
    """What the command prints, with the plugin installed in `site`."""
    variables = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-m", *command], cwd=where, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(folder: Path, site: Path) -> None:
    quiet = ("--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    run(folder.parent, site, "pip", "install", *quiet, "--target", str(site), str(folder))


@pytest.mark.parametrize("kind", KINDS)
def test_it_installs_and_passes_its_own_tests(tmp_path: Path, kind: NewKind) -> None:
    made = new_plugin("my-own", kind, tmp_path)
    install(made.folder, tmp_path / "site")
    assert "passed" in run(made.folder, tmp_path / "site", "pytest", "-q", "-p", "no:cacheprovider")
    method = (made.folder / "semidbench_my_own.py").read_text()
    assert len(method.splitlines()) <= 26
    assert len((made.folder / "pyproject.toml").read_text().splitlines()) <= 15
    run(
        made.folder,
        tmp_path / "site",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "E,F,W,B",
        "--line-length",
        "120",
        ".",
    )


def test_it_reaches_the_leaderboard(tmp_path: Path) -> None:
    made = new_plugin("my-own", "quantizer", tmp_path)
    install(made.folder, tmp_path / "site")
    code = "from semidbench.cli import main; main()"
    variables = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "SEMIDBENCH_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", code, "run", "--track", "smoke", "--scheme", made.scheme, "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "content/my-own/shared" in (tmp_path / "out" / "smoke" / "leaderboard.csv").read_text()


def test_it_says_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["semidbench", "new-plugin", "mine", "--kind", "layout"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    files = ("pyproject.toml", "README.md", "semidbench_mine.py", "tests/test_mine.py")
    assert written == {f"semidbench-mine/{name}" for name in files}
    said = capsys.readouterr().out
    for line in ("cd semidbench-mine", "semidbench check mine\n  cd ..\n", "run --track smoke --scheme -/-/mine"):
        assert line in said
    assert all("$" not in (tmp_path / name).read_text() for name in written)


@pytest.mark.parametrize("name", ["", "My", "a b", "../up", "-x", "x-", "a--b", "1st", "a_b", "é", "a" + "\n"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot name a plugin"):
        new_plugin(name, "quantizer", tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "semidbench-mine" / "tests").mkdir(parents=True)
    with pytest.raises(UserError, match="is there already"):
        new_plugin("mine", "quantizer", tmp_path)
    assert not list((tmp_path / "semidbench-mine" / "tests").iterdir())


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="quantizer 'rq-kmeans' is there already: semidbench-faiss registers it"):
        new_plugin("rq-kmeans", "quantizer", tmp_path)


def test_an_installed_distribution_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "semidbench_old.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("faiss", "joint-ids", "old"):
        with pytest.raises(UserError, match=f"semidbench-{name} is installed already"):
            new_plugin(name, "quantizer", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["semidbench_old.py"]


@pytest.mark.parametrize(("name", "expected"), [("none", "NoneMethod"), ("two-words", "TwoWords")])
def test_classes_have_names_that_python_takes(tmp_path: Path, name: str, expected: str) -> None:
    made = new_plugin(name, "embedder", tmp_path)
    source = next(made.folder.glob("*.py")).read_text()
    compile(source, "plugin", "exec")
    assert f"class {expected}:" in source


@pytest.mark.parametrize("kind", KINDS)
def test_no_class_has_the_name_of_what_its_file_imports(tmp_path: Path, kind: NewKind) -> None:
    imported = {name for path in new_plugin("mine", kind, tmp_path).folder.rglob("*.py") for name in imports(path)}
    assert {"np", "hookimpl", "Mine", "pytest"} <= imported
    for name in imported - {"Mine"}:
        made = new_plugin(re.sub("(?<=[a-z])(?=[A-Z])|_", "-", name).lower(), kind, tmp_path)
        classes = re.findall(r"^class (\w+)", next(made.folder.glob("*.py")).read_text(), re.M)
        assert len(classes) == 1
        assert not imported & set(classes)


def imports(path: Path) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name for node in nodes for alias in node.names}
