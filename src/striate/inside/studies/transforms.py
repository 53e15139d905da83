"""Shifting, rotating and scaling whole images, and feature maps alike: one motion of the plane, sampled where asked.

A motion is kept as the map from where a point has come to, to where it came from, in pixels; so the same motion can be
applied to an image and, through the place of each unit's receptive field, to a feature map of any stride.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from striate.errors import DataError

Kind = Literal["shift", "shift_columns", "rotate", "scale"]
"""What is done to an image, by an amount: `shift` moves it down and `shift_columns` to the right, by whole pixels
(negative: up, left); `rotate` turns it counter-clockwise about its centre, in degrees; `scale` enlarges it about its
centre by a factor above 0 (below 1: shrinks it)."""

USUAL: dict[Kind, tuple[float, ...]] = {
    "shift": (1, 2, 4),
    "shift_columns": (1, 2, 4),
    "rotate": (15, 45, 90),
    "scale": (0.75, 1.25, 1.5),
}
"""The amounts that are measured where none are named."""

SNAP = 1e-9
"""Pixels within which a coordinate counts as whole: the rounding of sines and quotients in float64 is far below."""


@final
@dataclass(frozen=True)
class Motion:
    """A shift, rotation or scaling of the plane by an amount (units as `Kind` says). Raises DataError for a bad amount.

    Example:
        >>> Motion("shift", 2).source(torch.tensor(5.0), torch.tensor(7.0), (28, 28))
        (tensor(3.), tensor(7.))
    """

    kind: Kind
    amount: float

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise DataError(f"transform must be one of {', '.join(get_args(Kind))}, found {self.kind!r}")
        if not math.isfinite(self.amount) or (self.kind == "scale" and self.amount <= 0):
            allowed = "a number above 0" if self.kind == "scale" else "a finite number"
            raise DataError(f"the amount of {self.kind} must be {allowed}, found {self.amount}")
        if self.kind.startswith("shift") and self.amount != int(self.amount):
            raise DataError(f"the amount of {self.kind} must be whole pixels, found {self.amount}")

    @property
    def still(self) -> bool:
        """Whether nothing moves: shift by 0, rotation by 0 degrees, scale by 1."""
        return self.amount == (1 if self.kind == "scale" else 0)

    def source(self, rows: Tensor, columns: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Where the points at (rows, columns) came from, in pixels (float64 in, out), in an image of this size."""
        if self.kind == "shift":
            return rows - self.amount, columns
        if self.kind == "shift_columns":
            return rows, columns - self.amount
        middle_row, middle_column = (size[0] - 1) / 2, (size[1] - 1) / 2
        down, right = rows - middle_row, columns - middle_column
        if self.kind == "scale":
            return middle_row + down / self.amount, middle_column + right / self.amount
        cosine, sine = _direction(self.amount)
        return middle_row + down * cosine + right * sine, middle_column + right * cosine - down * sine


def motions(kind: Kind, amounts: Sequence[float] | None) -> tuple[Motion, ...]:
    """The motions of one kind by these amounts, or by the `USUAL` ones where they are None. Raises DataError.

    Example:
        >>> [motion.amount for motion in motions("rotate", None)]
        [15, 45, 90]
    """
    chosen = USUAL.get(kind, (0,)) if amounts is None else amounts  # a kind that is none is refused by Motion
    return tuple(Motion(kind, amount) for amount in chosen)


def transformed(
    images: Float[Tensor, "batch channel height width"], kind: Kind, amount: float, *, outside: float = 0.0
) -> Float[Tensor, "batch channel height width"]:
    """The images moved by `amount`, at the same size; what comes in from beyond the border has the value `outside`.

    Bilinear between pixels, without smoothing before shrinking. Shifts, and rotations by multiples of 90 degrees of
    images whose sides are both even or both odd, move every pixel onto a pixel and are exact.

    Arguments:
        images: any range; preprocessed images have 0 for the mean colour, which is why `outside` is 0.
        kind, amount: as `Kind` says.
        outside: the value beyond the border, in the images' own units.

    Example:
        >>> transformed(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), "rotate", 90).tolist()
        [[[[2.0, 4.0], [1.0, 3.0]]]]
    """
    motion = Motion(kind, amount)
    if motion.still:
        return images
    height, width = images.shape[-2:]
    rows, columns = motion.source(*grid(height, width, images.device), (height, width))
    return sampled(images, rows, columns, outside=outside)


def sampled(
    maps: Float[Tensor, "batch channel height width"],
    rows: Float[Tensor, "r c"],
    columns: Float[Tensor, "r c"],
    *,
    outside: float = 0.0,
) -> Float[Tensor, "batch channel r c"]:
    """The maps' values at fractional places (rows, columns), bilinear; at whole places exactly the stored values.

    Beyond the border every position counts as `outside`.
    """
    rows, columns = snapped(rows), snapped(columns)
    top, left = rows.floor(), columns.floor()
    down, right = (rows - top).to(maps.dtype), (columns - left).to(maps.dtype)
    total = torch.zeros((*maps.shape[:2], *rows.shape), dtype=maps.dtype, device=maps.device)
    for row, row_share in ((top, 1 - down), (top + 1, down)):
        for column, column_share in ((left, 1 - right), (left + 1, right)):
            total += _at(maps, row.long(), column.long(), outside) * (row_share * column_share)
    return total


def grid(height: int, width: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Row and column of every position of a height x width map, float64 (height, width) each."""
    rows = torch.arange(height, dtype=torch.float64, device=device)
    columns = torch.arange(width, dtype=torch.float64, device=device)
    mesh = torch.meshgrid(rows, columns, indexing="ij")
    return mesh[0], mesh[1]


def snapped(places: Tensor) -> Tensor:
    """Places with those within `SNAP` of a whole number set to it, so that an exact motion stays exact."""
    whole = places.round()
    return torch.where((places - whole).abs() < SNAP, whole, places)


def _at(maps: Tensor, rows: Tensor, columns: Tensor, outside: float) -> Tensor:
    height, width = maps.shape[-2:]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    found = maps[..., rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
    return torch.where(inside, found, torch.as_tensor(outside, dtype=maps.dtype, device=maps.device))


def _direction(degrees: float) -> tuple[float, float]:
    # cos(pi/2) is 6e-17 in floating point; quarter turns are exact here.
    quarters = {0: (1.0, 0.0), 90: (0.0, 1.0), 180: (-1.0, 0.0), 270: (0.0, -1.0)}
    turn = degrees % 360
    exact = quarters.get(cast("int", turn))
    return exact if exact is not None else (math.cos(math.radians(turn)), math.sin(math.radians(turn)))
