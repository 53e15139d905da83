"""Claim 13: the removal study: either pair of layers can go, both cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.claims.claim import FULL_EPOCHS, FULL_RATES, Claim, Outcome, Setting, outcome, recipe, ruled
from striate.claims.comparing.contrasts import Contrast, contrasts
from striate.claims.comparing.figures import learning_curves, value_bars
from striate.claims.comparing.metrics import ERROR
from striate.claims.ruling import Ruling

if TYPE_CHECKING:
    from striate.claims.comparing.comparison import Comparison

WHOLE, NO_CONV, NO_DENSE, NEITHER = "whole", "without conv 3, 4", "without dense 1, 2", "without both"

QUICK = (
    "conv 8 3x3 pad=1, relu, maxpool 2x2, conv 16 3x3 pad=1, relu, maxpool 2x2, {c}conv 16 3x3 pad=1, relu, "
    "maxpool 2x2, {d}dense {{classes}}"
)

FULL = (
    "conv 24 5x5 pad=2, relu, maxpool 2x2, conv 64 3x3 pad=1, relu, maxpool 2x2, {c}conv 64 3x3 pad=1, relu, "
    "maxpool 2x2, {d}dense {{classes}}"
)
"""For images of 32x32 a quarter of the maps of the source's network (96, 256, 384, 384, 256), and an eighth of the
units of its two hidden layers (4096)."""

CONVS = {"quick": "(conv 16 3x3 pad=1, relu) x2, ", "full": "(conv 96 3x3 pad=1, relu) x2, "}
DENSES = {"quick": "(dense 64, relu) x2, ", "full": "(dense 512, relu, dropout 0.5) x2, "}

BOTH = "both gone, error added"
HALF_CONV, HALF_DENSE = "convolutions alone gone, beyond half of both", "dense layers alone gone, beyond half of both"
OF_CONV, OF_DENSE = "both gone beyond the convolutions alone", "both gone beyond the dense layers alone"


def study(setting: Setting) -> Outcome:
    """Trains the whole network, without either pair, and without both."""
    quick = setting.scale == "quick"
    plain = recipe(epochs=10 if quick else FULL_EPOCHS)
    text, c, d = (QUICK if quick else FULL), CONVS[setting.scale], DENSES[setting.scale]
    texts = {WHOLE: (c, d), NO_CONV: ("", d), NO_DENSE: (c, ""), NEITHER: ("", "")}
    variants = [setting.variant(name, text.format(c=a, d=b), plain) for name, (a, b) in texts.items()]
    found = setting.compare(variants, ERROR, (0.003, 0.01, 0.03) if quick else FULL_RATES)
    judged = contrasts(_sets(found), ERROR)
    figures = (value_bars(found, "Test error"), learning_curves(found))
    return outcome(found, decide(found, judged), figures, judged)


def _sets(found: Comparison) -> dict[str, list[float]]:
    """Per seed: the error that losing both adds, how much more that is than losing either, and whether one pair alone
    costs more than half of it."""
    whole, conv, dense, neither = (found.of(name).values for name in (WHOLE, NO_CONV, NO_DENSE, NEITHER))
    return {
        BOTH: [b - a for a, b in zip(whole, neither, strict=True)],
        OF_CONV: [b - a for a, b in zip(conv, neither, strict=True)],
        OF_DENSE: [b - a for a, b in zip(dense, neither, strict=True)],
        HALF_CONV: [c - (w + b) / 2 for w, c, b in zip(whole, conv, neither, strict=True)],
        HALF_DENSE: [d - (w + b) / 2 for w, d, b in zip(whole, dense, neither, strict=True)],
    }


def decide(found: Comparison, judged: dict[str, Contrast]) -> tuple[Ruling, tuple[str, ...]]:
    """The rule. For errors `worse` means that something is added."""
    singles = [found.pair(WHOLE, NO_CONV), found.pair(WHOLE, NO_DENSE)]
    said = (*(pair.sentence for pair in singles), *(one.sentence for one in judged.values()))
    added = [judged[name] for name in (BOTH, OF_CONV, OF_DENSE)]
    halves = [judged[name] for name in (HALF_CONV, HALF_DENSE)]
    depth = all(one.worse for one in added) and all(one.found.mean < 0 for one in halves)
    refuted = any(one.none or one.better for one in added) or any(one.worse for one in halves)
    return ruled(supported=depth, contradicted=refuted), said


CLAIM = Claim(
    number=13,
    name="removal",
    sentence="Either pair of layers can go, both cannot: depth matters, not any one layer.",
    source="Zeiler & Fergus 2014, section 5.1 and table 3",
    varied="whether the middle pair of convolutions, the pair of hidden fully connected layers, or both are taken out",
    held="all other layers, first weights where names and shapes agree, order of images; the recipe but for the "
    "learning rate, chosen for each apart on validation images",
    metric="test error",
    supported="without both the error is larger than of the whole network and than without either pair, each at "
    "p < 0.05 after Holm's correction; and either pair alone adds less than half of what both add",
    contradicted="losing both adds no more than 0.5 points, or no more than losing one pair; or one pair alone adds "
    "more than half of it, beyond chance",
    published="cifar10",
    study=study,
    seeds=6,
    hours=3.3,
)
