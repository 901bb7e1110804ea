"""What decode.py times: a peaked T5, a catalogue and prompts, in a folder where the peer finds them too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.shapes import Shape, catalogue, distinct_first, first_code_logits, peak, random_prompts, random_t5
from semidbench.generator.examples import TokenRows
from semidbench.generator.model import save_generator
from semidbench.ids.distinct import distinct_ids
from semidbench.tracks import track

PROMPT_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Task:
    """One model, catalogue and set of prompts, with where the peer finds them."""

    folder: Path
    shape: Shape
    prompts: TokenRows
    codes: np.ndarray[Any, np.dtype[np.int64]]
    section: track.Decoding
    held: np.ndarray[Any, np.dtype[np.int64]]


def make_task(
    shape: Shape, distinct: int, section: track.Decoding, folder: Path, seed: int, count: int, device: str
) -> Task:
    """Write the model, peaked so that a prompt's beams hold at most `distinct` first tokens, and `count` prompts.

    Args:
        device: where the logits are computed that say how far to peak it.
    """
    model = random_t5(shape, seed)
    prompts = random_prompts(shape, count, PROMPT_TOKENS, seed)
    logits = first_code_logits(model, shape, prompts, device)
    model.to("cpu")
    factor = peak(logits, distinct, section.beams, section.groups, section.diversity_penalty)
    with torch.no_grad():
        model.lm_head.weight[shape.text_tokens :] *= factor
    save_generator(model, folder)
    codes = distinct_ids(catalogue(shape, seed)).codes
    np.save(folder / "prompts.npy", prompts.padded(np.arange(len(prompts)))[0])
    np.save(folder / "sequences.npy", codes + np.array(shape.first_tokens))
    names = {"beams": "num_beams", "groups": "num_beam_groups", "diversity_penalty": "diversity_penalty"}
    settings = {names[key]: value for key, value in section.model_dump().items()}
    (folder / "decoding.json").write_text(json.dumps(settings), "utf-8")
    held = distinct_first(
        logits * np.float32(factor), section.groups, section.beams // section.groups, section.diversity_penalty
    )
    return Task(folder, shape, prompts, codes, section, held)
