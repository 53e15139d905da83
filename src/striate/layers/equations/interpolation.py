"""Interpolation: maps brought to another size; what lies between pixels is made of those around it.

    y[c,i,j] = Σ_h Σ_w  a_h · b_w · x[c,h,w]

bilinear: a_h = 1 − |r − h| of the two rows that r lies between, its place among the H rows of the input;
bicubic:  a_h = k(r − h) of the four rows nearest to r, with Keys' cubic k for A = −3/4 (Keys 1981, Cubic convolution
          interpolation for digital image processing, eq. 15, where A is a);
b_w likewise of the columns. Beyond the border the outermost pixels go on. Of R rows that come out, row i lies at

    r = (i + 1/2) · H/R − 1/2            of pixels that are squares (bilinear: at least 0)
    r = i · (H − 1) / (R − 1)            with aligned corners, of pixels that are points

Where a factor of enlargement is given, its inverse stands for H/R. Nothing is learned, and no text form has it:
networks from elsewhere do. Interpolation by the nearest pixel only moves numbers about. Letters as in `layer.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from striate.layers.layer import Array, Shape, maps, shape_text
from striate.layers.terms import Products, Spot, grid, read
from striate.layers.values import Pair

A = -0.75
"""Of Keys' cubic, as torch has it; Keys prefers −1/2."""

_SHARES = {
    "bilinear": "a_h = 1 − |r − h|,  b_w = 1 − |s − w|",
    "bicubic": "a_h = k(|r − h|),  b_w = k(|s − w|)",
}
"""How the equation ends that is printed."""

_KEYS = "k(t) = 5/4 · t³ − 9/4 · t² + 1 for t up to 1, −3/4 · t³ + 15/4 · t² − 6 · t + 3 for t from 1 to 2."
"""Keys' cubic for this A, as a sentence."""

_BEYOND = "Beyond the border the outermost pixels go on: what they would have as share is added to theirs."


@final
@dataclass(frozen=True)
class Interpolation:
    """An interpolation, as an equation.

    Attributes:
        kind: bilinear, of two rows and columns; or bicubic, of four.
        size: rows and columns that come out.
        corners: whether the outermost pixels of input and output are aligned.
        factors: rows and columns that one of the input becomes, where they are given; None: as the sizes have it.

    Example:
        >>> twice = Interpolation("bilinear", (1, 4))
        >>> twice.terms(np.array([[[[0.0, 1.0]]]]), {}, (0, 0, 1)).W
        array([[[0.75, 0.25]]])
    """

    word: ClassVar[str] = "interpolate"

    kind: Literal["bilinear", "bicubic"]
    size: Pair
    corners: bool = False
    factors: tuple[float | None, float | None] = (None, None)

    def __str__(self) -> str:
        corners = " corners=aligned" if self.corners else ""
        return f"{self.word} {self.kind} {shape_text(self.size)}{corners}"

    def output(self, input: Shape) -> Shape:
        """The shape that comes out when `input` goes in. Raises ShapeError where that is no maps."""
        channels, _, _ = maps(input, self.word)
        return channels, *self.size

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Products:
        """What the equation makes one number of; arguments as of `Layer.terms`."""
        del theta, training
        c, i, j = at
        height, width = x.shape[2:]
        r, s = self._place(i, 0, height), self._place(j, 1, width)
        near, beside = self._shares(r, height), self._shares(s, width)
        a, b = ({h: share for h, share in shares.items() if share} for shares in (near, beside))
        places = grid([c], list(a), list(b))
        patch, inside = read(x[image], places)
        W = np.outer(list(a.values()), list(b.values()))[None]
        place = f"The place lies at row r = {r:.6g} and column s = {s:.6g} of the input, its first pixel being 0."
        remark = f"{place} {_BEYOND}" if self.kind == "bilinear" else f"{place} {_KEYS} {_BEYOND}"
        # What a rounding machine loses of r and s, it loses of the differences between neighbours.
        size = max(abs(r), abs(s)) * float(np.ptp(x[image][np.ix_([c], list(near), list(beside))]))
        equation = f"y[c,i,j] = Σ_h Σ_w a_h · b_w · x[c,h,w],  {_SHARES[self.kind]}"
        return Products(equation, patch, W, None, places, inside, called="shares", remark=remark, size=size)

    def _place(self, position: int, axis: int, side: int) -> float:
        """r: where an output position lies along an axis of the input."""
        wanted, factor = self.size[axis], self.factors[axis]
        if self.corners:
            return position * (side - 1) / (wanted - 1) if wanted > 1 else 0.0
        r = (position + 0.5) * (side / wanted if factor is None else 1 / factor) - 0.5
        return max(r, 0.0) if self.kind == "bilinear" else r

    def _shares(self, r: float, side: int) -> dict[int, float]:
        """Along an axis: input position -> its share, of the four around r; of some it is 0."""
        near = range(math.floor(r) - 1, math.floor(r) + 3)
        k = _hat if self.kind == "bilinear" else _cubic
        shares = dict.fromkeys((min(max(h, 0), side - 1) for h in near), 0.0)
        for h in near:
            shares[min(max(h, 0), side - 1)] += k(abs(r - h))
        return shares


def _hat(t: float) -> float:
    return max(0.0, 1 - t)


def _cubic(t: float) -> float:
    """Keys' k."""
    if t <= 1:
        return (A + 2) * t**3 - (A + 3) * t**2 + 1
    return A * t**3 - 5 * A * t**2 + 8 * A * t - 4 * A if t < 2 else 0.0
