"""What the hash of a plugin's code covers, in a copy and in an editable install."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module, invalidate_caches
from pathlib import Path

import pytest

from semidbench.methods.plugin_code import plugin_code

NAME = "semidbench-thing"
SOURCE = {
    "sd_thing/__init__.py": "from sd_thing.own import Thing as Thing\n",
    "sd_thing/own.py": "import sd_helper\n\n\nclass Thing: ...\n",
    "sd_thing/data/weights.npy": "weights",
    "sd_thing/table.json": "{}",
    "sd_more/__init__.py": "",
    "sd_helper.py": "",
}
Install = Callable[[Path, dict[str, str]], Path]


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def about(files: dict[str, str]) -> dict[str, str]:
    entry = f"[semidbench]\nthing = {next(iter(files)).split('/')[0].removesuffix('.py')}\n"
    return {"METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1\n", "entry_points.txt": entry}


def copied(folder: Path, files: dict[str, str]) -> Path:
    """A site-packages, with somebody else's packages in it."""
    info = {f"semidbench_thing-1.dist-info/{name}": text for name, text in about(files).items()}
    others = {"sd_other/__init__.py": "", "sd_other.py": ""}
    recorded = [*files, *info, "../../../bin/thing", "sd_thing/__pycache__/own.cpython-311.pyc"]
    record = {"semidbench_thing-1.dist-info/RECORD": "".join(f"{name},,\n" for name in recorded)}
    return written(folder / "lib/python3/site-packages", files | info | others | record)


def editable(folder: Path, files: dict[str, str], below: str = "src") -> Path:
    """The source in a folder of its own, with what stands there beside it."""
    source = written(folder / "the project" / below, files)
    written(source, {"tests/__init__.py": "", "conftest.py": "", "notes/x.md": "", "thing.egg-info/PKG-INFO": ""})
    url = f'{{"dir_info": {{"editable": true}}, "url": "{(folder / "the project").as_uri()}"}}'
    info = {**about(files), "RECORD": "_editable_impl_thing.pth,,\n", "direct_url.json": url}
    written(folder / "the project/.venv/site" / "semidbench_thing-1.dist-info", info)
    return source


def flat(folder: Path, files: dict[str, str]) -> Path:
    return editable(folder, files, "")


INSTALLS = (copied, editable, flat)


def code_of(source: Path, module: str = "sd_thing", name: str = NAME) -> str:
    """The hash as a process finds it in which this installation is the one."""
    with pytest.MonkeyPatch.context() as patch:
        for each in [source, *source.parents]:
            if (each / ".venv/site").is_dir():
                patch.syspath_prepend(str(each / ".venv/site"))
        patch.syspath_prepend(str(source))
        invalidate_caches()
        try:
            return plugin_code(import_module(module).Thing, name, "1").code_sha256
        finally:
            for name in [name for name in sys.modules if name.startswith("sd_")]:
                del sys.modules[name]


@pytest.mark.parametrize(
    "files",
    [
        SOURCE,
        {"sd_one.py": "class Thing: ...\n"},
        {"sd_one.py": "class Thing: ...\n", "sd_helper.py": ""},
        {"sd_space/thing/__init__.py": "", "sd_space/thing/own.py": "class Thing: ...\n"},
    ],
    ids=["packages", "module", "modules", "namespace"],
)
def test_an_editable_install_has_the_hash_of_a_copy(tmp_path: Path, files: dict[str, str]) -> None:
    module = "sd_space.thing.own" if "sd_space/thing/own.py" in files else next(iter(files)).split("/")[0]
    found = {code_of(install(tmp_path / install.__name__, files), module.removesuffix(".py")) for install in INSTALLS}
    assert len(found) == 1


@pytest.mark.parametrize("install", INSTALLS)
@pytest.mark.parametrize("name", SOURCE)
def test_every_file_of_the_distribution_counts(tmp_path: Path, install: Install, name: str) -> None:
    source = install(tmp_path, SOURCE)
    before = code_of(source)
    (source / name).write_text(f"{SOURCE[name]}\n")
    assert code_of(source) != before


@pytest.mark.parametrize("install", INSTALLS)
@pytest.mark.parametrize(
    "name",
    [
        *("sd_thing/__pycache__/own.cpython-311.pyc", "sd_thing/py.typed", "sd_thing/own.pyi", "sd_thing/.own.py.swp"),
        *("tests/__init__.py", "conftest.py", "notes/x.md", "README.md"),
    ],
)
def test_what_no_method_reads_does_not(tmp_path: Path, install: Install, name: str) -> None:
    source = install(tmp_path, SOURCE)
    before = code_of(source)
    written(source, {name: "x = 1"})
    assert code_of(source) == before


def test_neither_do_a_neighbour_in_site_packages_and_what_is_said_about_the_plugin(tmp_path: Path) -> None:
    source = copied(tmp_path, SOURCE)
    before = code_of(source)
    written(source, {"sd_other/__init__.py": "x = 1", "sd_other.py": "x = 1"})
    written(source / "semidbench_thing-1.dist-info", {"METADATA": f"{about(SOURCE)['METADATA']}Summary: A thing\n"})
    assert code_of(source) == before


@pytest.mark.parametrize("install", INSTALLS)
def test_a_partial_of_somebody_elses_function_is_covered_with_that(tmp_path: Path, install: Install) -> None:
    theirs = {"sd_theirs/__init__.py": "def make(width): ...\n"}
    own = {"sd_one.py": "from functools import partial\nfrom sd_theirs import make\n\nThing = partial(make, width=1)\n"}
    source = install(tmp_path, own)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(written(tmp_path / "elsewhere", theirs)))
        before = code_of(source, "sd_one")
        (source / "sd_one.py").write_text(own["sd_one.py"].replace("1", "2"))
        after = code_of(source, "sd_one")
        written(tmp_path / "elsewhere", {"sd_theirs/__init__.py": "def make(width): return width\n"})
        assert len({before, after, code_of(source, "sd_one")}) == 3


def test_another_checkout_on_the_path_counts_and_not_the_copy(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(copied(tmp_path, SOURCE)))
        source = written(tmp_path / "checkout", SOURCE)
        before = code_of(source)
        (source / "sd_thing/own.py").write_text("class Thing: ...\n")
        assert code_of(source) != before


def test_a_plugin_registered_by_hand_is_its_own_package(tmp_path: Path) -> None:
    source = written(tmp_path, SOURCE)
    before = code_of(source, name="nobody")
    (source / "sd_helper.py").write_text("x = 1")
    assert code_of(source, name="nobody") == before
    (source / "sd_thing/table.json").write_text("[]")
    assert code_of(source, name="nobody") != before


def test_a_files_name_need_not_be_utf_8(tmp_path: Path) -> None:
    source = editable(tmp_path, SOURCE)
    before = code_of(source)
    (source / "sd_thing/na\udce9ve.txt").touch()
    assert code_of(source) != before
