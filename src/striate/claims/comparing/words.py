"""Verdicts and numbers as sentences: short, exact, with interval and n."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from striate import decimals
from striate.claims.comparing.statistics import MOST_SEEDS, ROUNDING, t_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    said, by = evidence(found, metric), _more(found, metric)
    if verdict.word in ("better", "worse"):
        return f"{b} is {verdict.word} than {a}: {by} ({said})"
    if verdict.largest is not None:
        return f"{a} and {b}: no difference in {metric.name} larger than {bound(verdict.largest, metric)} ({said})"
    return f"{b} against {a}: inconclusive, {by} ({said}){advice(verdict, metric)}"


def _more(found: Paired, metric: Metric) -> str:
    """`test accuracy +1.2 points`, `2.5 times as many steps to 25% training error`."""
    if metric.unit == "steps":
        return f"{_difference(found.mean, metric, found.t)} times as many {metric.name}"
    return f"{metric.name} {change(found.mean, metric, found.t)}"


def evidence(found: Paired, metric: Metric) -> str:
    """How sure a difference is. The interval is that of this difference alone; p is corrected, and decides."""
    corrected = f" corrected for {found.comparisons} comparisons" if found.comparisons > 1 else ""
    spread = "the same with every seed" if found.equal else f"95% interval {span(found.t, metric)}"
    return f"{spread}, n = {found.n}, {probability(found.p_corrected)}{corrected}"


def hidden(a: str, b: str, seeds: int, of: int, metric: Metric) -> str:
    """What is to be said where the values of so many seeds are lower bounds, which hide a difference or its absence."""
    return f"{a} and {b}: inconclusive, as {metric.name} are lower bounds with {seeds} of {of} seeds; train longer"


def judged(verdict: Verdict, metric: Metric) -> str:
    """A verdict in a few words."""
    if verdict.largest is not None:
        return f"no difference larger than {bound(verdict.largest, metric)}"
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
    more = f"more than {count(MOST_SEEDS)} more seeds"
    if verdict.more_seeds is not None:
        more = f"about {verdict.more_seeds} more seed{'s' * (verdict.more_seeds != 1)}"
    return f"; to tell a difference of {size(metric.smallest, metric)} it needs {more}"


def change(difference: float, metric: Metric, within: Interval) -> str:
    """A difference on the metric's scale, with its sign: points for shares, a factor for steps.

    Arguments:
        within: the interval of the difference, or of the mean it belongs to; its width decides the decimals.

    Example:
        >>> from striate.claims.comparing.metrics import ACCURACY
        >>> from striate.claims.comparing.statistics import Interval
        >>> change(0.04292, ACCURACY, Interval(0.02591, 0.05992))
        '+4.3 points'
    """
    number = _difference(difference, metric, within)
    if metric.unit == "steps":
        return f"times {number}"
    return _points(number) if metric.unit == "share" else number


def span(interval: Interval, metric: Metric, within: Interval | None = None) -> str:
    """An interval of a difference, `+0.20 to +1.10 points`, with its own decimals or those of `within`."""
    ends = (_difference(end, metric, within or interval) if math.isfinite(end) else "unknown" for end in interval)
    return " to ".join(ends) + (" points" if metric.unit == "share" else "")


def one_change(difference: float, metric: Metric, images: int, within: Interval) -> str:
    """The difference with one seed, without its unit: of shares with the decimals that so many images tell."""
    if metric.unit == "share":
        return signed(100 * difference, decimals.of_score(images))
    return _difference(difference, metric, within)


def _difference(difference: float, metric: Metric, within: Interval) -> str:
    if metric.unit == "steps":
        return _factor(difference, within)
    if metric.unit == "share":
        return signed(100 * difference, decimals.of_mean(100 * _half(within)))
    return signed(difference, decimals.of_mean(_half(within), most=3))


def _factor(exponent: float, within: Interval) -> str:
    """A factor, given as its logarithm: three figures of the mean at most, or a fourth where the interval begins there.

    Where one end is ten times the other or more, two figures of each number: equal decimals would leave none of one.
    """
    value, half = 2**exponent, (2**within.high - 2**within.low) / 2
    if within.high - within.low >= math.log2(10):
        return _rounded(value, decimals.of_figures(value, 2))
    three = decimals.of_figures(2 ** (within.low + _half(within)), 3)
    if half <= ROUNDING * value:  # all values are equal
        return _rounded(value, three)
    most = min(max(three, decimals.of_figures(half, 1)), three + 1)
    return _rounded(value, min(decimals.of_figures(half, 2), most))


def _rounded(value: float, places: int) -> str:
    return f"{round(value, places):,.{max(places, 0)}f}".replace(",", "\u202f")


def _half(within: Interval) -> float:
    return (within.high - within.low) / 2


def _points(number: str) -> str:
    return f"{number} point" + "s" * (number.lstrip("+\N{MINUS SIGN}") != "1")


def size(difference: float, metric: Metric) -> str:
    """The size of a difference that was declared, without a sign.

    Example:
        >>> from striate.claims.comparing.metrics import ACCURACY, steps_metric
        >>> size(0.005, ACCURACY), size(0.01, ACCURACY), size(0.25, steps_metric())
        ('0.5 points', '1 point', 'a factor of 1.19')
    """
    if metric.unit == "steps":
        return f"a factor of {2 ** abs(difference):.3g}"
    return _points(f"{100 * abs(difference):g}") if metric.unit == "share" else f"{abs(difference):.3g}"


def bound(largest: float, metric: Metric) -> str:
    """What a difference is surely not larger than: rounded up, so that it stays true."""
    if metric.unit == "steps":
        return f"a factor of {_up(2**largest, 2)}"
    if metric.unit == "share":
        return _points(_up(100 * largest, decimals.of_mean(100 * largest)))
    return _up(largest, decimals.of_mean(largest, most=3))


def _up(value: float, places: int) -> str:
    return f"{math.ceil(round(value * 10**places, 6)) / 10**places:.{places}f}"


def value(number: float, metric: Metric, images: int) -> str:
    """One value as a reader expects it: a percentage with the decimals that so many images tell, a number of steps."""
    if metric.unit == "share":
        return _percent(number, decimals.of_score(images))
    shown = metric.shown(number)
    return _rounded(shown, 0) if metric.unit == "steps" and shown >= 10 else f"{shown:.3g}"


def mean(values: Sequence[float], metric: Metric, images: int) -> str:
    """The mean of values with several seeds, with the decimals of its interval; `images` as `value` takes them."""
    within, middle = t_interval(values), sum(values) / len(values)
    if metric.unit == "steps":
        same = _half(within) <= ROUNDING * abs(middle)
        return value(middle, metric, images) if same else _factor(middle, within)
    if metric.unit == "share":
        return _percent(middle, _places(values, images))
    return f"{middle:.{decimals.of_mean(_half(within), most=3)}f}".replace("-", "\N{MINUS SIGN}")


def deviation(values: Sequence[float], metric: Metric, images: int) -> str:
    """The standard deviation of values (n - 1 in the denominator), with the decimals of their mean."""
    middle = sum(values) / len(values)
    found = math.sqrt(sum((one - middle) ** 2 for one in values) / (len(values) - 1))
    return _points(f"{100 * found:.{_places(values, images)}f}") if metric.unit == "share" else size(found, metric)


def _places(values: Sequence[float], images: int) -> int:
    """Decimals of a mean of shares; of equal ones those of each."""
    most = decimals.MOST if max(values) > min(values) else decimals.of_score(images)
    return decimals.of_mean(100 * _half(t_interval(values)), most)


def _percent(share: float, places: int) -> str:
    return decimals.percent(share, places).replace("-", "\N{MINUS SIGN}")


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
