"""Flattening: maps become one vector, channel by channel, row by row.

y[n, (c·H + h)·W + w] = x[n,c,h,w]     with H rows and W columns
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from striate.layers.layer import Array, Layer, Parameters, Shape
from striate.layers.terms import Formula, Step, single

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from striate.layers.terms import Spot


@final
@dataclass(frozen=True)
class Flatten(Layer):
    """`flatten`: maps become one vector. A dense layer does that by itself.

    A vector has no positions, so its receptive field is stated for the vector as a whole: all that any feature sees.

    Example:
        >>> Flatten().output((3, 4, 5))
        (60,)
    """

    word: ClassVar[str] = "flatten"
    label: ClassVar[str] = "flatten"

    def output(self, input: Shape) -> Shape:
        return (math.prod(input),)

    def window(self, input: Shape) -> None:
        return None

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.Flatten()

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        return x.reshape(len(x), math.prod(x.shape[1:]))

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        return dy.reshape(x.shape), {}

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        (k,) = at
        place = tuple(int(p) for p in np.unravel_index(k, x.shape[1:]))
        value = float(x[image][place])
        return single("y[(c·H + h)·W + w] = x[c,h,w]", {"x": value}, place, Step("y", "x", value))
