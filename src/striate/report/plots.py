"""Plots: each is a function from numbers to a `Plot`, which carries the numbers along.

One style file (`striate.mplstyle`); direct labels on lines; bands and bars for intervals; no state of pyplot's is used.
"""

from __future__ import annotations

import functools
import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, final

import matplotlib as mpl
import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from striate import files
from striate.pictures import colors
from striate.report import numbers
from striate.report.intervals import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE = Path(__file__).with_name("striate.mplstyle")

INK, MUTED, LINE, ACCENT, PAPER = (
    f"#{bytes(color).hex()}" for color in (colors.INK, colors.MUTED, colors.LINE, colors.ACCENT, colors.PAPER)
)

TOKENS = {
    PAPER: "--paper",
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    ACCENT: "--accent",
    "#b3402a": "--bad",
    "#2e7d4f": "--good",
}
"""The colours of the style file and the names they have in style.css, so that a plot in a page follows its theme."""

WIDTH = 4.2
"""Inches of 96 CSS pixels: 403 pixels, so that a phone shows a plot at nearly its own size."""

MOST_CELLS_WITH_NUMBERS = 24
"""Classes up to which a confusion matrix has room for its counts."""

LONGEST_NAME = 14
"""Characters of a class's name beside a confusion matrix."""


@final
@dataclass(frozen=True)
class Plot:
    """A drawn plot and what it was drawn from.

    Attributes:
        name: a short name, for files and for ids in a page.
        svg: the drawing as SVG, its text as text.
        png: the same at two pixels per CSS pixel.
        data: the numbers, ready for JSON.
        text: what it shows, for those who do not see it.
    """

    name: str
    svg: str
    png: bytes
    data: dict[str, object]
    text: str

    def save_svg(self, folder: Path) -> Path:
        """Writes NAME.svg and NAME.json."""
        return self._save(folder / f"{self.name}.svg", self.svg.encode())

    def save_png(self, folder: Path) -> Path:
        """Writes NAME.png and NAME.json."""
        return self._save(folder / f"{self.name}.png", self.png)

    def _save(self, path: Path, content: bytes) -> Path:
        files.write_bytes(path, content)
        files.write_json(path.with_suffix(".json"), self.data)
        return path

    @property
    def inline(self) -> str:
        """The SVG element for a page: colours are the stylesheet's, ids are unique in the page, and it has a title."""
        svg = self.svg[self.svg.index("<svg") :]
        for color, token in TOKENS.items():
            svg = svg.replace(color, f"var({token})")
        svg = re.sub(r'\bid="', lambda found: f"{found[0]}{self.name}-", svg)
        svg = re.sub(r"url\(#|href=\"#", lambda found: f"{found[0]}{self.name}-", svg)
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        return svg.replace("<svg ", f'<svg role="img" aria-label="{_escaped(self.text)}" ', 1)


P = ParamSpec("P")


def _in_our_style(draw: Callable[P, Plot]) -> Callable[P, Plot]:
    """Draws with the style file's settings, and leaves matplotlib's as they were."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Plot:
        with mpl.rc_context(fname=STYLE):
            return draw(*args, **kwargs)

    return styled


@final
@dataclass(frozen=True)
class Curve:
    """A line with its name, and a band where there is one.

    Attributes:
        name: stands at the end of the line.
        x, y: its points.
        low, high: the band around it, or None.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None

    def as_json(self) -> dict[str, object]:
        """The attributes under their names, NaN as null."""
        points = {"x": self.x, "y": self.y, "low": self.low, "high": self.high}
        return {"name": self.name, **{key: None if v is None else _json_numbers(v) for key, v in points.items()}}


@_in_our_style
def curves(
    name: str, lines: Sequence[Curve], *, title: str, x: str, y: str, percent: bool = False, whole_x: bool = False
) -> Plot:
    """Lines with direct labels where there are at most four, else with a legend.

    Arguments:
        lines: what to draw; the first is in the accent colour.
        title: what is shown, above on the left.
        x, y: names of the axes, with units.
        percent: the values are shares, shown as percentages.
        whole_x: only whole numbers on the x axis.
    """
    figure, axes = _figure(WIDTH, 2.6)
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    for line in lines:
        (drawn,) = axes.plot(line.x, line.y, marker="o" if len(line.x) < 25 else "")
        if line.low is not None and line.high is not None:
            axes.fill_between(line.x, line.low, line.high, color=drawn.get_color(), alpha=0.15, linewidth=0)
    if percent:
        axes.yaxis.set_major_formatter(FuncFormatter(_percent_tick))
    if whole_x:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    _name_lines(axes, lines)
    data: dict[str, object] = {"title": title, "x": x, "y": y, "lines": [line.as_json() for line in lines]}
    ends = "; ".join(f"{line.name} ends at {_value(line.y[-1], percent)}" for line in lines if len(line.y))
    return finished(name, figure, data, f"{title}. {ends}.")


@_in_our_style
def bars(
    name: str,
    labels: Sequence[str],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float]] | None = None,
    *,
    title: str,
    x: str,
    percent: bool = False,
    of: Sequence[int] | None = None,
) -> Plot:
    """Horizontal bars, the first on top, each with its value; thin lines are intervals.

    Arguments:
        percent: the values are shares.
        of: how many each share was counted in; it is written with as many decimals as these carry.
    """
    said = [_value(value, percent, n) for value, n in zip(values, of or [None] * len(values), strict=True)]
    figure, axes = _figure(WIDTH, 0.8 + 0.24 * len(labels))
    places = np.arange(len(labels))
    axes.barh(places, values, height=0.62, color=ACCENT, alpha=0.3, linewidth=0)
    ends = list(values)
    if intervals is not None:
        axes.hlines(places, [low for low, _ in intervals], [high for _, high in intervals], color=ACCENT, linewidth=1.5)
        ends = [max(value, high) for value, (_, high) in zip(values, intervals, strict=True)]
    for place, value, end in zip(places, said, ends, strict=True):
        axes.annotate(value, (end, place), (5, 0), textcoords="offset points", va="center", color=INK)
    axes.set_yticks(places, list(labels))
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(left=0, right=max([1.18 * end for end in ends if np.isfinite(end)], default=1) or 1)
    axes.grid(visible=False)
    axes.set_title(title)
    axes.set_xlabel(x)
    if percent:
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(FuncFormatter(_percent_tick))
    rows = [{"label": label, "value": _json_number(value)} for label, value in zip(labels, values, strict=True)]
    if intervals is not None:
        rows = [row | {"low": low, "high": high} for row, (low, high) in zip(rows, intervals, strict=True)]
    text = ", ".join(f"{label} {value}" for label, value in zip(labels, said, strict=True))
    return finished(name, figure, {"title": title, "x": x, "bars": rows}, f"{title}: {text}.")


@_in_our_style
def confusion(name: str, matrix: Int[np.ndarray, "true predicted"], classes: Sequence[str]) -> Plot:
    """The confusion matrix: rows are true classes, columns predicted ones; a cell's tone is its share of the row."""
    n = len(classes)
    side = min(6.4, max(3.2, 1.2 + 0.3 * n))
    figure, axes = _figure(side, side)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    if n <= MOST_CELLS_WITH_NUMBERS:
        _cells_with_numbers(axes, matrix, shares)
        axes.set_xticks(range(n), [_short(c) for c in classes], rotation=90 if max(map(len, classes)) > 2 else 0)
        axes.set_yticks(range(n), [_short(c) for c in classes])
    else:
        tones = np.zeros((n, n, 4))
        tones[..., :3] = np.array(colors.ACCENT) / 255
        tones[..., 3] = np.sqrt(shares)
        axes.imshow(tones, interpolation="none")
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    by = "" if n <= MOST_CELLS_WITH_NUMBERS else ", by number"
    axes.set_ylabel(f"true class{by}")
    axes.set_xlabel(f"predicted class{by}")
    right, total = int(np.trace(matrix)), int(matrix.sum())
    text = f"Confusion matrix of {n} classes: {numbers.count(right)} of {numbers.count(total)} on the diagonal."
    return finished(name, figure, {"classes": list(classes), "counts": matrix.tolist()}, text)


@_in_our_style
def calibration(name: str, bins: Sequence[tuple[float, int, int]]) -> Plot:
    """How often the network is right against how sure it is, with 95% Wilson intervals; the diagonal is perfect.

    Arguments:
        bins: for each bin its mean confidence (0 to 1), how many predictions it holds, how many of them are right.
    """
    figure, axes = _figure(WIDTH, 3.9)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.75, linestyle=(0, (4, 3)))
    axes.text(0.98, 0.955, "as sure as right", color=MUTED, rotation=45, rotation_mode="anchor", ha="right", va="top")
    filled = [(sure, n, right) for sure, n, right in bins if n]
    x, y = [sure for sure, _, _ in filled], [right / n for _, n, right in filled]
    spans = [wilson(right, n) for _, n, right in filled]
    axes.vlines(x, [low for low, _ in spans], [high for _, high in spans], color=ACCENT, linewidth=1.25, alpha=0.6)
    axes.scatter(
        x, y, s=[14 + 40 * np.sqrt(n / max(b[1] for b in filled)) for _, n, _ in filled], color=ACCENT, zorder=3
    )
    for direction in (axes.xaxis, axes.yaxis):
        direction.set_major_locator(MaxNLocator(5))
        direction.set_major_formatter(FuncFormatter(_percent_tick))
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("probability given to the predicted class")
    axes.set_ylabel("share that is right")
    data: dict[str, object] = {
        "bins": [
            {"confidence": sure, "images": n, "right": right, "low": low, "high": high}
            for (sure, n, right), (low, high) in zip(filled, spans, strict=True)
        ]
    }
    shown = "; ".join(f"{_percent(s)} sure, {_percent(right / n)} right, n = {n}" for s, n, right in filled)
    return finished(name, figure, data, f"Calibration. {shown}.")


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches (72 points, 96 CSS pixels each) with one pair of axes."""
    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def finished(name: str, figure: Figure, data: dict[str, object], text: str) -> Plot:
    """The plot of a figure that is drawn: as SVG and PNG, without the date."""
    svg, png = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        # A class may be named in a script that DejaVu lacks: boxes in the PNG, the reader's own font in the SVG.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing", UserWarning)
        figure.savefig(png, format="png", dpi=192, metadata={"Software": None})
        figure.patch.set_alpha(0)
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Plot(name, svg.getvalue().decode(), png.getvalue(), data, text)


def _cells_with_numbers(axes: Axes, matrix: Int[np.ndarray, "n n"], shares: np.ndarray) -> None:
    size = 9 if len(matrix) <= 12 else 7
    for (row, column), n in np.ndenumerate(matrix):
        if n:
            # The root lets single errors be seen beside the diagonal; the darkest tone leaves the ink at 4.5:1.
            tone = 0.1 + 0.45 * float(np.sqrt(shares[row, column]))
            cell = Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=ACCENT, alpha=tone, linewidth=0)
            axes.add_patch(cell)
            axes.text(column, row, str(n), ha="center", va="center_baseline", color=INK, fontsize=size)


def _name_lines(axes: Axes, lines: Sequence[Curve]) -> None:
    if len(lines) < 2:
        return
    if len(lines) > 4:
        axes.legend([line.name for line in lines])
        return
    named = [(line, end) for line in lines if (end := _end(line)) is not None]
    ends = [end for _, end in named]
    low, high = axes.get_ylim()
    heights = spread([(y - low) / ((high - low) or 1) for _, y in ends], apart=0.075)
    colors = {line.name: drawn.get_color() for line, drawn in zip(lines, axes.get_lines(), strict=True)}
    for (line, (x, _)), height in zip(named, heights, strict=True):
        place = (x, low + height * (high - low))
        axes.annotate(
            line.name,
            place,
            (6, 0),
            textcoords="offset points",
            va="center",
            color=colors[line.name],
            annotation_clip=False,
        )


def _end(line: Curve) -> tuple[float, float] | None:
    """The last point of the line that is a number, where it has one."""
    points = [(float(x), float(y)) for x, y in zip(line.x, line.y, strict=True) if np.isfinite(y)]
    return points[-1] if points else None


def spread(heights: Sequence[float], apart: float) -> list[float]:
    """The heights moved as little as needed to be at least `apart` from each other, in the same order.

    Heights that touch form a group around the mean of what they were.

    Example:
        >>> [round(h, 2) for h in spread([0.5, 0.5, 0.9], apart=0.1)]
        [0.45, 0.55, 0.9]
    """
    order = np.argsort(heights, kind="stable")
    groups: list[list[float]] = []
    for at in order:
        groups.append([heights[at]])
        while (
            len(groups) > 1 and _start(groups[-1], apart) < _start(groups[-2], apart) + len(groups[-2]) * apart - 1e-12
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    placed = [_start(group, apart) + k * apart for group in groups for k in range(len(group))]
    moved = np.empty(len(heights))
    moved[order] = placed
    return moved.tolist()


def _start(group: Sequence[float], apart: float) -> float:
    return sum(group) / len(group) - (len(group) - 1) * apart / 2


def _percent_tick(value: float, place: int | None) -> str:
    del place
    return f"{100 * value:.4g}%".replace("-", numbers.MINUS)


def _percent(share: float) -> str:
    return numbers.percent(share)


def _value(value: float, percent: bool, n: int | None = None) -> str:
    return numbers.percent(value, n) if percent else numbers.number(value)


def _json_number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _json_numbers(values: Sequence[float]) -> list[float | None]:
    return [_json_number(value) for value in values]


def _short(text: str) -> str:
    from striate.pictures import shortened

    return shortened(text, LONGEST_NAME, measure=len)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
