"""The generator: a T5 through transformers, with ID tokens added to its vocabulary.

transformers 5 ties T5's output layer to its input embeddings whenever it resizes them, which changes
the logits of an untied model's old vocabulary (flan-t5 is one). So tokens are added, and models saved
and loaded, here: every old logit stays as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import T5Config, T5ForConditionalGeneration

from semidbench.errors import UserError
from semidbench.machine.products import exchange_linear_layers, linear
from semidbench.text.tokenizer import END_ID, PAD_ID

if TYPE_CHECKING:
    from semidbench.tracks import track

FORMAT = 1
_INPUTS = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")  # one tensor, any name
_COPIES = _INPUTS[1:]


def new_generator(section: track.ScratchGenerator, vocabulary: int, seed: int) -> T5ForConditionalGeneration:
    """A T5 of a track's shape with random weights, as `random_t5`."""
    shape = {
        "d_model": section.d_model,
        "d_kv": section.d_model // section.heads,
        "d_ff": section.d_ff,
        "num_layers": section.encoder_layers,
        "num_decoder_layers": section.decoder_layers,
        "num_heads": section.heads,
        "feed_forward_proj": section.feed_forward,
        "dropout_rate": section.dropout,
    }
    return random_t5(shape, vocabulary, seed)


def random_t5(shape: Mapping[str, Any], vocabulary: int, seed: int) -> T5ForConditionalGeneration:
    """A T5 with random weights and an untied output layer.

    transformers draws untied output weights with deviation 1, which at the first step gives logits of
    deviation sqrt(d_model); from scratch 1/sqrt(d_model) trains better.

    Args:
        shape: what `T5Config` takes, but vocabulary, tokens and tying.
    """
    config = T5Config(
        **shape,
        vocab_size=vocabulary,
        tie_word_embeddings=False,
        pad_token_id=PAD_ID,
        eos_token_id=END_ID,
        decoder_start_token_id=PAD_ID,
    )
    config._attn_implementation = "eager"  # on a CPU, at these shapes, faster than sdpa with a bias
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(config)
        exchange_linear_layers(model)
        weight = torch.randn(vocabulary, config.d_model) * config.d_model**-0.5
    _set_output(model, weight)
    return model


def is_tied(model: T5ForConditionalGeneration) -> bool:
    """Whether the output layer shares the input embeddings' weights."""
    return bool(model.lm_head.weight.data_ptr() == model.shared.weight.data_ptr())


def add_tokens(model: T5ForConditionalGeneration, count: int, seed: int) -> None:
    """Append `count` tokens in place, leaving every old token's logits as they were.

    New rows are drawn, per matrix, with the mean and deviation of its old rows.
    """
    tied = is_tied(model)
    generator = torch.Generator().manual_seed(seed)
    inputs = _extended(model.shared.weight.detach(), count, generator)
    outputs = inputs if tied else _extended(model.lm_head.weight.detach(), count, generator)
    _set_vocabulary(model, inputs, None if tied else outputs)


def save_generator(model: T5ForConditionalGeneration, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` as transformers would read an untied or tied T5."""
    config = model.config.to_dict() | {"tie_word_embeddings": is_tied(model), "semidbench_format": FORMAT}
    config.pop("transformers_version", None)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True, default=str) + "\n", "utf-8")
    dropped = (*_COPIES, "lm_head.weight") if is_tied(model) else _COPIES
    state = {name: value.contiguous() for name, value in model.state_dict().items() if name not in dropped}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def load_generator(folder: Path) -> T5ForConditionalGeneration:
    """Read what `save_generator`, or transformers' `save_pretrained`, wrote.

    Raises:
        UserError: no such folder, or weights that do not fit the configuration.
    """
    try:
        raw = json.loads((folder / "config.json").read_text("utf-8"))
        state = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"cannot read a T5 from {folder}: {error}") from error
    config = T5Config.from_dict(raw)
    # transformers 5 writes "tie_word_embeddings": true for untied models too, and the scale beside it
    config.scale_decoder_outputs = raw.get("scale_decoder_outputs", raw.get("tie_word_embeddings", True) is not False)
    config._attn_implementation = "eager"
    with torch.random.fork_rng(devices=[]):
        model = T5ForConditionalGeneration(config)
    exchange_linear_layers(model)
    inputs = next((state[name] for name in _INPUTS if name in state), None)
    if inputs is None:
        raise UserError(f"{folder / 'model.safetensors'} holds no {_INPUTS[0]}: it is no T5's")
    _set_vocabulary(model, inputs, state.get("lm_head.weight"))
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [name for name in missing if name not in (*_INPUTS, "lm_head.weight")]
    unexpected = [name for name in unexpected if not name.endswith("EncDecAttention.relative_attention_bias.weight")]
    if missing or unexpected:
        raise UserError(f"weights in {folder} do not fit its config.json: missing {missing}, unexpected {unexpected}")
    return model


def _extended(old: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    deviation, mean = torch.std_mean(old, dim=0)
    return torch.cat([old, mean + deviation * torch.randn(count, old.shape[1], generator=generator).to(old)])


def _set_vocabulary(model: T5ForConditionalGeneration, inputs: torch.Tensor, outputs: torch.Tensor | None) -> None:
    """Give the model these input embeddings and output weights; no output weights means tied ones."""
    embedding = nn.Embedding(len(inputs), inputs.shape[1], _weight=inputs.clone())
    model.set_input_embeddings(embedding)
    model.config.vocab_size = len(inputs)
    _set_output(model, outputs.clone() if outputs is not None else embedding.weight)


def _set_output(model: T5ForConditionalGeneration, weight: torch.Tensor) -> None:
    model.lm_head = linear(weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight))
