"""Activations: functions of one number that make a network more than one linear map.

    y = f(x)   for each number of x; nothing is learned, the shape stays

The functions stand in `rectifiers.py` (relu, leakyrelu, relu6, elu), `sigmoids.py` (sigmoid, tanh, hardsigmoid) and
`selfgated.py` (gelu, silu, hardswish). Softmax, a function of several numbers, has a file of its own.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

import numpy as np

from striate.layers.layer import Array, Layer, Parameters, Shape
from striate.layers.terms import Formula, Step, single

if TYPE_CHECKING:
    from collections.abc import Mapping

    from striate.layers.terms import Spot


class Activation(Layer):
    """A function of one number, applied to each: y = f(x), dx = f'(x) · dy. Nothing is learned, the shape stays."""

    def output(self, input: Shape) -> Shape:
        return input

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        return self.f(x)

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        return self.derivative(x) * dy, {}

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        value = float(x[image][at])
        equation, known, steps = self.worked(value)
        return single(equation, {"x": value, **known}, at, *steps, size=self.size(value))

    @abc.abstractmethod
    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        """The function as an equation, the letters in it besides x, and its steps for this x."""

    def size(self, x: float) -> float:
        """The size of what is added up on the way to f(x), where that is more than f(x); as `Formula.size`."""
        del x
        return 0.0

    @abc.abstractmethod
    def f(self, x: Array) -> Array:
        """The function."""

    @abc.abstractmethod
    def derivative(self, x: Array) -> Array:
        """Its derivative."""

    def at(self, x: float) -> float:
        """The function at one number."""
        return float(self.f(np.array(x)))
