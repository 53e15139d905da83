"""Transposed convolution: every number is spread over a window by the weights, and where windows overlap they add up.

    y[o,i,j] = b[o] + Σ_c Σ_h Σ_w  W[c,o,u,v] · x[c,h,w],   u = (i + p − h·s) / d,   v = (j + p − w·s) / d

with stride s, padding p (so much is cut off all around), dilation d; c runs over the input channels of o's group, and
h and w over those for which u and v are whole numbers within the window. It is the derivative of a convolution with
respect to its input (Dumoulin & Visin 2016, A guide to convolution arithmetic, chapter 4), which decoders and the
deconvnet use to enlarge maps. No text form has it: networks from elsewhere do. Letters as in `layer.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from striate.layers.layer import Array, Shape, maps, shape_text
from striate.layers.terms import Formula, Products, Spot, Step, grid, read
from striate.layers.values import Pair


@final
@dataclass(frozen=True)
class TransposedConv:
    """A transposed convolution, as an equation.

    Attributes:
        channels: feature maps that come out.
        kernel: rows and columns of the window that each number is spread over.
        stride: positions from one of these windows to the next.
        pad: rows and columns that are cut off of what comes out, on each side.
        extra: rows and columns that are added to it below and to the right.
        dilation: distance between neighbouring taps of the window.
        groups: the channels are split into this many groups that do not see each other.
        bias: whether each map has a bias.

    Example:
        >>> up = TransposedConv(8, (2, 2), (2, 2))
        >>> str(up), up.output((16, 7, 7))
        ('convtranspose 8 2x2 stride=2x2', (8, 14, 14))
    """

    word: ClassVar[str] = "convtranspose"

    channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    extra: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True

    def __str__(self) -> str:
        sides = {"stride": (self.stride, 1), "pad": (self.pad, 0), "extra": (self.extra, 0)}
        sides["dilation"] = self.dilation, 1
        said = [f"{name}={shape_text(pair)}" for name, (pair, usual) in sides.items() if pair != (usual, usual)]
        said += [f"groups={self.groups}"] * (self.groups > 1) + ["bias=no"] * (not self.bias)
        return " ".join([self.word, str(self.channels), shape_text(self.kernel), *said])

    def output(self, input: Shape) -> Shape:
        """The shape that comes out when `input` goes in. Raises ShapeError where that is no maps."""
        _, *sides = maps(input, self.word)
        rows, columns = (
            (side - 1) * s - 2 * p + d * (k - 1) + 1 + extra
            for side, s, p, d, k, extra in zip(
                sides, self.stride, self.pad, self.dilation, self.kernel, self.extra, strict=True
            )
        )
        return self.channels, rows, columns

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Products | Formula:
        """What the equation makes one number of; arguments as of `Layer.terms`."""
        del training
        o, i, j = at
        channels, height, width = x.shape[1:]
        rows, u = self._meeting(i, 0, height)
        columns, v = self._meeting(j, 1, width)
        outs, ins = self.channels // self.groups, channels // self.groups
        own = np.arange(o // outs * ins, (o // outs + 1) * ins)
        b = float(theta["bias"][o]) if self.bias else None
        if not rows or not columns:
            return self._unmet(b)
        places = grid(own, rows, columns)
        patch, inside = read(x[image], places)
        W = theta["weight"][np.ix_(own, [o % outs], u, v)][:, 0]
        taps = f"Of the filter these are the rows u = {_listed(u)} and the columns v = {_listed(v)}."
        return Products(self._equation, patch, W, b, places, inside, remark=taps)

    def _meeting(self, position: int, axis: int, side: int) -> tuple[list[int], list[int]]:
        """Along an axis: the input positions whose windows meet this output position, and with which tap each."""
        s, p, d, k = (each[axis] for each in (self.stride, self.pad, self.dilation, self.kernel))
        met = [(h, position + p - h * s) for h in range(side)]
        taps = [(h, distance // d) for h, distance in met if distance % d == 0 and 0 <= distance // d < k]
        return [h for h, _ in taps], [tap for _, tap in taps]

    def _unmet(self, b: float | None) -> Formula:
        """A place between the windows, which none of them reaches."""
        known, formula, value = ({}, "0", 0.0) if b is None else ({"b": b}, "b", b)
        remark = "No input's window reaches this place: they lie further apart than they are wide."
        return Formula(self._equation, known, (Step("y", formula, value),), (), remark=remark)

    @property
    def _equation(self) -> str:
        spread = "Σ_c Σ_h Σ_w W[c,o,u,v] · x[c,h,w],  u = (i + p − h·s) / d,  v = (j + p − w·s) / d"
        return f"y[o,i,j] = {'b[o] + ' if self.bias else ''}{spread}"


def _listed(taps: list[int]) -> str:
    return ", ".join(map(str, taps))
