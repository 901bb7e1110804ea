"""The paper track, from zip to table, on a made-up ML-25M and tiny stand-ins for its two pretrained models."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from semidbench import training
from semidbench.errors import UserError
from semidbench.generator import load_generator
from semidbench.progress import Silent
from semidbench.registry import load_registry
from semidbench.resolve import resolve_ranker, resolve_scheme
from semidbench.results import read_cells
from semidbench.runs import Run, run
from semidbench.text_tokens import load_text_tokens
from semidbench.track import load_track
from tests.movielens_files import write_ml25m
from tests.tiny_models import write_tiny_mpnet, write_tiny_t5

ROW = "search/rq-kmeans/shared"  # a bi-encoder fine-tuned as a whole
SMALL = {
    r'name = "paper"': 'name = "paper-tiny"',
    r"threads = 8": "threads = 1",
    r"codebook_sizes = .*": "codebook_sizes = [16, 16]",
    r"weights_sha256 = .*": "",
    r"batch = 128": "batch = 64",
    r"epochs = 3 .*": "epochs = 1",
    r"beams = 60": "beams = 20",
    r"groups = 30": "groups = 10",
    r"(?<=tune = \"full\"\n)epochs = 5\nbatch = 512": "epochs = 1\nbatch = 64",
    r"references = .*": 'references = ["popularity"]',
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, the models and a track file that differs from paper.toml in its sizes only."""
    root = tmp_path_factory.mktemp("paper")
    write_ml25m(root / "data", movies=120, users=80)
    queries = [json.loads(line)["text"] for line in (root / "data" / "queries.jsonl").read_text().splitlines()]
    write_tiny_mpnet(root / "models" / "all-mpnet-base-v2", re.findall(r"\w+", " ".join(queries[:2000])), longest=64)
    write_tiny_t5(root / "models" / "flan-t5-base", [f"search: {text}" for text in queries[:500]])
    text = (files("semidbench") / "tracks" / "paper.toml").read_text("utf-8")
    for pattern, small in SMALL.items():
        text, count = re.subn(pattern, small, text)
        assert count, pattern
    (root / "paper-tiny.toml").write_text(text)
    return root


@pytest.fixture(scope="module")
def done(place: Path) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMIDBENCH_MODELS", str(place / "models"))
        return run_here(place, place / "cache", place / "out")


def run_here(place: Path, cache: Path, out: Path, reporter: Silent | None = None) -> Run:
    track = str(place / "paper-tiny.toml")
    return run(track, [ROW], 1, data=place / "data", out=out, cache=cache, device="cpu", reporter=reporter)


def test_from_zip_to_table(place: Path, done: Run) -> None:
    assert [row.name for row in done.leaderboard.rows] == [ROW]
    assert [row.name for row in done.leaderboard.references] == ["popularity"]
    cell = next(cell for cell in read_cells(done.folder / "results") if cell.name == ROW)
    assert cell.track.name == "paper-tiny"
    assert cell.dataset.items == 120
    assert cell.options["embedder"]["tune"] == "full"  # type: ignore[index]
    for task in ("search", "rec"):
        recall = cell.metrics[task]["all"].recall[30]  # type: ignore[index]
        assert recall is not None
        assert 0 <= recall <= 1
        assert cell.metrics[task]["all"].n_cases > 0  # type: ignore[index]


def test_the_generator_is_the_pretrained_one_with_id_tokens_behind_it(place: Path, done: Run) -> None:
    (generator,) = (place / "cache" / "generator").iterdir()
    (tokenizer,) = (place / "cache" / "tokenizer").iterdir()
    before, after = load_generator(place / "models" / "flan-t5-base"), load_generator(generator)
    text = load_text_tokens(tokenizer)
    assert text.size == len(before.shared.weight)
    assert len(after.shared.weight) == len(after.lm_head.weight) == text.size + 32
    drift = (
        after.encoder.block[0].layer[0].SelfAttention.q.weight - before.encoder.block[0].layer[0].SelfAttention.q.weight
    )
    assert 0 < drift.abs().max() < 0.5  # trained from there, not anew


class Kills(Silent):
    """Ends the run after so many training steps, and tells which it saw."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.seen: list[int] = []

    def progress(self, what: str, done: int, total: int) -> None:
        if what == "train":
            self.seen.append(done)
            if len(self.seen) == self.after:
                raise KeyboardInterrupt


def test_a_run_killed_in_training_goes_on_within_it(
    place: Path, done: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMIDBENCH_MODELS", str(place / "models"))
    hours = SimpleNamespace(monotonic=itertools.count(step=3600).__next__)  # every step takes one
    monkeypatch.setattr(training, "time", hours)
    cache = tmp_path / "cache"
    shutil.copytree(place / "cache", cache)
    shutil.rmtree(cache / "generator")
    shutil.rmtree(cache / "beams")
    with pytest.raises(KeyboardInterrupt):
        run_here(place, cache, tmp_path / "out", Kills(7))
    assert len(list((cache / "checkpoints").iterdir())) == 1
    rest = Kills(-1)
    again = run_here(place, cache, tmp_path / "out", rest)
    assert rest.seen[0] == 8
    assert not list((cache / "checkpoints").iterdir())

    def rankings(made: Run) -> set[str]:
        return {cell.rankings_sha256 for cell in read_cells(made.folder / "results")}

    assert rankings(again) == rankings(done)


def test_what_is_missing_is_said_before_any_work(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the data, which the hub need not be asked for, then the models."""
    asked: list[str] = []

    def unreachable(name: str, **named: Any) -> str:
        asked.append(name)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    monkeypatch.delenv("SEMIDBENCH_MODELS", raising=False)
    track = str(place / "paper-tiny.toml")
    with pytest.raises(UserError, match="needs data files"):
        run(track, [ROW], 1, out=tmp_path, cache=tmp_path, device="cpu")
    assert not asked
    with pytest.raises(UserError, match="all-mpnet-base-v2 is not here and the Hugging Face hub did not give it"):
        run_here(place, tmp_path / "cache", tmp_path / "out")
    assert not (tmp_path / "cache").exists()


def test_every_row_of_the_track_can_be_built() -> None:
    """Names, options and the distributions that bring them, as far as they are installed."""
    paper, registry = load_track("paper"), load_registry()
    assert len(paper.plan.rows) == 8
    for row in paper.plan.rows:
        for part in resolve_scheme(registry, row, paper).parts.values():
            part.build()
    for ranker in paper.plan.references:
        resolve_ranker(registry, ranker, paper).build()
    for kind in registry.methods.values():
        for name, method in kind.items():
            if name in paper.plan.providers:
                assert paper.plan.providers[name].split()[0] == method.distribution
