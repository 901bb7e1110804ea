"""Track files of one's own: what they take from the track that they extend, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from semidbench.errors import UserError
from semidbench.results.cell_result import protocol_sha256
from semidbench.tracks.files import load_track, parse_track
from semidbench.tracks.track import Folder, Lsa, Track

DEMO = load_track("demo")
SMALL = load_track("ml-small")


def text(tables: str = "", name: str = "mine", extends: str = "demo") -> str:
    return f'semidbench_track = 1\nname = "{name}"\nextends = "{extends}"\nversion = 7\nabout = "Mine."\n{tables}'


def extending(extends: str, tables: str) -> Track:
    return parse_track(text(tables, extends=extends), "mine.toml")


def write(path: Path, content: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    return str(path)


def changed(track: Track, **sections: dict[str, Any]) -> Track:
    """A track with other values in some of its sections."""
    new = {name: getattr(track, name).model_copy(update=values) for name, values in sections.items()}
    return track.model_copy(update=new)


def named_mine(track: Track) -> Track:
    return track.model_copy(update={"name": "mine", "version": 7, "about": "Mine."})


def test_a_track_that_gives_nothing_has_all_but_the_name() -> None:
    assert extending("demo", "") == named_mine(DEMO)


def test_tables_are_merged_and_lists_and_values_replaced() -> None:
    tables = "threads = 3\n[evaluation]\nrecall_at = [30, 40]\n[dataset]\nitems = 7\n[plan]\nrows = []\n"
    expected = changed(DEMO, evaluation={"recall_at": (30, 40)}, dataset={"items": 7}, plan={"rows": ()})
    track = extending("demo", tables)
    assert track == named_mine(expected).model_copy(update={"threads": 3})
    assert protocol_sha256(track) != protocol_sha256(extending("demo", ""))


def test_another_recipe_or_kind_takes_nothing_from_the_extended_track() -> None:
    track = extending("ml-small", '[dataset]\nrecipe = "folder"\nmin_interactions = 1\n')
    assert track == named_mine(SMALL.model_copy(update={"dataset": Folder(recipe="folder", min_interactions=1)}))
    track = extending("ml-small", '[text_encoder]\nkind = "lsa"\ndimension = 9\n')
    assert track == named_mine(SMALL.model_copy(update={"text_encoder": Lsa(kind="lsa", dimension=9)}))


def test_another_model_of_the_same_kind_takes_no_hash_of_the_extended_one() -> None:
    track = extending("ml-small", '[text_encoder]\nkind = "sentence-transformer"\nname = "a/b"\nrevision = "c"\n')
    assert track.text_encoder.model_dump(exclude_none=True) == {
        "kind": "sentence-transformer",
        "name": "a/b",
        "revision": "c",
    }


def test_a_method_s_options_are_replaced_as_a_whole_and_other_methods_keep_theirs() -> None:
    track = extending("demo", '[methods.embedders.search]\ntune = "full"\n[methods.layouts.gensar]\n')
    expected = DEMO.model_dump()["methods"]
    assert expected["embedders"]["search"].keys() > {"tune"}
    expected["embedders"]["search"] = {"tune": "full"}
    expected["layouts"]["gensar"] = {}
    assert track.methods.model_dump() == expected


def test_a_method_may_be_called_kind() -> None:
    track = extending("demo", "[methods.layouts.kind]\nbatch = 2\n")
    assert track.methods.layouts == {**DEMO.methods.layouts, "kind": {"batch": 2}}


def test_a_path_starts_in_the_folder_of_the_file_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "far" / "base.toml", text("training.epochs = 9\n", "base", "smoke"))
    write(tmp_path / "far" / "deep" / "middle.toml", text("training.batch = 8\n", "middle", "../base.toml"))
    own = write(tmp_path / "near" / "own.toml", text("decoding.beams = 10\n", "own", "../far/deep/middle.toml"))
    expected = changed(load_track("smoke"), training={"epochs": 9, "batch": 8}, decoding={"beams": 10})
    assert load_track(own) == named_mine(expected).model_copy(update={"name": "own"})
    monkeypatch.chdir(tmp_path / "near")
    assert load_track("own.toml") == load_track(own)
    absolute = write(tmp_path / "absolute.toml", text("", "own", str(tmp_path / "near" / "own.toml")))
    assert load_track(absolute) == load_track(own)


def refused(path: str) -> str:
    with pytest.raises(UserError) as raised:
        load_track(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_circle_is_refused(tmp_path: Path) -> None:
    a, b = tmp_path / "a.toml", tmp_path / "sub" / "b.toml"
    write(b, text("", "b", "../a.toml"))
    assert refused(write(a, text("", "a", "sub/b.toml"))) == (
        f"{tmp_path}/sub/b.toml: extends: a circle: {a} extends {b} extends {tmp_path}/sub/../a.toml. "
        "Give one of them all of its tables, and delete its `extends`"
    )
    assert "itself.toml extends " in refused(write(tmp_path / "itself.toml", text("", "mine", "./itself.toml")))


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ('"dmo"', r"own.toml: extends: unknown track 'dmo'. Did you mean 'demo' or 'smoke'? Available: "),
        ('"gone.toml"', r"own.toml: extends: cannot read track file "),
        ('"broken.toml"', r"broken.toml is not valid TOML: "),
        (
            '["demo"]',
            r"own.toml: extends: needs the name of a built-in track or the path of a track file, not ['demo']. ",
        ),
        ("false", r"own.toml: extends: needs the name of a built-in track or the path of a track file, not False. "),
    ],
)
def test_what_cannot_be_extended_is_refused(tmp_path: Path, extends: str, message: str) -> None:
    write(tmp_path / "broken.toml", "[")
    own = write(tmp_path / "own.toml", text().replace('extends = "demo"', f"extends = {extends}"))
    assert message in refused(own)


def test_an_error_names_the_file_that_it_stands_in(tmp_path: Path) -> None:
    base, own = tmp_path / "base.toml", tmp_path / "own.toml"
    write(own, text("decoding.beams = 61\n", "own", "base.toml"))
    write(base, text("training.epochs = 0\n", "base"))
    assert refused(str(own)).startswith(f"{base}: training.epochs: Input should be greater than 0. ")
    write(base, text("training.epochs = 1\n", "base"))
    assert refused(str(own)).startswith(f"{own}: decoding: Value error, beams (61) must be a multiple of groups (30). ")


@pytest.mark.parametrize("key", ["semidbench_track", "name", "version", "about"])
def test_each_file_gives_its_own(tmp_path: Path, key: str) -> None:
    lines = [line for line in text().splitlines() if not line.startswith(f"{key} ")]
    own = write(tmp_path / "own.toml", "\n".join(lines))
    assert refused(own) == f"{own}: {key}: the key is missing. Add it to the file"


def test_a_key_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    own = write(tmp_path / "own.toml", text('[plan.providers]\nrec = "semidbench-recbole"\n'))
    assert refused(own) == f"{own}: plan.providers: there is no such key. Delete it or correct its name"
    own = write(tmp_path / "own.toml", text("decoding.beans = 60\nbeans = 60\n"))
    assert refused(own) == (f"{own}: decoding.beans: there is no such key (1 more). Delete it or correct its name")


def test_a_track_file_must_not_take_a_built_in_name(tmp_path: Path) -> None:
    own = write(tmp_path / "own.toml", text(name="demo"))
    assert refused(own) == (
        f"{own} calls its track 'demo', the name of a built-in one, and tables never mix tracks. Give it another name"
    )
    assert refused(str(tmp_path / "gone.toml")).startswith(f"cannot read track file {tmp_path}/gone.toml: ")
    assert "named by its path, ending in .toml" in refused("my-track")
