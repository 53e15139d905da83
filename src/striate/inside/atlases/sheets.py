"""Contact sheets of an atlas: for every unit its nine patches beside their nine projections, in the same cells."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from numpy.typing import NDArray
from PIL import Image

from striate import files
from striate.pictures import Picture, blank, centred, dead_plate, enlarge, grid

CELL = 48
"""Rows and columns of a cell, in pixels, at most; larger patches are reduced, smaller ones enlarged by whole
multiples."""

COLUMNS = 8
"""Units side by side."""

HIGHEST = 12_000
"""Rows of pixels on one sheet, at most: WebP allows 16,383."""

GUTTER = 12
"""Pixels between units."""


def patch_pictures(patches: UInt8[np.ndarray, "top channel row column"]) -> list[Picture]:
    """Patches as pictures: colours where there are three channels, else the mean of the channels in gray."""
    planes = patches if patches.shape[1] == 3 else patches.mean(1, keepdims=True).astype(np.uint8).repeat(3, 1)
    return [np.ascontiguousarray(plane.transpose(1, 2, 0)) for plane in planes]


def projection_pictures(projections: Shaped[np.ndarray, "top channel row column"]) -> list[Picture]:
    """Projections as pictures of a cell's size: 0 is middle gray, each one scaled by itself.

    Black and white stand for the 99.5th percentile of its absolute values and beyond, after reduction: single pixels
    would leave all else gray.
    """
    side = -(-max(projections.shape[2:]) // CELL)
    small = projections.astype(np.float32) if side == 1 else _block_means(projections, side)
    limit = np.quantile(np.abs(small), 0.995, axis=(1, 2, 3), keepdims=True)
    shares = np.clip(small / np.where(limit > 0, limit, 1), -1, 1)
    return [fitted(picture) for picture in patch_pictures(np.rint(127.5 * (1 + shares)).astype(np.uint8))]


def _block_means(maps: Shaped[np.ndarray, "top channel row column"], side: int) -> Float[np.ndarray, "top channel r c"]:
    """Means of blocks of `side` x `side`; blocks that reach over the edge count zeros there."""
    rows, columns = (-(-n // side) for n in maps.shape[2:])
    filled = np.zeros((*maps.shape[:2], rows * side, columns * side), np.float32)
    filled[:, :, : maps.shape[2], : maps.shape[3]] = maps
    return filled.reshape(*maps.shape[:2], rows, side, columns, side).mean((3, 5))


def fitted(picture: Picture) -> Picture:
    """Brought to at most `CELL` pixels a side: the means of whole blocks, or enlarged with hard pixels."""
    side = max(picture.shape[:2])
    if side > CELL:
        return np.asarray(Image.fromarray(picture).reduce(-(-side // CELL)))
    return enlarge(picture, CELL // side)


def unit_plate(
    patches: NDArray[np.uint8], projections: Float[np.ndarray, "top channel row column"], top: int
) -> Picture:
    """The patches of one unit beside its projections, two grids of the same cells; says so where there are none."""
    shown = len(patches)
    cell = fitted(blank(*patches.shape[2:])) if shown else blank(CELL, CELL)
    columns = int(np.ceil(np.sqrt(top)))
    empty = [blank(*cell.shape[:2])] * (top - shown)
    pictures = map(fitted, patch_pictures(patches)), projection_pictures(projections) if shown else ()
    side = [grid([*some, *empty], columns) for some in pictures]
    return np.concatenate([side[0], blank(side[0].shape[0], 4), side[1]], axis=1)


def sheets(
    units: Sequence[tuple[NDArray[np.uint8], NDArray[np.float16]]], cell: tuple[int, int], top: int
) -> Iterator[Picture]:
    """The units of a layer, `COLUMNS` side by side, on as many sheets as are needed.

    Arguments:
        units: of each: its patches and projections, as many as it has; none where it is dead.
        cell: rows and columns of a patch.
        top: how many cells a unit has.
    """
    columns = int(np.ceil(np.sqrt(top)))
    sample = grid([fitted(blank(*cell))] * top, columns).shape
    rows, width = sample[0], 2 * sample[1] + 4
    dead = (
        centred(dead_plate(max(rows - 4, 3) // 3, max(width - 4, 3) // 3), rows, width)
        if top >= 4
        else blank(rows, width)
    )
    count = COLUMNS * rows_of_units(rows)

    def drawn(unit: tuple[NDArray[np.uint8], NDArray[np.float16]]) -> Picture:
        return unit_plate(*unit, top) if len(unit[0]) else dead

    # Reading, reducing and scaling the arrays is NumPy's work, which lets other threads go on.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(units), count):
            chosen = units[first : first + count]
            yield grid(list(pool.map(drawn, chosen)), COLUMNS, gutter=GUTTER)


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
