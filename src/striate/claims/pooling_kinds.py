"""Claim 5: max pooling beats average pooling and plain striding; whether overlapping windows help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.claims.claim import FULL_EPOCHS, FULL_RATES, Claim, Outcome, Setting, outcome, recipe, ruled
from striate.claims.comparing.figures import learning_curves, value_bars
from striate.claims.comparing.metrics import ACCURACY
from striate.claims.ruling import Ruling

if TYPE_CHECKING:
    from striate.claims.comparing.comparison import Comparison

MAX, AVERAGE, STRIDE, OVERLAP = "max", "average", "stride", "max, overlapping"

POOLS = {MAX: "maxpool 2x2", AVERAGE: "avgpool 2x2", OVERLAP: "maxpool 3x3 stride=2 pad=1"}

QUICK = "conv 8 5x5 pad=2{s}, relu, {p}conv 16 5x5 pad=2{s}, relu, {p}dense 32, relu, dense {{classes}}"

FULL = (
    "conv 32 5x5 pad=2{s}, relu, {p}conv 64 5x5 pad=2{s}, relu, {p}conv 64 5x5 pad=2, relu, "
    "dense 64, relu, dense {{classes}}"
)


def network(kind: str, text: str) -> str:
    """The network with one way of getting smaller."""
    pool = f"{POOLS[kind]}, " if kind in POOLS else ""
    return text.format(s=" stride=2" if kind == STRIDE else "", p=pool)


def study(setting: Setting) -> Outcome:
    """Trains the same network with four ways of getting smaller by two."""
    quick = setting.scale == "quick"
    plain = recipe(epochs=8 if quick else FULL_EPOCHS)
    text = QUICK if quick else FULL
    variants = [setting.variant(kind, network(kind, text), plain) for kind in (AVERAGE, STRIDE, OVERLAP, MAX)]
    found = setting.compare(variants, ACCURACY, (0.003, 0.01, 0.03) if quick else FULL_RATES)
    verdict, because = decide(found)
    figures = (value_bars(found, "Test accuracy"), learning_curves(found))
    return outcome(found, (verdict, (*because, *unequal(found))), figures)


def unequal(found: Comparison) -> tuple[str, ...]:
    """A warning where the variants are not of one size: pooling 2x2 leaves out the last row of an odd side."""
    sizes = {one.variant.network.parameters for one in found.measured}
    if len(sizes) == 1:
        return ()
    return (
        "the variants differ in their number of parameters at this image size; choose sides that are multiples of 4",
    )


def decide(found: Comparison) -> tuple[Ruling, tuple[str, ...]]:
    """The rule; overlap is reported and decides nothing, as the sources disagree on it."""
    pairs = [found.pair(AVERAGE, MAX), found.pair(STRIDE, MAX)]
    said = (*(pair.sentence for pair in pairs), found.pair(OVERLAP, MAX).sentence)
    refuted = any(pair.verdict.worse or pair.verdict.none for pair in pairs)
    return ruled(supported=all(pair.verdict.better for pair in pairs), contradicted=refuted), said


CLAIM = Claim(
    number=5,
    name="pooling-kinds",
    sentence="Max pooling beats average pooling and plain striding.",
    source="Scherer, Müller, Behnke 2010; on overlapping windows Krizhevsky et al. 2012, section 3.4, says they help, "
    "Scherer that they do not",
    varied="how maps become smaller by two: max 2x2, average 2x2, stride 2 of the convolution itself, max 3x3 stride 2",
    held="convolutions, shapes and number of parameters, first weights, order of images; the recipe but for the "
    "learning rate, chosen for each apart on validation images",
    metric="test accuracy",
    supported="max is better than average and than striding, each at p < 0.05 after Holm's correction",
    contradicted="max is worse than one of them, or differs from one by no more than 0.5 points",
    published="cifar10",
    study=study,
    seeds=6,
    hours=3.7,
)
