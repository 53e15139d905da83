"""Softmax: numbers become shares of 1, those of classes above all.

    softmax(x)_c    = e^x_c / Σ_d e^x_d         over channels or features c, d
    logsoftmax(x)_c = x_c − ln Σ_d e^x_d        its logarithm

Goodfellow et al. 2016, Deep Learning, eq. 6.29. Letters as in `layer.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np

from striate.layers.layer import Array, Layer, Parameters, Shape
from striate.layers.terms import Formula, Source, Step, Summed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from striate.layers.terms import Spot


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
        return share(x[image], at)


@final
@dataclass(frozen=True)
class LogSoftmax(Layer):
    """`logsoftmax`: the logarithms of softmax's shares, over the features of a vector, over the channels of maps.

    Example:
        >>> LogSoftmax().forward(np.array([[1000.0, 1000.0]]), {}).round(4)
        array([[-0.6931, -0.6931]])
    """

    word: ClassVar[str] = "logsoftmax"
    label: ClassVar[str] = "logsoftmax"

    def output(self, input: Shape) -> Shape:
        return input

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.LogSoftmax(dim=1)

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        moved = x - x.max(1, keepdims=True)
        return moved - np.log(np.exp(moved).sum(1, keepdims=True))

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        """∂y_c/∂x_d = δ_cd − e^y_d."""
        return dy - np.exp(self.forward(x, theta)) * dy.sum(1, keepdims=True), {}

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        return log_share(x[image], at)


@final
@dataclass(frozen=True)
class SoftmaxAlong:
    """Either of them along another axis than that of the units, as attention takes it over its keys: an equation alone.

    Attributes:
        axis: -1 for the columns, -2 for the rows.
        kind: which of them.

    Example:
        >>> along = SoftmaxAlong(-1)
        >>> str(along), along.terms(np.array([[[0.0, 0.0], [5.0, 5.0]]]), {}, (1, 0)).value
        ('softmax over columns', 0.5)
    """

    word: ClassVar[str] = "softmax"

    axis: Literal[-1, -2]
    kind: Softmax | LogSoftmax = field(default_factory=Softmax)

    def __str__(self) -> str:
        return f"{self.kind.word} over {'columns' if self.axis == -1 else 'rows'}"

    def output(self, input: Shape) -> Shape:
        """The shape that goes in."""
        return input

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        """What the equation makes one number of; arguments as of `Layer.terms`."""
        del theta, training
        return (share if isinstance(self.kind, Softmax) else log_share)(x[image], at, self.axis % len(at))


def share(x: Array, at: Spot, axis: int = 0) -> Formula:
    """The terms of a share of 1, of one image's numbers along an axis."""
    shares, known, summed = _powers(x, at, axis)
    y = summed.added[at[axis]] / summed.total
    return Formula(
        "y_c = e^x_c / Σ_d e^x_d",
        known,
        (Step("y", "e^(x − m) / Σ", float(y)),),
        shares,
        summed,
        remark="m is the largest x_d; taken from every x it changes no quotient, and no power overflows.",
        size=max(known["m"] - known["x"], 1) * float(y),  # what is lost of an exponent is lost of its power
    )


def log_share(x: Array, at: Spot, axis: int = 0) -> Formula:
    """The terms of the logarithm of a share, of one image's numbers along an axis."""
    shares, known, summed = _powers(x, at, axis)
    y = known["x"] - known["m"] - float(np.log(summed.total))
    return Formula(
        "y_c = x_c − ln Σ_d e^x_d",
        known,
        (Step("y", "x − m − ln(Σ)", y),),
        shares,
        summed,
        remark="m is the largest x_d; taken from every x and put back it changes nothing, and no power overflows.",
        size=max(abs(known["x"]), abs(known["m"])),
    )


def _powers(x: Array, at: Spot, axis: int) -> tuple[tuple[Source, ...], dict[str, float], Summed]:
    """Σ of e^(x_d − m) along an axis: the number itself and the others as sources, the letters x and m, the sum."""
    c = at[axis]
    beside = x[(*at[:axis], slice(None), *at[axis + 1 :])]
    m = float(beside.max())
    places = np.array([(*at[:axis], d, *at[axis + 1 :]) for d in range(len(beside))])
    summed = Summed("e^(x_d − m)", beside, np.exp(beside - m), places)
    triples = zip(places, beside, summed.added, strict=True)
    shares = [Source(tuple(place.tolist()), float(value), float(power)) for place, value, power in triples]
    others = sorted((share for share in shares if share.at != at), key=lambda share: -share.adds)
    return (shares[c], *others), {"x": float(beside[c]), "m": m}, summed
