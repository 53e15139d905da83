"""What all pooling of maps in windows shares: of each window of a map one number goes on; maps stay apart.

    y[n,c,i,j] = max over (h,w) of x[n,c,h,w],   or   1/|window| · Σ over (h,w) of x[n,c,h,w]

(h,w) are the pixels under window (i,j); where the windows lie is what the kinds of pooling differ in: `pool.py` moves
one window in equal steps, `adaptivepool.py` divides the map into so many. Letters as in `layer.py`.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from striate.layers.layer import Array, Layer, Parameters
from striate.layers.terms import Pooled, grid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from striate.layers.terms import Spot


class Pooling(Layer):
    """Windows that each give one number: its equation, given which rows and columns are under a window."""

    equation: ClassVar[str]

    @abc.abstractmethod
    def under(self, position: int, axis: int, side: int) -> slice:
        """The rows (axis 0) or columns (axis 1), of `side` that exist, under the window at a position."""

    @abc.abstractmethod
    def pooled(self, patch: Array) -> Array:
        """The number that goes on from each patch (n, c, rows, columns)."""

    @abc.abstractmethod
    def shares(self, patch: Array) -> Array:
        """The derivative of that number by each pixel of the patch."""

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        y = np.zeros((len(x), *self.output(x.shape[1:])))
        for i, j, (rows, columns) in self._windows(x):
            y[:, :, i, j] = self.pooled(x[:, :, rows, columns])
        return y

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        dx = np.zeros_like(x)
        for i, j, (rows, columns) in self._windows(x):
            shares = self.shares(x[:, :, rows, columns])
            dx[:, :, rows, columns] += shares * dy[:, :, i, j, None, None]
        return dx, {}

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Pooled:
        c, i, j = at
        rows, columns = self.under(i, 0, x.shape[2]), self.under(j, 1, x.shape[3])
        patch = x[image, c, rows, columns]
        spans = (range(*axis.indices(side)) for axis, side in zip((rows, columns), x.shape[2:], strict=True))
        places = grid(range(c, c + 1), *spans)[0]
        return Pooled(self.equation, patch, self.shares(patch[None, None])[0, 0], places)

    def _windows(self, x: Array) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
        """For every output position (i, j): the rows and columns of the input under its window."""
        _, rows, columns = self.output(x.shape[1:])
        for i in range(rows):
            for j in range(columns):
                yield i, j, (self.under(i, 0, x.shape[2]), self.under(j, 1, x.shape[3]))


def largest(patch: Array) -> Array:
    """The maximum of each patch (n, c, rows, columns)."""
    return patch.max((2, 3))


def first_largest(patch: Array) -> Array:
    """1 where each patch (n, c, rows, columns) has its maximum, the first of equal ones, and 0 elsewhere."""
    n, c, rows, columns = patch.shape
    first = patch.reshape(n, c, rows * columns).argmax(-1, keepdims=True)
    return (np.arange(rows * columns) == first).astype(np.float64).reshape(patch.shape)


def mean(patch: Array) -> Array:
    """The mean of each patch (n, c, rows, columns)."""
    return patch.mean((2, 3))


def equal_shares(patch: Array) -> Array:
    """1 / number of pixels, for each pixel."""
    return np.full_like(patch, 1 / (patch.shape[2] * patch.shape[3]))
