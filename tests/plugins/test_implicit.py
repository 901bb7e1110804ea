"""implicit's models: equality with implicit called directly and with the formulas, options, seeds and threads."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from scipy.sparse import csr_matrix
from semidbench_implicit.als import Als, AlsItemFactors
from semidbench_implicit.bpr import Bpr
from semidbench_implicit.item_knn import ItemKnn
from threadpoolctl import threadpool_limits

from semidbench.api import Context, Embedder, Floats, Interactions, Ranker, TrainData
from semidbench.errors import UserError
from semidbench.methods.options import effective_options
from semidbench.methods.registry import load_registry
from semidbench.methods.resolve import resolve
from semidbench.methods.resolved import Wanted
from semidbench.tracks.files import load_track
from tests.doc_blocks import blocks

MakeContext = Callable[..., Context]
README = "plugins/semidbench-implicit/README.md"
RANKERS = {"als": Als, "bpr": Bpr, "item-knn": ItemKnn}
OPTIONS: dict[type, list[dict[str, Any]]] = {
    Als: [{}, {"factors": 5, "regularization": 0.5, "alpha": 3.0, "iterations": 4}],
    Bpr: [{}, {"factors": 5, "learning_rate": 0.1, "regularization": 0.2, "iterations": 7}],
    ItemKnn: [
        {},
        {"k": 3},
        {"similarity": "bm25"},
        {"similarity": "bm25", "k": 4, "k1": 7.0, "b": 0.2},
    ],
}
CASES = [(ranker, options) for ranker, tried in OPTIONS.items() for options in tried]


@pytest.fixture
def twice(train: TrainData) -> TrainData:
    """User 0 consumed the first item twice more: counts that are not all 1."""
    old = train.interactions
    items = np.concatenate([old.items[[0, 0]], old.items])
    users = np.concatenate([[0, 0], old.users])
    return replace(train, interactions=Interactions(users, items, np.arange(len(items))))


def fitted(ranker: Any, train: TrainData, context: Context) -> Any:
    ranker.fit(train, context)
    return ranker


def dense_counts(train: TrainData) -> Floats:
    counts = np.zeros((train.interactions.n_users, train.n_items), np.float32)
    np.add.at(counts, (train.interactions.users, train.interactions.items), 1)
    return counts


def direct(ranker: type, options: dict[str, Any], seed: int) -> Any:
    """implicit's own object with these options."""
    if ranker is ItemKnn:
        renamed = {{"k": "K", "k1": "K1", "b": "B"}[name]: it for name, it in options.items() if name != "similarity"}
        return (BM25Recommender if "similarity" in options else CosineRecommender)(num_threads=1, **renamed)
    maker = AlternatingLeastSquares if ranker is Als else BayesianPersonalizedRanking
    return maker(use_gpu=False, num_threads=1, random_state=seed, **options)


def scores_of(model: Any, counts: csr_matrix, recalculate: bool) -> Floats:
    """All scores, from implicit's lists of recommended items; 0 for an item that is in no list."""
    rows, items = counts.shape
    scores = np.zeros((rows, items))
    ids, values = model.recommend(
        np.arange(rows), counts, N=items, filter_already_liked_items=False, recalculate_user=recalculate
    )
    for row in range(rows):
        named = values[row] > -1e30  # implicit fills short lists up
        scores[row, ids[row][named]] = values[row][named]
    return scores


@pytest.mark.filterwarnings("ignore:Method expects CSR")  # implicit warns of its own matrix
@pytest.mark.parametrize(("ranker", "options"), CASES)
def test_scores_equal_implicit_called_directly(
    ranker: type, options: dict[str, Any], twice: TrainData, context: MakeContext
) -> None:
    counts = csr_matrix(dense_counts(twice))
    with threadpool_limits(1, "blas"):
        model = direct(ranker, options, seed=3)
        model.fit(counts, show_progress=False)
        expected = scores_of(model, counts, recalculate=ranker is Als)
    ours = fitted(ranker(**options), twice, context(seed=3))
    scores = ours.recommend(twice.interactions.histories())
    assert isinstance(ours, Ranker)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert expected.any(axis=1).all()


@pytest.mark.parametrize("ranker", RANKERS.values())
def test_each_option_has_implicits_default_and_an_effect(
    ranker: type, train: TrainData, context: MakeContext, twice: TrainData
) -> None:
    library = AlternatingLeastSquares if ranker is Als else BayesianPersonalizedRanking
    defaults = {name: option.default for name, option in signature(ranker).parameters.items()}
    if ranker is ItemKnn:
        bm25 = {name: option.default for name, option in signature(BM25Recommender).parameters.items()}
        assert (defaults["k"], ItemKnn().weights) == (bm25["K"], {"K1": bm25["K1"], "B": bm25["B"]})
    else:
        assert defaults.items() <= {name: one.default for name, one in signature(library).parameters.items()}.items()
    histories = twice.interactions.histories()
    for start, changed in ((one, other) for one in OPTIONS[ranker] for other in OPTIONS[ranker] if one != other):
        for name in changed.keys() - {"similarity"}:
            if start.get("similarity") == changed.get("similarity"):
                mixed = {**start, name: changed[name]}
                before, after = (
                    fitted(ranker(**options), twice, context()).recommend(histories) for options in (start, mixed)
                )
                assert not np.allclose(before, after, rtol=1e-3), name


def test_a_history_s_als_factors_solve_its_least_squares(twice: TrainData, context: MakeContext) -> None:
    """Hu, Koren and Volinsky, equation 4: x = (Y'CY + lambda I)^-1 Y'Cp; the confidence is alpha times the count."""
    alpha, penalty = 2.5, 0.3
    als = fitted(Als(factors=6, alpha=alpha, regularization=penalty), twice, context())
    items = AlsItemFactors(factors=6, alpha=alpha, regularization=penalty).embed(twice, context())["item"]
    histories = [np.array([5, 11, 5, 17]), np.array([40, 2]), np.array([], np.int64)]
    y = items.astype(np.float64)
    for history, scores in zip(histories, als.recommend(histories), strict=True):
        counts = np.bincount(history, minlength=len(y))
        confidence = np.where(counts > 0, alpha * counts, 1.0)
        normal = y.T @ (confidence[:, None] * y) + penalty * np.eye(6)
        expected = y @ np.linalg.solve(normal, y.T @ (confidence * (counts > 0)))
        np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-4)
    assert als.recommend([]).shape == (0, twice.n_items)


def test_the_embedding_is_implicits_item_factors_to_the_bit(train: TrainData, context: MakeContext) -> None:
    embedder = AlsItemFactors(factors=6)
    view = embedder.embed(train, context(seed=4))["item"]
    with threadpool_limits(1, "blas"):
        model = direct(Als, {"factors": 6}, seed=4)
        model.fit(csr_matrix(dense_counts(train)), show_progress=False)
    assert isinstance(embedder, Embedder)
    assert view.shape == (train.n_items, 6)
    assert view.dtype == np.float32
    np.testing.assert_array_equal(view, model.item_factors)
    np.testing.assert_array_equal(view, fitted(Als(factors=6), train, context(seed=4)).model.item_factors)
    assert not view[-1].any()  # it has no interactions
    assert view[:-1].any(axis=1).sum() == len(np.unique(train.interactions.items))


@pytest.mark.parametrize("k", [1, 7, 60])
def test_item_knn_equals_brute_force_cosine(k: int, twice: TrainData, context: MakeContext) -> None:
    counts = dense_counts(twice).astype(np.float64)
    norms = np.linalg.norm(counts, axis=0)
    cosines = (counts.T @ counts) / np.maximum(np.outer(norms, norms), 1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        knn = fitted(ItemKnn(k=k), twice, context())
    kept = knn.neighbours.toarray()
    present = kept > 0
    np.testing.assert_allclose(kept[present], cosines[present], rtol=1e-6)
    # Which of equal neighbours are kept is implicit's choice; their cosines are not.
    np.testing.assert_allclose(np.sort(kept)[:, ::-1][:, :k], np.sort(cosines)[:, ::-1][:, :k], rtol=1e-6)
    assert present.sum(axis=1).max() <= k
    neighbours = np.where(present, cosines, 0)
    histories = [np.array([3, 9, 3, 15]), np.array([59]), np.array([], np.int64)]
    expected = [sum((neighbours[item] for item in history), np.zeros(60)) for history in histories]
    np.testing.assert_allclose(knn.recommend(histories), expected, rtol=1e-5)
    assert expected[0].any()
    assert not expected[1].any()  # nobody consumed the last item
    assert knn.recommend([]).shape == (0, 60)


@pytest.mark.parametrize("ranker", RANKERS.values())
def test_same_seed_same_bits_with_any_threads(ranker: type, train: TrainData, context: MakeContext) -> None:
    histories = train.interactions.histories()

    def scores(seed: int, threads: int = 1) -> Floats:
        found: Floats = fitted(ranker(), train, replace(context(seed), threads=threads)).recommend(histories)
        return found

    first = scores(3)
    np.testing.assert_array_equal(first, scores(3))
    np.testing.assert_array_equal(first, scores(3, threads=2))
    assert np.array_equal(first, scores(4)) == (ranker is ItemKnn)


@pytest.mark.parametrize("ranker", RANKERS.values())
def test_reads_no_text(ranker: type, train: TrainData, context: MakeContext) -> None:
    scores = fitted(ranker(), train, context()).search(["topic1", "item2"])
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, np.zeros((2, train.n_items)))


@pytest.mark.parametrize("ranker", RANKERS.values())
def test_recommends_items_of_the_users_topic(ranker: type, train: TrainData, context: MakeContext) -> None:
    """Users stay in one topic: a permuted mapping of users or items would not show that."""
    options = {"learning_rate": 0.1, "iterations": 300} if ranker is Bpr else {}  # its defaults are for more data
    scores = fitted(ranker(**options), train, context()).recommend(train.interactions.histories())[:, :-1]
    own = np.arange(30)[:, None] % 6 == np.arange(59) % 6
    assert scores[own].mean() > scores[~own].mean() + 0.2 * np.abs(scores).max()


def test_bpr_averages_users_of_one_history_and_knows_no_strangers(train: TrainData, context: MakeContext) -> None:
    histories = train.interactions.histories()
    histories[4] = histories[11]
    twins = replace(train, interactions=replace(train.interactions, items=np.concatenate(histories)))
    bpr = fitted(Bpr(factors=4), twins, context())
    four, eleven = bpr.users[4] @ bpr.items.T, bpr.users[11] @ bpr.items.T
    assert not np.allclose(four, eleven)
    np.testing.assert_allclose(bpr.recommend([histories[4]])[0], (four + eleven) / 2, atol=1e-6)
    for stranger in (histories[0][:-1], histories[0][::-1], histories[0][:0]):
        with pytest.raises(ValueError, match=rf"history 1 \({len(stranger)} items\) is no user's training history"):
            bpr.recommend([histories[0], stranger])


@pytest.mark.parametrize(("method", "rounds"), [(AlsItemFactors, 15), (Als, 15), (Bpr, 100)])
def test_reports_its_iterations(method: Any, rounds: int, train: TrainData, context: MakeContext) -> None:
    reported: list[tuple[int, int]] = []
    made = replace(context(), progress=lambda what, done, total: reported.append((done, total)))
    (method().embed if method is AlsItemFactors else method().fit)(train, made)
    assert reported == [(done, rounds) for done in range(1, rounds + 1)]


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (Als, {"factors": 0}, r"needs factors \(0\)"),
        (Als, {"alpha": 0.0}, r"alpha \(0\.0\) > 0"),
        (AlsItemFactors, {"iterations": 0}, r"iterations \(0\) of 1 or more"),
        (AlsItemFactors, {"regularization": float("nan")}, r"regularization \(nan\) >= 0"),
        (Bpr, {"learning_rate": 0.0}, r"learning_rate \(0\.0\) > 0"),
        (Bpr, {"iterations": 0}, r"iterations \(0\) of 1 or more"),
        (ItemKnn, {"k": 0}, r"needs k \(0\) >= 1"),
        (ItemKnn, {"similarity": "bm25", "b": 1.5}, r"0 <= b \(1\.5\) <= 1"),
        (ItemKnn, {"k1": 1.2}, "k1 and b are options of similarity=bm25; cosine reads neither"),
    ],
)
def test_refuses_options(method: Any, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method(**options)


@pytest.mark.parametrize(
    ("method", "option"),
    [(AlsItemFactors, "dim"), (Als, "learning_rate"), (Bpr, "alpha"), (ItemKnn, "factors")],
)
def test_an_unknown_option_is_an_error(method: Any, option: str) -> None:
    with pytest.raises(UserError, match=option):
        effective_options(method, "this method", {}, {option: "1"})
    with pytest.raises(UserError, match="similarity"):
        effective_options(ItemKnn, "this method", {}, {"similarity": "jaccard"})


@pytest.mark.parametrize("method", [AlsItemFactors(), Als(), Bpr(), ItemKnn()])
def test_needs_interactions(method: Any, train: TrainData, context: MakeContext) -> None:
    nothing = np.zeros(0, np.int64)
    empty = replace(train, interactions=Interactions(nothing, nothing, nothing))
    with pytest.raises(ValueError, match="training needs interactions and there are none"):
        (method.embed if isinstance(method, AlsItemFactors) else method.fit)(empty, context())


def test_the_readme_s_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = [block for block in blocks(README) if block.language == "python"]
    exec(compile("\n" * example.line + example.text, README, "exec"), {})


def test_schemes_and_references_resolve() -> None:
    registry, track = load_registry(), load_track("smoke")
    scheme = resolve(registry, Wanted("scheme", "als[factors=64]/rq-kmeans/shared"), track)
    assert "'factors': 64" in str(scheme)
    for name in RANKERS:
        assert name in str(resolve(registry, Wanted("ranker", name), track))
