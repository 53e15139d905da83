"""Functions of one number that networks from elsewhere use and no text form has: what each makes of it.

    clamp(x)     = min(high, max(low, x))
    prelu(x)     = x where x > 0, else slope_c · x, learned for each channel c        He et al. 2015
    softplus(x)  = 1/β · ln(1 + e^(β·x)), and x where β·x is above a threshold       Dugas et al. 2001
    mish(x)      = x · tanh(softplus(x))                                              Misra 2019
    gelutanh(x)  = x/2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))                     Hendrycks & Gimpel 2016

The last stands for the x · Φ(x) of `gelu`, where that was too slow. What has a text form stands on `activation.py`.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from striate.layers.layer import Array, Shape
from striate.layers.sigmoids import sigmoid
from striate.layers.terms import Formula, Spot, Step, single

Worked = tuple[str, dict[str, float], tuple[Step, ...]]
"""A function as an equation, the letters in it besides x, and its steps for one x."""


class Function(abc.ABC):
    """A function of one number, as an equation."""

    word: ClassVar[str]

    def __str__(self) -> str:
        return self.word

    def output(self, input: Shape) -> Shape:
        """The shape that goes in."""
        return input

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        """What the equation makes one number of; arguments as of `Layer.terms`."""
        del training
        value = float(x[image][at])
        equation, known, steps = self.worked(value, theta, at[0])
        return single(equation, {"x": value, **known}, at, *steps, size=self.size(value))

    @abc.abstractmethod
    def worked(self, x: float, theta: Mapping[str, Array], unit: int) -> Worked:
        """The function worked out for one number of a unit."""

    def size(self, x: float) -> float:
        """As `Formula.size`."""
        del x
        return 0.0


@final
@dataclass(frozen=True)
class Clamp(Function):
    """Bounded below, above, or both. Where the bounds are the wrong way round the upper one holds, as in torch.

    Attributes:
        low, high: the bounds; None where there is none.

    Example:
        >>> str(Clamp(low=-1.0)), Clamp(-1.0, 2.0).worked(-3.0, {}, 0)[2][0].value
        ('clamp low=-1', -1.0)
    """

    word: ClassVar[str] = "clamp"

    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return " ".join([self.word, *(f"{name}={bound:g}" for name, bound in self._bounds.items())])

    @property
    def _bounds(self) -> dict[str, float]:
        bounds = {"low": self.low, "high": self.high}
        return {name: float(bound) for name, bound in bounds.items() if bound is not None}

    def worked(self, x: float, theta: Mapping[str, Array], unit: int) -> Worked:
        above = "x" if self.low is None else "max(low, x)"
        formula = above if self.high is None else f"min(high, {above})"
        value = min(self._bounds.get("high", math.inf), max(self._bounds.get("low", -math.inf), x))
        return f"y = {formula}", self._bounds, (Step("y", formula, value),)


@final
@dataclass(frozen=True)
class PRelu(Function):
    """A leaky ReLU with a learned slope for each channel, which `theta` holds as `weight`.

    Example:
        >>> PRelu().worked(-4.0, {"weight": np.array([0.5, 0.25])}, 1)[2]
        (Step(letter='y', formula='slope · x', value=-1.0),)
    """

    word: ClassVar[str] = "prelu"

    def worked(self, x: float, theta: Mapping[str, Array], unit: int) -> Worked:
        slope = float(theta["weight"][unit])
        step = Step("y", "x", x) if x > 0 else Step("y", "slope · x", slope * x)
        return "y = x where x > 0, else slope_c · x", {"slope": slope}, (step,)


@final
@dataclass(frozen=True)
class Softplus(Function):
    """A smooth ReLU.

    Attributes:
        beta: β; the larger, the sharper the bend.
        threshold: of β · x; above it the bend is over.

    Example:
        >>> Softplus().worked(0.0, {}, 0)[2][-1].value == math.log(2)
        True
    """

    word: ClassVar[str] = "softplus"

    beta: float = 1.0
    threshold: float = 20.0

    def worked(self, x: float, theta: Mapping[str, Array], unit: int) -> Worked:
        known = {"β": float(self.beta), "threshold": float(self.threshold)}
        if self.beta * x > self.threshold:
            return self._equation, known, (Step("y", "x", x),)
        power = math.exp(self.beta * x)
        steps = Step("p", "e^(β · x)", power), Step("y", "ln(1 + p) / β", math.log1p(power) / self.beta)
        return self._equation, known, steps

    @property
    def _equation(self) -> str:
        return "y = 1/β · ln(1 + e^(β·x)), and x where β·x is above the threshold"


@final
@dataclass(frozen=True)
class Mish(Function):
    """x times a share of it: with p = e^x, tanh(ln(1 + p)) is p·(p + 2) / (p·(p + 2) + 2).

    Example:
        >>> Mish().worked(1000.0, {}, 0)[2][-1].value
        1000.0
    """

    word: ClassVar[str] = "mish"

    def worked(self, x: float, theta: Mapping[str, Array], unit: int) -> Worked:
        if x > 0:  # in powers that do not overflow
            p = math.exp(-x)
            share = (1 + 2 * p) / (1 + 2 * p + 2 * p**2)
            steps = Step("p", "e^(−x)", p), Step("t", "(1 + 2 · p) / (1 + 2 · p + 2 · p^2)", share)
        else:
            p = math.exp(x)
            share = p * (p + 2) / (p * (p + 2) + 2)
            steps = Step("p", "e^x", p), Step("t", "p · (p + 2) / (p · (p + 2) + 2)", share)
        return "y = x · tanh(ln(1 + e^x))", {}, (*steps, Step("y", "x · t", x * share))


@final
@dataclass(frozen=True)
class GeluTanh(Function):
    """`gelu` approximated by tanh, whose (1 + tanh(u)) / 2 is σ(2u).

    Example:
        >>> round(GeluTanh().worked(1.0, {}, 0)[2][-1].value, 4)
        0.8412
    """

    word: ClassVar[str] = "gelutanh"

    def worked(self, x: float, theta: Mapping[str, Array], unit: int) -> Worked:
        u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        s = float(sigmoid(np.array(2 * u)))
        share = "1 / (1 + e^(−2 · u))" if u > 0 else "e^(2 · u) / (1 + e^(2 · u))"  # in powers that do not overflow
        steps = Step("u", "√(2 / π) · (x + 0.044715 · x^3)", u), Step("s", share, s), Step("y", "x · s", x * s)
        return "y = x/2 · (1 + tanh(u)) = x · σ(2u),  u = √(2/π) · (x + 0.044715 · x³)", {"π": math.pi}, steps

    def size(self, x: float) -> float:
        """torch computes x/2 · (1 + tanh(u)): far below 0 little is left of the 1."""
        return abs(x) / 2
