"""The plots of claims and comparisons: lines over linear or logarithmic axes, and values with their intervals.

Drawn from the figures that a result's JSON holds, in the style of all plots.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from striate import decimals
from striate.report import numbers
from striate.report.plots import ACCENT, INK, LINE, MUTED, PAPER, STYLE, WIDTH, Plot, finished, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COUNTED = 1e8
"""Whole numbers below it are written with all their figures."""

NAME = 46
"""Characters of a difference's name that stand beside its mean; longer ones are folded."""

LINE_OF_NAME = 0.34
"""What a further line of a name takes, in rows."""

MOST_NAMED = 4
"""Lines up to which each has its name at its end, and a colour; beyond, a legend, and lines that are broken."""

NAME_ASIDE = 24
"""Characters of a name that stand beside a line's end, or beside a dot; longer ones are folded, or in a legend."""

NAME_BELOW = 46
"""Characters of a name in a legend, before it is folded."""

HEIGHT_OF_NAME = 0.17
"""Inches that a line of a name takes."""

NARROW = 10.0
"""A logarithmic axis that spans less has ticks at round numbers, not at powers."""

FEW_POWERS = 100.0
"""A logarithmic axis of values that spans less has ticks at 2 and 5 between the powers."""

BEHIND = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
"""What is under a name that lies on the line of no difference."""

STROKES = "-", "--", ":"
"""Of the first `MOST_NAMED` lines, the next, and so on."""


@final
class Shares(MaxNLocator):
    """Ticks of shares: none beyond 100%, where an interval may reach but no share."""

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """The ticks between two ends."""
        return [tick for tick in super().tick_values(vmin, vmax) if abs(tick) <= 1 + 1e-9]


def drawn(name: str, figure: Mapping[str, Any]) -> Plot:
    """One figure of a result.

    Arguments:
        name: for ids in the page and for files.
        figure: kind, title, x, y, lines, percent, log, note, as `claims.figures.Figure` has them.
    """
    ways = {"curves": _curves, "bars": _intervals, "differences": _differences}
    with mpl.rc_context(fname=STYLE):
        return ways[figure["kind"]](name, figure)


def _curves(name: str, figure: Mapping[str, Any]) -> Plot:
    canvas = Figure(figsize=(WIDTH, 2.6))
    axes = canvas.add_subplot()
    axes.set_title(figure["title"])
    axes.set_xlabel(figure["x"])
    axes.set_ylabel(figure["y"])
    for direction in figure["log"]:
        (axes.set_xscale if direction == "x" else axes.set_yscale)("log")
    for at, line in enumerate(figure["lines"]):
        _line(axes, line, STROKES[at // MOST_NAMED % len(STROKES)])
    _ticks(axes, figure)
    names = [line["name"] for line in figure["lines"]]
    if len(names) > MOST_NAMED or (len(names) > 1 and max(map(len, names)) > NAME_ASIDE):
        _legend(canvas, axes, names)
    else:
        _name_lines(axes, figure["lines"])
    ends = "; ".join(f"{line['name']} ends at {_label(_end(line), _last(line), figure)}" for line in figure["lines"])
    return finished(name, canvas, dict(figure), f"{figure['title']}. {ends}.")


def _line(axes: Axes, line: Mapping[str, Any], stroke: str) -> None:
    y = _numbers(line["y"])
    (shown,) = axes.plot(line["x"], y, stroke, marker="o" if len(y) < 25 else "")
    if line.get("low"):
        low, high = _numbers(line["low"]), _numbers(line["high"])
        if len(y) == 1:  # a band has no area there
            axes.vlines(line["x"], low, high, color=shown.get_color(), alpha=0.5, linewidth=1.25)
        axes.fill_between(line["x"], low, high, color=shown.get_color(), alpha=0.15, linewidth=0)


def _ticks(axes: Axes, figure: Mapping[str, Any]) -> None:
    axes.yaxis.set_major_formatter(_formatter(figure))
    if figure["percent"]:
        axes.yaxis.set_major_locator(Shares("auto", steps=[1, 2, 2.5, 5, 10]))
    if "y" in figure["log"]:
        axes.yaxis.set_major_formatter(_powers())
        low, high = axes.get_ylim()
        steps = (1.0, 2.0, 5.0) if high < FEW_POWERS * low else (1.0,)
        axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=6))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if "x" in figure["log"]:
        axes.xaxis.set_major_formatter(_powers())
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif all(float(x).is_integer() for line in figure["lines"] for x in line["x"]):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))


def _legend(canvas: Figure, axes: Axes, names: Sequence[str]) -> None:
    """Names under the plot, which grows by what they take."""
    folded = ["\n".join(textwrap.wrap(name, NAME_BELOW)) for name in names]
    canvas.set_figheight(canvas.get_figheight() + HEIGHT_OF_NAME * sum(name.count("\n") + 1 for name in folded))
    canvas.legend(axes.get_lines(), folded, loc="outside lower left", handlelength=3)


def _name_lines(axes: Axes, lines: Sequence[Mapping[str, Any]]) -> None:
    if len(lines) < 2:
        return
    to_axes = axes.transData + axes.transAxes.inverted()
    axes.get_figure().draw_without_rendering()  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    heights = [float(to_axes.transform((line["x"][-1], _last(line)))[1]) for line in lines]
    finite = [height if math.isfinite(height) else 0.0 for height in heights]
    heights = spread(finite, apart=0.085)
    above = max(0.0, max(heights) - 0.96)  # where the title is
    for line, shown, height in zip(lines, axes.get_lines(), heights, strict=True):
        axes.annotate(
            line["name"],
            (1, height - above),
            (6, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            color=shown.get_color(),
            annotation_clip=False,
        )


def _intervals(name: str, figure: Mapping[str, Any]) -> Plot:
    """A dot and a line per variant. The axis need not begin at zero: places are compared, not lengths."""
    rows: Sequence[Mapping[str, Any]] = figure["lines"]
    names = [textwrap.wrap(row["name"], NAME_ASIDE) for row in rows]
    apart = max(0.3, HEIGHT_OF_NAME * max(map(len, names)))
    canvas = Figure(figsize=(WIDTH, 0.9 + apart * len(rows)))
    axes = canvas.add_subplot()
    places = np.arange(len(rows))
    values = _numbers([row["value"] for row in rows])
    for place, row in zip(places, rows, strict=True):
        if row.get("low") is not None and row.get("high") is not None:
            axes.plot([row["low"], row["high"]], [place, place], color=MUTED, linewidth=1.25)
    axes.scatter(values, places, s=36, zorder=3, edgecolors=PAPER, linewidths=0.75)
    labels = [
        row.get("mark", "") + (row.get("said") or _label(row, value, figure))
        for row, value in zip(rows, values, strict=True)
    ]
    for place, value, label in zip(places, values, labels, strict=True):
        axes.annotate(label, (value, place), (0, 6), textcoords="offset points", ha="center", color=INK)
    axes.set_yticks(places, ["\n".join(lines) for lines in names])
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.grid(visible=False)
    axes.margins(x=0.15)
    axes.set_title(figure["title"])
    axes.set_xlabel(figure["x"])
    if figure["log"]:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    wide = figure["log"] and not _narrow(axes)
    if not wide:
        axes.xaxis.set_major_locator(Shares(4) if figure["percent"] else MaxNLocator(4))
    axes.xaxis.set_major_formatter(_powers() if wide else _formatter(figure))
    said = ", ".join(f"{row['name']} {label}" for row, label in zip(rows, labels, strict=True))
    return finished(name, canvas, dict(figure), f"{figure['title']}: {said}.")


def _differences(name: str, figure: Mapping[str, Any]) -> Plot:
    """A row per pair: its name and mean, a ring per seed, the mean's interval, and what is too small to matter."""
    rows: Sequence[Mapping[str, Any]] = figure["lines"]
    names = [textwrap.wrap(row["name"], NAME) for row in rows]
    folded = np.array([LINE_OF_NAME * (len(lines) - 1) for lines in names])
    places = np.arange(len(rows)) + np.cumsum(folded)
    canvas = Figure(figsize=(WIDTH, 0.9 + 0.52 * (len(rows) + folded.sum())))
    axes = canvas.add_subplot()
    axes.axvspan(*rows[0]["matters"], color=LINE, alpha=0.5, linewidth=0)
    axes.axvline(rows[0]["none"], color=MUTED, linewidth=0.75)
    for place, row, lines in zip(places, rows, names, strict=True):
        _difference(axes, place, row, "\n".join(lines))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(places[-1] + 0.4, -0.75 - folded[0])
    axes.grid(visible=False)
    axes.margins(x=0.08)
    axes.set_title(figure["title"])
    axes.set_xlabel(figure["x"])
    if figure["log"]:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_minor_formatter(NullFormatter())
    if not figure["log"] or _narrow(axes):
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(_formatter(figure))
    said = ", ".join(f"{row['name']} {row['said']}" for row in rows)
    return finished(name, canvas, dict(figure), f"{figure['title']}: {said}.")


def _difference(axes: Axes, place: float, row: Mapping[str, Any], name: str) -> None:
    values = _numbers(row["values"])
    axes.plot([row["low"], row["high"]], [place, place], color=MUTED, linewidth=1.25)
    axes.scatter(values, np.full(len(values), place), s=22, facecolors="none", edgecolors=ACCENT, linewidths=0.75)
    axes.scatter([row["mean"]], [place], s=36, color=ACCENT, zorder=3, edgecolors=PAPER, linewidths=0.75)
    for words, x, side in ((name, 0, "left"), (row["said"], 1, "right")):
        axes.text(
            x, place - 0.26, words, transform=axes.get_yaxis_transform(), ha=side, va="bottom", color=INK, bbox=BEHIND
        )


def _narrow(axes: Axes) -> bool:
    """Whether a logarithmic axis is so short that its powers would leave it without a scale."""
    low, high = axes.get_xlim()
    return high < NARROW * low


def _formatter(figure: Mapping[str, Any]) -> FuncFormatter:
    def write(value: float, place: int | None) -> str:
        del place
        text = _value(value, figure)
        return text.rstrip("0").rstrip(".") if "." in text and "×" not in text else text

    return FuncFormatter(write)


def _powers() -> FuncFormatter:
    """1, 10, 100, ... and powers of ten beyond what is easily read."""

    def write(value: float, place: int | None) -> str:
        del place
        return numbers.number(value, 1).replace("1×10", "10")

    return FuncFormatter(write)


def _value(value: float, figure: Mapping[str, Any]) -> str:
    if figure["percent"]:
        return f"{100 * value:.4g}%".replace("-", numbers.MINUS)
    return numbers.count(int(value)) if float(value).is_integer() and abs(value) < COUNTED else numbers.number(value)


def _label(row: Mapping[str, Any], value: float, figure: Mapping[str, Any]) -> str:
    """A value beside its dot: shares with the decimals of its interval."""
    if not figure["percent"]:
        return _value(value, figure)
    low, high = _numbers([row.get("low"), row.get("high")])
    return decimals.percent(value, decimals.of_mean(50 * (high - low))).replace("-", numbers.MINUS)


def _end(line: Mapping[str, Any]) -> dict[str, float | None]:
    """The interval of a line's last point, as a row has it; none where the line has no band."""
    return {end: line[end][-1] for end in ("low", "high") if line.get(end)}


def _last(line: Mapping[str, Any]) -> float:
    return float(_numbers(line["y"])[-1])


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    """null is NaN again."""
    return np.array([math.nan if value is None else value for value in values], float)
