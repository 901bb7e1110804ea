"""A tiny generator with random weights, for tests."""

from __future__ import annotations

from transformers import T5ForConditionalGeneration

from semidbench.generator.model import add_tokens, new_generator
from semidbench.tracks import track

SECTION = track.ScratchGenerator(
    kind="scratch",
    tokenizer_vocabulary=40,
    d_model=16,
    d_ff=32,
    heads=2,
    encoder_layers=1,
    decoder_layers=2,
    feed_forward="relu",
    dropout=0.1,
)


def tiny_generator(
    id_tokens: int, seed: int = 0, text_tokens: int = 40, dropout: float = 0.1
) -> T5ForConditionalGeneration:
    """Text tokens 0..39, ID tokens behind them."""
    model = new_generator(SECTION.model_copy(update={"dropout": dropout}), text_tokens, seed)
    add_tokens(model, id_tokens, seed)
    return model.eval()
