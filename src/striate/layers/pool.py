"""Pooling: of each window of a map one number goes on, its maximum or its mean; maps stay apart.

    maxpool:  y[n,c,i,j] = max over (u,v) of          x[n, c, i·s - p + u·d, j·s - p + v·d]
    avgpool:  y[n,c,i,j] = 1/|window| · Σ over (u,v) of x[n, c, i·s - p + u, j·s - p + v]

with stride s, padding p and dilation d. Only pixels that exist take part: for the maximum that is padding with −∞, and
the mean divides by their number, so that borders are not darkened (in torch: count_include_pad=False). Scherer et al.
2010, Evaluation of Pooling Operations. Letters as in `layer.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

from striate.errors import ShapeError
from striate.layers.layer import Array, Shape, maps, shape_text
from striate.layers.pooling import Pooling, equal_shares, first_largest, largest, mean
from striate.layers.values import Pair, Size, YesNo
from striate.layers.window import Window

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Pool(Pooling):
    """What maximum and mean share: where the windows lie.

    Attributes:
        kernel: rows and columns of the window.
        stride: positions from one window to the next; the kernel's where left out.
        pad: pixels that do not exist around the input, rows and columns on each side; at most half of the kernel.
        ceil: whether a last window that reaches over the edge counts too, as long as it starts before the input ends.
    """

    label: ClassVar[str] = "pool"

    kernel: Annotated[Pair, Size(1, 1024)]
    stride: Annotated[Pair | None, Size(1, 1024)] = None
    pad: Annotated[Pair, Size(0, 512)] = (0, 0)
    ceil: Annotated[bool, YesNo()] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(2 * pad > kernel for pad, kernel in zip(self.pad, self.kernel, strict=True)):
            raise ValueError(
                f"pad of {self.word} must be at most half of its kernel {shape_text(self.kernel)},"
                f" found {shape_text(self.pad)}"
            )

    @property
    def step(self) -> Pair:
        """The stride, given or not."""
        return self.kernel if self.stride is None else self.stride

    @property
    def apart(self) -> Pair:
        """Positions from one pixel of a window to the next."""
        return 1, 1

    @property
    def extent(self) -> Pair:
        """Positions from the first to the last pixel of a window."""
        return Window(self.kernel, dilation=self.apart).extent

    def output(self, input: Shape) -> Shape:
        channels, height, width = maps(input, self.word)
        rows, columns = self._positions(height, 0), self._positions(width, 1)
        if rows < 1 or columns < 1:
            raise ShapeError(
                f"a window of {shape_text(self.extent)} does not fit into {height}x{width}"
                f" padded by {shape_text(self.pad)}"
            )
        if self._misses(rows, 0, height) or self._misses(columns, 1, width):
            raise ShapeError(
                f"a window of {shape_text(self.kernel)} with dilation={shape_text(self.apart)} has no pixel"
                f" of {height}x{width} under it"
            )
        return channels, rows, columns

    def window(self, input: Shape) -> Window:
        """The window; with `ceil`, `after` may be more than `pad`: as far as the last window reaches."""
        _, *positions = self.output(input)
        rows, columns = (
            max((n - 1) * step + extent - pad - side, pad)
            for n, step, extent, pad, side in zip(positions, self.step, self.extent, self.pad, input[1:], strict=True)
        )
        return Window(self.kernel, self.step, self.pad, (rows, columns), self.apart)

    def _misses(self, positions: int, axis: int, side: int) -> bool:
        """Whether all pixels of some window lie outside of the map: the first of one that begins inside does not."""
        windows = (range(side)[self.under(position, axis, side)] for position in range(positions))
        return self.apart[axis] > side and not all(windows)

    def _positions(self, side: int, axis: int) -> int:
        """How many windows there are along an axis; torch's rule."""
        step, pad = self.step[axis], self.pad[axis]
        room = side + 2 * pad - self.extent[axis]
        if not self.ceil:
            return room // step + 1
        positions = -(-room // step) + 1
        starts_outside = (positions - 1) * step >= side + pad
        return positions - starts_outside

    def under(self, position: int, axis: int, side: int) -> slice:
        start, apart = position * self.step[axis] - self.pad[axis], self.apart[axis]
        return slice(start if start >= 0 else start % apart, min(start + self.extent[axis], side), apart)


@final
@dataclass(frozen=True)
class MaxPool(Pool):
    """`maxpool 2x2 stride=2 pad=0 ceil=no dilation=1`: the maximum of each window. Of equal pixels the first takes it.

    Attributes:
        dilation: positions from one pixel of the window to the next.

    Example:
        >>> str(MaxPool((3, 3), stride=(2, 2))), MaxPool((2, 2)).output((20, 24, 24))
        ('maxpool 3x3 stride=2x2', (20, 12, 12))
    """

    word: ClassVar[str] = "maxpool"
    equation: ClassVar[str] = "y[c,i,j] = max over (u,v) of x[c, i·s − p + u·d, j·s − p + v·d]"

    dilation: Annotated[Pair, Size(1, 1024)] = (1, 1)

    @property
    def apart(self) -> Pair:
        return self.dilation

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.MaxPool2d(self.kernel, self.step, self.pad, self.dilation, ceil_mode=self.ceil)

    def pooled(self, patch: Array) -> Array:
        return largest(patch)

    def shares(self, patch: Array) -> Array:
        return first_largest(patch)


@final
@dataclass(frozen=True)
class AvgPool(Pool):
    """`avgpool 2x2 stride=2 pad=0 ceil=no`: the mean of the pixels that exist under each window.

    Example:
        >>> AvgPool((2, 2), ceil=True).output((6, 5, 5))
        (6, 3, 3)
    """

    word: ClassVar[str] = "avgpool"
    equation: ClassVar[str] = "y[c,i,j] = 1/|window| · Σ over (u,v) of x[c, i·s − p + u, j·s − p + v]"

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.AvgPool2d(self.kernel, self.step, self.pad, ceil_mode=self.ceil, count_include_pad=False)

    def pooled(self, patch: Array) -> Array:
        return mean(patch)

    def shares(self, patch: Array) -> Array:
        return equal_shares(patch)
