from __future__ import annotations

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from semidbench.generator.t5_layers import encode, padding_mask


@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu", "gated-silu"])
def test_the_encoder_equals_that_of_transformers(feed_forward: str) -> None:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=50, d_model=16, d_kv=8, d_ff=24, num_layers=3, num_heads=2, feed_forward_proj=feed_forward
    )
    model = T5ForConditionalGeneration(config).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    tokens = torch.randint(3, 50, (4, 11))
    mask = (torch.arange(11) < torch.tensor([[11], [4], [1], [7]])).long()
    with torch.inference_mode():
        theirs = model.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        ours = encode(model, tokens, padding_mask(mask))
    torch.testing.assert_close(ours[mask == 1], theirs[mask == 1], rtol=1e-4, atol=1e-5)
