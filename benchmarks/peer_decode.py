"""The peer of decode.py: Hugging Face's group beam search, answering "time this" over stdin and stdout, a line each.

Runs in the environment of peer-requirements.txt, so it imports nothing of semidbench:

    python peer_decode.py TASK_FOLDER THREADS DEVICE

The folder holds a model, `prompts.npy` (int64 (prompts, length), no padding), `sequences.npy` (int64 (IDs, levels),
the valid ID tokens) and `decoding.json`. A request is {"what": "decode" or "encode", "prompts": n, "batch": b},
answered with {"seconds": s}, infinity where a GPU's memory runs out; or {"what": "answers", "prompts": n, "batch": b},
answered from float32 on the CPU with {"sequences": ..., "scores": ...}.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import T5ForConditionalGeneration
from transformers.utils import logging

VERSION = "4.53.3"


def main(folder: Path, threads: int, device: str) -> None:
    """Load, say so, and answer until the input ends."""
    if transformers.__version__ != VERSION:
        sys.exit(f"the peer is transformers {VERSION}, this environment has {transformers.__version__}")
    torch.set_num_threads(threads)
    logging.set_verbosity_error()
    model = T5ForConditionalGeneration.from_pretrained(folder).eval()
    model.generation_config.eos_token_id = None
    prompts = torch.from_numpy(np.load(folder / "prompts.npy"))
    settings = {where: search_settings(folder, where) for where in {device, "cpu"}}
    say({"transformers": transformers.__version__, "torch": torch.__version__})
    for line in sys.stdin:
        request = json.loads(line)
        where = "cpu" if request["what"] == "answers" else device
        say(answer(request, model.to(where), prompts.to(where), settings[where]))


def search_settings(folder: Path, device: str) -> dict[str, Any]:
    """The arguments of `generate`."""
    sequences = np.load(folder / "sequences.npy")
    allowed = allowed_tokens(sequences, device)
    decoding: dict[str, Any] = json.loads((folder / "decoding.json").read_text("utf-8"))
    return decoding | {
        "max_new_tokens": sequences.shape[1],
        "num_return_sequences": decoding["num_beams"],
        "prefix_allowed_tokens_fn": lambda prompt, prefix: allowed[tuple(prefix.tolist()[1:])],
    }


def say(message: dict[str, Any]) -> None:
    """One line of JSON."""
    print(json.dumps(message), flush=True)


def answer(
    request: dict[str, Any], model: T5ForConditionalGeneration, prompts: torch.Tensor, settings: dict[str, Any]
) -> dict[str, Any]:
    """What one request asks for."""
    batches = torch.split(prompts[: request["prompts"]], request["batch"])
    if request["what"] == "encode":
        return {"seconds": seconds(lambda: [encode(model, batch) for batch in batches], prompts.device.type)}
    if request["what"] == "decode":
        return {
            "seconds": seconds(lambda: [generate(model, batch, settings) for batch in batches], prompts.device.type)
        }
    with torch.inference_mode():
        scored = settings | {"return_dict_in_generate": True, "output_scores": True}
        found = [generate(model, batch, scored) for batch in batches]
    per_prompt = (-1, settings["num_beams"], settings["max_new_tokens"])
    return {
        "sequences": torch.cat([batch.sequences[:, 1:].reshape(per_prompt) for batch in found]).tolist(),
        "scores": torch.cat([batch.sequences_scores.view(per_prompt[:2]) for batch in found]).tolist(),
    }


def encode(model: T5ForConditionalGeneration, tokens: torch.Tensor) -> Any:
    """The encoder alone."""
    return model.encoder(input_ids=tokens, attention_mask=torch.ones_like(tokens))


def generate(model: T5ForConditionalGeneration, tokens: torch.Tensor, settings: dict[str, Any]) -> Any:
    """Group beam search."""
    return model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, **settings)


def seconds(work: Callable[[], Any], device: str) -> float:
    """Wall clock, in float32, as semidbench decodes on every device."""
    with torch.inference_mode():
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        try:
            work()
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            return math.inf
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started


def allowed_tokens(sequences: np.ndarray[Any, Any], device: str) -> dict[tuple[int, ...], torch.Tensor]:
    """The tokens that may follow each prefix, made once and ready to index with."""
    following: dict[tuple[int, ...], dict[int, None]] = {}
    for sequence in sequences.tolist():
        for level, token in enumerate(sequence):
            following.setdefault(tuple(sequence[:level]), {})[token] = None
    return {prefix: torch.tensor(list(tokens), device=device) for prefix, tokens in following.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
