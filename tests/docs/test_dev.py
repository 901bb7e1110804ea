"""The README's two commands: what `dev` installs and when, with a Python and tools that only record their calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.doc_blocks import ROOT, blocks, read

INSTALLED = ("pyproject.toml", "semidbench/version.py", "constraints.txt", "torch.txt", "plugins/one/pyproject.toml")

# Answers "yes" to what is asked with -c, makes environments of itself, and fails where a file `broken` has its words.
PROGRAM = """#!/bin/sh
[ "${1:-}" != -c ] || exit 0
program=$(basename "$0")
echo "$program${1:+ $*}" >>"$CALLS"
case "$*" in
"-m venv "*)
    mkdir -p "$3/bin"
    for each in python ruff mypy pytest semidbench; do cp "$0" "$3/bin/$each"; done
    echo 'PATH="$PWD/.venv/bin:$PATH"' >"$3/bin/activate"
    ;;
esac
if [ -f broken ]; then
    case "$program $*" in *"$(cat broken)"*) exit 1 ;; esac
fi
"""
MADE = "python3.11 -m venv .venv"
PIP = "python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt"
TORCH = f"{PIP} --requirement torch.txt hatchling editables"


def everything(extras: str, *plugins: str) -> str:
    editable = "".join(f" --editable plugins/{plugin}" for plugin in plugins or ("one", "two"))
    return f"{PIP} --no-build-isolation --constraint torch.txt --editable .[{extras}]{editable}"


class Checkout:
    """A folder with `dev` and the files that it reads, and the programs that it may find."""

    def __init__(self, folder: Path) -> None:
        self.root, self.programs, self.calls = folder / "a checkout", folder / "programs", folder / "calls"
        for name in (*INSTALLED, "plugins/two/pyproject.toml"):
            self.write(name, f"{name}\n")
        (self.root / "plugins" / "left-behind").mkdir()  # as `git switch` leaves a folder with compiled files
        shutil.copy(ROOT / "dev", self.root / "dev")
        self.programs.mkdir()
        for tool in ("basename", "cat", "cksum", "cp", "dirname", "mkdir", "rm", "sed"):
            (self.programs / tool).symlink_to(str(shutil.which(tool)))
        self.add_program("python3.11", PROGRAM)

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def add_program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def start(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.programs), "CALLS": str(self.calls), **variables}
        self.calls.write_text("")
        dev = Path(self.root.name) / "dev"  # from outside: the folder from which it is called does not matter
        return subprocess.run([dev, *words], cwd=self.root.parent, env=environment, capture_output=True, text=True)

    def ran(self, *words: str, **variables: str) -> list[str]:
        """The calls of a `dev` that goes well."""
        done = self.start(*words, **variables)
        assert done.returncode == 0, done.stderr
        return self.calls.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_demo_installs_torch_before_the_rest_and_runs(checkout: Checkout) -> None:
    assert checkout.ran("demo", "--seeds", "1") == [MADE, TORCH, everything("train"), "semidbench run --seeds 1"]
    assert checkout.ran("demo") == ["semidbench run"]


def test_the_checks_run_in_order_and_the_first_that_fails_ends_them(checkout: Checkout) -> None:
    checks = [
        "ruff check",
        "ruff format --check",
        "mypy",
        "python .ci/site.py",
        "pytest -n 2 --dist loadfile tests/store",
    ]
    assert checkout.ran("test", "tests/store") == [MADE, TORCH, everything("train,data,test,docs"), *checks]
    checkout.write("broken", "ruff format")
    assert checkout.start("test").returncode != 0
    assert checkout.calls.read_text().splitlines() == checks[:2]


def test_the_demo_needs_nothing_more_than_the_tests_and_the_tests_more_than_the_demo(checkout: Checkout) -> None:
    assert checkout.ran("demo")[:-1] == [MADE, TORCH, everything("train")]
    assert checkout.ran("setup") == [TORCH, everything("train,data,test,docs")]
    assert checkout.ran("demo") == ["semidbench run"]


@pytest.mark.parametrize("name", INSTALLED)
def test_what_changed_is_installed_again(checkout: Checkout, name: str) -> None:
    checkout.ran("setup")
    os.utime(checkout.root / name)
    assert checkout.ran("setup") == []
    checkout.write(name, "changed\n")
    assert checkout.ran("setup") == [TORCH, everything("train,data,test,docs")]
    assert checkout.ran("setup") == []


def test_a_plugin_that_comes_or_moves_is_installed_though_its_files_are_old(checkout: Checkout) -> None:
    checkout.ran("setup")
    plugins = checkout.root / "plugins"
    (plugins / "two").rename(plugins / "other")
    assert checkout.ran("setup") == [TORCH, everything("train,data,test,docs", "one", "other")]


def test_an_install_that_failed_is_done_again(checkout: Checkout) -> None:
    checkout.ran("setup")
    checkout.write("constraints.txt", "changed\n")
    checkout.write("broken", "--no-build-isolation")
    assert checkout.start("setup").returncode != 0
    (checkout.root / "broken").unlink()
    checkout.write("constraints.txt", "constraints.txt\n")
    assert checkout.ran("setup") == [TORCH, everything("train,data,test,docs")]


def test_the_demos_install_ends_that_of_the_tests_where_files_changed(checkout: Checkout) -> None:
    checkout.ran("setup")
    checkout.write("constraints.txt", "changed\n")
    checkout.ran("demo")
    checkout.write("constraints.txt", "constraints.txt\n")
    assert checkout.ran("setup") == [TORCH, everything("train,data,test,docs")]


def test_an_index_for_torch_is_used_for_torch_alone(checkout: Checkout) -> None:
    torch = TORCH.replace(" --requirement", " --extra-index-url https://example.org/cpu --requirement")
    assert checkout.ran("setup", TORCH_INDEX="https://example.org/cpu") == [
        MADE,
        torch,
        everything("train,data,test,docs"),
    ]
    assert checkout.ran("setup") == []


def test_a_copy_of_the_checkout_gets_an_environment_of_its_own(checkout: Checkout) -> None:
    checkout.ran("setup")
    shutil.copytree(checkout.root, copy := checkout.root.with_name("the copy"))
    checkout.root = copy
    assert checkout.ran("setup") == [MADE, TORCH, everything("train,data,test,docs")]


@pytest.mark.parametrize("name", ["python3", "python"])
def test_python_3_11_may_have_another_name(checkout: Checkout, name: str) -> None:
    (checkout.programs / "python3.11").rename(checkout.programs / name)
    assert checkout.ran("setup")[0] == f"{name} -m venv .venv"


def test_without_python_3_11_one_line_says_so(checkout: Checkout) -> None:
    checkout.add_program("python3.11", "#!/bin/sh\nexit 1\n")  # of another version, or without venv
    done = checkout.start("demo")
    assert (done.returncode, done.stdout) == (2, "")
    line = "error: no Python 3.11 with venv on the PATH; install it (Debian, Ubuntu: python3.11-venv)"
    assert done.stderr.splitlines() == [line]
    assert not (checkout.root / ".venv").exists()


def test_an_environment_that_does_not_work_is_named(checkout: Checkout) -> None:
    (checkout.root / ".venv").mkdir()
    done = checkout.start("demo")
    assert done.returncode == 2
    assert done.stderr == "error: .venv has no working Python 3.11; remove it and run this again\n"


@pytest.mark.parametrize("words", [(), ("nonsense",), ("--help",)])
def test_other_words_are_answered_with_the_commands(checkout: Checkout, words: tuple[str, ...]) -> None:
    done = checkout.start(*words)
    assert done.returncode == 2
    assert re.findall(r"^  \./dev (\w+)", done.stderr, re.M) == ["demo", "test", "setup"]
    head = (ROOT / "dev").read_text().split("set -eu\n")[0].splitlines()[1:]
    assert done.stderr.splitlines() == [line.removeprefix("#").removeprefix(" ") for line in head]


def test_the_readme_has_one_command_each_and_ci_runs_the_second() -> None:
    first, second = (block.text for block in blocks("README.md") if block.language == "sh")
    assert (first, second) == ("./dev demo\n", "./dev test\n")
    assert second in (ROOT / ".ci" / "run").read_text().splitlines(keepends=True)


def pins(name: str) -> list[str]:
    return [line for line in read(name).splitlines() if not line.startswith("#")]


def test_versions_are_pinned_of_pypi_alone() -> None:
    """No address, no folder of a machine, no option of pip: a name and a version each. torch stands by itself."""
    lines = pins("constraints.txt")
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line)] == []
    names = [re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines]
    assert len(names) == len(set(names)) > 100
    assert "torch" not in names
    (torch,) = pins("torch.txt")
    assert re.fullmatch(r"torch==\d+\.\d+\.\d+", torch)  # without "+cpu": pip's settings choose the build


def test_the_version_of_torch_stands_in_one_place() -> None:
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")
    texts = [name for name in files if Path(name).suffix in {"", ".md", ".toml", ".txt", ".yml"} and name]
    if not texts:
        pytest.skip("not a clone")
    assert "dev" in texts
    assert [name for name in texts if re.search(r"\btorch==\d", read(name))] == ["torch.txt"]
