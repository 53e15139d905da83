"""Contact sheets of an atlas: for every unit its nine patches beside their nine projections, in the same cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from striate import files
from striate.inside.atlases.cells import Cells
from striate.layers.values import Pair
from striate.pictures import Picture, blank, centred, dead_plate

COLUMNS = 8
"""Units side by side."""

HIGHEST = 12_000
"""Rows of pixels on one sheet, at most: WebP allows 16,383."""

GAP, MIDDLE, GUTTER = 2, 4, 12
"""Pixels between cells, between patches and projections, and between units."""


def patch_pictures(patches: UInt8[np.ndarray, "top channel row column"]) -> list[Picture]:
    """Patches as pictures: colours where there are three channels, else the mean of the channels in gray."""
    planes = patches if patches.shape[1] == 3 else patches.mean(1, keepdims=True).astype(np.uint8).repeat(3, 1)
    return [np.ascontiguousarray(plane.transpose(1, 2, 0)) for plane in planes]


def sheet(cells: Cells, units: range, counts: Sequence[int]) -> Picture:
    """Some units of a layer, `COLUMNS` side by side: of each its patches, and to the right of them its projections.

    Arguments:
        counts: how many places of each unit of the layer are taken; none where it is dead.
    """
    (row, column), (rows, columns) = cells.shape, _plate(cells)
    high, wide = rows + GUTTER, columns + GUTTER
    canvas = blank(-(-len(units) // COLUMNS) * high, COLUMNS * wide)
    room = canvas.reshape(-1, high, COLUMNS, wide, 3).swapaxes(1, 2)
    for kind, place in np.ndindex(2, cells.top):
        down, right = divmod(place, _side(cells.top))
        top, left = down * (row + GAP), right * (column + GAP) + kind * (columns + MIDDLE) // 2
        shown = cells.of(units, kind, place)
        for k, unit in enumerate(units):
            if place < counts[unit]:
                room[k // COLUMNS, k % COLUMNS, top : top + row, left : left + column] = shown[k]
    for k, unit in enumerate(units):
        if not counts[unit] and cells.top >= 4:
            dead = dead_plate(max(rows - 4, 3) // 3, max(columns - 4, 3) // 3)
            room[k // COLUMNS, k % COLUMNS, :rows, :columns] = centred(dead, rows, columns)
    return canvas[: canvas.shape[0] - GUTTER, : canvas.shape[1] - GUTTER]


def parts(cells: Cells, units: int) -> list[range]:
    """The units of each of a layer's sheets."""
    count = COLUMNS * rows_of_units(_plate(cells)[0])
    return [range(first, min(first + count, units)) for first in range(0, units, count)]


def _side(top: int) -> int:
    """Cells side by side in the square that so many make."""
    return math.isqrt(top - 1) + 1


def _plate(cells: Cells) -> Pair:
    """Rows and columns of what one unit takes."""
    side = _side(cells.top)
    (row, column), down = cells.shape, -(-cells.top // side)
    return down * (row + GAP) - GAP, 2 * (side * (column + GAP) - GAP) + MIDDLE


def rows_of_units(height: int) -> int:
    """How many rows of units of this height stand on one sheet.

    Example:
        >>> rows_of_units(148), rows_of_units(498)
        (75, 23)
    """
    return max(1, HIGHEST // (height + GUTTER))


def write_webp(path: Path, picture: Picture, *, exact: bool) -> None:
    """Writes a sheet; without loss where `exact`, as for pictures whose single pixels count."""
    with files.replacing(path) as draft:
        Image.fromarray(picture).save(draft, "WEBP", lossless=exact, quality=50 if exact else 85, method=0)
