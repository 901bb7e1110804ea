"""What a stage hangs on: edits of code, data and tracks that must keep its key, and those that must change it."""

from __future__ import annotations

import ast
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import semidbench
from semidbench.dataset import RawData
from semidbench.dataset.prepare import Prepared, prepare
from semidbench.methods.registry import load_registry
from semidbench.methods.resolve import resolve, resolve_scheme
from semidbench.methods.resolved import ResolvedMethod, ResolvedScheme, Wanted
from semidbench.runs import evaluate
from semidbench.runs.cell import run_cell
from semidbench.runs.reporter import Silent
from semidbench.runs.shared import dataset as dataset_module
from semidbench.runs.shared.dataset import dataset_key
from semidbench.runs.shared.query_tokens import query_tokens_key
from semidbench.runs.shared.session import Session, open_session
from semidbench.runs.shared.tokenizer import tokenizer_key
from semidbench.runs.stages import assign_ids, decode, embed, rank, train
from semidbench.runs.stages.attempt import FailedStages
from semidbench.store import fingerprint
from semidbench.store.stages import find_stage
from semidbench.text.encoder import lsa_fingerprint
from semidbench.text.lsa import training_texts
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Lsa

PACKAGE = Path(semidbench.__file__).parent
TRACK = load_track("smoke")
# Of runs/ and isolation/, the modules that hand data, a seed or an option to a stage.
HANDING = {
    *(f"isolation.{name}" for name in ("clocked_encoder", "questions", "work", "worker")),
    *(f"runs.shared.{name}" for name in ("dataset", "inputs", "query_tokens", "tokenizer")),
    *(f"runs.stages.{name}" for name in ("assign_ids", "decode", "embed", "rank", "train")),
}
STAGES = {"embedding": embed, "ids": assign_ids, "generator": train, "beams": decode, "ranker": rank}
# By hand, what a stage's bits hang on: a module, an edit that changes what is computed, and what it changes first. The
# text stands in the module as it is.
EDITS = [
    ("runs.shared.inputs", "seed=seed,", "seed=seed + 1,", "plugins"),
    ("runs.shared.inputs", "codebook_sizes=session.track.ids.codebook_sizes,", "codebook_sizes=(4, 4),", "plugins"),
    ("isolation.work", "np.random.default_rng(self.seed)", "np.random.default_rng(7)", "plugins"),
    ("isolation.work", "training_texts(train)", "training_texts(train)[:9]", "plugins"),
    ("isolation.clocked_encoder", "self._encoder.encode(given)", "self._encoder.encode(given[::-1])", "plugins"),
    ("methods.named", "self.who, self.options", "self.who, {}", "plugins"),
    ("methods.options", "validate_python(value)", "validate_python(0)", "plugins"),
    ("ids.embedder", "views[1]", "views[0]", "embedding"),
    ("ids.layout", "ids[task].codes for", "ids[task].codes[::-1] for", "ids"),
    ("isolation.questions", "np.cumsum(lengths)", "lengths", "ranker"),
    ("results.placements", "np.partition", "np.sort", "ranker"),
    ("runs.stages.rank", "histories[user] for", "histories[0] for", "ranker"),
    ("generator.training", "optimizer.step()", "optimizer.zero_grad()", "generator"),
    ("generator.t5_loss", "import torch", "import torch as torch", "generator"),
    ("generator.packing", "import torch", "import torch as torch", "generator"),
    ("generator.t5_gradients", "import torch", "import torch as torch", "generator"),
    ("generator.recorded", "import torch", "import torch as torch", "generator"),
    ("generator.model", "seed: int", "seed: int = 1", "generator"),
    ("generator.examples", "IGNORED = -100", "IGNORED = -1", "generator"),
    ("ids.vocabulary", "ids.codes +", "1 + ids.codes +", "generator"),
    ("runs.stages.train", "seed=seed,", "seed=0,", "generator"),
    ("generator.beam_search", "import torch", "import torch as torch", "beams"),
    ("generator.t5_tree", "import torch", "import torch as torch", "beams"),
    ("generator.trie", "import numpy as np", "import numpy as np, numpy", "beams"),
    ("ids.distinct", "import numpy as np", "import numpy as np, numpy", "beams"),
    ("runs.stages.decode", "histories[user] for", "histories[0] for", "beams"),
    ("runs.shared.query_tokens", "search_prompts(texts(),", "search_prompts(texts()[::-1],", "training queries"),
    ("runs.shared.tokenizer", "[*searches, *recommends]", "searches", "tokenizer"),
    ("text.tokenizer", "show_progress=False", "show_progress=True", "tokenizer"),
    ("text.encoder", "tuple(training_texts)", "tuple(training_texts)[:9]", "encoder"),
    ("text.lsa", "sublinear_tf=True", "sublinear_tf=False", "encoder"),
    ("text.stored_encoder", "CHUNK = 1024", "CHUNK = 1000", "encoder"),
    ("dataset.split", "import numpy as np", "import numpy as np, numpy", "dataset"),
    ("dataset.world", "import numpy as np", "import numpy as np, numpy", "dataset"),
    ("dataset.files", "compression=", "version=None, compression=", "dataset"),
    ("runs.shared.dataset", "split_data(prepared.raw, split)", "split_data(prepared.raw, 'test')", "dataset"),
]
SEVERAL = (  # modules that more than one stage uses
    *("ids.embedder", "ids.layout", "ids.vocabulary", "ids.distinct"),
    *("generator.examples", "generator.model", "text.tokenizer"),
)
AFTER = {  # what an edit of a stage changes, and nothing else
    "dataset": {"dataset"},  # later stages hang on what the data are, not on how they were made
    "encoder": {"encoder", "embedding", "ids", "generator", "beams", "ranker"},
    "plugins": {"embedding", "ids", "generator", "beams", "ranker"},
    "embedding": {"embedding", "ids", "generator", "beams"},
    "ids": {"ids", "generator", "beams"},
    "tokenizer": {"tokenizer", "training queries", "held-out queries", "generator", "beams"},
    "training queries": {"training queries", "held-out queries", "generator", "beams"},
    "generator": {"generator", "beams"},
    "beams": {"beams"},
    "ranker": {"ranker"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def session(store: Path) -> Session:
    return open_session(TRACK, "test", None, store, "cpu")


@pytest.fixture(scope="module")
def scheme() -> ResolvedScheme:
    return resolve_scheme(load_registry(), "content/rq-kmeans/shared", TRACK)


@pytest.fixture(scope="module")
def ranker() -> ResolvedMethod:
    method = resolve(load_registry(), Wanted("ranker", "popularity"), TRACK)
    assert isinstance(method, ResolvedMethod)
    return method


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the core's sources, which the hashes of code read."""
    copy = Path(shutil.copytree(PACKAGE, tmp_path / "semidbench", ignore=shutil.ignore_patterns("__pycache__")))
    monkeypatch.setattr(fingerprint, "_ROOT", copy)
    forget()
    yield copy
    monkeypatch.undo()
    forget()


def forget() -> None:
    """Have every source read again."""
    for cached in (fingerprint._read, fingerprint._digest, fingerprint._source, fingerprint.core_modules):
        cached.cache_clear()
    fingerprint.module_code.cache_clear()
    evaluate.result_code.cache_clear()


def keys(session: Session, scheme: ResolvedScheme, ranker: ResolvedMethod) -> dict[str, str]:
    """Every stage's key with the code as it is now, and the text encoder's fingerprint."""
    track, dataset = session.track, session.dataset
    assert isinstance(track.text_encoder, Lsa)
    encoder = lsa_fingerprint(track.text_encoder, training_texts(dataset.train), track.threads)
    tokenizer = tokenizer_key(track, None, dataset).hash
    now = dataclasses.replace(
        session,
        encoder=dataclasses.replace(session.encoder, fingerprint=encoder),
        tokenizer=dataclasses.replace(session.tokenizer, key=tokenizer),
    )
    return {
        "dataset": dataset_key(track, "test", None).hash,
        "encoder": encoder,
        "tokenizer": tokenizer,
        "training queries": query_tokens_key(now, "training", dataset.train_sha256).hash,
        "held-out queries": query_tokens_key(now, "held-out", dataset.held_out_sha256).hash,
        "embedding": embed.embedding_key(now, scheme.embedders[0], 0).hash,
        "ids": assign_ids.ids_key(now, scheme, 0).hash,
        "generator": train.generator_key(now, scheme, 0).hash,
        "beams": decode.beams_key(now, scheme, 0).hash,
        "ranker": rank.ranker_key(now, ranker, 0).hash,
    }


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name, key in before.items() if after[name] != key}


def path_of(sources: Path, module: str) -> Path:
    stem = sources.joinpath(*module.split(".")[1:])
    return stem.with_suffix(".py") if stem.with_suffix(".py").is_file() else stem / "__init__.py"


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text("utf-8")), "utf-8")


def modules_of(stage: str) -> list[str]:
    """All modules that a stage's key covers."""
    code = STAGES[stage]
    return sorted({*fingerprint.core_modules(*code.CODE), *(f"semidbench.{own}" for own in code.OWN_CODE)})


def with_a_function(text: str) -> str:
    return f"{text}\n\ndef added() -> int:\n    return 1\n"


def test_an_edit_of_what_computes_nothing_keeps_every_key(
    sources: Path, session: Session, scheme: ResolvedScheme, ranker: ResolvedMethod
) -> None:
    before, result = keys(session, scheme, ranker), evaluate.result_code()
    edited = 0
    for folder in ("cli", "leaderboards", "submissions", "runs", "isolation", "preview", "exchange", "testing"):
        for path in sorted((sources / folder).rglob("*.py")):
            module = ".".join(path.relative_to(sources).with_suffix("").parts)
            if module not in HANDING and module != "runs.evaluate":
                edit(path, with_a_function)
                edited += 1
    assert edited > 80
    forget()
    assert changed(before, keys(session, scheme, ranker)) == set()
    assert evaluate.result_code() == result


def test_comments_docstrings_and_blank_lines_keep_every_key(
    sources: Path, session: Session, scheme: ResolvedScheme, ranker: ResolvedMethod
) -> None:
    def commented(text: str) -> str:
        return f'"""Another docstring.\n\nOf two parts.\n"""\n{text.split(chr(34) * 3, 2)[2]}\n\n\n# The end.\n'

    before, result = keys(session, scheme, ranker), evaluate.result_code()
    for path in sorted(sources.rglob("*.py")):
        edit(path, commented)
    forget()
    assert changed(before, keys(session, scheme, ranker)) == set()
    assert evaluate.result_code() == result


@pytest.mark.parametrize(
    ("module", "old", "new", "stage"), EDITS, ids=[f"{module}-{index}" for index, (module, *_) in enumerate(EDITS)]
)
def test_an_edit_of_what_computes_changes_that_stage_and_the_later_ones(
    module: str,
    old: str,
    new: str,
    stage: str,
    sources: Path,
    session: Session,
    scheme: ResolvedScheme,
    ranker: ResolvedMethod,
) -> None:
    before, result = keys(session, scheme, ranker), evaluate.result_code()
    path = sources.joinpath(*module.split(".")).with_suffix(".py")
    assert old in path.read_text("utf-8")
    edit(path, lambda text: text.replace(old, new))
    forget()
    moved = changed(before, keys(session, scheme, ranker))
    assert moved >= AFTER[stage]
    if module not in SEVERAL:
        assert moved == AFTER[stage]
    if stage != "dataset":  # a result has the hash of its data
        assert evaluate.result_code() != result


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_that_a_stage_names_counts(
    stage: str, sources: Path, session: Session, scheme: ResolvedScheme, ranker: ResolvedMethod
) -> None:
    before = keys(session, scheme, ranker)
    for module in modules_of(stage):
        path = path_of(sources, module)
        text = path.read_text("utf-8")
        edit(path, with_a_function)
        forget()
        assert stage in changed(before, keys(session, scheme, ranker)), module
        path.write_text(text, "utf-8")


def test_a_string_counts_though_it_looks_like_a_comment() -> None:
    def computed(text: str) -> bytes:
        return fingerprint.computation(text, ast.parse(text))

    plain = 'x = """a\n\n# b\n"""\n'
    assert computed(plain) == computed(f'"""About it."""\n\n# Why.\n{plain}  \n# more\n')
    assert computed(plain) != computed('x = """a\n# b\n"""\n')
    assert computed(plain) != computed('x = """a\n\n"""\n')
    assert computed("def f():\n    '''Of f.'''\n    return 1\n") == computed("def f():\n    return 1  # one\n")
    assert computed("x = '# no comment'\n") != computed("x = '# another'\n")


def test_imports_for_type_checkers_do_not_count(sources: Path) -> None:
    before = fingerprint.core_code("ids.embedder")
    text = "\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from semidbench.runs.run import run\n"
    edit(sources / "ids" / "embedder.py", lambda source: source + text)
    forget()
    assert fingerprint.core_code("ids.embedder") == before
    assert "semidbench.runs.run" not in fingerprint.core_modules("ids.embedder")
    edit(sources / "ids" / "embedder.py", lambda source: source + "\n\ndef f():\n    from semidbench.runs import run\n")
    forget()
    assert "semidbench.runs.run" in fingerprint.core_modules("ids.embedder")
    assert fingerprint.core_code("ids.embedder") != before


def test_what_runs_beside_a_docstring_or_for_type_checkers_counts() -> None:
    def computed(text: str) -> bytes:
        return fingerprint.computation(text, ast.parse(text))

    assert computed("def f():\n    '''Of f.'''; return 1\n") != computed("def f():\n    '''Of f.'''; return 2\n")
    chosen = "if TYPE_CHECKING:\n    a = 1\nelse:\n    from semidbench.ids import layout\n"
    assert list(fingerprint._imports(ast.parse(chosen))) == ["semidbench.ids.layout"]
    assert computed(chosen) == computed(chosen.replace("a = 1", "a = 2"))
    assert computed(chosen) != computed(chosen.replace("layout", "embedder"))


def test_an_embedding_hangs_on_few_modules() -> None:
    assert len(modules_of("embedding")) <= 15


def with_another_query(raw: RawData) -> RawData:
    first, *others = raw.test_queries.texts
    return dataclasses.replace(
        raw, test_queries=dataclasses.replace(raw.test_queries, texts=(f"another {first}", *others))
    )


def test_another_test_query_trains_nothing_anew(
    session: Session, scheme: ResolvedScheme, ranker: ResolvedMethod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the store: what was computed before is found, and only decoding and rankings are new."""
    failed: FailedStages = {}
    for row in (scheme, ranker):
        assert run_cell(session, row, 0, tmp_path, Silent(), failed) is None
    original = prepare(TRACK, None)
    altered = Prepared(with_another_query(original.raw), original.notes)
    monkeypatch.setattr(dataset_module, "prepare", lambda *_: altered)
    copy = Path(shutil.copytree(session.store, tmp_path / "copy", ignore=shutil.ignore_patterns("dataset")))
    other = open_session(TRACK, "test", None, copy, "cpu")
    assert other.dataset.sha256 != session.dataset.sha256
    moved = changed(keys(session, scheme, ranker), keys(other, scheme, ranker))
    assert moved == {"held-out queries", "beams", "ranker"}
    assert find_stage(copy, train.generator_key(other, scheme, 0)) is not None
    assert find_stage(copy, decode.beams_key(other, scheme, 0)) is None
    assert other.tokenizer.computed is False


def test_other_metrics_compute_no_stage_of_a_cell_anew(
    session: Session, scheme: ResolvedScheme, ranker: ResolvedMethod, tmp_path: Path
) -> None:
    evaluation = TRACK.evaluation.model_copy(update={"recall_at": (7, 30), "ndcg_at": (3,)})
    other = open_session(TRACK.model_copy(update={"evaluation": evaluation}), "test", None, tmp_path, "cpu")
    assert changed(keys(session, scheme, ranker), keys(other, scheme, ranker)) == set()


def test_another_seed_or_option_changes_the_keys(session: Session, ranker: ResolvedMethod) -> None:
    rows = [resolve_scheme(load_registry(), f"content/rq-kmeans{option}/shared", TRACK) for option in ("", "[beam=1]")]
    one, other = (keys(session, row, ranker) for row in rows)
    assert changed(one, other) == {"ids", "generator", "beams"}
    seeds = [embed.embedding_key(session, rows[0].embedders[0], seed).hash for seed in (0, 1)]
    assert seeds[0] != seeds[1]
