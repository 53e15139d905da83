"""Self-gated activations: x times a share of it, between 0 and 1, that x itself decides.

    gelu(x)      = x · Φ(x), Φ the normal distribution         Hendrycks & Gimpel 2016
    silu(x)      = x · σ(x), also called swish                 Elfwing et al. 2017, Ramachandran et al. 2017
    hardswish(x) = x · min(1, max(0, x/6 + 1/2))               Howard et al. 2019, MobileNetV3, eq. of section 5.2

At its kinks the hard swish's derivative is that of the straight side, 0 and 1, as in torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from striate.layers.activation import Activation
from striate.layers.layer import Array, Shape
from striate.layers.sigmoids import hardsigmoid, sigmoid
from striate.layers.terms import Step

if TYPE_CHECKING:
    from torch import nn


@final
@dataclass(frozen=True)
class Gelu(Activation):
    """`gelu`: x · Φ(x) with the exact Φ, not the approximation by tanh.

    Example:
        >>> Gelu().f(np.array([0.0, 1.0])).round(4)
        array([0.    , 0.8413])
    """

    word: ClassVar[str] = "gelu"
    label: ClassVar[str] = "gelu"

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.GELU()

    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        p = float(_normal_distribution(np.array(x)))
        return "y = x · Φ(x)", {}, (Step("p", "Φ(x)", p), Step("y", "x · p", x * p))

    def size(self, x: float) -> float:
        """torch computes x/2 · (1 + erf(x/√2)): far below 0 little is left of the 1."""
        return abs(x) / 2

    def f(self, x: Array) -> Array:
        return x * _normal_distribution(x)

    def derivative(self, x: Array) -> Array:
        density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
        return _normal_distribution(x) + x * density


@final
@dataclass(frozen=True)
class Silu(Activation):
    """`silu`: x · σ(x), also called swish.

    Example:
        >>> Silu().f(np.array([-1000.0, 0.0, 1000.0])) + 0.0
        array([   0.,    0., 1000.])
    """

    word: ClassVar[str] = "silu"
    label: ClassVar[str] = "silu"

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.SiLU()

    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        s = float(sigmoid(np.array(x)))
        steps = (Step("s", "1 / (1 + e^(−x))", s), Step("y", "x · s", x * s))
        return "y = x · σ(x),  σ(x) = 1 / (1 + e^−x)", {}, steps

    def f(self, x: Array) -> Array:
        return x * sigmoid(x)

    def derivative(self, x: Array) -> Array:
        return sigmoid(x) * (1 + x * sigmoid(-x))


@final
@dataclass(frozen=True)
class HardSwish(Activation):
    """`hardswish`: x · min(1, max(0, x/6 + 1/2)).

    Example:
        >>> HardSwish().f(np.array([-4.0, 1.5, 4.0])) + 0.0
        array([0.   , 1.125, 4.   ])
    """

    word: ClassVar[str] = "hardswish"
    label: ClassVar[str] = "hardswish"

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.Hardswish()

    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        s = float(hardsigmoid(np.array(x)))
        steps = (Step("s", "min(1, max(0, x / 6 + 1 / 2))", s), Step("y", "x · s", x * s))
        return "y = x · min(1, max(0, x/6 + 1/2))", {}, steps

    def size(self, x: float) -> float:
        """Near −3 little is left of x · 1/2."""
        return abs(x) / 2 if -3 < x < 3 else 0.0

    def f(self, x: Array) -> Array:
        return x * hardsigmoid(x)

    def derivative(self, x: Array) -> Array:
        return np.where(np.abs(x) < 3, x / 3 + 1 / 2, np.where(x > 0, 1.0, 0.0))


def _normal_distribution(x: Array) -> Array:
    """Φ(x), the probability that a standard normal number is below x."""
    below = [math.erfc(-value / math.sqrt(2)) / 2 for value in x.ravel().tolist()]
    return np.array(below, dtype=np.float64).reshape(x.shape)
