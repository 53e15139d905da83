"""Claim 10: convolutions beat fully connected layers on images, and depth helps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from striate.claims.claim import Claim, Outcome, Setting, outcome, recipe, ruled
from striate.claims.comparing import words
from striate.claims.comparing.figures import learning_curves, value_bars
from striate.claims.comparing.metrics import ACCURACY, images
from striate.claims.ruling import Ruling
from striate.data.augment import Augmentation

if TYPE_CHECKING:
    from jaxtyping import Int64

    from striate.claims.comparing.comparison import Comparison
    from striate.claims.comparing.variants import Variant

DENSE, ONE, TWO = "fully connected", "one convolution", "two convolutions"

RELU, SHIFTED, DROPOUT, VOTE = "two, ReLU", "two, ReLU, shifted images", "two, ReLU, dropout", "their vote"

QUICK = {
    DENSE: "dense 50, relu, dense {classes}",
    ONE: "conv 10 5x5, relu, maxpool 2x2, dense 50, relu, dense {classes}",
    TWO: "conv 10 5x5, relu, maxpool 2x2, conv 20 5x5, relu, maxpool 2x2, dense 50, relu, dense {classes}",
}

_SIGMOID = recipe(epochs=60, batch_size=10, optimizer="sgd", momentum=0.0, schedule="constant", learning_rate=0.1)

_RELU = _SIGMOID.changed(learning_rate=0.03, weight_decay=2e-6)  # his lambda of 0.1 over 50,000 images

_ONE_PIXEL = Augmentation(shift=1)

NIELSENS = {
    DENSE: _SIGMOID,
    ONE: _SIGMOID,
    TWO: _SIGMOID,
    RELU: _RELU,
    SHIFTED: _RELU.changed(augmentation=_ONE_PIXEL),
    DROPOUT: _SIGMOID.changed(learning_rate=0.03, epochs=40, augmentation=_ONE_PIXEL),
}
"""His recipes. He shifts each image four ways before he trains, which makes an epoch five times as long; here every
image is shifted afresh, by up to one pixel, whenever it is seen."""

FULL = {
    DENSE: "nielsen-fc",
    ONE: "nielsen-1conv",
    TWO: "nielsen-2conv",
    RELU: "nielsen-relu",
    SHIFTED: "nielsen-relu",
    DROPOUT: "nielsen-dropout",
}

BOOK = {DENSE: 97.80, ONE: 98.78, TWO: 99.06, RELU: 99.23, SHIFTED: 99.37, DROPOUT: 99.60, VOTE: 99.67}
"""Nielsen 2015, chapter 6, on MNIST: of each, the best of three trainings; the vote is of five."""

_OF_THE_BOOK = "the numbers in the book are of the best of three trainings (the vote: of five), ours means of all"


def study(setting: Setting) -> Outcome:
    """Trains Nielsen's networks by his recipes; at the quick scale the first three at half the width, rates tuned."""
    quick = setting.scale == "quick"
    rates, probes = ((0.003, 0.01, 0.03), ()) if quick else ((), ("named",))
    found = setting.compare(_variants(setting), ACCURACY, rates, probes=probes)
    figures = (value_bars(found, "Test accuracy"), learning_curves(found))
    told = outcome(found, decide(found), figures)
    return told if quick else _beside_the_book(told, found, setting)


def _variants(setting: Setting) -> list[Variant]:
    if setting.scale == "quick":
        return [setting.variant(name, text, recipe()) for name, text in QUICK.items()]
    return [setting.variant(name, text, NIELSENS[name]) for name, text in FULL.items()]


def _beside_the_book(told: Outcome, found: Comparison, setting: Setting) -> Outcome:
    """The table with a row for the vote, and the book's numbers where the images are the book's."""
    voting = found.of(DROPOUT)
    named = np.array([record["probes"]["named"] for record in voting.records])
    share = vote(named, setting.view.of(setting.data).test.labels)
    size = words.count(voting.variant.network.parameters)
    rows = [*told.rows, [VOTE, words.value(share, found.metric, images(voting.records[0])), "", "", "", size]]
    known = setting.data.name == "mnist"
    beside = [[*row, f"{BOOK[row[0]]:.2f}%" if known else "–"] for row in rows]
    because = (*told.because, *((_OF_THE_BOOK,) if known else ()))
    numbers = {**told.numbers, "vote": share}
    return replace(told, because=because, headings=(*told.headings, "in the book"), rows=beside, numbers=numbers)


def vote(named: Int64[np.ndarray, "networks n"], labels: Int64[np.ndarray, " n"]) -> float:
    """The share that several networks name right together: the class that most name, of equal ones the first."""
    votes = (named[:, :, None] == np.arange(named.max() + 1)).sum(0)
    return float((votes.argmax(1) == labels).mean())


def decide(found: Comparison) -> tuple[Ruling, tuple[str, ...]]:
    """The rule."""
    pairs = [found.pair(DENSE, ONE), found.pair(ONE, TWO)]
    said = tuple(pair.sentence for pair in pairs)
    refuted = any(pair.verdict.worse or pair.verdict.none for pair in pairs)
    return ruled(supported=all(pair.verdict.better for pair in pairs), contradicted=refuted), said


CLAIM = Claim(
    number=10,
    name="convolution-beats-dense",
    sentence="Convolutions beat fully connected layers on images, and depth helps.",
    source="Nielsen 2015, Neural Networks and Deep Learning, chapter 6 (97.80%, 98.78%, 99.06%, 99.23% on MNIST)",
    varied="no convolution, one, two before a fully connected layer of the same size",
    held="first weights where shapes agree, order of images; the recipe but for the "
    "learning rate, chosen for each apart on validation images (full: the recipe of the book for each)",
    metric="test accuracy",
    supported="one convolution is better than none, and two better than one, each at p < 0.05 after Holm's correction",
    contradicted="one of these steps is worse, or differs by no more than 0.5 points",
    published="mnist",
    study=study,
    seeds=5,
    hours=5.5,
)
