"""A call in the words of this package, and what it makes of what reached it: a step of the pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import final

import numpy as np
from torch import Tensor

from striate.inside.following.moves import Sides
from striate.inside.following.origins import Origin, Step, channels_first, made, numbers
from striate.layers.conv import Conv
from striate.layers.layer import Array, Equation, Parameters, Shape
from striate.layers.terms import Spot, Terms
from striate.layers.values import Pair


@final
@dataclass(frozen=True, eq=False)
class Translated:
    """A call as a layer.

    Attributes:
        layer: the layer; or the equation alone, of what is none of ours.
        held: the tensors that it was given, by their names in the layer's equation.
        border: zeros that it puts around its input and counts as pixels: rows above and below, columns left and right.
        training: whether it computes as in training: dropout that draws, a batch norm of this batch's statistics.
        shape: the shape in which the equation takes the input, where the function takes another; else ().
        output: the shape that comes out, where it lacks the last rows or columns that the equation gives; else ().
    """

    layer: Equation
    held: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    border: Pair = (0, 0)
    training: bool = False
    shape: Shape = ()
    output: Shape = ()

    def taken(self, input: Shape) -> Shape:
        """The shape in which the equation takes an input of this shape."""
        top, left = self.border
        channels, *sides = self.shape or input
        return (channels, sides[0] + 2 * top, sides[1] + 2 * left) if any(self.border) else (channels, *sides)

    @cached_property
    def theta(self) -> Parameters:
        """Its numbers in float64: made when first asked for, since most layers of a pass are never explained."""
        return {name: numbers(tensor) for name, tensor in self.held.items()}


@final
@dataclass(frozen=True, eq=False)
class Reached:
    """What reached a call, as it was then: the call may overwrite it."""

    x: Array
    origin: Origin
    padding: Padding | None = None

    def first(self, sides: Pair) -> Reached:
        """What came with the channels last as maps (channels, rows, columns) of so many rows and columns."""
        return Reached(channels_first(self.x, sides), self.origin.first(sides))


@final
@dataclass(frozen=True, eq=False)
class Padding:
    """Zeros that were put around maps: what reached that, and how many."""

    reached: Reached
    sides: Sides


def made_by(name: str, found: Translated, reached: Reached, output: Tensor, *, function: bool = False) -> Origin | None:
    """The output of a translated call, as a step; None where it is not of the shape that the equation says."""
    found, reached = _with_padding(found, reached)
    reached = _shaped(found, reached)
    y, inside = one_image(output), found.output or found.layer.output(reached.x.shape)
    if y.size != np.prod(inside):
        return None

    def terms(at: Spot) -> Terms:
        return found.layer.terms(reached.x[None], found.theta, at, training=found.training)

    top, left = found.border
    text = str(found.layer) + (f" after a border of {top}x{left} zeros that count" if any(found.border) else "")
    origins, dtype = {"": reached.origin}, output.dtype
    origin = made(Step(name, text, reached.x.shape, y.reshape(inside), origins, terms, function, dtype=dtype))
    return origin if (1, *inside) == output.shape else origin.whole(tuple(output.shape))


def in_any_shape(found: Translated, input: Shape) -> Translated:
    """What computes the same of every number, for an input of more axes than maps have: as maps."""
    return replace(found, shape=shown(input)) if len(input) > 3 else found


def _shaped(found: Translated, reached: Reached) -> Reached:
    """What reached a call, as its equation takes it."""
    if found.shape and found.shape != reached.x.shape:
        return Reached(reached.x.reshape(found.shape), reached.origin.shaped(found.shape))
    if any(found.border):
        top, left = found.border
        x = np.pad(reached.x, ((0, 0), (top, top), (left, left)))
        return Reached(x, reached.origin.bordered(top, left))
    return reached


def _with_padding(found: Translated, reached: Reached) -> tuple[Translated, Reached]:
    """A convolution whose padding a call before it has put on, as the one convolution that both are."""
    layer, padding = found.layer, reached.padding
    if padding is None or not isinstance(layer, Conv) or layer.pad != (0, 0):
        return found, reached
    left, right, top, bottom = padding.sides
    if not np.array_equal(np.pad(padding.reached.x, ((0, 0), (top, bottom), (left, right))), reached.x, equal_nan=True):
        return found, reached  # it was written over since
    for pad in ("same", (top, left)):
        whole = replace(layer, pad=pad)
        window = whole.window(padding.reached.x.shape)
        if (window.before, window.after) == ((top, left), (bottom, right)):
            return replace(found, layer=whole), padding.reached
    return found, reached


def shown(shape: Shape) -> Shape:
    """A shape of a tensor as that of maps, of a matrix or of a vector: what stands before the last two axes is counted
    as one.

    Example:
        >>> shown((1, 8, 5, 4)), shown((8, 2, 5, 4)), shown((1, 5, 4)), shown((1, 4))
        ((8, 5, 4), (16, 5, 4), (5, 4), (4,))
    """
    if len(shape) == 2 and shape[0] == 1:
        return shape[1:]
    matrices = math.prod(shape[:-2])
    return shape[-2:] if matrices == 1 else (matrices, *shape[-2:])


def one_image(tensor: Tensor) -> Array:
    """The numbers of the one image."""
    return numbers(tensor[0]) if tensor.dim() > 0 and len(tensor) == 1 else numbers(tensor)
