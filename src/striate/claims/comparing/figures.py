"""What pages show of a comparison: its figures, as numbers, and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, final

from striate.claims.comparing import words
from striate.claims.comparing.metrics import POINT, images
from striate.claims.comparing.statistics import t_interval

if TYPE_CHECKING:
    from striate.claims.comparing.comparison import Comparison, Measured, Pair
    from striate.claims.comparing.contrasts import Contrast
    from striate.claims.comparing.metrics import Metric, Record
    from striate.claims.comparing.statistics import Paired


MOST_PAIRS = 10
"""Pairs that one figure shows."""


@final
@dataclass(frozen=True)
class Figure:
    """What a plot shows, as numbers.

    Attributes:
        kind: `curves` (lines: name, x, y, low, high), `bars` (lines: name, value, low, high, mark: what stands before
            the value, said: the value in words; without it the plot finds some) or `differences` (lines: name, values,
            mean, low, high, none: no difference, matters: from where one matters, said: the mean).
        title, x, y: in words.
        lines: what is drawn.
        percent: whether values are shares.
        log: axes on a logarithmic scale, of "x" and "y".
        note: what the bands are, with n.
    """

    kind: Literal["curves", "bars", "differences"]
    title: str
    x: str
    y: str
    lines: Sequence[Mapping[str, Any]]
    percent: bool = False
    log: str = ""
    note: str = ""


def table(comparison: Comparison) -> tuple[tuple[str, ...], list[list[str]]]:
    """A row per variant: mean, deviation, the value of every seed (≥: a lower bound), learning rate, parameters."""
    metric = comparison.metric
    headings = ("variant", metric.name, "standard deviation", "by seed", "learning rate", "parameters")
    rows: list[list[str]] = []
    for one in comparison.measured:
        counted = images(one.records[0])
        rows.append(
            [
                one.variant.name,
                ("≥ " if any(map(metric.bound, one.records)) else "") + words.mean(one.values, metric, counted),
                words.deviation(one.values, metric, counted),
                "  ".join(_bounded(v, record, metric) for v, record in zip(one.values, one.records, strict=True)),
                rate(one),
                words.count(one.variant.network.parameters),
            ]
        )
    return headings, rows


def _bounded(value: float, record: Record, metric: Metric) -> str:
    return ("≥ " if metric.bound(record) else "") + words.value(value, metric, images(record))


def rate(one: Measured) -> str:
    """The learning rate of a variant, and whether it is the smallest or the largest that was tried."""
    return f"{one.tuned.chosen:g}" + (" (edge of the grid)" if one.tuned.at_edge else "")


def cautions(comparison: Comparison) -> list[str]:
    """What a reader must know of values that are not what they look like: lower bounds, trainings that diverged."""
    bound, n = comparison.metric.bound, len(comparison.seeds)
    aim = comparison.metric.name.removeprefix("steps to ")
    short = [(one.variant.name, sum(map(bound, one.records))) for one in comparison.measured]
    said = [
        f"{name} did not come to {aim} with {count} of {n} seeds: its {comparison.metric.unit} (≥) are a lower bound, "
        "and differences from it are bounds too"
        for name, count in short
        if count
    ]
    return said + diverged(comparison.measured)


def diverged(measured: Sequence[Measured]) -> list[str]:
    """Which variants diverged, in sentences."""
    said: list[str] = []
    for one in measured:
        name, count = one.variant.name, sum(bool(record.get("diverged")) for record in one.records)
        if len(one.tuned.rates) > 1 and all(score is None for score in one.tuned.scores):
            said.append(f"{name} diverged at every learning rate that was tried")
        if count:
            seeds = f"{count} of {len(one.records)} seeds"
            said.append(
                f"{name} diverged with {seeds}: its values are those of its best epoch before, or its first weights"
            )
    return said


def edges(measured: Sequence[Measured]) -> list[str]:
    """Which learning rates are the largest or the smallest tried, all in one sentence; it decides nothing.

    A variant that diverged at every rate has none that was chosen.
    """
    ended = [one for one in measured if one.tuned.at_edge and any(score is not None for score in one.tuned.scores)]
    largest, smallest = (
        [f"{one.variant.name} ({one.tuned.chosen:g})" for one in ended if one.tuned.chosen == end(one.tuned.rates)]
        for end in (max, min)
    )
    if largest and smallest:
        both = f"{_chosen(largest)} the largest tried, and for {words.listed(smallest)} the smallest"
        return [f"{both}: rates beyond them might do better"]
    for named, side, beyond in ((largest, "largest", "larger"), (smallest, "smallest", "smaller")):
        if named:
            better = f"a {beyond} one" if len(named) == 1 else f"{beyond} ones"
            return [f"{_chosen(named)} the {side} tried: {better} might do better"]
    return []


def _chosen(named: list[str]) -> str:
    rates, are = ("rate", "is") if len(named) == 1 else ("rates", "are")
    return f"the learning {rates} chosen for {words.listed(named)} {are}"


def learning_curves(comparison: Comparison) -> Figure:
    """Training error against steps, or validation accuracy against epochs; no line where the first epoch diverged."""
    n = len(comparison.seeds)
    note = f"Mean of {n} seeds and its 95% interval."
    lines = comparison.curves()
    if comparison.metric.curve:
        lines = [_without_first(line) for line in lines]  # step 0 has no place on a logarithmic axis
    gone = [line["name"] for line in lines if not line["x"]]
    lines = [line for line in lines if line["x"]]
    if gone:
        whose = "it diverged in its" if len(gone) == 1 else "they diverged in their"
        note += f" Not drawn, as {whose} first epoch: {words.listed(gone)}."
    if comparison.metric.curve:
        return Figure("curves", "Training error", "steps", "classified wrong", lines, percent=True, log="x", note=note)
    return Figure("curves", "Validation accuracy", "epoch", "classified right", lines, percent=True, note=note)


def value_bars(comparison: Comparison, title: str) -> Figure:
    """Every variant's mean with its 95% t interval."""
    shown = comparison.metric.shown
    lines: list[dict[str, Any]] = []
    for one in comparison.measured:
        low, high = t_interval(one.values)
        mean = sum(one.values) / len(one.values)
        mark = "≥ " if any(map(comparison.metric.bound, one.records)) else ""
        ends = {"low": shown(low), "high": shown(high)}
        said = words.mean(one.values, comparison.metric, images(one.records[0]))
        lines.append({"name": one.variant.name, "value": shown(mean), "mark": mark, "said": said} | ends)
    share = comparison.metric.unit == "share"
    note = (
        f"Mean of {len(comparison.seeds)} seeds and its 95% interval, of each variant alone; verdicts rest on the "
        "differences seed by seed."
    )
    log = "x" if comparison.metric.unit == "steps" else ""
    return Figure("bars", title, comparison.metric.name, "", lines, percent=share, log=log, note=note)


def differences(comparison: Comparison) -> Figure:
    """Of every pair the difference with each seed, and their mean with its 95% t interval; steps as a factor.

    Of more than `MOST_PAIRS` those of a variant with the one named before it.
    """
    metric, order = comparison.metric, [one.variant.name for one in comparison.measured]
    few = len(comparison.pairs) <= MOST_PAIRS
    shown = [pair for pair in comparison.pairs if few or order.index(pair.b) == order.index(pair.a) + 1]
    named = [(f"{pair.b} against {pair.a}", pair.found, _sense(comparison, pair)) for pair in shown]
    drawn = _differences(f"Difference in {metric.name}, seed by seed", named, metric)
    if few:
        return drawn
    left_out = f" Of {len(comparison.pairs)} pairs, neighbours in the order given; the table has all."
    return replace(drawn, note=drawn.note + left_out)


def _sense(comparison: Comparison, pair: Pair) -> str:
    """Before a difference from a lower bound: that it is at least, or at most, so much; of two, that it says little."""
    a, b = (any(map(comparison.metric.bound, comparison.of(name).records)) for name in (pair.a, pair.b))
    if a and b:
        return "of lower bounds, "
    return "≥ " if b else "≤ " if a else ""


def contrast_figures(judged: Mapping[str, Contrast]) -> tuple[Figure, ...]:
    """The same of contrasts; a figure for each metric that they are judged by."""
    groups: list[tuple[Metric, list[tuple[str, Paired, str]]]] = []
    for one in judged.values():
        group = next((named for metric, named in groups if metric is one.metric), None)
        if group is None:
            groups.append((one.metric, group := []))
        group.append((one.name, one.found, ""))
    return tuple(_differences("What the rule asks for, seed by seed", named, metric) for metric, named in groups)


def _differences(title: str, named: Sequence[tuple[str, Paired, str]], metric: Metric) -> Figure:
    factor = metric.unit == "steps"

    def read(value: float) -> float:
        return 2**value if factor else value / POINT if metric.unit == "share" else value

    lines = [
        {
            "name": name,
            "values": [read(value) for value in found.differences],
            "mean": read(found.mean),
            "low": read(found.t.low),
            "high": read(found.t.high),
            "none": read(0.0),
            "matters": [read(-metric.smallest), read(metric.smallest)],
            "said": sense + words.change(found.mean, metric, found.t),
        }
        for name, found, sense in named
    ]
    unit = "factor" if factor else "points" if metric.unit == "share" else "difference"
    note = (
        f"Rings: one seed each, n = {named[0][1].n}. Dot and line: their mean and its 95% t interval. Grey: less than "
        f"{words.size(metric.smallest, metric)}, too little to matter."
    )
    return Figure("differences", title, unit, "", lines, log="x" if factor else "", note=note)


def pair_table(comparison: Comparison) -> tuple[tuple[str, ...], list[list[str]]]:
    """A row per pair: difference, with every seed, both 95% intervals, Hedges' g, p, p after Holm, the verdict."""
    metric, counted = comparison.metric, images(comparison.measured[0].records[0])
    headings = (
        "pair", "difference", "by seed", "95% by t", "95% by bootstrap", "Hedges' g", "p", "p by Holm", "verdict"
    )  # fmt: skip
    rows = [
        [
            f"{pair.b} against {pair.a}",
            _sense(comparison, pair) + words.change(pair.found.mean, metric, pair.found.t),
            "  ".join(words.one_change(value, metric, counted, pair.found.t) for value in pair.found.differences),
            *_spans(pair.found, metric),
            "–" if pair.found.effect is None else words.signed(pair.found.effect, 2),
            words.p_value(pair.found.p),
            words.p_value(pair.found.p_corrected),
            words.judged(pair.verdict, metric),
        ]
        for pair in comparison.pairs
    ]
    return headings, rows


def _spans(found: Paired, metric: Metric) -> list[str]:
    """Both intervals; equal differences have none."""
    return ["–", "–"] if found.equal else [words.span(one, metric, found.t) for one in (found.t, found.bootstrap)]


def _without_first(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value[1:] if key in ("x", "y", "low", "high") else value for key, value in line.items()}
