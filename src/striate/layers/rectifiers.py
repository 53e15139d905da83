"""Rectifiers: activations that let what is above 0 pass, and hold back what is below.

    relu(x)      = max(0, x)                                   Nair & Hinton 2010
    leakyrelu(x) = x where x > 0, else slope · x               Maas et al. 2013
    relu6(x)     = min(6, max(0, x))                           Krizhevsky 2010, used in MobileNets (Howard et al. 2017)
    elu(x)       = x where x > 0, else α · (e^x − 1)           Clevert et al. 2015

At 0 a rectifier's derivative is the one from the left; at 6 relu6's is the one from the right; as in torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

import numpy as np

from striate.layers.activation import Activation
from striate.layers.layer import Array, Shape
from striate.layers.terms import Step
from striate.layers.values import Real

if TYPE_CHECKING:
    from torch import nn


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
        return "y = max(0, x)", {}, (Step("y", "max(0, x)", self.at(x)),)

    def f(self, x: Array) -> Array:
        return np.maximum(0.0, x)

    def derivative(self, x: Array) -> Array:
        return np.where(x > 0, 1.0, 0.0)


@final
@dataclass(frozen=True)
class LeakyRelu(Activation):
    """`leakyrelu slope=0.01`: x where x > 0, else slope · x.

    Attributes:
        slope: of the negative side; usually from 0 to 1, learned ones may be any number.

    Example:
        >>> LeakyRelu(slope=0.5).f(np.array([-2.0, 3.0]))
        array([-1.,  3.])
    """

    word: ClassVar[str] = "leakyrelu"
    label: ClassVar[str] = "leakyrelu"

    slope: Annotated[float, Real(-1e6, 1e6)] = 0.01

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.LeakyReLU(self.slope)

    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        step = Step("y", "x" if x > 0 else "slope · x", self.at(x))
        return "y = x where x > 0, else slope · x", {"slope": self.slope}, (step,)

    def f(self, x: Array) -> Array:
        return np.where(x > 0, x, self.slope * x)

    def derivative(self, x: Array) -> Array:
        return np.where(x > 0, 1.0, self.slope)


@final
@dataclass(frozen=True)
class Relu6(Activation):
    """`relu6`: min(6, max(0, x)). It is named relu1, relu2, ...: relu61 would be the sixty-first relu.

    Example:
        >>> Relu6().f(np.array([-2.0, 3.0, 8.0]))
        array([0., 3., 6.])
    """

    word: ClassVar[str] = "relu6"
    label: ClassVar[str] = "relu"

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.ReLU6()

    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        return "y = min(6, max(0, x))", {}, (Step("y", "min(6, max(0, x))", self.at(x)),)

    def f(self, x: Array) -> Array:
        return np.minimum(6.0, np.maximum(0.0, x))

    def derivative(self, x: Array) -> Array:
        return np.where((x > 0) & (x < 6), 1.0, 0.0)


@final
@dataclass(frozen=True)
class Elu(Activation):
    """`elu alpha=1`: x where x > 0, else α · (e^x − 1), which does not fall below −α.

    Attributes:
        alpha: how far below 0 it may fall, α.

    Example:
        >>> Elu(alpha=0.5).f(np.array([-1000.0, 3.0]))
        array([-0.5,  3. ])
    """

    word: ClassVar[str] = "elu"
    label: ClassVar[str] = "elu"

    alpha: Annotated[float, Real(0, 1e6)] = 1

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.ELU(self.alpha)

    def worked(self, x: float) -> tuple[str, dict[str, float], tuple[Step, ...]]:
        power = Step("p", "e^x", float(np.exp(min(x, 0.0))))
        steps = (Step("y", "x", x),) if x > 0 else (power, Step("y", "α · (p − 1)", self.at(x)))
        return "y = x where x > 0, else α · (e^x − 1)", {"α": float(self.alpha)}, steps

    def f(self, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0.0)))

    def derivative(self, x: Array) -> Array:
        return np.where(x > 0, 1.0, self.alpha * np.exp(np.minimum(x, 0.0)))
