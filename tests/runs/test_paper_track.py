"""The paper track, from zip to table, on a made-up ML-25M and tiny stand-ins for its two pretrained models."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from typer.testing import CliRunner

from semidbench.cli import app
from semidbench.errors import UserError
from semidbench.generator import training
from semidbench.generator.model import load_generator
from semidbench.methods.registry import load_registry
from semidbench.methods.resolve import resolve, resolve_scheme
from semidbench.methods.resolved import Wanted
from semidbench.results.files import read_cells
from semidbench.runs.reporter import Silent
from semidbench.runs.run import Run, run
from semidbench.text.tokenizer import load_text_tokens
from semidbench.tracks.files import load_track
from tests.movielens_files import write_ml25m
from tests.tiny_models import write_tiny_mpnet, write_tiny_t5

ROW = "search/rq-kmeans/shared"  # a bi-encoder fine-tuned as a whole
SMALL = {
    r'name = "paper"': 'name = "paper-tiny"',
    r"threads = 8": "threads = 1",
    r"codebook_sizes = .*": "codebook_sizes = [8, 8]",
    r"weights_sha256 = .*": "",
    r"batch = 128": "batch = 64",
    r"epochs = 3 .*": "epochs = 1",
    r"beams = 60": "beams = 12",
    r"groups = 30": "groups = 6",
    r"(?<=tune = \"full\"\n)epochs = 5\nbatch = 512": "epochs = 1\nbatch = 64",
    r"epochs = 30\nbatch = 512\ndim = 256": "epochs = 2\nbatch = 64\ndim = 16",
    r"(?=\[plan\])": "[methods.layouts.prefix-share]\nepochs = 2\nhidden = '32'\ndim = 16\n\n",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, the models and a track file that differs from paper.toml in its sizes only."""
    root = tmp_path_factory.mktemp("paper")
    write_ml25m(root / "data", movies=60, users=40)
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
    """All rows and references that the track plans."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMIDBENCH_MODELS", str(place / "models"))
        return run_here(place, place / "cache", place / "out", ())


def run_here(place: Path, cache: Path, out: Path, rows: Sequence[str] = (ROW,), reporter: Silent | None = None) -> Run:
    track = str(place / "paper-tiny.toml")
    return run(track, rows, 1, data=place / "data", out=out, cache=cache, device="cpu", jobs=1, reporter=reporter)


def test_from_zip_to_table(done: Run) -> None:
    planned = load_track("paper").plan
    assert [row.name for row in done.leaderboard.rows] == list(planned.rows)
    assert [row.name for row in done.leaderboard.references] == list(planned.references)
    cells = {cell.name: cell for cell in read_cells(done.folder / "results")}
    assert set(cells) == {*planned.rows, *planned.references}
    assert cells[ROW].options["embedder"]["tune"] == "full"  # type: ignore[index]
    for cell in cells.values():
        assert (cell.track.name, cell.dataset.items) == ("paper-tiny", 60)
        for task in ("search", "rec"):
            measured = cell.metrics[task]
            if measured is not None:  # the ENMF model answers no queries
                assert 0 <= measured["all"].recall[30] <= 1
                assert measured["all"].n_cases > 0


def test_compare_judges_every_claim_about_these_rows(place: Path, done: Run) -> None:
    words = ["compare", "--track", str(place / "paper-tiny.toml"), "--out", str(place / "out"), "--format", "json"]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.output
    rows = set(load_track("paper").plan.rows)
    for claim in json.loads(said.stdout)["claims"]:
        about = {side for statement in claim["statements"] for side in (statement["better"], statement["worse"])}
        assert claim["verdict"] == ("provisional" if about <= rows else "not run"), claim["id"]


def test_generators_are_the_pretrained_one_with_id_tokens_behind_it(place: Path, done: Run) -> None:
    generators = [load_generator(folder) for folder in (place / "cache" / "generator").iterdir()]
    (tokenizer,) = (place / "cache" / "tokenizer").iterdir()
    before = load_generator(place / "models" / "flan-t5-base").encoder.block[0].layer[0].SelfAttention.q.weight
    text = load_text_tokens(tokenizer)
    assert len(generators) == len(done.leaderboard.rows)
    for after in generators:
        assert len(after.shared.weight) == len(after.lm_head.weight)
        drift = after.encoder.block[0].layer[0].SelfAttention.q.weight - before
        assert 0 < drift.abs().max() < 0.5  # trained from there, not anew
    added = Counter(len(after.shared.weight) - text.size for after in generators)
    assert added == {2 * 8: 6, 3 * 8: 1, 4 * 8: 1}  # shared, prefix-share, separate


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
        run_here(place, cache, tmp_path / "out", reporter=Kills(7))
    assert len(list((cache / "checkpoints").iterdir())) == 1
    rest = Kills(-1)
    again = run_here(place, cache, tmp_path / "out", reporter=rest)
    assert rest.seen[0] == 8
    assert not list((cache / "checkpoints").iterdir())

    (resumed,), whole = (
        {cell.name: cell.rankings_sha256 for cell in read_cells(made.folder / "results") if cell.name == ROW}.values()
        for made in (again, done)
    )
    assert [resumed] == list(whole)


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
    """Names and options, as far as the plugins are installed."""
    paper, registry = load_track("paper"), load_registry()
    assert len(paper.plan.rows) == 8
    for row in paper.plan.rows:
        for part in resolve_scheme(registry, row, paper).parts.values():
            part.named.build()
    for ranker in paper.plan.references:
        resolve(registry, Wanted("ranker", ranker), paper).named.build()
