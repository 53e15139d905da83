"""Schedules: the learning rate of every step as a function of the step alone, so that a resumed run needs no state.

Knows the recipe's numbers; knows no optimizer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.train.recipe import Recipe

START_DIVISOR = 25.0
"""One-cycle starts at the peak divided by this, as PyTorch's OneCycleLR does."""

END_DIVISOR = 1e4
"""One-cycle ends at its start divided by this, as PyTorch's OneCycleLR does."""


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of step `step` (from 0) of `steps`.

    Arguments:
        recipe: gives `schedule`, `learning_rate` (the peak), `warmup_steps`, and `rise` (one-cycle only).
        step: 0 ... steps-1.
        steps: how many steps the whole run takes, all epochs together.

    Example:
        >>> from striate.train.recipe import Recipe
        >>> recipe = Recipe(schedule="cosine", learning_rate=1.0)
        >>> [round(learning_rate(recipe, step, 4), 3) for step in range(4)]
        [1.0, 0.854, 0.5, 0.146]
    """
    peak = recipe.learning_rate
    if recipe.schedule == "one-cycle":
        return _one_cycle(peak, recipe.rise, step, steps)
    if step < recipe.warmup_steps:
        return peak * (step + 1) / (recipe.warmup_steps + 1)
    if recipe.schedule == "constant":
        return peak
    return _cosine(peak, 0.0, (step - recipe.warmup_steps) / max(steps - recipe.warmup_steps, 1))


def _one_cycle(peak: float, rise: float, step: int, steps: int) -> float:
    """Smith & Topin 2018, Super-Convergence, with the cosine arms of PyTorch's OneCycleLR: up for `rise`, then down."""
    start = peak / START_DIVISOR
    top, last = rise * steps - 1, steps - 1
    if step <= top:
        return _cosine(start, peak, step / top) if top > 0 else peak
    return _cosine(peak, start / END_DIVISOR, (step - top) / (last - top)) if last > top else peak


def _cosine(first: float, last: float, share: float) -> float:
    """From `first` (share 0) to `last` (share 1) along half a cosine wave (Loshchilov & Hutter 2017, SGDR, eq. 5)."""
    return last + (first - last) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
