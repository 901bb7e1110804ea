"""The search prompts of a run's queries as tokens: the same in every cell, and so tokenised once.

Training and held-out queries have stages of their own, so that a process that trains never reads the test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semidbench.generator.examples import TokenRows, search_prompts
from semidbench.runs.session import Bench
from semidbench.store.fingerprint import core_code, library_versions, module_code
from semidbench.store.stages import run_stage

FORMAT = 1
_TOKENS = "tokens.safetensors"


def training_query_tokens(bench: Bench) -> TokenRows:
    """The prompts of the training queries, in their order."""
    return _tokens(bench, "training-query-tokens", lambda: bench.train.queries.texts)


def held_out_query_tokens(bench: Bench) -> TokenRows:
    """The prompts of the held-out queries, in their order."""
    return _tokens(bench, "held-out-query-tokens", lambda: bench.held_out().queries.texts)


def _tokens(bench: Bench, name: str, texts: Callable[[], Sequence[str]]) -> TokenRows:
    prompts = bench.track.prompts
    inputs = {
        "dataset": bench.dataset.key,
        "tokenizer": bench.tokenizer.key,
        "prompt": prompts.search,
        "max_tokens": prompts.max_tokens,
        "code": [core_code("generator.examples"), module_code("runs.query_tokens")],
        "libraries": library_versions(["tokenizers"]),
    }

    def make(folder: Path) -> None:
        from safetensors.numpy import save_file

        rows = search_prompts(texts(), bench.text_tokens().tokenizer, prompts)
        columns: dict[str, np.ndarray[Any, Any]] = {"flat": rows.flat, "offsets": rows.offsets}
        save_file(columns, folder / _TOKENS, {"format": str(FORMAT)})

    return _load(run_stage(bench.store, name, inputs, make).folder / _TOKENS)


def _load(path: Path) -> TokenRows:
    from safetensors.numpy import load_file

    columns = load_file(path)
    return TokenRows(columns["flat"], columns["offsets"])
