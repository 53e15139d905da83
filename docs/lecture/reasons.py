"""The convolution worked out on a sheet of paper, and what equivariance means: f(T x) beside T f(x)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from lecture.studies import Study
from striate import claims, inside, pictures
from striate.inside.explaining.convolution_demo import ConvolutionDemo
from striate.inside.explaining.figures import figure
from striate.inside.studies.transforms import Kind, transformed
from striate.pictures.colors import ACCENT, INK, LINE, MUTED, PLATE, Color
from striate.report.canvas import Canvas
from striate.report.claim_plots import drawn
from striate.report.numbers import percent
from striate.report.plots import Plot

MARGIN = 16
SIDE = 22
"""CSS pixels of a cell with a number."""

TINT: Color = (208, 228, 236)
BORDER_TINT: Color = (240, 238, 232)

Tint = Callable[[int, int], Color]
"""The colour of a table's cell, by its row and column."""

MOTIONS: tuple[tuple[Kind, float, str], ...] = (
    ("shift", 4, "4 pixels down"),
    ("rotate", 90, "turned by 90°"),
    ("scale", 1.5, "1.5 times as large"),
)


def convolution(study: Study) -> Canvas:
    """The demo's input with its border, its two filters and both outputs; the first window is tinted."""
    del study
    demo = ConvolutionDemo.drawn()
    outputs = np.zeros((2, 3, 3))
    for found in demo.explanations():
        assert found.position is not None
        outputs[(found.unit, *found.position)] = found.value
    canvas = Canvas(2 * MARGIN + 7 * SIDE + 2 * (3 * SIDE + 40) + 3 * SIDE + 56)
    x = MARGIN
    padded = np.pad(demo.x, ((0, 0), (1, 1), (1, 1)))
    for c in range(3):
        canvas.text(x, _top(c) - 20, f"input, channel {c}", color=MUTED)
        _numbers(canvas, x, _top(c), padded[c], lambda i, j: TINT if max(i, j) < 3 else _inner(i, j))
    for o in range(2):
        x = MARGIN + 7 * SIDE + 40 + o * (3 * SIDE + 40)
        canvas.text(x, MARGIN, f"filter {o}", color=MUTED)
        for c in range(3):
            _numbers(canvas, x, _top(c) + 2 * SIDE, demo.W[o, c], lambda i, j: PLATE)
        canvas.text(x, _top(2) + 6 * SIDE, f"bias {figure(demo.b[o])}", mono=True)
    x = MARGIN + 7 * SIDE + 40 + 2 * (3 * SIDE + 40)
    for o in range(2):
        y = _top(o) + 5 * SIDE
        canvas.text(x, y - 20, f"output {o}", color=MUTED)
        _numbers(canvas, x, y, outputs[o], lambda i, j: TINT if i == j == 0 else PLATE)
    return canvas


def _top(channel: int) -> float:
    return MARGIN + 20 + channel * (7 * SIDE + 30)


def _inner(i: int, j: int) -> Color:
    return PLATE if 0 < i < 6 and 0 < j < 6 else BORDER_TINT


def _numbers(canvas: Canvas, x: float, y: float, values: np.ndarray, tint: Tint) -> None:
    """A table of whole numbers, cell by cell."""
    rows, columns = values.shape
    canvas.box(x - 1, y - 1, columns * SIDE + 1, rows * SIDE + 1, LINE)
    for (i, j), value in np.ndenumerate(values):
        canvas.box(x + j * SIDE, y + i * SIDE, SIDE - 1, SIDE - 1, tint(i, j))
        canvas.text(x + (j + 1) * SIDE - 5, y + i * SIDE + 2, figure(value), mono=True, color=INK, right=True)


def sharing(study: Study) -> Plot:
    """The plot of claim 1: parameters of both convolutions, shared, each position its own, fully connected."""
    found = claims.run("shared-weights", study.digits, out=study.place / "claims")
    return drawn("sharing", found["figures"][0])


def equivariance(study: Study) -> Canvas:
    """Moved first and convolved then, beside convolved first and moved then, and the difference."""
    (unit,) = study.strongest("conv1", 1)
    cell, label = 128, 128
    canvas = Canvas(2 * MARGIN + 4 * cell + 3 * 20 + label)
    f = study.conv1
    for row, (kind, amount, words) in enumerate(MOTIONS):
        y = MARGIN + 20 + row * (cell + 12)
        moved = transformed(study.x, kind, amount, outside=float(study.x.min()))
        with torch.no_grad():
            first, then = f(moved)[0, unit], _moved(f(study.x), kind, amount, unit)
        limit = float(first.abs().max())
        shown = [pictures.gray((moved[0, 0] - study.x.min()).numpy())]
        shown += [pictures.diverging(values.numpy(), limit=limit) for values in (first, then, first - then)]
        for column, picture in enumerate(shown):
            canvas.picture(MARGIN + column * (cell + 20), y, picture, cell)
        said = canvas.text(MARGIN + 4 * (cell + 20), y + cell / 2 - 18, words)
        error = f"differs by {percent(_error(study, kind, amount), 100)}"
        canvas.text(MARGIN + 4 * (cell + 20), said, error, color=MUTED)
    for column, words in enumerate(("T x", "f(T x)", "T f(x)", "f(T x) − T f(x)")):
        canvas.text(MARGIN + column * (cell + 20), MARGIN, words, color=ACCENT if column == 3 else MUTED)
    return canvas


def _moved(maps: torch.Tensor, kind: Kind, amount: float, unit: int) -> torch.Tensor:
    """T f(x); from beyond the border comes what the unit answers to plain background."""
    background = float(maps[0, unit, 0, 0])
    return transformed(maps[:, unit : unit + 1], kind, amount, outside=background)[0, 0]


def _error(study: Study, kind: Kind, amount: float) -> float:
    """The relative error of conv1 where only real pixels are seen, for the image."""
    outside = float(study.x.min())
    found = inside.equivariance(study.model, "conv1", study.x, transform=kind, amounts=[amount], outside=outside)
    return float(found.interior[0, 0, 0])
