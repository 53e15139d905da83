"""What a claim's card shows of a comparison: its figures, as numbers, and its table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from striate.claims import words
from striate.claims.statistics import t_interval

if TYPE_CHECKING:
    from striate.claims.comparison import Comparison
    from striate.claims.metrics import Metric, Record


@final
@dataclass(frozen=True)
class Figure:
    """What a plot shows, as numbers.

    Attributes:
        kind: `curves` (lines: name, x, y, low, high) or `bars` (lines: name, value, low, high).
        title, x, y: in words.
        lines: what is drawn.
        percent: whether values are shares.
        log: axes on a logarithmic scale, of "x" and "y".
        note: what the bands are, with n.
    """

    kind: Literal["curves", "bars"]
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
        mean = sum(one.values) / len(one.values)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in one.values) / (len(one.values) - 1))
        spread = f"a factor of {2**deviation:.3g}" if metric.unit == "steps" else f"{100 * deviation:.2f} points"
        rows.append(
            [
                one.variant.name,
                ("≥ " if any(map(metric.bound, one.records)) else "") + words.value(mean, metric),
                spread,
                "  ".join(_bounded(v, record, metric) for v, record in zip(one.values, one.records, strict=True)),
                f"{one.tuned.chosen:g}" + (" (edge of the grid)" if one.tuned.at_edge else ""),
                words.count(one.variant.network.parameters),
            ]
        )
    return headings, rows


def _bounded(value: float, record: Record, metric: Metric) -> str:
    return ("≥ " if metric.bound(record) else "") + words.value(value, metric)


def learning_curves(comparison: Comparison) -> Figure:
    """Training error against steps, or validation accuracy against epochs."""
    n = len(comparison.seeds)
    note = f"Mean of {n} seeds and its 95% interval."
    if comparison.metric.curve:
        lines = [_without_first(line) for line in comparison.curves()]  # step 0 has no place on a logarithmic axis
        return Figure("curves", "Training error", "steps", "classified wrong", lines, percent=True, log="x", note=note)
    lines = comparison.curves()
    return Figure("curves", "Validation accuracy", "epoch", "classified right", lines, percent=True, note=note)


def value_bars(comparison: Comparison, title: str) -> Figure:
    """Every variant's mean with its 95% t interval."""
    shown = comparison.metric.shown
    lines: list[dict[str, Any]] = []
    for one in comparison.measured:
        low, high = t_interval(one.values)
        mean = sum(one.values) / len(one.values)
        lines.append({"name": one.variant.name, "value": shown(mean), "low": shown(low), "high": shown(high)})
    share = comparison.metric.unit == "share"
    note = (
        f"Mean of {len(comparison.seeds)} seeds and its 95% interval, of each variant alone; verdicts rest on the "
        "differences seed by seed."
    )
    log = "x" if comparison.metric.unit == "steps" else ""
    return Figure("bars", title, comparison.metric.name, "", lines, percent=share, log=log, note=note)


def _without_first(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value[1:] if key in ("x", "y", "low", "high") else value for key, value in line.items()}
