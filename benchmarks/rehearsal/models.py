"""The track's two pretrained models with random weights, in the folders that the hub has: for SEMIDBENCH_MODELS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.shapes import SHAPES, Shape
from semidbench.generator.model import random_t5, save_generator
from semidbench.text.tokenizer import END, PAD, UNKNOWN

_T5_TOKENS = 32_100  # of flan-t5's tokenizer, whose model has 32,128 rows
_MPNET_TOKENS, _MPNET_LONGEST = 30_527, 384
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789:"
_SMALL_MPNET = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}


def write_models(folder: Path, name: str, words: NDArray[np.str_], seed: int = 0) -> None:
    """`flan-t5-base` of a shape of `SHAPES`, and `all-mpnet-base-v2`: of its own shape beside flan-t5-base's.

    Their tokenizers know made-up words, so that a word is a token, as common words are to the real ones.
    """
    _write_t5(folder / "flan-t5-base", SHAPES[name], words, seed)
    small = _SMALL_MPNET if name == "tiny" else {}
    _write_mpnet(folder / "all-mpnet-base-v2", words, small, seed)


def _write_t5(folder: Path, shape: Shape, words: NDArray[np.str_], seed: int) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    save_generator(random_t5(shape.t5(dropout=0.1), shape.text_tokens, seed), folder)
    pieces = dict.fromkeys([PAD, END, UNKNOWN, "▁", *_LETTERS, *(f"▁{word}" for word in words.tolist())])
    known = list(pieces)[: min(_T5_TOKENS, shape.text_tokens)]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(np.log1p(at))) for at, piece in enumerate(known)], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.save(str(folder / "tokenizer.json"))


def _write_mpnet(folder: Path, words: NDArray[np.str_], shape: dict[str, int], seed: int) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import MPNetConfig, MPNetModel, PreTrainedTokenizerFast

    known = list(dict.fromkeys(["<s>", PAD, END, UNKNOWN, *words.tolist()]))[:_MPNET_TOKENS]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(known)}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"<s> $A {END}", special_tokens=[("<s>", 0), (END, 2)]
    )
    bare = folder.with_name(f"{folder.name}-bare")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MPNetModel(MPNetConfig(vocab_size=_MPNET_TOKENS, max_position_embeddings=514, **shape))
    model.save_pretrained(bare)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN).save_pretrained(bare)
    body = modules.Transformer(str(bare), max_seq_length=_MPNET_LONGEST)
    pooling = modules.Pooling(model.config.hidden_size, pooling_mode="mean")
    SentenceTransformer(modules=[body, pooling, modules.Normalize()], device="cpu").save(str(folder))
