"""Adaptive pooling: however large a map, it is divided into so many windows, and of each one number goes on.

    adaptivemaxpool:  y[n,c,i,j] = max over (h,w) of          x[n,c,h,w]
    adaptiveavgpool:  y[n,c,i,j] = 1/|window| · Σ over (h,w) of x[n,c,h,w]

    h = ⌊i·H/R⌋ ... ⌈(i+1)·H/R⌉ − 1,   w = ⌊j·W/S⌋ ... ⌈(j+1)·W/S⌉ − 1,   of H rows and W columns to R and S

torch's rule. Where R divides H the windows lie side by side, all of one size; else their sizes differ by one, and
neighbours may share a row. He et al. 2014, Spatial Pyramid Pooling, section 2.2. Letters as in `layer.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

from striate.layers.layer import Array, Shape, maps
from striate.layers.pooling import Pooling, equal_shares, first_largest, largest, mean
from striate.layers.values import Pair, Size
from striate.layers.window import Window

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class AdaptivePool(Pooling):
    """What maximum and mean share: where the windows lie.

    Attributes:
        size: rows and columns that come out. Where they are more than go in, windows are of one pixel and repeat.
    """

    label: ClassVar[str] = "adaptivepool"

    size: Annotated[Pair, Size(1, 1024)]

    def output(self, input: Shape) -> Shape:
        channels, _, _ = maps(input, self.word)
        return channels, *self.size

    def window(self, input: Shape) -> Window | None:
        """The window where all are equal; else the smallest that moves in equal steps and holds them all."""
        if self.size == (1, 1):
            return None
        _, *sides = maps(input, self.word)
        rows, columns = (self._holding(axis, side) for axis, side in enumerate(sides))
        return Window(*zip(rows, columns, strict=True))

    def under(self, position: int, axis: int, side: int) -> slice:
        windows = self.size[axis]
        return slice(position * side // windows, -(-(position + 1) * side // windows))

    def _holding(self, axis: int, side: int) -> tuple[int, int, int, int]:
        """Kernel, stride and padding on either side of the smallest window that holds all along an axis."""
        spans = [self.under(position, axis, side) for position in range(self.size[axis])]
        found: list[tuple[int, int, int, int]] = []
        for stride in {max(side // len(spans), 1), -(-side // len(spans))}:
            before = max(p * stride - span.start for p, span in enumerate(spans))
            kernel = max(span.stop - p * stride for p, span in enumerate(spans)) + before
            found.append((kernel, stride, before, (len(spans) - 1) * stride + kernel - before - side))
        return min(found)


@final
@dataclass(frozen=True)
class AdaptiveMaxPool(AdaptivePool):
    """`adaptivemaxpool 6x6`: the maximum of each window. Of equal pixels the first one takes it.

    Example:
        >>> AdaptiveMaxPool((6, 6)).output((256, 13, 13))
        (256, 6, 6)
    """

    word: ClassVar[str] = "adaptivemaxpool"
    equation: ClassVar[str] = "y[c,i,j] = max over (h,w) of x[c,h,w]"

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.AdaptiveMaxPool2d(self.size)

    def pooled(self, patch: Array) -> Array:
        return largest(patch)

    def shares(self, patch: Array) -> Array:
        return first_largest(patch)


@final
@dataclass(frozen=True)
class AdaptiveAvgPool(AdaptivePool):
    """`adaptiveavgpool 6x6`: the mean of each window.

    Example:
        >>> import numpy as np
        >>> AdaptiveAvgPool((2, 2)).forward(np.arange(9.0).reshape(1, 1, 3, 3), {})
        array([[[[2., 3.],
                 [5., 6.]]]])
    """

    word: ClassVar[str] = "adaptiveavgpool"
    equation: ClassVar[str] = "y[c,i,j] = 1/|window| · Σ over (h,w) of x[c,h,w]"

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.AdaptiveAvgPool2d(self.size)

    def pooled(self, patch: Array) -> Array:
        return mean(patch)

    def shares(self, patch: Array) -> Array:
        return equal_shares(patch)
