"""prefix-share and GenSAR: the contract, the library called directly, and what the codes must keep of both views."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from semidbench_joint_ids.fitting import fit_codes
from semidbench_joint_ids.layouts import GenSar, PrefixShare
from semidbench_joint_ids.model import Encoded, JointQuantizer, Shape, total_loss
from semidbench_joint_ids.options import Options, hidden_widths
from semidbench_joint_ids.residual import ResidualCodebooks, straight_through
from vector_quantize_pytorch import ResidualVQ

from semidbench.api import TASKS, Context, Floats, ItemIds, Layout, Quantizer, Task, TrainData
from semidbench.ids.vocabulary import id_vocabulary
from semidbench.methods.contracts import check_item_ids

MakeContext = Callable[..., Context]
SMALL = {"hidden": "16", "dim": 4, "epochs": 30, "batch": 100, "lr": 0.01}
OPTIONS = Options((16,), 4, 30, 100, 0.01, 0.25, True, 1)
LAYOUTS = {"prefix-share": PrefixShare, "gensar": GenSar}


def views(items: int = 300) -> dict[str, Floats]:
    """Two views with four groups each of their own and eight groups in common, and noise."""
    rng = np.random.default_rng(5)
    common = rng.standard_normal((8, 6))[rng.integers(0, 8, items)]
    made = {}
    for task, width in (("search", 10), ("rec", 7)):
        own = rng.standard_normal((4, 4))[rng.integers(0, 4, items)]
        mixed = np.hstack([common, own]) @ rng.standard_normal((10, width))
        made[task] = (mixed + 0.1 * rng.standard_normal((items, width)) + 3).astype(np.float32)
    return made


def no_quantizer() -> Quantizer:
    raise AssertionError("this layout uses none")


def assigned(name: str, train: TrainData, context: Context, **options: object) -> dict[Task, ItemIds]:
    layout = LAYOUTS[name](**{**SMALL, **options})
    assert isinstance(layout, Layout)
    given = views()
    ids = layout.assign(train, given, no_quantizer, context)
    return check_item_ids("layout", ids, len(given["search"]))


def unexplained(view: Floats, ids: ItemIds) -> float:
    """By the best sum of one vector per code, least squares."""
    onehot = np.hstack([np.eye(size)[ids.codes[:, level]] for level, size in enumerate(ids.sizes)])
    centred = view - view.mean(0)
    return float(((centred - onehot @ np.linalg.lstsq(onehot, centred)[0]) ** 2).sum() / (centred**2).sum())


def test_prefix_share_shares_its_first_code(train: TrainData, context: MakeContext) -> None:
    ids = assigned("prefix-share", train, context(codebook_sizes=(8, 4)))
    assert ids["search"].slots == ("shared", "search")
    assert ids["rec"].slots == ("shared", "rec")
    assert ids["search"].sizes == ids["rec"].sizes == (8, 4)
    np.testing.assert_array_equal(ids["search"].codes[:, 0], ids["rec"].codes[:, 0])
    assert (ids["search"].codes[:, 1] != ids["rec"].codes[:, 1]).any()


@pytest.mark.parametrize(("shared", "specific"), [(2, 2), (1, 3), (3, 1)])
def test_gensar_shares_exactly_its_shared_codes(
    train: TrainData, context: MakeContext, shared: int, specific: int
) -> None:
    ids = assigned("gensar", train, context(codebook_sizes=(6, 6)), shared=shared, specific=specific, epochs=5)
    prefix = [f"shared-{level + 1}" for level in range(shared)]
    assert list(ids["search"].slots) == [*prefix, *(f"text-{level + 1}" for level in range(specific))]
    assert list(ids["rec"].slots) == [*prefix, *(f"cf-{level + 1}" for level in range(specific))]
    assert ids["search"].sizes == ids["rec"].sizes == (6,) * (shared + specific)
    np.testing.assert_array_equal(ids["search"].codes[:, :shared], ids["rec"].codes[:, :shared])
    assert (ids["search"].codes[:, shared:] != ids["rec"].codes[:, shared:]).any(axis=0).all()


@pytest.mark.parametrize(
    ("name", "options", "tokens"),
    [("prefix-share", {}, 768), ("gensar", {}, 1536), ("gensar", {"shared": 1, "specific": 3}, 7 * 256)],
)
def test_tokens_with_the_papers_codebooks(
    train: TrainData, context: MakeContext, name: str, options: dict[str, int], tokens: int
) -> None:
    """The paper's section 4 for prefix-share; three pairs of levels for GenSAR."""
    ids = assigned(name, train, context(codebook_sizes=(256, 256)), **options, epochs=1)
    assert id_vocabulary(ids, 0).n_id_tokens == tokens


@pytest.mark.parametrize("one_encoder", [True, False])
def test_both_views_are_rebuilt(context: MakeContext, one_encoder: bool) -> None:
    given = views()
    shape = Shape(one_encoder, shared=1, specific=1, shared_size=8, specific_size=8)
    codes = fit_codes((given["search"], given["rec"]), shape, OPTIONS, context())
    for task, own, error in zip(TASKS, codes.specific, codes.unexplained, strict=True):
        ids = ItemIds(np.hstack([codes.shared, own]), ("shared", task), (8, 8))
        assert error < 0.5  # by the decoder; 1 is the mean
        assert unexplained(given[task], ids) < 0.5
        shuffled = replace(ids, codes=np.random.default_rng(0).permutation(ids.codes))
        assert unexplained(given[task], shuffled) > 0.8  # that many codes fit so much by chance


@pytest.mark.parametrize("name", LAYOUTS)
def test_specific_codes_tell_their_own_view(train: TrainData, context: MakeContext, name: str) -> None:
    given, ids = views(), assigned(name, train, context(codebook_sizes=(8, 8)))
    for task, other in (("search", "rec"), ("rec", "search")):
        assert unexplained(given[task], ids[task]) < unexplained(given[task], ids[other])  # type: ignore[index]


@pytest.mark.parametrize("name", LAYOUTS)
def test_same_seed_same_codes_other_seed_others(train: TrainData, context: MakeContext, name: str) -> None:
    found = []
    for seed in (0, 0, 1):
        torch.rand(3)  # whoever draws from the global generator before changes nothing
        found.append(assigned(name, train, context(seed), epochs=3))
    first, again, other = found
    for task in TASKS:
        np.testing.assert_array_equal(first[task].codes, again[task].codes)
        assert (first[task].codes != other[task].codes).any()


def test_leaves_the_process_as_it_was(train: TrainData, context: MakeContext) -> None:
    torch.manual_seed(1), np.random.seed(1), random.seed(1)  # type: ignore[func-returns-value]  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    threads = torch.get_num_threads()
    assigned("gensar", train, context(), epochs=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert random.getstate() == before[2]
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


def test_scale_and_shift_of_a_view_change_nothing(train: TrainData, context: MakeContext) -> None:
    given = views()
    moved = {"search": given["search"] * 4 + 8, "rec": given["rec"] / 16}
    layout = PrefixShare(**{**SMALL, "epochs": 3})  # type: ignore[arg-type]
    ids, again = (layout.assign(train, each, no_quantizer, context()) for each in (given, moved))
    for task in TASKS:
        assert (ids[task].codes == again[task].codes).mean() > 0.98  # rounding of the shift aside


def test_codes_and_vectors_are_those_of_the_library() -> None:
    """Our levels in evaluation mode against vector-quantize-pytorch's ResidualVQ with the same codebooks."""
    torch.manual_seed(3)
    ours, theirs = ResidualCodebooks(6, 16, 3, OPTIONS), ResidualVQ(dim=6, codebook_size=16, num_quantizers=3)
    x = torch.randn(200, 6)
    ours.train()(x)  # k-means starts the codebooks
    for level, of_theirs in zip(ours.levels, theirs.layers, strict=True):
        of_theirs._codebook.embed.copy_(level._codebook.embed)
    quantized, codes, _ = ours.eval()(x)
    expected, expected_codes, _ = theirs.eval()(x)
    torch.testing.assert_close(codes, expected_codes, rtol=0, atol=0)
    torch.testing.assert_close(quantized, expected)
    left = x
    for level, chosen in zip(ours.levels, codes.T, strict=True):
        assert torch.equal(torch.cdist(left, level.codebook).argmin(1), chosen)  # greedy nearest neighbours
        left = left - level.codebook[chosen]


def test_gradients_reach_the_encoder_once() -> None:
    torch.manual_seed(3)
    codebooks = ResidualCodebooks(6, 8, 3, replace(OPTIONS, commitment=0.0))
    x = torch.randn(50, 6, requires_grad=True)
    quantized, _, _ = codebooks.train()(x)
    straight_through(x, quantized).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.ones_like(x))


def test_the_loss_is_both_errors_and_the_mean_commitment() -> None:
    """By hand, from the codes: each level pulls its input towards its vector with weight .25."""
    torch.manual_seed(3)
    shape = Shape(one_encoder=False, shared=2, specific=1, shared_size=5, specific_size=7)
    model = JointQuantizer((6, 9), shape, replace(OPTIONS, kmeans_init=False, threshold_ema_dead_code=0))
    pair = torch.randn(40, 6), torch.randn(40, 9)
    books = [[level.codebook.clone() for level in one.levels] for one in (model.shared, *model.specific)]
    with torch.no_grad():
        encoded = model.train()(pair)
        latent = model.encode(pair)
    coarse = books[0][0][encoded.shared[:, 0]] + books[0][1][encoded.shared[:, 1]]
    first = (latent - books[0][0][encoded.shared[:, 0]]).square().mean()
    losses = [0.25 * (first + (latent - coarse).square().mean()) / 2]
    errors = []
    for at in range(2):
        half = slice(4 * at, 4 * at + 4)
        own = books[1 + at][0][encoded.specific[at][:, 0]]
        losses.append(0.25 * (latent - coarse)[:, half].sub(own).square().mean())
        errors.append((model.decoders[at](coarse[:, half] + own) - pair[at]).square().mean())
    torch.testing.assert_close(total_loss(encoded, pair), sum(errors) + sum(losses) / 3)


def test_the_defaults_are_gensars_layers() -> None:
    shape = Shape(one_encoder=False, shared=2, specific=2, shared_size=256, specific_size=256)
    model = JointQuantizer((384, 256), shape, GenSar().options)
    widths = [[layer.out_features for layer in encoder if hasattr(layer, "out_features")] for encoder in model.encoders]
    assert widths == [[512, 256, 128, 64, 32]] * 2
    assert [tuple(level.codebook.shape) for level in model.shared.levels] == [(256, 64)] * 2
    assert [tuple(level.codebook.shape) for one in model.specific for level in one.levels] == [(256, 32)] * 4
    joint = JointQuantizer((384, 256), replace(shape, one_encoder=True), PrefixShare().options)
    assert len(joint.encoders) == 1
    assert joint.encoders[0][0].in_features == 640


def test_reports_its_epochs(train: TrainData, context: MakeContext) -> None:
    reported: list[tuple[int, int]] = []
    made = replace(context(), progress=lambda what, done, total: reported.append((done, total)))
    assigned("prefix-share", train, made, epochs=3)
    assert reported == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_refuses_what_it_cannot_do(train: TrainData, context: MakeContext, name: str) -> None:
    layout, given = LAYOUTS[name](**SMALL), views(40)

    def refused(message: str, given: dict[str, Floats] = given, sizes: tuple[int, ...] = (8, 8)) -> None:
        with pytest.raises(ValueError, match=message):
            layout.assign(train, given, no_quantizer, context(codebook_sizes=sizes))

    refused(r"needs the views 'search' and 'rec' and was given \['item'\]", {"item": given["rec"]})
    refused("64 codes from 40 items", sizes=(64, 64))
    refused("second view is the same for all items", {**given, "rec": np.full((40, 3), 0.1, np.float32)})
    for wrong in ({"epochs": 0}, {"dim": 0}, {"lr": 0.0}, {"lr": float("nan")}, {"hidden": "16-0"}):
        with pytest.raises(ValueError, match="must be positive"):
            LAYOUTS[name](**{**SMALL, **wrong})
    with pytest.raises(ValueError, match="must not be negative"):
        LAYOUTS[name](**SMALL, threshold_ema_dead_code=-1)
    with pytest.raises(ValueError, match="joined by '-'"):
        LAYOUTS[name](hidden="512,256")


def test_refuses_other_codebooks(train: TrainData, context: MakeContext) -> None:
    with pytest.raises(ValueError, match=r"two codebook sizes, the shared code's and the tasks', not \[8, 8, 8\]"):
        PrefixShare().assign(train, views(), no_quantizer, context(codebook_sizes=(8, 8, 8)))
    with pytest.raises(ValueError, match=r"codebooks of one size, not \[8, 16\]"):
        GenSar().assign(train, views(), no_quantizer, context(codebook_sizes=(8, 16)))
    with pytest.raises(ValueError, match="8 together at most"):
        GenSar(shared=4, specific=5)


def test_says_when_training_diverges(train: TrainData, context: MakeContext) -> None:
    with pytest.raises(ValueError, match=r"diverged in epoch \d+: the loss is (nan|inf)\. Lower lr"):
        assigned("gensar", train, context(), lr=1e30, epochs=5)


def test_hidden_widths() -> None:
    assert hidden_widths("512-256") == (512, 256)
    assert hidden_widths("7") == (7,)


@pytest.mark.parametrize(("kmeans_init", "rows"), [(True, [300, 100, 100, 100]), (False, [100, 100, 100])])
def test_codebooks_see_all_items_first_only_for_k_means(
    context: MakeContext, monkeypatch: pytest.MonkeyPatch, kmeans_init: bool, rows: list[int]
) -> None:
    """That pass moves the codebooks, so that without k-means it would be one more step."""
    seen: list[int] = []
    forward = JointQuantizer.forward

    def spy(self: JointQuantizer, pair: tuple[torch.Tensor, torch.Tensor]) -> Encoded:
        if self.training:
            seen.append(len(pair[0]))
        return forward(self, pair)

    monkeypatch.setattr(JointQuantizer, "forward", spy)
    given, shape = views(), Shape(one_encoder=True, shared=1, specific=1, shared_size=8, specific_size=8)
    options = replace(OPTIONS, epochs=1, kmeans_init=kmeans_init)
    fit_codes((given["search"], given["rec"]), shape, options, context())
    assert seen == rows
