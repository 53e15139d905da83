"""The pictures of an atlas for its page: many small ones on one sheet, and the projections of a unit in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from striate.inside.atlases.folder import Atlas
from striate.inside.atlases.sheets import patch_pictures
from striate.pictures import PERCENTILE, Picture, blank, grid

LARGEST_CELL = 64
"""Rows and columns of a cell on a sheet, in pixels, at most; larger pictures are reduced by a whole number."""

EXACT = 32
"""Pictures of at most so many pixels a side are kept without loss, as their pixels are drawn as squares."""

LARGEST = 256
"""Rows and columns of a projection in full, at most."""

UNITS = 32
"""Units on one sheet: few enough to decode quickly, enough that a screenful takes few files."""

WIDEST = 8192
"""Pixels a side of a sheet, at most; WebP allows 16,383."""

THREADS = 2
"""Encoding is outside of Python's lock; beyond two threads reading the arrays is what takes the time."""


@final
@dataclass(frozen=True)
class Sprites:
    """The pictures of a layer.

    Attributes:
        cell: rows and columns of each picture on the sheets.
        reduced: by what whole number they are smaller than the patches; 1 where they are not.
        units, columns: units on a sheet, and pictures side by side.
        patches, projections: names of the sheets, in order.
        large: the folder of the projections in full, UNIT.webp; None where the sheets have them so.
    """

    cell: tuple[int, int]
    reduced: int
    units: int
    columns: int
    patches: tuple[str, ...]
    projections: tuple[str, ...]
    large: str | None


@final
@dataclass(frozen=True)
class _Unit:
    """The pictures of a unit as they stand on the sheets, and (top, 2) the limits of its projections."""

    patches: list[Picture]
    projections: list[Picture]
    limits: NDArray[np.float32]


def draw(
    atlas: Atlas, layer: Mapping[str, Any], folder: Path, stem: str
) -> tuple[Sprites, Float[NDArray[np.float32], "unit top 2"]]:
    """Draws the pictures of a layer into `folder`, with file names that begin with `stem`.

    Returns:
        What has been drawn, and the limits that each projection is drawn to, in full and on the sheet.
    """
    sprites = _planned(layer, atlas.contents["top"], stem)
    if sprites.large:
        (folder / stem).mkdir()
    limits = np.zeros((len(layer["units"]), atlas.contents["top"], 2), np.float32)
    with ThreadPoolExecutor(THREADS) as pool:
        for sheet, names in enumerate(zip(sprites.patches, sprites.projections, strict=True)):
            numbers = range(sheet * sprites.units, min((sheet + 1) * sprites.units, len(limits)))
            units = list(pool.map(partial(_unit, atlas, layer["name"], sprites, folder), numbers))
            limits[numbers.start : numbers.stop] = [unit.limits for unit in units]
            for name, pictures in zip(names, ([u.patches for u in units], [u.projections for u in units]), strict=True):
                _write(folder / name, _sheet(pictures, sprites, limits.shape[1]), exact=max(sprites.cell) <= EXACT)
    return sprites, limits


def _planned(layer: Mapping[str, Any], top: int, stem: str) -> Sprites:
    rows, columns = layer["shown"]
    reduced = -(-max(rows, columns) // LARGEST_CELL)
    cell = (-(-rows // reduced), -(-columns // reduced))
    across = min(top, WIDEST // cell[1])
    units = max(1, min(UNITS, WIDEST // cell[0] * across // top))
    sheets = range(-(-len(layer["units"]) // units))
    patches, projections = (tuple(f"{stem}-{kind}-{n}.webp" for n in sheets) for kind in ("patches", "projections"))
    return Sprites(cell, reduced, units, across, patches, projections, stem if reduced > 1 else None)


def _unit(atlas: Atlas, layer: str, sprites: Sprites, folder: Path, unit: int) -> _Unit:
    """The pictures of one unit; those in full are written at once."""
    limits = np.zeros((atlas.contents["top"], 2), np.float32)
    count = len(atlas.unit(layer, unit)["top"])
    if not count:
        return _Unit([], [], limits)
    values = atlas.projections(layer, unit)
    large, limits[:count, 0] = projected(means(values, -(-max(values.shape[2:]) // LARGEST)))
    small, limits[:count, 1] = (
        projected(means(values, sprites.reduced)) if sprites.large else (large, limits[:count, 0])
    )
    if sprites.large:
        columns = int(np.ceil(np.sqrt(len(limits))))
        cells = [*large, *[blank(*large[0].shape[:2])] * (-count % columns)]
        _write(folder / sprites.large / f"{unit}.webp", grid(cells, columns, gutter=0), exact=False)
    return _Unit(
        [_reduced(patch, sprites.reduced) for patch in patch_pictures(atlas.patches(layer, unit))], small, limits
    )


def projected(
    values: Float[np.ndarray, "place channel row column"],
) -> tuple[list[Picture], Float[NDArray[np.float32], " place"]]:
    """Projections as pictures, 0 middle gray, the limits black and white; and these limits, of each its percentile."""
    flat = np.abs(values).reshape(len(values), -1)
    rank = min(int(flat.shape[1] * PERCENTILE / 100), flat.shape[1] - 1)
    limits = np.partition(flat, rank, axis=1)[:, rank]
    limits = np.where(limits > 0, limits, flat.max(1)).astype(np.float32)
    scales = (127.5 / np.where(limits > 0, limits, 1)).astype(np.float32)[:, None, None, None]
    levels = np.rint(np.clip(values * scales + np.float32(127.5), 0, 255)).astype(np.uint8)
    return patch_pictures(levels), limits


def means(
    values: Float[np.ndarray, "place channel row column"], by: int
) -> Float[np.ndarray, "place channel row column"]:
    """The means of whole blocks of by x by values; a block that reaches over the edge has the mean of what it has.

    Example:
        >>> means(np.array([[[[1.0, 3.0, 5.0]]]]), 2)
        array([[[[2., 5.]]]])
    """
    if by == 1:
        return values
    for axis in (2, 3):
        starts = np.arange(0, values.shape[axis], by)
        counts = np.diff([*starts, values.shape[axis]]).astype(values.dtype)
        values = np.add.reduceat(values, starts, axis=axis) / np.expand_dims(counts, (0, 1, 5 - axis))
    return values


def _reduced(picture: Picture, by: int) -> Picture:
    """The means of whole blocks of by x by pixels."""
    from PIL import Image

    return picture if by == 1 else np.asarray(Image.fromarray(picture).reduce(by))


def _sheet(units: Sequence[Sequence[Picture]], sprites: Sprites, top: int) -> Picture:
    """The pictures of these units, `top` cells each, on one sheet without gutters."""
    (rows, columns), across = sprites.cell, sprites.columns
    whole = np.full((-(-sprites.units * top // across) * rows, across * columns, 3), 128, np.uint8)
    for unit, pictures in enumerate(units):
        for place, picture in enumerate(pictures):
            row, column = divmod(unit * top + place, across)
            whole[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns] = picture
    return whole


def _write(path: Path, picture: Picture, exact: bool) -> None:
    """Into a folder that nobody reads yet, so a plain write will do."""
    from PIL import Image

    Image.fromarray(picture).save(path, "WEBP", lossless=exact, quality=50 if exact else 85, method=0)
