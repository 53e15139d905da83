"""Plates with their captions: the filters of a layer, and receptive fields drawn on an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from striate import pictures
from striate.inside.receptive.fields import ReceptiveField
from striate.inside.studies.filters import GUTTER, Filters
from striate.pictures import Picture
from striate.pictures import Scale as Over
from striate.pictures.colors import INK, MUTED
from striate.report.canvas import DENSITY, Canvas, Scale
from striate.report.numbers import count, number

MARGIN, GAP = 32, 24
WIDEST = 2400
"""Pixels of a sheet of filters, beyond which its blocks become smaller; one pixel a weight is the least."""

MOST_PIXELS = 40_000_000
"""Of a sheet of filters; of more units the first are drawn."""

PLATE, PLATES = 224, 5

MOST_NAMES = 8
"""Layers named under a plate one by one; of more the first and the last stand for all."""

FRAME = 8
"""CSS pixels of a plate more than the image takes, for the line around a field that goes to the image's edge."""


def filter_sheet(found: Filters, scale: Over = "unit") -> Canvas:
    """The filters of a layer under their title, with their scale stated."""
    units, channels, rows, columns = found.weights.shape
    shown = _drawable(found)
    blocks = shown.sheet(cell=_cell(found), scale=scale)
    width = max(blocks.shape[1] // DENSITY + 1, 16 * 24)
    canvas = Canvas(width + 2 * MARGIN)
    y = canvas.text(MARGIN, MARGIN - 8, f"Filters of {found.layer}", size=20, room=width)
    kind = "colour" if found.colors and channels == 3 else "gray" if found.colors else "weights"
    which = f"{count(units)} filters of {channels}×{rows}×{columns}"
    which += "" if len(shown.weights) == units else f", the first {count(len(shown.weights))}"
    y = canvas.paragraph(MARGIN, y + 2, f"{which}: {_meaning(kind)}; {pictures.sentence(scale)}.", width) + 12
    canvas.picture(MARGIN, y, blocks, max(blocks.shape[:2]) / DENSITY)
    y += blocks.shape[0] / DENSITY + 12
    limit = float(np.abs(shown.weights).max())
    ends = ("−largest", "largest") if scale == "unit" else (number(-limit), number(limit))
    canvas.bar(MARGIN, y, min(PLATE, width), Scale(_ramp(kind), *ends))
    return canvas


def field_sheet(image: Picture, fields: Mapping[str, ReceptiveField]) -> Canvas:
    """The receptive field of the middle position of every layer on an image; layers that see the same share a plate."""
    canvas = Canvas(2 * MARGIN + PLATES * PLATE + (PLATES - 1) * GAP)
    y = canvas.text(MARGIN, MARGIN - 8, "Receptive fields", size=20)
    said = "What the middle position of each layer looks at; hatched: the part in the padding."
    y = canvas.text(MARGIN, y + 2, said, color=MUTED) + 12
    plates = alike(fields)
    for start in range(0, len(plates), PLATES):
        row = [(MARGIN + at * (PLATE + GAP), plate) for at, plate in enumerate(plates[start : start + PLATES])]
        below = y + max(_field(canvas, image, field, (x, y)) for x, (_, field) in row) + 4
        y = GAP + max(_caption(canvas, plate, (x, below)) for x, plate in row)
    return canvas


def alike(fields: Mapping[str, ReceptiveField]) -> list[tuple[list[str], ReceptiveField]]:
    """Layers one after another that see the same, together, each group with its field."""
    groups: list[tuple[list[str], ReceptiveField]] = []
    for name, field in fields.items():
        if groups and groups[-1][1] == field:
            groups[-1][0].append(name)
        else:
            groups.append(([name], field))
    return groups


def middle(field: ReceptiveField) -> tuple[int, int]:
    """The position in the middle of the map; of two the first."""
    return (len(field.rows) - 1) // 2, (len(field.columns) - 1) // 2


def _field(canvas: Canvas, image: Picture, field: ReceptiveField, place: tuple[float, float]) -> float:
    """The plate of a field; returns its height."""
    box = field.box(middle(field), clipped=False)
    factor = max(1, PLATE // max(image.shape[:2]))
    return canvas.picture(*place, pictures.receptive_field(image, box, factor), PLATE + FRAME)[1]


def _caption(canvas: Canvas, plate: tuple[list[str], ReceptiveField], place: tuple[float, float]) -> float:
    """What stands under a plate; returns where it ends."""
    (names, field), (x, y) = plate, place
    y = canvas.paragraph(x, y, _named(names), PLATE, color=INK, mono=True)
    at, sides = ", ".join(map(str, middle(field))), f"{len(field.rows)}×{len(field.columns)}"
    return canvas.paragraph(x, y, f"{field.size[0]}×{field.size[1]} at ({at}) of {sides}", PLATE)


def _named(names: Sequence[str]) -> str:
    """The layers of a plate, one after another, as the network calls them."""
    return ", ".join(names) if len(names) <= MOST_NAMES else f"{count(len(names))} layers: {names[0]} to {names[-1]}"


def _cell(found: Filters) -> int:
    """Pixels of a block's side so that a row of them is not wider than the sheet."""
    units, channels, rows, columns = found.weights.shape
    if found.colors or channels == 1:
        across = int(np.ceil(np.sqrt(units)))
        return min(160, max(rows, columns, WIDEST // across - GUTTER - 2))  # 2: the hairline
    factor = max(1, min(80 // max(rows, columns), WIDEST // (channels * (columns + 1))))
    return factor * max(rows, columns)


def _drawable(found: Filters) -> Filters:
    channels, rows, columns = found.weights.shape[1:]
    each = (rows + 2) * (columns + 1) * channels if not found.colors else (rows + 2) * (columns + 2)
    return replace(found, weights=found.weights[: max(1, MOST_PIXELS // each)])


def _meaning(kind: str) -> str:
    return {
        "colour": "in the image's own colours, mid-gray for 0",
        "gray": "dark below 0, light above, mid-gray for 0",
        "weights": "a row for each unit, a block for each input channel; brown below 0, green above",
    }[kind]


def _ramp(kind: str) -> Picture:
    ramp = np.linspace(-1, 1, 224)[None]
    return pictures.diverging(ramp, "BrBG", 1) if kind == "weights" else pictures.color_weights(np.stack([ramp] * 3), 1)
