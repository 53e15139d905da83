"""Sigmoids: activations that rise from one bound to another, like an S.

    sigmoid(x)     = σ(x) = 1 / (1 + e^-x)
    tanh(x)        = 2σ(2x) − 1
    hardsigmoid(x) = min(1, max(0, x/6 + 1/2))                 Howard et al. 2019, MobileNetV3, section 5.2

At its kinks the hard sigmoid's derivative is 0, as in torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from striate.layers.activation import Activation
from striate.layers.layer import Array, Shape
from striate.layers.terms import Step

if TYPE_CHECKING:
    from torch import nn


@final
@dataclass(frozen=True)
class Sigmoid(Activation):
    """`sigmoid`: 1 / (1 + e^-x).

    Example:
        >>> Sigmoid().f(np.array([-1000.0, 0.0, 1000.0]))
        array([0. , 0.5, 1. ])
    """

    word: ClassVar[str] = "sigmoid"
    label: ClassVar[str] = "sigmoid"

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.Sigmoid()

    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        return "y = 1 / (1 + e^−x)", {}, (Step("y", "1 / (1 + e^(−x))", self.at(x)),)

    def f(self, x: Array) -> Array:
        return sigmoid(x)

    def derivative(self, x: Array) -> Array:
        return sigmoid(x) * sigmoid(-x)


@final
@dataclass(frozen=True)
class Tanh(Activation):
    """`tanh`: 2σ(2x) − 1.

    Example:
        >>> Tanh().f(np.array([-1000.0, 0.0, 1000.0]))
        array([-1.,  0.,  1.])
    """

    word: ClassVar[str] = "tanh"
    label: ClassVar[str] = "tanh"

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.Tanh()

    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        s = float(sigmoid(np.array(2 * x)))
        steps = (Step("s", "1 / (1 + e^(−2 · x))", s), Step("y", "2 · s − 1", 2 * s - 1))
        return "y = 2σ(2x) − 1,  σ(x) = 1 / (1 + e^−x)", {}, steps

    def size(self, x: float) -> float:
        """Near 0 little is left of the 1."""
        return 1.0

    def f(self, x: Array) -> Array:
        return 2 * sigmoid(2 * x) - 1

    def derivative(self, x: Array) -> Array:
        return 4 * sigmoid(2 * x) * sigmoid(-2 * x)


@final
@dataclass(frozen=True)
class HardSigmoid(Activation):
    """`hardsigmoid`: min(1, max(0, x/6 + 1/2)), as torch has it.

    Example:
        >>> HardSigmoid().f(np.array([-4.0, 0.0, 1.5, 4.0]))
        array([0.  , 0.5 , 0.75, 1.  ])
    """

    word: ClassVar[str] = "hardsigmoid"
    label: ClassVar[str] = "hardsigmoid"

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.Hardsigmoid()

    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        return "y = min(1, max(0, x/6 + 1/2))", {}, (Step("y", "min(1, max(0, x / 6 + 1 / 2))", self.at(x)),)

    def size(self, x: float) -> float:
        """Near −3 little is left of the 1/2."""
        return 1 / 2 if -3 < x < 3 else 0.0

    def f(self, x: Array) -> Array:
        return hardsigmoid(x)

    def derivative(self, x: Array) -> Array:
        return np.where(np.abs(x) < 3, 1 / 6, 0.0)


def sigmoid(x: Array) -> Array:
    """σ(x), written with e^-|x| so that no power overflows.

    Example:
        >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
        array([0. , 0.5, 1. ])
    """
    power = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, power) / (1 + power)


def hardsigmoid(x: Array) -> Array:
    """min(1, max(0, x/6 + 1/2)).

    Example:
        >>> hardsigmoid(np.array([-3.0, 0.0, 3.0]))
        array([0. , 0.5, 1. ])
    """
    return np.minimum(1.0, np.maximum(0.0, x / 6 + 1 / 2))
