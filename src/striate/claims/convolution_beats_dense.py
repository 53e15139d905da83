"""Claim 10: convolutions beat fully connected layers on images, and depth helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.claims.claim import (
    Claim,
    Outcome,
    Setting,
    Word,
    learning_curves,
    recipe,
    table,
    untaught,
    value_bars,
)
from striate.claims.metrics import ACCURACY

if TYPE_CHECKING:
    from striate.claims.comparison import Comparison
    from striate.claims.variants import Variant

DENSE, ONE, TWO = "fully connected", "one convolution", "two convolutions"

QUICK = {
    DENSE: "dense 50, relu, dense {classes}",
    ONE: "conv 10 5x5, relu, maxpool 2x2, dense 50, relu, dense {classes}",
    TWO: "conv 10 5x5, relu, maxpool 2x2, conv 20 5x5, relu, maxpool 2x2, dense 50, relu, dense {classes}",
}

FULL = {DENSE: "nielsen-fc", ONE: "nielsen-1conv", TWO: "nielsen-2conv", "two, ReLU": "nielsen-relu"}

BOOK = {DENSE: 97.80, ONE: 98.78, TWO: 99.06, "two, ReLU": 99.23}
"""Nielsen 2015, chapter 6, on MNIST."""


def study(setting: Setting) -> Outcome:
    """Trains Nielsen's networks, or the same at half the width."""
    quick = setting.scale == "quick"
    found = setting.compare(_variants(setting), 5, ACCURACY, (0.003, 0.01, 0.03) if quick else (0.03, 0.1, 0.3))
    verdict, because = decide(found)
    headings, rows = table(found)
    if not quick:
        headings = (*headings, "in the book")
        rows = [[*row, f"{BOOK[row[0]]:.2f}%" if setting.data.name == "mnist" else "–"] for row in rows]
    figures = (value_bars(found, "Test accuracy"), learning_curves(found))
    return Outcome(verdict, because, headings, rows, figures, found.as_json(), found.seeds)


def _variants(setting: Setting) -> list[Variant]:
    if setting.scale == "quick":
        return [setting.variant(name, text, recipe()) for name, text in QUICK.items()]
    nielsens = recipe(epochs=60, batch_size=10, optimizer="sgd", momentum=0.0, schedule="constant", learning_rate=0.1)
    decay = nielsens.changed(learning_rate=0.03, weight_decay=2e-6)  # his lambda of 0.1 over 50,000 images
    return [setting.variant(name, text, decay if "ReLU" in name else nielsens) for name, text in FULL.items()]


def decide(found: Comparison) -> tuple[Word, tuple[str, ...]]:
    """The rule."""
    why = untaught(found.measured)
    if why:
        return "not applicable", (why,)
    pairs = [found.pair(DENSE, ONE), found.pair(ONE, TWO)]
    said = tuple(pair.sentence for pair in pairs)
    verdicts = [pair.verdict.word for pair in pairs]
    if all(word == "better" for word in verdicts):
        return "supported", said
    refuted = any(word in ("worse", "no difference larger than") for word in verdicts)
    return "contradicted" if refuted else "inconclusive", said


CLAIM = Claim(
    number=10,
    name="convolution-beats-dense",
    sentence="Convolutions beat fully connected layers on images, and depth helps.",
    source="Nielsen 2015, Neural Networks and Deep Learning, chapter 6 (97.80%, 98.78%, 99.06%, 99.23% on MNIST)",
    varied="no convolution, one, two before a fully connected layer of the same size",
    held="recipe, first weights where shapes agree, order of images",
    metric="test accuracy",
    supported="one convolution is better than none, and two better than one, each at p < 0.05 after Holm's correction",
    contradicted="one of these steps is worse, or differs by no more than 0.5 points",
    published="mnist",
    study=study,
)
