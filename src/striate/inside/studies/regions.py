"""Where on a feature map things have come from when the image is moved, and which of its positions may be compared.

A position of a map stands in the image at the middle of its receptive field; so a motion of the image is a motion of
every map above it, in units of the map's own positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from striate.inside.receptive.fields import ReceptiveField
from striate.inside.studies.transforms import Motion, grid, snapped
from striate.layers.values import Pair


@final
@dataclass(frozen=True)
class Region:
    """Where the positions of one map came from under one motion.

    Attributes:
        rows, columns: the place each position came from, in positions of the map.
        interior: where real pixels only are seen, before and after the motion.
        whole: where the place it came from lies within the map.
    """

    rows: Float[Tensor, "r c"]
    columns: Float[Tensor, "r c"]
    interior: Bool[Tensor, "r c"]
    whole: Bool[Tensor, "r c"]

    @property
    def matched(self) -> bool:
        """Whether every position came from a position."""
        return bool(((self.rows % 1 == 0) & (self.columns % 1 == 0))[self.whole].all())


def region(field: ReceptiveField, size: Pair, motion: Motion) -> Region:
    """The region of a map of this size (rows, columns) whose units have this receptive field.

    Along an axis with one position nothing can move: there every position comes from itself.

    Example:
        >>> from torch import nn
        >>> from striate.inside.receptive.fields import receptive_fields
        >>> field = receptive_fields(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1)), (1, 5, 5))["0"]
        >>> region(field, (5, 5), Motion("shift", 1)).interior.int().tolist()
        [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    """
    p_rows, p_columns = grid(*size)
    middle, steps = zip(field.line(0), field.line(1), strict=True)
    place = [m + p * j for m, p, j in zip(middle, (p_rows, p_columns), steps, strict=True)]
    came = motion.source(place[0], place[1], field.image)
    rows, columns = (
        snapped((c - m) / j) if j else p for c, m, j, p in zip(came, middle, steps, (p_rows, p_columns), strict=True)
    )
    whole = _within(rows, size[0]) & _within(columns, size[1])
    real = _real(field, size)
    neighbours = [(r, c) for r in (rows.floor(), rows.ceil()) for c in (columns.floor(), columns.ceil())]
    interior = whole & real & _corners_stay(field, place, motion)
    for r, c in neighbours:
        interior &= real[r.long().clamp(0, size[0] - 1), c.long().clamp(0, size[1] - 1)]
    return Region(rows, columns, interior, whole)


def _real(field: ReceptiveField, size: Pair) -> Bool[Tensor, "r c"]:
    """Which positions see real pixels only: their field, not clipped, lies in the image.

    Where fields are irregular they are known clipped only: there, those that do not touch the ends of what is seen.
    """
    inside: list[Tensor] = []
    for axis, spans in enumerate((field.rows, field.columns)):
        if field.regular:
            first = field.start[axis] + torch.arange(size[axis]) * field.stride[axis]
            inside.append((first >= 0) & (first + field.size[axis] <= field.image[axis]))
        else:
            top, bottom = min(first for first, _ in spans), max(last for _, last in spans)
            inside.append(torch.tensor([first > top and last < bottom for first, last in spans]))
    return inside[0][:, None] & inside[1][None]


def _corners_stay(field: ReceptiveField, place: Sequence[Tensor], motion: Motion) -> Bool[Tensor, "r c"]:
    """For which positions everything in their field has come from within the image."""
    stays = torch.ones(place[0].shape, dtype=torch.bool)
    down, right = ((extent - 1) / 2 for extent in field.size)
    for row, column in ((-down, -right), (-down, right), (down, -right), (down, right)):
        came = motion.source(place[0] + row, place[1] + column, field.image)
        stays &= _within(snapped(came[0]), field.image[0]) & _within(snapped(came[1]), field.image[1])
    return stays


def _within(places: Tensor, side: int) -> Tensor:
    return (places >= 0) & (places <= side - 1)
