"""Claim 6: pooling makes the network robust to shifts and noise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.claims.claim import FULL_EPOCHS, FULL_RATES, Claim, Outcome, Setting, outcome, recipe, ruled
from striate.claims.comparing.bands import band
from striate.claims.comparing.contrasts import Contrast, contrasts
from striate.claims.comparing.figures import Figure
from striate.claims.comparing.metrics import ACCURACY, POINT, Record
from striate.claims.pooling_kinds import FULL, MAX, QUICK, STRIDE, network, unequal
from striate.claims.ruling import Ruling

if TYPE_CHECKING:
    from striate.claims.comparing.comparison import Comparison, Measured

DROP = replace(ACCURACY, name="loss of accuracy", higher=False, smallest=POINT)


def drop(record: Record, kind: str) -> float:
    """Accuracy on the images as they are, minus the mean over all amounts above 0 of `shifted` or `noisy`."""
    seen = record["probes"]["robustness"][kind]
    return seen[0] - float(np.mean(seen[1:]))


def study(setting: Setting) -> Outcome:
    """Trains with max pooling and with striding instead, and moves and disturbs the test images."""
    quick = setting.scale == "quick"
    text = QUICK if quick else FULL
    plain = recipe(epochs=8 if quick else FULL_EPOCHS)
    variants = [setting.variant(kind, network(kind, text), plain) for kind in (STRIDE, MAX)]
    rates = (0.003, 0.01, 0.03) if quick else FULL_RATES
    found = setting.compare(variants, ACCURACY, rates, probes=("robustness",))
    pooled, strided = found.of(MAX), found.of(STRIDE)
    sets = {
        f"{name}, loss of accuracy with pooling minus with striding": [
            drop(a, kind) - drop(b, kind) for a, b in zip(pooled.records, strided.records, strict=True)
        ]
        for name, kind in (("shifts of 1 to 4 pixels", "shifted"), ("noise", "noisy"))
    }
    judged = contrasts(sets, DROP)
    verdict, because = decide(judged)
    figures = (_figure(found, "shifted"), _figure(found, "noisy"), _figure(found, "distance"))
    return outcome(found, (verdict, (*because, *unequal(found))), figures, judged)


def decide(judged: dict[str, Contrast]) -> tuple[Ruling, tuple[str, ...]]:
    """The rule."""
    said = tuple(one.sentence for one in judged.values())
    better = all(one.better for one in judged.values())
    return ruled(supported=better, contradicted=any(one.worse or one.none for one in judged.values())), said


def _figure(found: Comparison, kind: str) -> Figure:
    titles = {
        "shifted": ("Accuracy on shifted images", "shift, pixels", "classified right"),
        "noisy": ("Accuracy on noisy images", "noise, standard deviations of the images", "classified right"),
        "distance": ("How far the last maps' features move", "shift, pixels", "relative distance"),
    }
    title, x, y = titles[kind]
    lines = [_line(one, kind) for one in reversed(found.measured)]
    note = f"Mean of {len(found.seeds)} seeds and its 95% interval."
    return Figure("curves", title, x, y, lines, percent=kind != "distance", note=note)


def _line(one: Measured, kind: str) -> dict[str, Any]:
    seen = [record["probes"]["robustness"] for record in one.records]
    values = np.array([found[kind] for found in seen], float)
    return band(one.variant.name, seen[0]["noises" if kind == "noisy" else "shifts"], values)


CLAIM = Claim(
    number=6,
    name="pooling-robust",
    sentence="Pooling makes the network robust to shifts and noise.",
    source="LeCun et al. 1998, section II.A; Goodfellow, Bengio, Courville 2016, Deep Learning, section 9.3",
    varied="whether maps become smaller by max pooling or by stride 2 of the convolution itself",
    held="shapes and number of parameters, first weights, order of images; no augmentation; the recipe but for "
    "the learning rate, chosen for each apart on validation images",
    metric="accuracy lost on test images shifted by 1 to 4 pixels, and with Gaussian noise of 0.25 to 1 standard "
    "deviations; distance of the last maps' features besides",
    supported="less accuracy is lost with pooling, under shifts and under noise, each at p < 0.05 after correction",
    contradicted="more is lost under one of them, or equally much within 1 point",
    published="mnist",
    study=study,
    seeds=6,
    hours=1.4,
)
