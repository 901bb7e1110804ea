"""Track files like that of `smoke`, with some of its lines changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

REFERENCES = ("popularity", "bm25", "dense", "dense-multi-task", "enmf")
EPOCHS = 150


def smoke_track(folder: Path, name: str, references: Sequence[str], epochs: int = EPOCHS) -> str:
    """The path of a track file of that name in `folder`."""
    text = (files("semidbench") / "tracks" / "smoke.toml").read_text("utf-8")
    for old, new in (
        ('name = "smoke"', f'name = "{name}"'),
        (f"references = {json.dumps(REFERENCES)}", f"references = {json.dumps(references)}"),
        (f"epochs = {EPOCHS}", f"epochs = {epochs}"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    path = folder / f"{name}.toml"
    path.write_text(text, "utf-8")
    return str(path)
