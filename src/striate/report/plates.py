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
from striate.report.canvas import DENSITY, LEADING, Canvas, Scale
from striate.report.numbers import count, number

MARGIN, GAP = 32, 24
WIDEST = 2400
"""Pixels of a sheet of filters, beyond which its blocks become smaller; one pixel a weight is the least."""

DIGITS = 12
"""CSS pixels of the type of a number beside a row or above a block; a digit of it takes `DIGIT`, the space `BESIDE`."""

DIGIT, BESIDE = 8, 8

STEPS = [factor * power for power in (1, 10, 100, 1000, 10_000) for factor in (1, 2, 5)]
"""Of rows or blocks that are too narrow for numbers every so many-th has one."""

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
    shown, cell = _drawable(found), _cell(found)
    blocks = shown.sheet(cell=cell, scale=scale)
    left = MARGIN + (_room(len(shown.weights)) if found.by_channel else 0)
    width = max(left - MARGIN + blocks.shape[1] // DENSITY + 1, 16 * 24)
    canvas = Canvas(width + 2 * MARGIN)
    y = canvas.text(MARGIN, MARGIN - 8, f"Filters of {found.layer}", size=20, room=width)
    kind = "colour" if found.colors and channels == 3 else "gray" if found.colors else "weights"
    which = f"{count(units)} filters of {channels}×{rows}×{columns}"
    which += "" if len(shown.weights) == units else f", the first {count(len(shown.weights))}"
    y = canvas.paragraph(MARGIN, y + 2, f"{which}: {_meaning(found)}; {pictures.sentence(scale)}.", width) + 12
    y = _numbered(canvas, shown, cell, (left, y)) if found.by_channel else y
    canvas.picture(left, y, blocks, max(blocks.shape[:2]) / DENSITY)
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


def middle(rows: int, columns: int) -> tuple[int, int]:
    """The position in the middle of a map; of two the first.

    Example:
        >>> middle(5, 8)
        (2, 3)
    """
    return (rows - 1) // 2, (columns - 1) // 2


def _middle(field: ReceptiveField) -> tuple[int, int]:
    return middle(len(field.rows), len(field.columns))


def _field(canvas: Canvas, image: Picture, field: ReceptiveField, place: tuple[float, float]) -> float:
    """The plate of a field; returns its height."""
    box = field.box(_middle(field), clipped=False)
    factor = max(1, PLATE // max(image.shape[:2]))
    return canvas.picture(*place, pictures.receptive_field(image, box, factor), PLATE + FRAME)[1]


def _caption(canvas: Canvas, plate: tuple[list[str], ReceptiveField], place: tuple[float, float]) -> float:
    """What stands under a plate; returns where it ends."""
    (names, field), (x, y) = plate, place
    y = canvas.paragraph(x, y, _named(names), PLATE, color=INK, mono=True)
    at, sides = ", ".join(map(str, _middle(field))), f"{len(field.rows)}×{len(field.columns)}"
    return canvas.paragraph(x, y, f"{field.size[0]}×{field.size[1]} at ({at}) of {sides}", PLATE)


def _named(names: Sequence[str]) -> str:
    """The layers of a plate, one after another, as the network calls them."""
    return ", ".join(names) if len(names) <= MOST_NAMES else f"{count(len(names))} layers: {names[0]} to {names[-1]}"


def _cell(found: Filters) -> int:
    """Pixels of a block's side so that a row of them is not wider than the sheet."""
    units, channels, rows, columns = found.weights.shape
    if not found.by_channel:
        across = int(np.ceil(np.sqrt(units)))
        return min(160, max(rows, columns, WIDEST // across - GUTTER - 2))  # 2: the hairline
    factor = max(1, min(80 // max(rows, columns), WIDEST // (channels * (columns + 1))))
    return factor * max(rows, columns)


def _drawable(found: Filters) -> Filters:
    channels, rows, columns = found.weights.shape[1:]
    each = (rows + 2) * (columns + 1) * channels if not found.colors else (rows + 2) * (columns + 2)
    return replace(found, weights=found.weights[: max(1, MOST_PIXELS // each)])


def _numbered(canvas: Canvas, shown: Filters, cell: int, place: tuple[float, float]) -> float:
    """Writes the number of each unit before its row and of each channel above its blocks, of as many as have room;
    returns where the rows start."""
    (left, y), (down, across) = place, (pixels / DENSITY for pixels in shown.pitch(cell))
    units, channels, rows, columns = shown.weights.shape
    weight = across / (columns + 1)  # CSS pixels of its side
    for channel in range(0, channels, every(across, _room(channels))):
        canvas.text(left + channel * across, y, str(channel), mono=True, color=MUTED)
    top = y + LEADING * DIGITS
    for unit in range(0, units, every(down, DIGITS)):
        middle = top + unit * down + rows * weight / 2
        canvas.text(left - BESIDE, middle - LEADING * DIGITS / 2, str(unit), mono=True, color=MUTED, right=True)
    return top


def every(pitch: float, room: float) -> int:
    """Of things that stand so far apart every which one has room for its number: each, or every 2nd, 5th, 10th, ...

    Example:
        >>> every(20, 12), every(7, 12), every(3, 12), every(0.5, 12)
        (1, 2, 5, 50)
    """
    return next(step for step in STEPS if step * pitch >= room)


def _room(count: int) -> int:
    """CSS pixels that the numbers of so many things take, with the space beside them."""
    return len(str(count - 1)) * DIGIT + BESIDE


def _meaning(found: Filters) -> str:
    """What a row, a block and a colour of the sheet are."""
    if found.colors:
        color = "in the image's own colours, mid-gray for 0"
        return color if found.weights.shape[1] == 3 else "dark below 0, light above, mid-gray for 0"
    channel = "input channel" if found.groups == 1 else "input channel of its group"
    rows = f"a row for each unit, a block for each {channel}, numbered from 0; " if found.by_channel else ""
    return f"{rows}brown below 0, green above"


def _ramp(kind: str) -> Picture:
    ramp = np.linspace(-1, 1, 224)[None]
    return pictures.diverging(ramp, "BrBG", 1) if kind == "weights" else pictures.color_weights(np.stack([ramp] * 3), 1)
