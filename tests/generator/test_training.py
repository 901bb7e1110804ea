from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import T5Config, T5ForConditionalGeneration

from semidbench.errors import UserError
from semidbench.generator import packing, training
from semidbench.generator.examples import Examples, TokenRows
from semidbench.generator.model import add_tokens, is_tied, load_generator, save_generator
from semidbench.generator.packing import GRAINS, Grain, blocks_of_like_length
from semidbench.generator.training import random_batches, train
from semidbench.tracks import track
from tests.tiny import tiny_generator

SECTION = track.Training(
    epochs=3, batch=8, learning_rate=0.01, weight_decay=0.01, schedule="linear", warmup=0.1, max_grad_norm=1.0
)


def examples(count: int = 40) -> Examples:
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 9, count)
    flat = rng.integers(3, 40, lengths.sum()).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    codes = flat[offsets[:-1]] % 4  # the first token decides the ID
    return Examples(TokenRows(flat, offsets), np.stack([40 + codes, 44 + codes], axis=1).astype(np.int64))


def quiet(*_: object) -> None: ...


@given(st.integers(1, 700), st.integers(1, 9), st.integers(0, 5))
def test_batches_hold_every_row_once(rows: int, batch: int, seed: int) -> None:
    batches = random_batches(rows, batch, np.random.default_rng(seed))
    assert sorted(np.concatenate(batches).tolist()) == list(range(rows))
    assert [len(part) for part in batches[:-1]] == [batch] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= batch


@given(st.lists(st.integers(1, 60), min_size=1, max_size=70), st.sampled_from([1, 300, 5000, 2**62]))
def test_blocks_cost_least_of_all_cuts(drawn: list[int], alone: int) -> None:
    lengths = np.sort(np.array(drawn))
    possible = list(range(8, len(lengths), 8))

    def cost(cuts: tuple[int, ...]) -> int:
        edges = [0, *cuts, len(lengths)]
        return sum(alone + (end - start) * int(lengths[end - 1]) ** 2 for start, end in pairwise(edges))

    blocks = blocks_of_like_length(lengths, alone)
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert blocks[-1].stop == len(lengths)
    every = [cuts for count in range(len(possible) + 1) for cuts in combinations(possible, count)]
    assert cost(tuple(block.stop for block in blocks[:-1])) == min(map(cost, every))


def test_training_learns_and_repeats_to_the_bit() -> None:
    runs = []
    for _ in range(2):
        model = tiny_generator(8)
        losses = train(model, examples(), SECTION, seed=3, device="cpu", progress=quiet)
        runs.append((losses, [value.clone() for value in model.state_dict().values()]))
        torch.rand(5)  # the global generator's state must not matter
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(a, b) for a, b in zip(runs[0][1], runs[1][1], strict=True))
    assert runs[0][0][-1] < 0.7 * runs[0][0][0]


def test_a_training_that_is_recorded_ends_with_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a graphics card, but that a replay is the work itself: batches of few shapes, gradients in one place."""
    plain, recorded = (tiny_generator(8, dropout=0.0) for _ in range(2))  # dropout is drawn by shape
    recordings, places = [], set[tuple[int, ...]]()

    def record(work: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            work()
            places.add(tuple(weight.grad.data_ptr() for weight in recorded.parameters()))

        recordings.append(work)
        work()  # a recording runs before its first replay
        return replay

    expected = train(plain, examples(43), SECTION, seed=3, device="cpu", progress=quiet)
    monkeypatch.setattr(training, "recorder", lambda device: record)
    monkeypatch.setitem(packing.GRAINS, "cpu", GRAINS["cuda"])
    losses = train(recorded, examples(43), SECTION, seed=3, device="cpu", progress=quiet)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    for name, weight in plain.state_dict().items():
        torch.testing.assert_close(recorded.state_dict()[name], weight, rtol=1e-3, atol=1e-4, msg=name)
    assert len(recordings) == 2  # of whole batches and of each epoch's last
    assert len(places) == 1  # where all graphs leave their gradients
    assert all(weight.grad is None for weight in (*plain.parameters(), *recorded.parameters()))


class Killed(Exception):
    pass


def killer(at: int) -> Callable[[str, int, int], None]:
    def progress(what: str, done: int, total: int) -> None:
        if done == at:
            raise Killed

    return progress


@pytest.mark.parametrize("schedule", ["linear", "constant"])
@pytest.mark.parametrize("at", [1, 4, 5, 6, 15])  # 5 steps an epoch, 15 in all
def test_a_killed_training_goes_on_with_the_same_bits(at: int, schedule: str, tmp_path: Path) -> None:
    section, checkpoint = SECTION.model_copy(update={"schedule": schedule}), tmp_path / "deep" / "here.safetensors"
    whole = tiny_generator(8)
    losses = train(whole, examples(), section, seed=3, device="cpu", progress=quiet)
    killed = tiny_generator(8)
    checkpoint.parent.mkdir()
    (checkpoint.parent / ".here.safetensors-0123456789abcdef.tmp").write_text("of a run killed while it wrote")
    with pytest.raises(Killed):
        train(
            killed,
            examples(),
            section,
            seed=3,
            device="cpu",
            progress=killer(at),
            checkpoint=checkpoint,
            checkpoint_seconds=0,
        )
    torch.rand(5)
    resumed, seen = tiny_generator(8, seed=1), list[int]()
    got = train(
        resumed,
        examples(),
        section,
        seed=3,
        device="cpu",
        progress=lambda what, done, total: seen.append(done),
        checkpoint=checkpoint,
    )
    assert seen == list(range(at + 1, 16))  # nothing is done again
    assert got == losses
    ours, theirs = resumed.state_dict(), whole.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_a_checkpoint_is_written_when_it_is_time(tmp_path: Path) -> None:
    checkpoint = tmp_path / "here.safetensors"
    train(tiny_generator(8), examples(), SECTION, seed=3, device="cpu", progress=quiet, checkpoint=checkpoint)
    assert not checkpoint.exists()  # it took less than five minutes


def test_a_damaged_or_foreign_checkpoint_is_an_error(tmp_path: Path) -> None:
    checkpoint = tmp_path / "here.safetensors"

    def go_on() -> None:
        train(tiny_generator(9), examples(), SECTION, seed=3, device="cpu", progress=quiet, checkpoint=checkpoint)

    checkpoint.write_bytes(b"garbage")
    with pytest.raises(UserError, match=r"here\.safetensors cannot be used.*Delete it"):
        go_on()
    train(
        tiny_generator(8),
        examples(),
        SECTION,
        seed=3,
        device="cpu",
        progress=quiet,
        checkpoint=tmp_path / "smaller.safetensors",
        checkpoint_seconds=0,
    )
    (tmp_path / "smaller.safetensors").rename(checkpoint)
    with pytest.raises(UserError, match=r"cannot be used: RuntimeError.*size"):
        go_on()


def test_memory_that_runs_out_is_not_the_checkpoint_s_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    kept = tmp_path / "here.safetensors"
    kept.write_bytes(b"as good as before")
    monkeypatch.setattr("semidbench.generator.checkpoint.safe_open", too_large)
    with pytest.raises(torch.OutOfMemoryError):
        train(tiny_generator(8), examples(), SECTION, seed=3, device="cpu", progress=quiet, checkpoint=kept)
    assert kept.read_bytes() == b"as good as before"


def test_another_seed_gives_other_bits() -> None:
    a, b = tiny_generator(8), tiny_generator(8)
    train(a, examples(), SECTION, seed=3, device="cpu", progress=quiet)
    train(b, examples(), SECTION, seed=4, device="cpu", progress=quiet)
    assert not torch.equal(a.shared.weight, b.shared.weight)


def test_the_loss_curve_is_that_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_STEP", 2)
    monkeypatch.setitem(packing.GRAINS, "cpu", Grain(8, 1, 1, few_shapes=False))  # padding is left out
    model, plain = tiny_generator(8, dropout=0.0), tiny_generator(8, dropout=0.0).train()
    section, rows, curve = SECTION.model_copy(update={"epochs": 6}), examples(), list[float]()
    losses = train(model, rows, section, seed=3, device="cpu", progress=quiet)

    optimizer = torch.optim.AdamW(plain.parameters(), lr=section.learning_rate, weight_decay=section.weight_decay)
    rng = np.random.default_rng(3)
    torch.manual_seed(3)
    for epoch in range(section.epochs):
        total = 0.0
        for number, batch in enumerate(random_batches(len(rows), section.batch, rng)):
            step = 5 * epoch + number
            optimizer.param_groups[0]["lr"] = section.learning_rate * (step / 3 if step < 3 else (30 - step) / 27)
            tokens, mask = (torch.from_numpy(array) for array in rows.prompts.padded(batch))
            loss = plain(input_ids=tokens, attention_mask=mask, labels=torch.from_numpy(rows.labels[batch])).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(plain.parameters(), section.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item() * len(batch) / len(rows)
        curve.append(total)
    assert losses == pytest.approx(curve, abs=1e-4)
    assert curve[-1] < 0.9 * curve[0]
    for name, weight in plain.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), weight, atol=1e-3, rtol=1e-3, msg=name)


@pytest.mark.parametrize("tied", [True, False])
def test_adding_tokens_keeps_old_logits_and_survives_saving(tied: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = T5Config(vocab_size=30, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2, decoder_start_token_id=0)
    before = T5ForConditionalGeneration(config)
    if not tied:
        before.lm_head = torch.nn.Linear(16, 30, bias=False)
        before.config.scale_decoder_outputs = False
    save_generator(before, tmp_path / "before")
    model = load_generator(tmp_path / "before").eval()
    assert is_tied(model) is tied
    tokens, start = torch.tensor([[4, 5, 6, 1]]), torch.zeros((1, 1), dtype=torch.long)
    with torch.inference_mode():
        old = model(input_ids=tokens, decoder_input_ids=start).logits
        torch.testing.assert_close(before.eval()(input_ids=tokens, decoder_input_ids=start).logits, old)
        add_tokens(model, 6, seed=1)
        new = model(input_ids=tokens, decoder_input_ids=start).logits
        save_generator(model, tmp_path / "after")
        again = load_generator(tmp_path / "after").eval()(input_ids=tokens, decoder_input_ids=start).logits
        theirs = T5ForConditionalGeneration.from_pretrained(tmp_path / "after").eval()
        read_by_transformers = theirs(input_ids=tokens, decoder_input_ids=start).logits
    assert new.shape[-1] == 36
    torch.testing.assert_close(new[..., :30], old, atol=1e-5, rtol=0)
    assert torch.equal(again, new)
    torch.testing.assert_close(read_by_transformers, new)
    assert new[..., 30:].std() > 0


def test_saving_and_loading_a_trained_generator_changes_nothing(tmp_path: Path) -> None:
    model = tiny_generator(8)
    train(model, examples(), SECTION, seed=3, device="cpu", progress=quiet)
    save_generator(model, tmp_path)
    again = load_generator(tmp_path).eval()
    assert not is_tied(again)
    tokens, start = torch.tensor([[4, 5, 6, 1]]), torch.zeros((1, 1), dtype=torch.long)
    with torch.inference_mode():
        assert torch.equal(
            model(input_ids=tokens, decoder_input_ids=start).logits,
            again(input_ids=tokens, decoder_input_ids=start).logits,
        )
