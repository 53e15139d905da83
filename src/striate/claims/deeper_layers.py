"""Claim 12: filters in deeper layers are more invariant and converge later."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.claims.claim import FULL_EPOCHS, FULL_RATES, Claim, Outcome, Setting, recipe, ruled
from striate.claims.comparing.bands import band
from striate.claims.comparing.contrasts import Contrast, contrast_json, contrasts
from striate.claims.comparing.figures import Figure, contrast_figures
from striate.claims.comparing.metrics import ACCURACY, steps_metric
from striate.claims.comparing.statistics import t_interval
from striate.claims.learning import taught
from striate.claims.ruling import Ruling

if TYPE_CHECKING:
    from striate.claims.comparing.comparison import Measured

QUICK = (
    "conv 8 3x3 pad=1, relu, conv 8 3x3 pad=1, relu, maxpool 2x2, conv 16 3x3 pad=1, relu, conv 16 3x3 pad=1, relu, "
    "maxpool 2x2, dense 32, relu, dense {classes}"
)

FULL = (
    "(conv 32 3x3 pad=1, relu) x2, maxpool 2x2, (conv 64 3x3 pad=1, relu) x2, maxpool 2x2, dense 128, relu, "
    "dense {classes}"
)

MOVED = replace(steps_metric(), name="relative feature distance", higher=False, smallest=0.25)
"""Compared as a ratio."""

LATE = replace(steps_metric(), name="steps to half of the way", higher=True, smallest=0.25)

INVARIANT = "feature distance of the deepest activations against the first, images moved"
MAPS = "feature distance of the last convolution's activations against the first (decides nothing)"
CONVERGED = "steps to half of the way of the last convolution's weights against the first's"


def study(setting: Setting) -> Outcome:
    """Trains one network and follows its layers."""
    from striate.claims.comparing.comparison import measure

    quick = setting.scale == "quick"
    plain = recipe(epochs=10 if quick else FULL_EPOCHS)
    one = setting.variant("network", QUICK if quick else FULL, plain)
    rates = (0.003, 0.01, 0.03) if quick else FULL_RATES
    measured = measure([one], setting.trials, seeds=setting.seeds, metric=ACCURACY, rates=rates, probes=("path",))
    judged = contrasts({INVARIANT: _closer(measured[0], 1)}, MOVED) | contrasts({MAPS: _closer(measured[0], 2)}, MOVED)
    judged |= contrasts({CONVERGED: _later(measured[0])}, LATE)
    verdict, because = taught(measured, decide(judged))
    return Outcome(
        verdict,
        because,
        ("layer", "steps to half of the way", "by seed"),
        _rows(measured[0]),
        (_distances(measured[0]), _half_ways(measured[0]), *contrast_figures(judged)),
        {"contrasts": contrast_json(judged), "probes": [record["probes"]["path"] for record in measured[0].records]},
        setting.seeds,
    )


def _closer(one: Measured, place: int) -> list[float]:
    """Per seed log2 of the distance of activations over the first's, mean over the kinds of motion.

    Arguments:
        place: which activations, counted from the deepest hidden ones: 1 for these, 2 for those before them.
    """
    found: list[float] = []
    for record in one.records:
        ratios = [
            math.log2(max(values[-place:][0], 1e-9) / max(values[0], 1e-9))
            for values in (list(kind.values()) for kind in record["probes"]["path"]["moved"].values())
        ]
        found.append(float(np.mean(ratios)))
    return found


def _later(one: Measured) -> list[float]:
    """Per seed log2 of the last convolution's steps over the first's."""
    found: list[float] = []
    for record in one.records:
        steps = [value for name, value in record["probes"]["path"]["half_way"].items() if name.startswith("conv")]
        first, last = (max(steps[k] or 1.0, 1.0) for k in (0, -1))
        found.append(math.log2(last / first))
    return found


def decide(judged: dict[str, Contrast]) -> tuple[Ruling, tuple[str, ...]]:
    """The rule."""
    said = tuple(one.sentence for one in judged.values())
    asked = judged[INVARIANT], judged[CONVERGED]
    refuted = any(one.worse or one.none for one in asked)
    return ruled(supported=all(one.better for one in asked), contradicted=refuted), said


def _rows(one: Measured) -> list[list[str]]:
    half = [record["probes"]["path"]["half_way"] for record in one.records]
    rows: list[list[str]] = []
    for name in half[0]:
        values = [seed[name] for seed in half if seed[name] is not None]
        rows.append([name, f"{np.mean(values):.0f}" if values else "–", "  ".join(f"{value:.0f}" for value in values)])
    return rows


def _half_ways(one: Measured) -> Figure:
    half = [record["probes"]["path"]["half_way"] for record in one.records]
    lines: list[dict[str, Any]] = []
    for name in half[0]:
        values = [float(seed[name]) for seed in half if seed[name] is not None]
        if len(values) > 1:
            low, high = t_interval(values)
            lines.append({"name": name, "value": float(np.mean(values)), "low": low, "high": high})
    note = f"Mean of {len(one.records)} seeds and its 95% interval."
    return Figure("bars", "When a layer's weights had come half of their way", "steps", "", lines, note=note)


def _distances(one: Measured) -> Figure:
    moved = [record["probes"]["path"]["moved"] for record in one.records]
    lines: list[dict[str, Any]] = []
    for kind in moved[0]:
        values = np.array([list(seed[kind].values()) for seed in moved], float)
        lines.append(band(kind, range(1, values.shape[1] + 1), values))
    how = "Validation images moved by up to 3 pixels, 30°, a factor of 1.3"
    note = f"{how}; mean of {len(moved)} seeds, 95% interval."
    return Figure(
        "curves", "How far features move with the image", "activation layer", "relative distance", lines, note=note
    )


CLAIM = Claim(
    number=12,
    name="deeper-layers",
    sentence="Filters in deeper layers are more invariant and converge later.",
    source="Zeiler & Fergus 2014, section 4 and figures 4 and 5",
    varied="the layer",
    held="one network, trained with several seeds",
    metric="relative distance of the features of moved and original images, deepest hidden activations against first, "
    "as a ratio; and the step at which a convolution's weights had come half of their way, last against first",
    supported="the deepest distance is smaller and the last convolution later, both at p < 0.05",
    contradicted="one of them is the other way round, or they differ by less than a factor of 1.19",
    published="cifar10",
    study=study,
    seeds=6,
    hours=1.4,
)
