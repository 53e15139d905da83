"""Tuning: the learning rate of each variant apart, over grids of one size, by the validation split alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from striate.claims.comparing.metrics import Metric, Record
from striate.claims.comparing.trial import Trial

if TYPE_CHECKING:
    from striate.claims.comparing.trials import Trials
    from striate.claims.comparing.variants import Variant

TUNING_SEEDS = (1_000_000_007, 1_000_000_009)
"""Of all tuning; no comparison's own seeds, so that choosing and measuring share no luck. Two, as the choice by one
training is often the luck of that training."""

GRID = (0.1, 0.3, 1.0, 3.0)
"""Learning rates tried, as multiples of the recipe's."""


@final
@dataclass(frozen=True)
class Tuned:
    """How a variant came to its learning rate.

    Attributes:
        rates: those tried.
        scores: what each gave on the validation split, mean of `TUNING_SEEDS`; None where a training diverged.
        chosen: the best.
        at_edge: whether it is the smallest or the largest tried, so that a better one may lie beyond.
    """

    rates: tuple[float, ...]
    scores: tuple[float | None, ...]
    chosen: float
    at_edge: bool


def tuned(variants: Sequence[Variant], trials: Trials, rates: Sequence[float] | None, tune_by: Metric) -> list[Tuned]:
    """Every variant's learning rate.

    Arguments:
        rates: to choose from; None: `GRID` times each recipe's own; (): each recipe's own. One rate is not tuned.
        tune_by: decides; must not look at the test split. A training ends with the epoch in which it says that it
            knows enough: a rate that would have diverged later is then a rate like any other.
    """
    grids = [_grid(one.recipe.learning_rate, rates) for one in variants]
    asked = [
        Trial.of(at_rate(one, rate), trials.data, seed, curve=tune_by.curve, tuning=True, until=tune_by.until)
        for one, grid in zip(variants, grids, strict=True)
        for rate in grid
        if len(grid) > 1
        for seed in TUNING_SEEDS
    ]
    records = iter(trials.records(asked, "tuning") if asked else ())

    def taken(grid: tuple[float, ...]) -> list[list[Record]]:
        return [[next(records) for _ in TUNING_SEEDS] for _ in grid] if len(grid) > 1 else []

    return [_choice(grid, taken(grid), tune_by) for grid in grids]


def _grid(own: float, rates: Sequence[float] | None) -> tuple[float, ...]:
    """The rates that a variant whose recipe has the rate `own` chooses from."""
    if rates is None:
        return tuple(own * k for k in GRID)
    return tuple(rates) or (own,)


def _choice(grid: tuple[float, ...], records: list[list[Record]], tune_by: Metric) -> Tuned:
    """The rate with the best mean score; of equal ones that with the lowest mean validation loss."""
    if not records:
        return Tuned(grid, (None,), grid[0], at_edge=False)
    scores = [_score(group, tune_by) for group in records]
    sign = 1 if tune_by.higher else -1

    def rank(k: int) -> tuple[float, float]:
        score, losses = scores[k], [record["validation"]["loss"] for record in records[k]]
        lowest = -math.inf if None in losses else -sum(losses)
        return (-math.inf if score is None else sign * score, lowest)

    best = max(range(len(grid)), key=rank)
    return Tuned(grid, tuple(scores), grid[best], at_edge=grid[best] in (min(grid), max(grid)))


def _score(group: Sequence[Record], tune_by: Metric) -> float | None:
    if any(record["diverged"] for record in group):
        return None
    return sum(tune_by.of(record) for record in group) / len(group)


def at_rate(one: Variant, rate: float) -> Variant:
    """The variant with this learning rate."""
    return replace(one, recipe=one.recipe.changed(learning_rate=rate))
