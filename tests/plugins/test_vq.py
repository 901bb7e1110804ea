"""rq-vae and residual-lfq: the contract, and equality with arithmetic by hand on the trained weights."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from semidbench_vq.residual_lfq import ResidualLfq
from semidbench_vq.rq_vae import RqVae
from semidbench_vq.training import _batches, train

from semidbench.api import Context, Quantizer
from semidbench.methods.options import build, effective_options
from semidbench.methods.scheme import parse_scheme

MakeContext = Callable[..., Context]
_RNG = np.random.default_rng(3)
X = (_RNG.standard_normal((30, 16))[_RNG.integers(0, 30, 300)] + 0.3 * _RNG.standard_normal((300, 16)) + 2).astype("f4")


def rq_vae(**options: object) -> RqVae:
    return RqVae(**{"hidden": "24", "dim": 6, "steps": 40, "batch": 128, "lr": 0.01} | options)  # type: ignore[arg-type]


def residual_lfq(**options: object) -> ResidualLfq:
    return ResidualLfq(**{"steps": 100, "batch": 128} | options)  # type: ignore[arg-type]


def make(which: str) -> RqVae | ResidualLfq:
    return {"rq-vae": rq_vae, "residual-lfq": residual_lfq}[which]()


def fitted(which: str, context: Context) -> RqVae | ResidualLfq:
    quantizer = make(which)
    quantizer.fit(X, context)
    return quantizer


both = pytest.mark.parametrize("which", ["rq-vae", "residual-lfq"])


@both
def test_codes_keep_the_contract(which: str, context: MakeContext) -> None:
    quantizer = fitted(which, context(codebook_sizes=(8, 8, 8)))
    codes = quantizer.encode(X)
    assert isinstance(quantizer, Quantizer)
    assert quantizer.codebook_sizes == (8, 8, 8)
    assert codes.shape == (300, 3)
    assert codes.dtype == np.int64
    assert codes.min() >= 0
    assert codes.max() <= 7
    assert len(np.unique(codes[:, 0])) > 4


@both
def test_rebuilds_better_than_the_mean(which: str, context: MakeContext) -> None:
    quantizer = fitted(which, context(codebook_sizes=(32, 32)))
    rebuilt = quantizer.decode(quantizer.encode(X))
    assert rebuilt.dtype == np.float32
    assert ((X - rebuilt) ** 2).sum() < 0.8 * ((X - X.mean(0)) ** 2).sum()


@both
def test_same_seed_same_codes_other_seed_others(which: str, context: MakeContext) -> None:
    first, again, other = (fitted(which, context(seed=seed)).encode(X) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@both
def test_restores_global_state(which: str, context: MakeContext) -> None:
    torch.manual_seed(987)
    torch_before, numpy_before, plain_before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    threads = torch.get_num_threads()
    fitted(which, context()).encode(X)
    assert torch.equal(torch.get_rng_state(), torch_before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert random.getstate() == plain_before
    assert torch.get_num_threads() == threads


@both
def test_a_row_has_its_code_in_any_company(which: str, context: MakeContext) -> None:
    quantizer = fitted(which, context())
    codes = quantizer.encode(X)
    np.testing.assert_array_equal(quantizer.encode(X), codes)
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_array_equal(quantizer.encode(X[order]), codes[order])
    np.testing.assert_array_equal(
        np.concatenate([quantizer.encode(X[at : at + 7]) for at in range(0, 70, 7)]), codes[:70]
    )


@both
def test_reports_progress_up_to_the_end(which: str, context: MakeContext) -> None:
    seen: list[tuple[str, int, int]] = []
    quantizer = make(which)
    quantizer.fit(X, dataclasses.replace(context(), progress=lambda *report: seen.append(report)))
    assert len(seen) > 5
    assert seen[-1][1] == seen[-1][2] == quantizer.steps


@both
def test_scale_and_shift_of_the_embeddings_do_not_matter(which: str, context: MakeContext) -> None:
    """By powers of two, so that no rounding differs."""
    quantizer = make(which)
    quantizer.fit(4 * X, context())
    np.testing.assert_array_equal(quantizer.encode(4 * X), fitted(which, context()).encode(X))


@both
def test_equal_vectors_are_refused(which: str, context: MakeContext) -> None:
    with pytest.raises(ValueError, match=f"{which} has nothing to learn"):
        make(which).fit(np.ones((300, 4), np.float32), context())


def scaled(x: np.ndarray) -> np.ndarray:
    """Float64, from scratch."""
    centred = x - x.astype(np.float64).mean(0)
    return centred / np.sqrt((centred**2).mean())


def unscaled(rows: np.ndarray) -> np.ndarray:
    mean = X.astype(np.float64).mean(0)
    return rows * np.sqrt(((X - mean) ** 2).mean()) + mean


def linear(layer: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    weight, bias = (value.detach().double().numpy() for value in (layer.weight, layer.bias))
    return x @ weight.T + bias


def test_rq_vae_takes_the_nearest_code_of_each_level(context: MakeContext) -> None:
    quantizer = rq_vae()
    quantizer.fit(X, context(codebook_sizes=(8, 5)))
    encoder, decoder = quantizer._module.encoder, quantizer._module.decoder
    rest = linear(encoder[2], np.maximum(linear(encoder[0], scaled(X)), 0))
    total, expected = np.zeros_like(rest), []
    for layer in quantizer._module.vq.layers:
        table = layer.codebook.double().numpy()
        chosen = ((rest[:, None] - table[None]) ** 2).sum(-1).argmin(1)
        expected.append(chosen)
        rest, total = rest - table[chosen], total + table[chosen]
    codes = quantizer.encode(X)
    np.testing.assert_array_equal(codes, np.stack(expected, 1))
    rebuilt = linear(decoder[2], np.maximum(linear(decoder[0], total), 0))
    np.testing.assert_allclose(unscaled(rebuilt), quantizer.decode(codes), atol=1e-4)


def test_residual_lfq_takes_signs(context: MakeContext) -> None:
    quantizer = residual_lfq()
    quantizer.fit(X, context(codebook_sizes=(16, 16)))
    rest = linear(quantizer._module.project_in, scaled(X))
    total, expected = np.zeros_like(rest), []
    for level in range(2):
        corner = np.where(rest > 0, 0.5**level, -(0.5**level))
        expected.append((corner > 0) @ (8, 4, 2, 1))
        rest, total = rest - corner, total + corner
    codes = quantizer.encode(X)
    np.testing.assert_array_equal(codes, np.stack(expected, 1))
    rebuilt = linear(quantizer._module.project_out, total)
    np.testing.assert_allclose(unscaled(rebuilt), quantizer.decode(codes), atol=1e-4)


@both
def test_equals_the_librarys_module_called_directly(which: str, context: MakeContext) -> None:
    quantizer = fitted(which, context())
    x = torch.from_numpy(scaled(X).astype(np.float32))[None]
    module = copy.deepcopy(quantizer._module).eval()
    with torch.no_grad():
        _, indices, _ = module.vq(module.encoder(x)) if which == "rq-vae" else module(x)
    np.testing.assert_array_equal(quantizer.encode(X), indices[0].numpy())


def test_k_means_starts_from_all_vectors(context: MakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each code of the first level is then the mean of all that is nearest to it."""
    monkeypatch.setattr("semidbench_vq.rq_vae.train", lambda *args: None)
    corners = np.repeat(np.eye(8, 16, dtype=np.float32), 30, axis=0)
    quantizer = rq_vae()
    quantizer.fit(corners, context())
    encodings = quantizer._module.encoder(quantizer._scaling.forward(corners)).detach().numpy()
    codes = quantizer.encode(corners)[:, 0]
    assert len(np.unique(codes)) > 4
    for code in np.unique(codes):
        table = quantizer._module.vq.layers[0].codebook
        np.testing.assert_allclose(table[code], encodings[codes == code].mean(0), atol=1e-4)


def test_dead_codes_are_replaced_unless_that_is_off(context: MakeContext) -> None:
    used = {}
    for threshold in (0, 2):
        quantizer = rq_vae(kmeans_init=False, threshold_ema_dead_code=threshold, batch=300)
        quantizer.fit(X, context(codebook_sizes=(32, 32)))
        used[threshold] = len(np.unique(quantizer.encode(X)[:, 0]))
    assert used[0] < used[2]


def test_batches_are_shuffles_of_all_rows() -> None:
    batches = [rows.tolist() for rows in _batches(10, steps=5, batch=4, seed=0)]
    assert [len(rows) for rows in batches] == [4] * 5
    for first, second in ((0, 1), (2, 3)):
        assert len({*batches[first], *batches[second]}) == 8
    assert [sorted(rows) for rows in map(torch.Tensor.tolist, _batches(3, steps=2, batch=8, seed=0))] == [[0, 1, 2]] * 2


def test_training_minimises(context: MakeContext) -> None:
    """The mean is the least-squares constant."""
    point = torch.nn.Linear(1, 3, bias=False)
    x = torch.tensor([[0.0, 1.0, 2.0], [2.0, 3.0, -2.0]])
    train(point, lambda rows: (point.weight[:, 0] - rows).square().mean(), x, 800, 2, 0.05, context())
    np.testing.assert_allclose(point.weight[:, 0].detach(), [1.0, 2.0, 0.0], atol=1e-3)
    assert not point.training


def test_the_learning_rate_falls_linearly(context: MakeContext) -> None:
    """Under a constant gradient each of Adam's steps is as long as the rate, so their sum is lr * (steps + 1) / 2."""
    point = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(point.weight)
    train(point, lambda rows: point.weight.sum(), torch.zeros(4, 1), 9, 2, 0.1, context())
    assert point.weight.item() == pytest.approx(-0.1 * 10 / 2, rel=1e-4)


def test_refuses_what_it_cannot_do(context: MakeContext) -> None:
    with pytest.raises(ValueError, match="512 codes from 300 vectors"):
        rq_vae().fit(X, context(codebook_sizes=(8, 512)))
    with pytest.raises(ValueError, match="128 vectors in a batch are too few for 64 codes"):
        rq_vae().fit(X, context(codebook_sizes=(64, 64)))
    with pytest.raises(ValueError, match="codebooks of one size, not \\[8, 16\\]"):
        residual_lfq().fit(X, context(codebook_sizes=(8, 16)))
    with pytest.raises(ValueError, match="powers of two, not 12"):
        residual_lfq().fit(X, context(codebook_sizes=(12, 12)))
    for hidden in ("a", "8-", "8,4", "8--1"):
        with pytest.raises(ValueError, match="widths joined by '-', such as 512-256"):
            rq_vae(hidden=hidden)
    with pytest.raises(ValueError, match="positive widths, not '8-0'"):
        rq_vae(hidden="8-0")
    for option in ("steps", "batch", "lr", "dim"):
        with pytest.raises(ValueError, match=f"{option} must be positive"):
            rq_vae(**{option: 0})
    for option in ("steps", "batch", "lr"):
        with pytest.raises(ValueError, match=f"{option} must be positive"):
            residual_lfq(**{option: 0})
    for make_with, option in ((rq_vae, "commitment"), (rq_vae, "threshold_ema_dead_code"), (residual_lfq, "entropy")):
        with pytest.raises(ValueError, match=f"{option} must not be negative"):
            make_with(**{option: -1})


def test_no_hidden_layers_make_it_linear(context: MakeContext) -> None:
    quantizer = rq_vae(hidden="")
    quantizer.fit(X, context())
    assert len(quantizer._module.encoder) == len(quantizer._module.decoder) == 1


@pytest.mark.parametrize(
    ("given", "widths"), [("[hidden=24-12,dim=6]", [24, 12]), ("[hidden=7]", [7]), ("", [512, 256, 128])]
)
def test_a_scheme_can_set_the_widths(given: str, widths: list[int]) -> None:
    method = parse_scheme(f"content/rq-vae{given}/shared").quantizer
    assert method is not None
    quantizer = build(RqVae, "rq-vae", effective_options(RqVae, "rq-vae", {}, dict(method.options)))
    assert quantizer.widths == widths


@pytest.mark.parametrize("make_with", [rq_vae, residual_lfq])
def test_says_when_training_diverges(make_with: Callable[..., Quantizer], context: MakeContext) -> None:
    with pytest.raises(ValueError, match=r"diverged by step \d+: the loss is (nan|inf)\. Lower lr"):
        make_with(lr=1e30).fit(X, context())
