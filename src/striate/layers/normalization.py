"""Normalization within one image: numbers are brought to mean 0 and variance 1 together, then scaled and shifted.

    y = γ · x̂ + β,   x̂ = (x − μ) / √(σ² + ε),   μ = 1/n · Σ_d x_d,   σ² = 1/n · Σ_d (x_d − μ)²

d runs over the n numbers that are normalized together: of a layer norm all channels at one position (Ba, Kiros &
Hinton 2016, eq. 3; on maps as in ConvNeXt, Liu et al. 2022), of a group norm all numbers of a group of neighbouring
channels (Wu & He 2018, eq. 1, 2, 6 and 7). No other image of the batch takes part, so that training and evaluation are
the same. γ is `weight`, β is `bias`, one of each for every channel.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

import numpy as np

from striate.errors import ShapeError
from striate.layers.batchnorm import all_but_channels, per_channel
from striate.layers.layer import Array, Layer, Parameters, Shape, shape_text
from striate.layers.terms import Formula, Sources, Step, Summed, grid
from striate.layers.values import Real, Whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Int
    from torch import nn

    from striate.layers.terms import Spot


class Normalization(Layer):
    """What layer and group norm share: everything but which numbers are normalized together."""

    eps: float

    def output(self, input: Shape) -> Shape:
        if self.count(input) == 1:
            raise ShapeError(
                f"{self.word} of {shape_text(input)} would normalize each number alone, which makes all of them 0"
            )
        return input

    def parameters(self, input: Shape) -> int:
        """γ and β of every channel."""
        return 2 * input[0]

    def multiply_adds(self, input: Shape) -> int:
        """One for each number, γ · x̂."""
        return math.prod(input)

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        x_hat, _ = self._normalized(x)
        return per_channel(theta["weight"], x) * x_hat.reshape(x.shape) + per_channel(theta["bias"], x)

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        """As of batch norm while training (Ioffe & Szegedy 2015, section 3): μ and σ² depend on x."""
        x_hat, deviation = self._normalized(x)
        axes = all_but_channels(x)
        gradients = {"weight": (dy * x_hat.reshape(x.shape)).sum(axes), "bias": dy.sum(axes)}
        dx_hat = self.apart(dy * per_channel(theta["weight"], x))
        dx_hat = dx_hat - _mean(dx_hat) - x_hat * _mean(dx_hat * x_hat)
        return (dx_hat / deviation).reshape(x.shape), gradients

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        places = self.together(x.shape[1:], at)
        beside = x[image][tuple(places.T)]
        known = {"x": float(x[image][at]), "μ": float(beside.mean()), "n": float(len(beside)), "ε": float(self.eps)}
        known |= {"γ": float(theta["weight"][at[0]]), "β": float(theta["bias"][at[0]])}
        summed = Summed("(x_d − μ)^2", beside, (beside - known["μ"]) ** 2, places)
        variance = summed.total / len(beside)
        deviation = math.sqrt(variance + known["ε"])
        x_hat = (known["x"] - known["μ"]) / deviation
        steps = (
            Step("σ²", "Σ / n", variance),
            Step("x̂", "(x − μ) / √(σ² + ε)", x_hat),
            Step("y", "γ · x̂ + β", known["γ"] * x_hat + known["β"]),
        )
        return Formula(
            "y = γ · x̂ + β,  x̂ = (x − μ) / √(σ² + ε),  σ² = 1/n · Σ_d (x_d − μ)²",
            known,
            steps,
            _sources(summed, at),
            summed,
            remark=f"μ is the mean of the n numbers x_d: {self.whole(x.shape[1:], at)}.",
            size=max(max(abs(known["x"]), float(np.abs(beside).mean())) * abs(known["γ"]) / deviation, abs(known["β"])),
        )

    @abc.abstractmethod
    def count(self, input: Shape) -> int:
        """How many numbers are normalized together, n."""

    @abc.abstractmethod
    def apart(self, x: Array) -> Array:
        """A batch with what is normalized together along axis 1, in the order in which `reshape` undoes it."""

    @abc.abstractmethod
    def together(self, input: Shape, at: Spot) -> Int[np.ndarray, "n axes"]:
        """The places of all numbers that are normalized together with the one at `at`."""

    @abc.abstractmethod
    def whole(self, input: Shape, at: Spot) -> str:
        """What these numbers are, in words."""

    def _normalized(self, x: Array) -> tuple[Array, Array]:
        """x̂, apart, and √(σ² + ε) in a shape that broadcasts with it."""
        values = self.apart(x)
        centred = values - _mean(values)
        deviation = np.sqrt(_mean(centred**2) + self.eps)
        return centred / deviation, deviation


@final
@dataclass(frozen=True)
class LayerNorm(Normalization):
    """`layernorm eps=1e-05`: on maps over the channels at each position, on vectors over all features.

    Attributes:
        eps: ε, keeps the division sound.

    Example:
        >>> theta = {"weight": np.ones(2), "bias": np.zeros(2)}
        >>> LayerNorm(eps=1e-12).forward(np.array([[3.0, 7.0]]), theta).round(6)
        array([[-1.,  1.]])
    """

    word: ClassVar[str] = "layernorm"
    label: ClassVar[str] = "layernorm"

    eps: Annotated[float, Real(0, 1, open_least=True)] = 1e-5

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        from striate.layers._channelnorm import ChannelNorm

        return (nn.LayerNorm if len(input) == 1 else ChannelNorm)(input[0], self.eps)

    def count(self, input: Shape) -> int:
        return input[0]

    def apart(self, x: Array) -> Array:
        return x

    def together(self, input: Shape, at: Spot) -> Int[np.ndarray, "n axes"]:
        return grid(range(input[0]), *(range(place, place + 1) for place in at[1:])).reshape(-1, len(input))

    def whole(self, input: Shape, at: Spot) -> str:
        return f"the {input[0]} features" if len(input) == 1 else f"the {input[0]} channels at this position"


@final
@dataclass(frozen=True)
class GroupNorm(Normalization):
    """`groupnorm 4 eps=1e-05`: over each group of neighbouring channels, all positions together.

    One group is a layer norm over the whole image; as many groups as channels are an instance norm (Ulyanov et al.
    2016).

    Attributes:
        groups: into how many groups the channels are divided; must divide them evenly.
        eps: ε, keeps the division sound.

    Example:
        >>> GroupNorm(4).parameters((64, 32, 32))
        128
    """

    word: ClassVar[str] = "groupnorm"
    label: ClassVar[str] = "groupnorm"

    groups: Annotated[int, Whole(1, 1_000_000)]
    eps: Annotated[float, Real(0, 1, open_least=True)] = 1e-5

    def output(self, input: Shape) -> Shape:
        if input[0] % self.groups:
            raise ShapeError(f"groups of groupnorm must divide the channels: {self.groups} does not divide {input[0]}")
        return super().output(input)

    def window(self, input: Shape) -> None:
        """None: every number of a group depends on all its positions."""
        return

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.GroupNorm(self.groups, input[0], self.eps)

    def count(self, input: Shape) -> int:
        return math.prod(input) // self.groups

    def apart(self, x: Array) -> Array:
        return x.reshape(len(x) * self.groups, self.count(x.shape[1:]))

    def together(self, input: Shape, at: Spot) -> Int[np.ndarray, "n axes"]:
        channels = self._channels(input, at)
        return grid(channels, *map(range, input[1:])).reshape(-1, len(input))

    def whole(self, input: Shape, at: Spot) -> str:
        channels = self._channels(input, at)
        everywhere = ", at all positions" if len(input) == 3 else ""
        units = f"units {channels[0]} to {channels[-1]}" if len(channels) > 1 else f"unit {channels[0]}"
        return f"{units}{everywhere}"

    def _channels(self, input: Shape, at: Spot) -> range:
        """The channels of the group."""
        size = input[0] // self.groups
        first = at[0] - at[0] % size
        return range(first, first + size)


def _mean(values: Array) -> Array:
    return values.mean(1, keepdims=True)


def _sources(summed: Summed, at: Spot) -> Sources:
    """The number itself, then those that are normalized with it, the farthest from the mean first."""
    own = int(np.flatnonzero((summed.places == at).all(1))[0])
    adds = summed.added.copy()
    adds[own] = summed.x[own]
    return Sources(summed.x, adds, summed.places, own)
