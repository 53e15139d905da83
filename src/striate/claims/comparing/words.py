"""Verdicts and numbers as sentences: short, exact, with interval and n."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.claims.comparing.metrics import Metric
    from striate.claims.comparing.statistics import Interval, Paired, Verdict
    from striate.train.recipe import Recipe


LEAST_P = 0.001
"""Below it a p value is not written with its figures."""

ALWAYS_TOLD = "epochs", "batch_size"
TUNED = "learning_rate", "seed"
"""Settings of a recipe that are told whatever they are, and those that a comparison decides by itself."""


def sentence(a: str, b: str, found: Paired, verdict: Verdict, metric: Metric) -> str:
    """What a comparison of b with a says, in one sentence."""
    said = evidence(found, metric)
    if verdict.word in ("better", "worse"):
        return f"{b} is {verdict.word} than {a}: {metric.name} {change(found.mean, metric)} ({said})"
    if verdict.largest is not None:
        return f"{a} and {b}: no difference in {metric.name} larger than {size(verdict.largest, metric)} ({said})"
    return (
        f"{b} against {a}: inconclusive, {metric.name} {change(found.mean, metric)} ({said}){advice(verdict, metric)}"
    )


def evidence(found: Paired, metric: Metric) -> str:
    """How sure a difference is. The interval is that of this difference alone; p is corrected, and decides."""
    corrected = f" corrected for {found.comparisons} comparisons" if found.comparisons > 1 else ""
    return f"95% interval {span(found.t, metric)}, n = {found.n}, {probability(found.p_corrected)}{corrected}"


def hidden(a: str, b: str, seeds: int, of: int, metric: Metric) -> str:
    """What is to be said where the values of so many seeds are lower bounds, which hide a difference or its absence."""
    return f"{a} and {b}: inconclusive, as {metric.name} are lower bounds with {seeds} of {of} seeds; train longer"


def judged(verdict: Verdict, metric: Metric) -> str:
    """A verdict in a few words."""
    if verdict.largest is not None:
        return f"no difference larger than {size(verdict.largest, metric)}"
    return verdict.word


def small(found: Paired, verdict: Verdict, metric: Metric) -> str:
    """What a sure difference lacks that is surely smaller than what matters, as the end of its sentence."""
    if verdict.word not in ("better", "worse") or max(map(abs, found.simultaneous)) > metric.smallest:
        return ""
    return f"; less than {size(metric.smallest, metric)}, too little to matter"


def advice(verdict: Verdict, metric: Metric) -> str:
    """What an inconclusive difference needs, as the end of its sentence; nothing after other verdicts."""
    if verdict.word != "inconclusive":
        return ""
    more = "more than 1,000 more seeds"
    if verdict.more_seeds is not None:
        more = f"about {verdict.more_seeds} more seed{'s' * (verdict.more_seeds != 1)}"
    return f"; to tell a difference of {size(metric.smallest, metric)} it needs {more}"


def change(difference: float, metric: Metric) -> str:
    """A difference on the metric's scale, with its sign: points for shares, a factor for steps."""
    if metric.unit == "steps":
        return f"times {_ratio(2**difference)}"
    if metric.unit == "share":
        return f"{signed(100 * difference, 2)} points"
    return signed(difference, 3)


def _ratio(value: float) -> str:
    return count(int(float(f"{value:.3g}"))) if value >= 1000 else f"{value:.3g}"


def size(difference: float, metric: Metric) -> str:
    """The size of a difference, without a sign."""
    if metric.unit == "steps":
        return f"a factor of {2 ** abs(difference):.3g}"
    return f"{100 * abs(difference):.2f} points" if metric.unit == "share" else f"{abs(difference):.3g}"


def span(interval: Interval, metric: Metric) -> str:
    """An interval of a difference: `+0.20 to +1.10 points`."""
    low, high = (change(end, metric) if math.isfinite(end) else "unknown" for end in interval)
    unit = " points"
    return f"{low.removesuffix(unit)} to {high}"


def value(number: float, metric: Metric) -> str:
    """One value as a reader expects it: a percentage, a number of steps."""
    if metric.unit == "share":
        return f"{100 * number:.2f}%"
    shown = metric.shown(number)
    return f"{shown:.0f}" if metric.unit == "steps" and shown >= 10 else f"{shown:.3g}"


def settings(recipe: Recipe) -> str:
    """A recipe in words: how long, in what batches, and what differs from the default; not the rate, which is tuned.

    Example:
        >>> from striate.train import Recipe
        >>> settings(Recipe(epochs=8, ema=0.99))
        'epochs 8, batch size 256, ema 0.99'
    """
    usual, own = type(recipe)().model_dump(mode="json"), recipe.model_dump(mode="json")
    told = [name for name in own if name in ALWAYS_TOLD or (own[name] != usual[name] and name not in TUNED)]
    return ", ".join(f"{name.replace('_', ' ')} {_setting(own[name])}" for name in told)


def _setting(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {_setting(held)}" for key, held in value.items() if held) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def signed(number: float, decimals: int) -> str:
    """A number with its sign; 0 has none."""
    text = f"{number:+.{decimals}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text.lstrip("+-")


def probability(p: float) -> str:
    """A p value in words."""
    return f"p {p_value(p)}" if p < LEAST_P else f"p = {p_value(p)}"


def p_value(p: float) -> str:
    """A p value: `0.021`, or `< 0.001`.

    Example:
        >>> p_value(0.0206), p_value(0.0002)
        ('0.021', '< 0.001')
    """
    return f"< {LEAST_P}" if p < LEAST_P else f"{p:.3f}"


def count(number: int) -> str:
    """A counted number with thin spaces between thousands.

    Example:
        >>> count(23550)
        '23\u202f550'
    """
    return f"{number:,}".replace(",", "\u202f")
