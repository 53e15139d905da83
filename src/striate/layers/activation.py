"""Activations: functions that make a network more than one linear map; of one number each, but softmax.

    relu(x)      = max(0, x)                                   Nair & Hinton 2010
    leakyrelu(x) = x where x > 0, else slope · x               Maas et al. 2013
    gelu(x)      = x · Φ(x), Φ the normal distribution         Hendrycks & Gimpel 2016
    sigmoid(x)   = σ(x) = 1 / (1 + e^-x)
    tanh(x)      = 2σ(2x) − 1
    softmax(x)_c = e^x_c / Σ_d e^x_d, over channels or features c, d

Letters as in `layer.py`. At its kink a rectifier's derivative is the one from the left, as in torch.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

import numpy as np

from striate.layers.layer import Array, Layer, Parameters, Shape
from striate.layers.terms import Formula, Source, Step, Summed, single
from striate.layers.values import Real

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

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
        return single(equation, {"x": value, **known}, at, *steps)

    @abc.abstractmethod
    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        """The function as an equation, the letters in it besides x, and its steps for this x."""

    @abc.abstractmethod
    def f(self, x: Array) -> Array:
        """The function."""

    @abc.abstractmethod
    def derivative(self, x: Array) -> Array:
        """Its derivative."""


@final
@dataclass(frozen=True)
class Relu(Activation):
    """`relu`: max(0, x).

    Example:
        >>> Relu().f(np.array([-2.0, 3.0]))
        array([0., 3.])
    """

    word: ClassVar[str] = "relu"
    label: ClassVar[str] = "relu"

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.ReLU()

    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        return "y = max(0, x)", {}, (Step("y", "max(0, x)", _at(self, x)),)

    def f(self, x: Array) -> Array:
        return np.maximum(0.0, x)

    def derivative(self, x: Array) -> Array:
        return np.where(x > 0, 1.0, 0.0)


@final
@dataclass(frozen=True)
class LeakyRelu(Activation):
    """`leakyrelu slope=0.01`: x where x > 0, else slope · x.

    Attributes:
        slope: of the negative side.

    Example:
        >>> LeakyRelu(slope=0.5).f(np.array([-2.0, 3.0]))
        array([-1.,  3.])
    """

    word: ClassVar[str] = "leakyrelu"
    label: ClassVar[str] = "leakyrelu"

    slope: Annotated[float, Real(0, 1)] = 0.01

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.LeakyReLU(self.slope)

    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        step = Step("y", "x" if x > 0 else "slope · x", _at(self, x))
        return "y = x where x > 0, else slope · x", {"slope": self.slope}, (step,)

    def f(self, x: Array) -> Array:
        return np.where(x > 0, x, self.slope * x)

    def derivative(self, x: Array) -> Array:
        return np.where(x > 0, 1.0, self.slope)


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

    def f(self, x: Array) -> Array:
        return x * _normal_distribution(x)

    def derivative(self, x: Array) -> Array:
        density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
        return _normal_distribution(x) + x * density


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
        return "y = 1 / (1 + e^−x)", {}, (Step("y", "1 / (1 + e^(−x))", _at(self, x)),)

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

    def f(self, x: Array) -> Array:
        return 2 * sigmoid(2 * x) - 1

    def derivative(self, x: Array) -> Array:
        return 4 * sigmoid(2 * x) * sigmoid(-2 * x)


@final
@dataclass(frozen=True)
class Softmax(Layer):
    """`softmax`: positive numbers that add up to 1, over the features of a vector, over the channels of maps.

    Example:
        >>> Softmax().forward(np.array([[1000.0, 1000.0]]), {})
        array([[0.5, 0.5]])
    """

    word: ClassVar[str] = "softmax"
    label: ClassVar[str] = "softmax"

    def output(self, input: Shape) -> Shape:
        return input

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.Softmax(dim=1)

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        # The same with a constant taken from every x; with their maximum, no power overflows.
        powers = np.exp(x - x.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        """∂y_c/∂x_d = y_c · (δ_cd − y_d)."""
        y = self.forward(x, theta)
        return y * (dy - (dy * y).sum(1, keepdims=True)), {}

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        c, *position = at
        beside = x[(image, slice(None), *position)]
        m = float(beside.max())
        places = np.array([(d, *position) for d in range(len(beside))])
        summed = Summed("e^(x_d − m)", beside, np.exp(beside - m), places)
        y = float(summed.added[c]) / summed.total
        pairs = zip(places, beside, summed.added, strict=True)
        shares = [Source(tuple(place.tolist()), float(value), float(power)) for place, value, power in pairs]
        others = sorted((share for share in shares if share.at != at), key=lambda share: -share.adds)
        return Formula(
            "y_c = e^x_c / Σ_d e^x_d",
            {"x": float(beside[c]), "m": m},
            (Step("y", "e^(x − m) / Σ", y),),
            (shares[c], *others),
            summed,
            remark="m is the largest x_d; taken from every x it changes no quotient, and no power overflows.",
        )


def sigmoid(x: Array) -> Array:
    """σ(x), written with e^-|x| so that no power overflows.

    Example:
        >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
        array([0. , 0.5, 1. ])
    """
    power = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, power) / (1 + power)


def _at(activation: Activation, x: float) -> float:
    """The function at one number."""
    return float(activation.f(np.array(x)))


def _normal_distribution(x: Array) -> Array:
    """Φ(x), the probability that a standard normal number is below x."""
    below = [math.erfc(-value / math.sqrt(2)) / 2 for value in x.ravel().tolist()]
    return np.array(below, dtype=np.float64).reshape(x.shape)
