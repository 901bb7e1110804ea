"""A pretrained sentence-transformers model as a text encoder, in float32."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from semidbench.api import Floats
from semidbench.errors import UserError

_BATCH = 64  # texts per forward pass: the fastest of 16..256 on two cores


@dataclass(frozen=True)
class SentenceEncoder:
    """The model in a folder. Loaded at the first text to encode."""

    folder: Path
    threads: int
    device: str

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit-length encodings float32 (len(texts), width). Texts of like length are best given together."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            encodings: Floats = self._model.encode(
                list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
            )
            return encodings
        finally:
            torch.set_num_threads(threads)

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        from semidbench.machine.products import exchange_linear_layers

        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # one flash of "Loading weights" across the caller's bars
        try:
            model = SentenceTransformer(str(self.folder), device=self.device, local_files_only=True)
        finally:
            if shown:
                logging.enable_progress_bar()
        exchange_linear_layers(model)
        return model


def sentence_model_width(folder: Path) -> int:
    """Width of the encodings, from the pooling's settings, so that nothing heavy is loaded for it.

    Raises:
        UserError: the folder has no pooling settings that can be read.
    """
    try:
        settings = json.loads((folder / "1_Pooling" / "config.json").read_text("utf-8"))
        # sentence-transformers 6 renamed the key
        return int(settings.get("word_embedding_dimension") or settings["embedding_dimension"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"model folder {folder} is incomplete: 1_Pooling/config.json: {error!r}. Get the whole model again"
        ) from error
