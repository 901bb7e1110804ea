"""The search prompts of a run's queries as tokens: the same in every cell, and so tokenised once.

Training and held-out queries have stages of their own, so that a process that trains never reads the test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semidbench.generator.examples import TokenRows, search_prompts
from semidbench.runs.shared.session import Session
from semidbench.store.fingerprint import core_code, library_versions, module_code
from semidbench.store.stages import StageKey, run_stage
from semidbench.text.tokenizer import load_text_tokens

FORMAT = 1
_TOKENS = "tokens.safetensors"


def training_query_tokens(session: Session) -> TokenRows:
    """The prompts of the training queries, in their order."""
    key = query_tokens_key(session, "training-query-tokens", session.dataset.train_sha256)
    return _tokens(session, key, lambda: session.dataset.train.queries.texts)


def held_out_query_tokens(session: Session) -> TokenRows:
    """The prompts of the held-out queries, in their order."""
    key = query_tokens_key(session, "held-out-query-tokens", session.dataset.held_out_sha256)
    return _tokens(session, key, lambda: session.dataset.held_out().queries.texts)


def query_tokens_key(session: Session, name: str, queries_sha256: str) -> StageKey:
    """What determines the tokens of the queries on one side of the split."""
    prompts = session.track.prompts
    inputs = {
        "queries": queries_sha256,
        "tokenizer": session.tokenizer.key,
        "prompt": prompts.search,
        "max_tokens": prompts.max_tokens,
        "code": [core_code("generator.examples"), module_code("runs.shared.query_tokens")],
        "libraries": library_versions(["tokenizers"]),
    }
    return StageKey(name, inputs)


def _tokens(session: Session, key: StageKey, texts: Callable[[], Sequence[str]]) -> TokenRows:
    def make(folder: Path) -> None:
        from safetensors.numpy import save_file

        tokenizer = load_text_tokens(session.tokenizer.folder).tokenizer
        rows = search_prompts(texts(), tokenizer, session.track.prompts)
        columns: dict[str, np.ndarray[Any, Any]] = {"flat": rows.flat, "offsets": rows.offsets}
        save_file(columns, folder / _TOKENS, {"format": str(FORMAT)})

    return _load(run_stage(session.store, key, make).folder / _TOKENS)


def _load(path: Path) -> TokenRows:
    from safetensors.numpy import load_file

    columns = load_file(path)
    return TokenRows(columns["flat"], columns["offsets"])
