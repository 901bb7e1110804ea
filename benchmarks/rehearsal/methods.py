"""The methods' stages: texts encoded, the sentence model fine-tuned, ENMF, codebooks."""

from __future__ import annotations

from contextlib import suppress
from unittest.mock import patch

import numpy as np

from benchmarks.rehearsal.parts import Part, counts
from benchmarks.rehearsal.place import Enough, Place, StepClock, now, silent
from semidbench.text.sentence_model import SentenceEncoder

_JOINT_EPOCHS = 2
_FACTOR_STEPS = 10  # for each of a training's: they are short


def encode_texts(place: Place) -> list[Part]:
    """Texts of items and of queries, drawn at random, by the sentence model."""
    session, amounts = place.session(), place.amounts
    assert session.encoder.folder is not None
    encoder, train = SentenceEncoder(session.encoder.folder, amounts.threads, amounts.device), session.dataset.train
    rng, times = np.random.default_rng(0), counts(session.track)
    tuned = sum(times.tunings.values())
    ranked = len({"dense", "dense-multi-task"}.intersection(session.track.plan.references)) * times.seeds
    kinds = {
        "items' texts": (train.catalogue.texts, (1 + tuned) * train.n_items),  # by the frozen model, and each tuned one
        "queries": (train.queries.texts, ranked * len(session.dataset.held_out().queries)),
    }
    parts = []
    for name, (texts, whole) in kinds.items():
        some = [texts[at] for at in rng.choice(len(texts), min(amounts.texts, len(texts)), replace=False)]
        some.sort(key=len)  # as they are encoded in a run
        encoder.encode(some[:2])
        began = now(amounts.device)
        encoder.encode(some)
        parts.append(Part(f"{name} encoded", len(some), "texts", now(amounts.device) - began, whole))
    return parts


def fine_tune(place: Place) -> list[Part]:
    """Steps of the sentence model's fine-tunings, in batches that this machine does in seconds."""
    session, amounts, parts = place.session(), place.amounts, []
    train, times = session.dataset.train, counts(session.track)
    for name in ("search", "multi-task"):
        options = session.track.methods.embedders[name]
        size = f"batch={amounts.pairs},mini_batch={min(int(options['mini_batch']), amounts.pairs)}"
        clock = StepClock(amounts.steps, amounts.device)
        with suppress(Enough), place.context(session, clock) as context:
            place.method("embedder", f"{name}[{size}]/rq-kmeans/shared").embed(train, context)
        whole = times.tunings[name] * int(options["epochs"]) * len(train.queries)
        done = clock.timed * amounts.pairs
        parts.append(Part(f"fine-tuned for {name}", done, "query-item pairs", clock.seconds, whole))
    return parts


def factorise(place: Place) -> list[Part]:
    """Steps of ENMF over all users and items."""
    session, amounts = place.session(), place.amounts
    method, options = place.method("embedder", "rec/rq-kmeans/shared"), session.track.methods.embedders["rec"]
    from semidbench_recbole.enmf import FastEnmf

    clock, loss = StepClock(_FACTOR_STEPS * amounts.steps, amounts.device), FastEnmf.calculate_loss

    def clocked(model: FastEnmf, interaction: object) -> object:
        clock()
        return loss(model, interaction)

    with (
        suppress(Enough),
        place.context(session, silent) as context,
        patch.object(FastEnmf, "calculate_loss", clocked),
    ):
        method.embed(session.dataset.train, context)
    per_epoch = -(-session.dataset.train.interactions.n_users // int(options["batch"]))
    whole = counts(session.track).factors * int(options["epochs"]) * per_epoch
    return [Part("ENMF trained", clock.timed, "steps", clock.seconds, whole)]


def learn_codes(place: Place) -> list[Part]:
    """One rq-kmeans whole, and epochs of the layout that learns codebooks of its own, on made embeddings."""
    session, amounts, times = place.session(), place.amounts, counts(place.track)
    vectors = place.vectors(session.encoder.dimension)
    factors = place.vectors(int(session.track.methods.embedders["rec"]["dim"]))
    quantizer = place.method("quantizer", "content/rq-kmeans/shared")
    with place.context(session, silent) as context:
        began = now("cpu")
        quantizer.fit(vectors, context)
        quantizer.encode(vectors)
        parts = [Part("rq-kmeans learnt, items encoded", 1, "times", now("cpu") - began, times.codebooks)]
    clock = StepClock(_JOINT_EPOCHS, amounts.device)
    layout = place.method("layout", "search+rec/-/prefix-share")
    with suppress(Enough), place.context(session, clock) as context:
        layout.assign(session.dataset.train, {"search": vectors, "rec": factors}, None, context)
    whole = times.joint * layout.options.epochs
    return [*parts, Part("prefix-share's codebooks learnt", clock.timed, "epochs", clock.seconds, whole)]
