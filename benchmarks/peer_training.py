"""The peer of training.py: Seq2SeqTrainer as a careful user would set it up, answering over stdin and stdout.

Runs in the environment of peer-requirements.txt, so it imports nothing of semidbench:

    python peer_training.py TASK_FOLDER THREADS DEVICE

The folder holds a model, the prompts as `flat.npy` and `offsets.npy` (row i is flat[offsets[i]:offsets[i + 1]]),
`labels.npy` and `training.json`, the track's section. A request is {"warm": w, "steps": n, "seed": s, "by_length": b},
answered with {"seconds": of the n steps after the first w, "real": tokens, "padded": tokens with padding, "peak_gib":
of the card's memory, 0 on a CPU}. With n = 0 the training runs whole and its weights are saved under "save". DEVICE is
cpu or cuda; on cuda it trains with bf16=True, and the clock is read when the card has done its work.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    DataCollatorForSeq2Seq,
    PreTrainedTokenizerFast,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    T5ForConditionalGeneration,
    TrainerCallback,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

VERSION = "4.53.3"


def main(folder: Path, threads: int, device: str) -> None:
    """Load, say so, and answer until the input ends."""
    if transformers.__version__ != VERSION:
        sys.exit(f"the peer is transformers {VERSION}, this environment has {transformers.__version__}")
    torch.set_num_threads(threads)
    logging.set_verbosity_error()
    rows = Rows.read(folder)
    section = json.loads((folder / "training.json").read_text("utf-8"))
    say({"transformers": transformers.__version__, "torch": torch.__version__})
    for line in sys.stdin:
        say(answer(json.loads(line), folder, rows, section, device))


def say(message: dict[str, Any]) -> None:
    """One line of JSON."""
    print(json.dumps(message), flush=True)


class Rows(torch.utils.data.Dataset[dict[str, list[int]]]):
    """The examples, tokenised, as lists."""

    def __init__(self, inputs: list[list[int]], labels: list[list[int]]) -> None:
        self.inputs, self.labels = inputs, labels

    @classmethod
    def read(cls, folder: Path) -> Rows:
        flat, offsets, labels = (np.load(folder / f"{name}.npy") for name in ("flat", "offsets", "labels"))
        return cls([row.tolist() for row in np.split(flat, offsets[1:-1])], labels.tolist())

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, row: int) -> dict[str, list[int]]:
        return {"input_ids": self.inputs[row], "labels": self.labels[row]}


@dataclass
class Clock(TrainerCallback):  # type: ignore[misc]
    """Seconds between two steps, once the device has done all that it was given."""

    begin: int
    end: int
    device: str
    began: float = 0.0
    seconds: float = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.begin:
            self.began = self.now()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.end:
            self.seconds = self.now() - self.began

    def now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


class Decaying(Seq2SeqTrainer):  # type: ignore[misc]
    """All weights decay, norms and position biases too, as semidbench's do: both optimise the same."""

    def get_decay_parameter_names(self, model: torch.nn.Module) -> list[str]:
        return [name for name, _ in model.named_parameters()]


class Counted(DataCollatorForSeq2Seq):  # type: ignore[misc]
    """Dynamic padding that counts."""

    real = padded = 0

    def __call__(self, features: Any, return_tensors: Any = None) -> Any:
        batch = super().__call__(features, return_tensors)
        self.real += int(batch["attention_mask"].sum())
        self.padded += batch["attention_mask"].numel()
        return batch


def answer(request: dict[str, Any], folder: Path, rows: Rows, section: dict[str, Any], device: str) -> dict[str, Any]:
    """One training."""
    set_seed(request["seed"])
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model = T5ForConditionalGeneration.from_pretrained(folder)
    steps = request["warm"] + request["steps"]
    whole = section["epochs"] * -(-len(rows) // section["batch"])
    clock = Clock(request["warm"], steps if request["steps"] else whole, device)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"<pad>": 0}, unk_token="<pad>")), pad_token="<pad>"
    )
    logging.set_verbosity_error()
    collator = Counted(tokenizer, model=model)
    with tempfile.TemporaryDirectory() as out:
        trainer = Decaying(
            model=model,
            args=Seq2SeqTrainingArguments(
                output_dir=out,
                per_device_train_batch_size=section["batch"],
                num_train_epochs=section["epochs"],
                max_steps=steps if request["steps"] else -1,
                learning_rate=section["learning_rate"],
                weight_decay=section["weight_decay"],
                lr_scheduler_type=section["schedule"],
                warmup_ratio=section["warmup"],
                max_grad_norm=section["max_grad_norm"],
                optim="adamw_torch_fused",
                group_by_length=request["by_length"],
                dataloader_num_workers=0,  # the cores are busy with the arithmetic
                use_cpu=device == "cpu",
                bf16=device == "cuda",
                seed=request["seed"],
                report_to="none",
                logging_strategy="no",
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=rows,
            data_collator=collator,
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)  # stdout is for answers
        trainer.train()
    if "save" in request:
        model.save_pretrained(request["save"])
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    return {"seconds": clock.seconds, "real": collator.real, "padded": collator.padded, "peak_gib": peak}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
