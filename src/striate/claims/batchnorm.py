"""Claim 9: batch normalization helps with vanishing gradients."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.claims.claim import Claim, Outcome, Setting, outcome, recipe, ruled
from striate.claims.comparing.contrasts import Contrast, contrasts
from striate.claims.comparing.figures import Figure, learning_curves
from striate.claims.comparing.metrics import Record, reached, steps_metric
from striate.claims.ruling import Ruling

if TYPE_CHECKING:
    from striate.claims.comparing.comparison import Comparison, Measured

PLAIN, NORMALIZED = "sigmoid", "batch norm, sigmoid"

LAYERS = {"quick": 5, "full": 3}
"""Ioffe & Szegedy 2015, section 4.1, have three of 100; gradients vanish more visibly in five."""

UNITS = {"quick": 64, "full": 100}

FLOW = replace(steps_metric(), name="gradient of the first layer in units of the last", higher=True, smallest=1.0)
"""Compared as a ratio; a factor of 2 matters."""


def study(setting: Setting) -> Outcome:
    """Trains a deep sigmoid network with and without batch normalization."""
    quick = setting.scale == "quick"
    hidden, units = LAYERS[setting.scale], UNITS[setting.scale]
    plain = recipe(epochs=12 if quick else 50, batch_size=60, optimizer="sgd", schedule="constant", learning_rate=0.1)
    texts = {
        PLAIN: f"(dense {units}, sigmoid) x{hidden}, dense {{classes}}",
        NORMALIZED: f"(dense {units}, batchnorm, sigmoid) x{hidden}, dense {{classes}}",
    }
    found = setting.compare(
        [setting.variant(name, text, plain) for name, text in texts.items()],
        steps_metric(),
        (0.03, 0.1, 0.3, 1.0),
        probes=("gradients",),
    )
    judged = _contrasts(found)
    figures = (_figure(found, "start"), _figure(found, "end"), learning_curves(found))
    return outcome(found, decide(found, judged), figures, judged)


def flow(record: Record, when: str = "start") -> float:
    """Log2 of the gradient of the first layer's weights (root mean square) in units of the last layer's."""
    sizes = list(record["probes"]["gradients"][when].values())
    return math.log2(max(sizes[0] or 0.0, 1e-30) / max(sizes[-1] or 0.0, 1e-30))


def _contrasts(found: Comparison) -> dict[str, Contrast]:
    a, b = found.of(PLAIN).records, found.of(NORMALIZED).records
    flows = [flow(y) - flow(x) for x, y in zip(a, b, strict=True)]
    return contrasts({"gradient of the first layer against the last at the start, with batch norm": flows}, FLOW)


def decide(found: Comparison, judged: dict[str, Contrast]) -> tuple[Ruling, tuple[str, ...]]:
    """The rule."""
    (gradient,) = judged.values()
    steps = found.pair(PLAIN, NORMALIZED)
    said = [gradient.sentence, steps.sentence]
    for one in found.measured:
        late = sum(not reached(record) for record in one.records)
        if late:
            seeds = f"{late} of {len(found.seeds)} seeds"
            said.append(f"{one.variant.name} did not reach it with {seeds}: its steps are a lower bound")
    if not all(map(reached, found.of(NORMALIZED).records)):
        return "inconclusive", tuple(said)
    both = gradient.verdict, steps.verdict
    refuted = any(one.worse or one.none for one in both)
    return ruled(supported=all(one.better for one in both), contradicted=refuted), tuple(said)


def _figure(found: Comparison, when: str) -> Figure:
    title = "Gradient of the weights, " + {"start": "at the start", "end": "after training"}[when]
    lines = [_line(one, when) for one in found.measured]
    note = f"Geometric mean of {len(found.seeds)} seeds."
    return Figure("curves", title, "layer with weights", "root mean square", lines, log="y", note=note)


def _line(one: Measured, when: str) -> dict[str, Any]:
    sizes = np.array([list(record["probes"]["gradients"][when].values()) for record in one.records], float)
    means = np.exp(np.log(np.maximum(sizes, 1e-30)).mean(0))
    return {"name": one.variant.name, "x": list(range(1, len(means) + 1)), "y": means.tolist()}


CLAIM = Claim(
    number=9,
    name="batchnorm",
    sentence="Batch normalization helps with vanishing gradients.",
    source="Ioffe & Szegedy 2015, section 4.1",
    varied="batch normalization before every sigmoid of a deep fully connected network, or none",
    held="layers, first weights, order of images; SGD at a constant rate, chosen for each apart as the one that "
    "reaches 25% validation error soonest",
    metric="gradient of the first layer's weights in units of the last layer's, before the first step; and steps to "
    "25% training error",
    supported="the first layer's share of the gradient is larger and fewer steps are needed, both at p < 0.05",
    contradicted="one of the two is the other way round, or does not differ (by a factor of 2, and of 1.19)",
    published="mnist",
    study=study,
    seeds=6,
    hours=0.3,
)
