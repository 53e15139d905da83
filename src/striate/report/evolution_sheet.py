"""The sheet of an evolution: for every unit a row, for every kept epoch its strongest patch beside its projection.

Zeiler & Fergus 2014, figure 4.
"""

from __future__ import annotations

from collections.abc import Sequence

from striate.inside.studies.moments import Evolution, Moment
from striate.pictures import PERCENTILE
from striate.pictures.colors import MUTED
from striate.report.canvas import Canvas
from striate.report.numbers import count, number

MARGIN, LABEL, CELL, BETWEEN = 32, 64, 96, 16
"""CSS pixels: around the sheet, for the unit's number, of a picture's side at most, between two pairs."""

NARROWEST = 640
"""CSS pixels of a sheet, so that its words have room where few epochs were kept."""


def evolution_sheet(found: Sequence[Evolution], *, model: str, images: str) -> Canvas:
    """The evolution of units of one layer or several, over the same epochs.

    Arguments:
        found: of each layer, first to last.
        model, images: what they are called.
    """
    inner = max(NARROWEST, LABEL + len(found[0].epochs) * (2 * CELL + 4 + BETWEEN) - BETWEEN)
    canvas = Canvas(inner + 2 * MARGIN)
    y = canvas.text(MARGIN, MARGIN - 8, "Evolution of units", size=28, room=inner)
    y = canvas.text(MARGIN, y, f"{model} · {images}", size=14, color=MUTED, room=inner) + 8
    y = canvas.paragraph(
        MARGIN,
        y,
        "After each epoch that was kept: the patch that excites the unit most, beside its projection (mid-gray is 0, "
        f"black and white its own {PERCENTILE}th percentile), and under them the activation and the image's number. "
        "Light gray is outside the image.",
        inner,
    )
    for one in found:
        y = _layer(canvas, one, y + 16, inner)
    return canvas


def _layer(canvas: Canvas, found: Evolution, y: float, inner: float) -> float:
    canvas.rule(MARGIN, y, inner)
    y = canvas.text(MARGIN, y + 12, found.layer, size=16, mono=True, room=inner)
    if found.read != found.layer:
        y = canvas.text(MARGIN, y, f"as {found.read} gives it", color=MUTED, room=inner)
    y = max(
        canvas.text(_left(column), y + 4, f"epoch {count(epoch)}", color=MUTED)
        for column, epoch in enumerate(found.epochs)
    )
    y += 4
    for unit in found.units:
        canvas.text(MARGIN, y, f"{unit}", mono=True)
        y = max(_moment(canvas, moment, _left(column), y) for column, moment in enumerate(found.of(unit))) + 8
    return y


def _moment(canvas: Canvas, moment: Moment, x: float, y: float) -> float:
    """Patch and projection with their caption, or the word "dead" in their place; returns where the next row starts."""
    patch, projection = moment.pictures()
    width, height = canvas.picture(x, y, patch, CELL)
    canvas.picture(x + width + 4, y, projection, CELL)
    if moment.dead:
        canvas.text(x, y, "dead", color=MUTED)
        return canvas.text(x, y + height + 2, "")
    said = f"{number(moment.value)}, {moment.image}"
    return canvas.text(x, y + height + 2, said, mono=True, color=MUTED, room=2 * CELL + 4)


def _left(column: int) -> float:
    return MARGIN + LABEL + column * (2 * CELL + 4 + BETWEEN)
