"""Tiny pretrained models with random weights, in the folders that the hub has: for SEMIDBENCH_MODELS."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import T5Config, T5ForConditionalGeneration

T5_ROWS_WITHOUT_TOKEN = 28  # as flan-t5, whose 32,128 rows serve 32,100 tokens


def write_tiny_t5(folder: Path, texts: Sequence[str], vocabulary: int = 400, seed: int = 0) -> int:
    """An untied T5 v1.1 as google/flan-t5-base lies on the hub. Gives the rows of its embeddings."""
    folder.mkdir(parents=True)
    tokenizer = _t5_tokenizer(texts, vocabulary)
    tokenizer.enable_truncation(3)  # settings that a saved tokenizer may carry, and that nobody wants here
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(folder / "tokenizer.json"))
    rows = tokenizer.get_vocab_size() + T5_ROWS_WITHOUT_TOKEN
    config = {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "vocab_size": rows,
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 48,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": 0.1,
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    words = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "extra_ids": 0}
    settings = {"tokenizer_class": "T5Tokenizer", **words, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(T5Config.from_dict(config))
        state = {name: value.clone() for name, value in model.state_dict().items() if "embed_tokens" not in name}
        state["lm_head.weight"] = torch.randn(rows, 32) * 0.2
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    return rows


def _t5_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


def write_tiny_mpnet(folder: Path, words: Sequence[str], width: int = 32, longest: int = 24, seed: int = 0) -> None:
    """A sentence-transformers MPNet with mean pooling and normalisation, as all-mpnet-base-v2 lies on the hub."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import MPNetConfig, MPNetModel, PreTrainedTokenizerFast

    vocabulary = {word: at for at, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *dict.fromkeys(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    bare = folder.with_name(f"{folder.name}-bare")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        shape = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 2, "num_attention_heads": 4}
        model = MPNetModel(MPNetConfig(vocab_size=len(vocabulary), max_position_embeddings=longest + 8, **shape))
    model.save_pretrained(bare)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=longest + 6
    ).save_pretrained(bare)
    body = modules.Transformer(str(bare), max_seq_length=longest)
    pooling = modules.Pooling(width, pooling_mode="mean")
    SentenceTransformer(modules=[body, pooling, modules.Normalize()], device="cpu").save(str(folder))
