"""Windows: which part of its input one output position of a layer looks at; and how windows add up with depth.

Everything is per axis, as (rows, columns). Nothing here knows a particular layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from striate.layers.values import Pair

if TYPE_CHECKING:
    from collections.abc import Iterable


@final
@dataclass(frozen=True)
class Window:
    """The input positions that output position p of a layer looks at, along each axis: p*stride - before + k*dilation.

    Attributes:
        kernel: how many input positions it takes, k = 0 ... kernel-1.
        stride: how far it moves between neighbouring output positions.
        before: padding above and to the left.
        after: padding below and to the right.
        dilation: distance between neighbouring input positions of the window.
    """

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    before: Pair = (0, 0)
    after: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @property
    def extent(self) -> Pair:
        """Input positions from the first to the last one taken: dilation*(kernel-1) + 1."""
        return _pair(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))


@final
@dataclass(frozen=True)
class Field:
    """The receptive field of a layer's units: position p looks at input pixels start + p*stride ... + size - 1.

    Not clipped to the image: where `start` is negative, the field of the first position reaches into the padding.

    Attributes:
        size: rows and columns of one unit's field, in input pixels.
        stride: input pixels between the fields of neighbouring positions; 0 where there is one position only, or where
            all positions look at the same pixels.
        start: first row and column of the field of position (0, 0).
    """

    size: Pair = (1, 1)
    stride: Pair = (1, 1)
    start: Pair = (0, 0)

    def through(self, window: Window) -> Field:
        """The field after one more layer with this window (Araujo et al. 2019, Receptive Fields of CNNs, eq. 2-4).

        Example:
            >>> Field().through(Window(kernel=(5, 5))).through(Window(kernel=(2, 2), stride=(2, 2))).size
            (6, 6)
        """
        return Field(
            size=_pair(s + (e - 1) * j for s, e, j in zip(self.size, window.extent, self.stride, strict=True)),
            stride=_pair(j * t for j, t in zip(self.stride, window.stride, strict=True)),
            start=_pair(a - b * j for a, b, j in zip(self.start, window.before, self.stride, strict=True)),
        )

    def over(self, positions: Pair) -> Field:
        """The field of something that looks at all `positions` (rows, columns) at once, as a dense layer does."""
        return Field(
            size=_pair(s + (n - 1) * j for s, n, j in zip(self.size, positions, self.stride, strict=True)),
            stride=(0, 0),
            start=self.start,
        )

    def hull(self, other: Field, positions: Pair) -> Field:
        """The smallest field that holds both at all `positions`, for branches that are added or concatenated.

        Where one of them stands still, so does the hull: it holds all that the other meets. Where both move, in
        different steps, the larger stride is taken, and the field is as wide as its stride makes necessary to hold
        both at the first and at the last position, and so at all between.

        Example:
            >>> Field(size=(3, 3), start=(-1, -1)).hull(Field(size=(5, 5), start=(-2, -2)), positions=(8, 8))
            Field(size=(5, 5), stride=(1, 1), start=(-2, -2))
        """
        spans = [self._joint(other, axis, positions[axis]) for axis in (0, 1)]
        return Field(*(_pair(values) for values in zip(*spans, strict=True)))

    def _joint(self, other: Field, axis: int, positions: int) -> tuple[int, int, int]:
        """Size, stride and start of the hull along one axis."""
        strides = self.stride[axis], other.stride[axis]
        stride = 0 if 0 in strides else max(strides)
        starts = [
            field.start[axis] + p * (field.stride[axis] - stride) for p in (0, positions - 1) for field in (self, other)
        ]
        ends = [start + field.size[axis] for start, field in zip(starts, (self, other) * 2, strict=True)]
        return max(ends) - min(starts), stride, min(starts)


def _pair(values: Iterable[int]) -> Pair:
    rows, columns = values
    return rows, columns
