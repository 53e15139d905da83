"""Convolution: a small window slides over the maps; the same weights and the same bias serve every position.

    y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v  W[o,c,u,v] · x[n, c, i·s - p + u·d, j·s - p + v·d]

with stride s, padding p (x is 0 outside), dilation d; c runs over the input channels of o's group. As in all deep
learning software this is the cross-correlation (Goodfellow et al. 2016, Deep Learning, eq. 9.6): W is not flipped.
Letters as in `layer.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

import numpy as np

from striate.errors import ShapeError
from striate.layers.layer import Array, Layer, Parameters, Shape, maps, shape_text
from striate.layers.terms import Products, grid, read
from striate.layers.values import Padding, Pair, Size, Whole, YesNo
from striate.layers.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from striate.layers.terms import Spot


@final
@dataclass(frozen=True)
class Conv(Layer):
    """`conv 20 5x5 stride=2 pad=same dilation=1 groups=1 bias=no`: feature maps, each with one shared window.

    Attributes:
        channels: feature maps that come out.
        kernel: rows and columns of the local receptive field.
        stride: positions from one window to the next.
        pad: zeros around the input, rows and columns on each side; `same`: as many as make the output
            ceil(input / stride), the odd one below and to the right.
        dilation: distance between neighbouring taps of the window.
        groups: the channels are split into this many groups that do not see each other.
        bias: whether each map has a bias.

    Example:
        >>> conv = Conv(20, (5, 5))
        >>> conv.output((1, 28, 28)), conv.parameters((1, 28, 28))
        ((20, 24, 24), 520)
    """

    word: ClassVar[str] = "conv"
    label: ClassVar[str] = "conv"

    channels: Annotated[int, Whole(1, 1_000_000)]
    kernel: Annotated[Pair, Size(1, 1024)]
    stride: Annotated[Pair, Size(1, 1024)] = (1, 1)
    pad: Annotated[Pair | str, Padding(1024)] = (0, 0)
    dilation: Annotated[Pair, Size(1, 1024)] = (1, 1)
    groups: Annotated[int, Whole(1, 1_000_000)] = 1
    bias: Annotated[bool, YesNo()] = True

    def output(self, input: Shape) -> Shape:
        channels, height, width = maps(input, self.word)
        if channels % self.groups or self.channels % self.groups:
            raise ShapeError(
                f"groups={self.groups} must divide both the {channels} channels that come in"
                f" and the {self.channels} that go out"
            )
        window = self.window(input)
        rows, columns = (
            (side + before + after - extent) // stride + 1
            for side, before, after, extent, stride in zip(
                (height, width), window.before, window.after, window.extent, window.stride, strict=True
            )
        )
        if rows < 1 or columns < 1:
            raise ShapeError(
                f"a window of {shape_text(window.extent)} does not fit into {height}x{width}"
                f" padded by {shape_text(window.before)}"
            )
        return self.channels, rows, columns

    def parameters(self, input: Shape) -> int:
        kernel_rows, kernel_columns = self.kernel
        weights = self.channels * (input[0] // self.groups) * kernel_rows * kernel_columns
        return weights + self.channels * self.bias

    def multiply_adds(self, input: Shape) -> int:
        """Every tap of every window counts, also where it meets padding; adding the bias does not."""
        _, rows, columns = self.output(input)
        kernel_rows, kernel_columns = self.kernel
        return self.channels * rows * columns * (input[0] // self.groups) * kernel_rows * kernel_columns

    def window(self, input: Shape) -> Window:
        unpadded = Window(self.kernel, self.stride, dilation=self.dilation)
        if not isinstance(self.pad, str):
            return Window(self.kernel, self.stride, self.pad, self.pad, self.dilation)
        rows, columns = (
            max((-(-side // stride) - 1) * stride + extent - side, 0)
            for side, stride, extent in zip(input[1:], self.stride, unpadded.extent, strict=True)
        )
        before, after = (rows // 2, columns // 2), (rows - rows // 2, columns - columns // 2)
        return Window(self.kernel, self.stride, before, after, self.dilation)

    def before(self, input: Shape) -> dict[str, nn.Module]:
        window = self.window(input)
        if window.before == window.after:
            return {}
        from torch import nn

        return {"pad": nn.ZeroPad2d((window.before[1], window.after[1], window.before[0], window.after[0]))}

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        window = self.window(input)
        padding = window.before if window.before == window.after else (0, 0)
        return nn.Conv2d(
            input[0], self.channels, self.kernel, self.stride, padding, self.dilation, self.groups, self.bias
        )

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        W, x_padded = theta["weight"], self._padded(x)
        n, (o, rows, columns) = len(x), self.output(x.shape[1:])
        y = np.zeros((n, o, rows, columns))
        for u, v, taken in self._taps(rows, columns):
            for outs, ins in self._groups(x.shape[1]):
                y[:, outs] += np.einsum("oc,ncij->noij", W[outs, :, u, v], x_padded[:, ins, *taken])
        return y + theta["bias"][:, None, None] if self.bias else y

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        W, x_padded = theta["weight"], self._padded(x)
        dW, dx_padded = np.zeros_like(W), np.zeros_like(x_padded)
        for u, v, taken in self._taps(*dy.shape[2:]):
            for outs, ins in self._groups(x.shape[1]):
                dW[outs, :, u, v] = np.einsum("noij,ncij->oc", dy[:, outs], x_padded[:, ins, *taken])
                dx_padded[:, ins, *taken] += np.einsum("oc,noij->ncij", W[outs, :, u, v], dy[:, outs])
        top, left = self.window(x.shape[1:]).before
        dx = dx_padded[:, :, top : top + x.shape[2], left : left + x.shape[3]]
        return dx, {"weight": dW} | ({"bias": dy.sum((0, 2, 3))} if self.bias else {})

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Products:
        o, i, j = at
        s, p, d, k = self.stride, self.window(x.shape[1:]).before, self.dilation, self.kernel
        rows = range(i * s[0] - p[0], i * s[0] - p[0] + k[0] * d[0], d[0])
        columns = range(j * s[1] - p[1], j * s[1] - p[1] + k[1] * d[1], d[1])
        places = grid(self._channels_of(o, x.shape[1]), rows, columns)
        patch, inside = read(x[image], places)
        b = float(theta["bias"][o]) if self.bias else None
        equation = (
            f"y[o,i,j] = {'b[o] + ' if self.bias else ''}Σ_c Σ_u Σ_v W[o,c,u,v] · x[c, i·s − p + u·d, j·s − p + v·d]"
        )
        return Products(equation, patch, theta["weight"][o], b, places, inside)

    def _channels_of(self, o: int, channels: int) -> range:
        """The input channels of the group that output channel o belongs to."""
        outs, ins = self.channels // self.groups, channels // self.groups
        return range(o // outs * ins, (o // outs + 1) * ins)

    def _padded(self, x: Array) -> Array:
        window = self.window(x.shape[1:])
        return np.pad(x, ((0, 0), (0, 0), *zip(window.before, window.after, strict=True)))

    def _taps(self, rows: int, columns: int) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
        """For every tap (u, v) of the window: the rows and columns of the padded input that it meets."""
        for u in range(self.kernel[0]):
            for v in range(self.kernel[1]):
                top, left = u * self.dilation[0], v * self.dilation[1]
                taken_rows = slice(top, top + (rows - 1) * self.stride[0] + 1, self.stride[0])
                yield u, v, (taken_rows, slice(left, left + (columns - 1) * self.stride[1] + 1, self.stride[1]))

    def _groups(self, channels: int) -> Iterator[tuple[slice, slice]]:
        """For every group: its output channels and its input channels."""
        outs, ins = self.channels // self.groups, channels // self.groups
        for g in range(self.groups):
            yield slice(g * outs, (g + 1) * outs), slice(g * ins, (g + 1) * ins)
