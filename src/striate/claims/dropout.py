"""Claim 8: dropout reduces overfitting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.claims.claim import Claim, Outcome, Setting, recipe, ruled
from striate.claims.comparing import words
from striate.claims.comparing.bands import band
from striate.claims.comparing.contrasts import Contrast, contrast_json, contrasts
from striate.claims.comparing.figures import Figure, contrast_figures, rate
from striate.claims.comparing.metrics import ACCURACY, GAP
from striate.claims.comparing.statistics import t_interval
from striate.claims.learning import taught
from striate.claims.ruling import Ruling

if TYPE_CHECKING:
    from striate.claims.comparing.comparison import Comparison, Measured

PLAIN, DROPOUT = "plain", "dropout"

QUICK = "dense 256, relu, {d}dense 256, relu, {d}dense {{classes}}"

FULL = "dense 1024, relu, {d}dense 1024, relu, {d}dense 1024, relu, {d}dense {{classes}}"
"""Srivastava et al. 2014, table 2: three layers of 1024 rectified units."""

STEPS = {"quick": 600, "full": 20_000}
"""Of every training, so that small sets are learned as long as large ones; fewer where `MOST_EPOCHS` comes first."""

MOST_EPOCHS = 400
"""Beyond so many passes over a small set nothing is left to learn, and scoring every epoch would take all the time."""

BATCH = 64

WITHOUT_GAIN = (100, 500)
"""Training images with which Srivastava et al. 2014, figure 10, find no gain in test error."""


def study(setting: Setting) -> Outcome:
    """Trains with and without dropout on training sets of several sizes."""
    images = len(setting.seen.train)
    found = {size: _at(setting, size) for size in sizes(images, setting.scale)}
    largest = found[max(found)]
    judged = _contrasts(found)
    verdict, because = taught(largest.measured, decide(judged, max(found)))
    headings = ("training images", "variant", "training accuracy", "test accuracy", "gap", "learning rate")
    figures = (
        _figure(found, "Train-test gap", "gap", GAP.of),
        _figure(found, "Test accuracy", "classified right", ACCURACY.of),
        *contrast_figures(judged),
    )
    rows = [row for size, one in found.items() for row in _rows(size, one)]
    numbers = {"sizes": {size: one.as_json() for size, one in found.items()}, "contrasts": contrast_json(judged)}
    return Outcome(verdict, because, headings, rows, figures, numbers, largest.seeds)


def sizes(images: int, scale: str) -> list[int]:
    """Numbers of training images: 100, 500, then up to all of them.

    Example:
        >>> sizes(3500, "quick"), sizes(60000, "full")
        ([100, 500, 3500], [100, 500, 1000, 5000, 10000, 60000])
    """
    steps = (100, 500) if scale == "quick" else (100, 500, 1000, 5000, 10_000)
    return [*(size for size in steps if size < 0.8 * images), images]


def _at(setting: Setting, size: int) -> Comparison:
    quick = setting.scale == "quick"
    text = QUICK if quick else FULL
    epochs = min(max(1, round(STEPS[setting.scale] * BATCH / max(size, BATCH))), MOST_EPOCHS)
    plain = recipe(epochs=epochs, batch_size=BATCH)
    view = replace(setting.view, images=size)
    variants = [
        setting.variant(PLAIN, text.format(d=""), plain, view),
        setting.variant(DROPOUT, text.format(d="dropout 0.5, "), plain, view),
    ]
    return setting.compare(variants, GAP, (0.0003, 0.001, 0.003))


def _contrasts(found: dict[int, Comparison]) -> dict[str, Contrast]:
    """Gap and test accuracy with dropout minus without, at every size; the gaps judged together, and the accuracies."""
    gaps = {gap_at(size): _differences(one, GAP) for size, one in found.items()}
    rights = {right_at(size): _differences(one, ACCURACY) for size, one in found.items()}
    return contrasts(gaps, GAP) | contrasts(rights, ACCURACY)


def _differences(found: Comparison, metric: Any) -> list[float]:
    a, b = found.of(PLAIN), found.of(DROPOUT)
    return [metric.of(y) - metric.of(x) for x, y in zip(a.records, b.records, strict=True)]


def decide(judged: dict[str, Contrast], size: int) -> tuple[Ruling, tuple[str, ...]]:
    """The rule, at the largest training set."""
    gap = judged[gap_at(size)]
    right = judged[right_at(size)]
    said = (*(one.sentence for one in judged.values()), *_beside_the_source(judged))
    refuted = gap.worse or gap.none or (gap.better and right.worse)
    return ruled(supported=gap.better and not right.worse, contradicted=refuted), said


def _beside_the_source(judged: dict[str, Contrast]) -> tuple[str, ...]:
    """What the source finds on few images, next to what was found; it decides nothing."""
    few = [size for size in WITHOUT_GAIN if right_at(size) in judged]
    if not few:
        return ()
    found = words.listed([f"{words.judged(judged[right_at(size)].verdict, ACCURACY)} at {size}" for size in few])
    return (f"test accuracy at few images, where the source finds no gain (100 and 500): here {found}",)


def gap_at(size: int) -> str:
    """Name of the contrast of gaps at a size."""
    return f"gap at {size} images, with dropout minus without"


def right_at(size: int) -> str:
    """Name of the contrast of test accuracies at a size."""
    return f"test accuracy at {size} images, with dropout minus without"


def _rows(size: int, found: Comparison) -> list[list[str]]:
    rows: list[list[str]] = []
    for one in found.measured:
        gaps = [GAP.of(record) for record in one.records]
        shares = (_mean(one, "training"), _mean(one, "test"), words.change(float(np.mean(gaps)), GAP, t_interval(gaps)))
        rows.append([str(size), one.variant.name, *shares, rate(one)])
    return rows


def _mean(one: Measured, part: str) -> str:
    accuracies = [record[part]["accuracy"] for record in one.records]
    return words.mean(accuracies, ACCURACY, one.records[0][part]["count"])


def _figure(found: dict[int, Comparison], title: str, y: str, of: Any) -> Figure:
    lines: list[dict[str, Any]] = []
    for name in (DROPOUT, PLAIN):
        values = [[of(record) for record in one.of(name).records] for one in found.values()]
        lines.append(band(name, list(found), np.array(values, float).T))
    seeds = len(next(iter(found.values())).seeds)
    note = f"Mean of {seeds} seeds and its 95% interval."
    return Figure("curves", title, "training images", y, lines, percent=True, log="x", note=note)


CLAIM = Claim(
    number=8,
    name="dropout",
    sentence="Dropout reduces overfitting.",
    source="Srivastava et al. 2014, sections 6.1 and 7.5 (no gain at 100 to 500 examples)",
    varied="dropout 0.5 after every hidden layer of a fully connected network, or none; size of the training set",
    held="layers, first weights, order of images, number of steps at each size; the recipe but for the learning "
    "rate, chosen for each apart on validation images",
    metric="training accuracy minus test accuracy, of the epoch best on the validation split",
    supported="at the largest training set the gap is smaller with dropout (p < 0.05 after Holm's correction over all "
    "sizes) and test accuracy is not worse beyond chance",
    contradicted="there the gap is larger, or equal within 0.5 points, or smaller at the price of test accuracy",
    published="mnist",
    study=study,
    seeds=5,
    hours=6,
)
