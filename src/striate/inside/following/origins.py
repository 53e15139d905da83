"""Where the numbers of a tensor come from: the step that made them, and the place in that step's output of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.layers.layer import Array, Shape
from striate.layers.terms import Spot, Terms
from striate.layers.values import Pair

Number = TypeVar("Number", bound=np.generic)

BORDER = -1
"""In an `Origin.index`: a zero that was put around maps, which no step made."""

CONSTANT = "it is a constant, the same for every image"
"""Why there is no way down from a number that the module holds."""

OVERWRITTEN = "it was overwritten or rounded after it was made"
"""Why there is no way down from numbers that are not those that were made."""

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""The axes of maps in a batch: channels first, of such as have them last; and channels last."""


@final
@dataclass(frozen=True, eq=False)
class Step:
    """One computation of the pass whose terms are known: a layer, or a function in its place.

    Attributes:
        name: the layer's name; for a function that is no layer's output, what it does: `relu`, `sum`, `maxpool`, ...
        text: the text form of the layer.
        input: shape of what reached it; of several branches, that of the first.
        output: what the module gave, for the one image.
        origins: branch -> where what reached it came from; one under "" for a layer that is no joint.
        terms: what a number of the output is made of.
        function: whether it is a function that no layer has the name of yet.
        dtype: the type of the numbers that the module gave; `output` holds them in float64.
    """

    name: str
    text: str
    input: Shape
    output: Array
    origins: dict[str, Origin]
    terms: Callable[[Spot], Terms]
    function: bool = False
    dtype: torch.dtype = field(kw_only=True)


@final
@dataclass(frozen=True, eq=False)
class Origin:
    """Where a tensor's numbers come from: a step's output or the image; or unknown.

    Attributes:
        values: the numbers of that output when it was made, for the one image; none where it is unknown.
        step: the step that made them; None for the image, and where `reason` is not "".
        reason: why they cannot be followed further; "" where they can.
        index: where they were moved since: for each number of the tensor its place in `values` in reading order, or
            `BORDER`; None where the tensor is `values`, in a batch of one.
    """

    values: Array
    step: Step | None = None
    reason: str = ""
    index: NDArray[np.int64] | None = None

    @property
    def places(self) -> NDArray[np.int64]:
        """`index`, also where nothing was moved."""
        return np.arange(self.values.size).reshape(1, *self.values.shape) if self.index is None else self.index

    @property
    def moved(self) -> Array:
        """The tensor's numbers, for the one image."""
        if self.index is None:
            return self.values
        (places,) = self.index
        return np.where(places == BORDER, 0.0, self.values.ravel()[places])

    def gives(self, tensor: Tensor) -> bool:
        """Whether the tensor still holds the numbers that came from there; what is not known cannot be wrong."""
        if self.reason:
            return True
        whole = self.values[None] if self.index is None else self.values.ravel()[self.index]
        whole = whole if self.index is None else np.where(self.index == BORDER, 0.0, whole)
        held = numbers(tensor)  # compared as they are first, which takes a third of the time
        return np.array_equal(whole, held) or np.array_equal(whole, held, equal_nan=True)

    def giving(self, tensor: Tensor) -> Origin:
        """The same step, where what it made are the numbers of this tensor, which stand as those of the other do."""
        if self.step is None or not np.array_equal(np.sort(self.places, None), np.arange(self.values.size)):
            return self
        values = np.empty(self.values.shape)
        values.ravel()[self.places.ravel()] = numbers(tensor).ravel()
        return replace(self, values=values, step=replace(self.step, output=values, dtype=tensor.dtype))

    @property
    def sides(self) -> Pair | None:
        """Rows and columns of the step's maps, where the tensor holds them, or some of them, with the channels last: as
        (rows, columns, channels), as some libraries move them, or as (positions, channels), as attention takes them;
        else None."""
        if self.index is None or self.values.ndim != 3 or self.index.ndim < 3:
            return None
        rows, columns = self.values.shape[1:]
        positions = rows * columns
        if not self.index.size or self.index.size != positions * self.index.shape[-1]:
            return None
        maps = self.index.reshape(positions, -1).T
        whole = bool(np.array_equal(maps - maps[:, :1], np.broadcast_to(np.arange(positions), maps.shape)))
        return (rows, columns) if whole and not np.any(maps[:, 0] % positions) else None

    @property
    def channels_last(self) -> bool:
        """Whether the tensor holds maps as (rows, columns, channels)."""
        return self.index is not None and self.index.ndim == 4 and self.sides is not None

    @property
    def with_channels_first(self) -> Origin:
        """The same maps as (channels, rows, columns), where they stand with the channels last."""
        sides = self.sides
        return self if sides is None else self.first(sides)

    def first(self, sides: Pair) -> Origin:
        """What stands with the channels last, at so many rows and columns of positions, with the channels first."""
        return self if self.reason else replace(self, index=channels_first(self.places, sides)[None])

    def last(self, shape: Shape) -> Origin:
        """Maps with the channels moved to the end, in a tensor of this shape."""
        return self.transposed(*LAST).whole(shape)

    def whole(self, shape: Shape) -> Origin:
        """The same numbers in the same order, in a tensor of this shape, which need not be a batch of one."""
        return self if self.reason else replace(self, index=self.places.reshape(shape))

    def transposed(self, *axes: int) -> Origin:
        """The tensor with its axes in another order, that of the batch counted."""
        return self if self.reason else replace(self, index=self.places.transpose(axes))

    @property
    def one_image(self) -> Origin:
        """The same tensor as a batch of one, where it is none."""
        batch = self.reason or self.index is None or len(self.index) == 1
        return self if batch else self.shaped(self.places.shape)

    def place(self, at: Spot) -> Spot | None:
        """Where the tensor's number at `at` stands in the step's output, or in the image; None in a border of zeros."""
        if self.index is None:
            return at
        place = int(self.index[(0, *at)])
        return None if place == BORDER else spot(place, self.values.shape)

    def shaped(self, shape: Shape) -> Origin:
        """The same numbers in the same order, in another shape for one image."""
        return self if self.reason else replace(self, index=self.places.reshape(1, *shape))

    def spread(self, shape: Shape) -> Origin:
        """The numbers repeated to this larger shape, as PyTorch broadcasts them."""
        if self.reason or (self.index is None and self.values.shape == shape):
            return self
        return replace(self, index=np.broadcast_to(self.places, (1, *shape)))

    def bordered(self, top: int, left: int) -> Origin:
        """With zeros around the maps: rows above and below, columns left and right."""
        if self.reason:
            return self
        sides = ((0, 0), (0, 0), (top, top), (left, left))
        return replace(self, index=np.pad(self.places, sides, constant_values=BORDER))


def made(step: Step) -> Origin:
    """The output of a step."""
    return Origin(step.output, step)


def unknown(reason: str) -> Origin:
    """Numbers that cannot be followed: `reason` goes on with "it ..."."""
    return Origin(np.zeros(0), reason=reason)


def spot(place: int, shape: Shape) -> Spot:
    """A place in reading order as one along each axis.

    Example:
        >>> spot(5, (2, 3))
        (1, 2)
    """
    return tuple(int(axis) for axis in np.unravel_index(place, shape))


def channels_first(x: NDArray[Number], sides: Pair) -> NDArray[Number]:
    """Numbers (..., channels) as maps (channels, rows, columns) of so many rows and columns.

    Example:
        >>> channels_first(np.arange(6).reshape(3, 2), (1, 3))[1]
        array([[1, 3, 5]])
    """
    return x.reshape(-1, x.shape[-1]).T.reshape(x.shape[-1], *sides)


def numbers(tensor: Tensor) -> Array:
    """A tensor as float64 NumPy."""
    return tensor.detach().to("cpu", torch.float64, copy=True).numpy()
