"""What a stage hangs on: edits of code, data and tracks that must keep its key, and those that must change it."""

from __future__ import annotations

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
from semidbench.store import fingerprint
from semidbench.store.stages import find_stage
from semidbench.text.encoder import lsa_fingerprint
from semidbench.text.lsa import training_texts
from semidbench.tracks.track import Lsa, load_track

PACKAGE = Path(semidbench.__file__).parent
TRACK = load_track("smoke")
# Of runs/ and isolation/, the modules that hand data, a seed or an option to a stage.
HANDING = {
    "isolation.work",
    *(f"runs.shared.{name}" for name in ("dataset", "query_tokens", "tokenizer")),
    *(f"runs.stages.{name}" for name in ("assign_ids", "decode", "embed", "rank", "train")),
}
CODE = {"embedding": embed, "ids": assign_ids, "generator": train, "beams": decode, "ranker": rank}
MODULES = {
    stage: sorted({*fingerprint.core_modules(*module.CODE), *(f"semidbench.{own}" for own in module.OWN_CODE)})
    for stage, module in CODE.items()
}
AFTER = {  # the stages that a stage is an input of
    "tokenizer": {"training queries", "held-out queries", "generator", "beams"},
    "embedding": {"ids", "generator", "beams"},
    "ids": {"generator", "beams"},
    "generator": {"beams"},
    "beams": set(),
    "ranker": set(),
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
    ("stage", "module"), [(stage, module) for stage, modules in MODULES.items() for module in modules]
)
def test_an_edit_of_what_computes_a_stage_changes_its_key_and_the_later_ones(
    stage: str, module: str, sources: Path, session: Session, scheme: ResolvedScheme, ranker: ResolvedMethod
) -> None:
    before, result = keys(session, scheme, ranker), evaluate.result_code()
    edit(path_of(sources, module), with_a_function)
    forget()
    moved = changed(before, keys(session, scheme, ranker))
    assert {stage, *AFTER[stage]} <= moved
    assert evaluate.result_code() != result
    first = next(name for name in ("encoder", "embedding", "ids", "generator", "beams") if name in moved | {"beams"})
    if module.startswith("semidbench.generator"):
        assert not moved & {"encoder", "embedding", "ids", "ranker"}
    if module == "semidbench.runs.stages.decode":
        assert first == "beams"
        assert moved == {"beams"}


@pytest.mark.parametrize(
    ("module", "stage"),
    [
        ("text.lsa", "encoder"),
        ("text.stored_encoder", "encoder"),
        ("text.tokenizer", "tokenizer"),
        ("runs.shared.tokenizer", "tokenizer"),
        ("runs.shared.query_tokens", "training queries"),
        ("runs.shared.dataset", "dataset"),
        ("dataset.split", "dataset"),
        ("dataset.world", "dataset"),
    ],
)
def test_an_edit_of_what_all_cells_share_changes_its_key(
    module: str, stage: str, sources: Path, session: Session, scheme: ResolvedScheme, ranker: ResolvedMethod
) -> None:
    before = keys(session, scheme, ranker)
    edit(sources.joinpath(*module.split(".")).with_suffix(".py"), with_a_function)
    forget()
    moved = changed(before, keys(session, scheme, ranker))
    assert stage in moved
    if stage == "dataset":  # later stages hang on what the data are, not on how they were made
        assert moved == {"dataset"}


def test_a_string_counts_though_it_looks_like_a_comment() -> None:
    def computed(text: str) -> bytes:
        import ast

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
    assert "semidbench.runs.run" not in fingerprint.core_modules("ids.embedder")
    edit(sources / "ids" / "embedder.py", lambda source: source + "\n\ndef f():\n    from semidbench.runs import run\n")
    forget()
    assert "semidbench.runs.run" in fingerprint.core_modules("ids.embedder")
    assert fingerprint.core_code("ids.embedder") != before


def test_an_embedding_hangs_on_few_modules() -> None:
    assert len(MODULES["embedding"]) <= 15


def with_another_query(raw: RawData) -> RawData:
    first, *others = raw.test_queries.texts
    return dataclasses.replace(
        raw, test_queries=dataclasses.replace(raw.test_queries, texts=(f"another {first}", *others))
    )


def test_another_test_query_trains_nothing_anew(
    session: Session, scheme: ResolvedScheme, ranker: ResolvedMethod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the store: what was computed before is found, and only decoding and rankings are new."""
    failed: embed.FailedEmbeddings = {}
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
