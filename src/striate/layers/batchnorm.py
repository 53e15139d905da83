"""Batch normalization: every channel is brought to mean 0 and variance 1, then scaled and shifted as learned.

    y = γ · x̂ + β,   x̂ = (x - μ) / √(σ² + ε)

While training, μ and σ² are mean and variance of the channel over the batch (and over its positions); in evaluation
they are the running ones (Ioffe & Szegedy 2015, algorithms 1 and 2). γ is `weight`, β is `bias`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

import numpy as np

from striate.layers.layer import Array, Layer, Parameters, Shape
from striate.layers.terms import Formula, Source, Step
from striate.layers.values import Real

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from striate.layers.terms import Spot


@final
@dataclass(frozen=True)
class BatchNorm(Layer):
    """`batchnorm eps=1e-05 momentum=0.1`: on maps channel by channel, on vectors feature by feature.

    Attributes:
        eps: ε, keeps the division sound.
        momentum: the share of each batch in the running mean and variance.

    Example:
        >>> BatchNorm().parameters((64, 32, 32))
        128
    """

    word: ClassVar[str] = "batchnorm"
    label: ClassVar[str] = "batchnorm"

    eps: Annotated[float, Real(0, 1, open_least=True)] = 1e-5
    momentum: Annotated[float, Real(0, 1)] = 0.1

    def output(self, input: Shape) -> Shape:
        return input

    def parameters(self, input: Shape) -> int:
        """γ and β; the running mean and variance are not learned by gradient and do not count."""
        return 2 * input[0]

    def multiply_adds(self, input: Shape) -> int:
        """One for each number: in evaluation the layer is y = a·x + b with constant a and b."""
        return math.prod(input)

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        kind = nn.BatchNorm2d if len(input) == 3 else nn.BatchNorm1d
        return kind(input[0], self.eps, self.momentum)

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        x_hat, _ = self._normalized(x, theta, training)
        return per_channel(theta["weight"], x) * x_hat + per_channel(theta["bias"], x)

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        """Ioffe & Szegedy 2015, the chain rule of section 3, collected: μ and σ² depend on x while training only."""
        x_hat, deviation = self._normalized(x, theta, training)
        axes = all_but_channels(x)
        gradients = {"weight": (dy * x_hat).sum(axes), "bias": dy.sum(axes)}
        dx_hat = dy * per_channel(theta["weight"], x)
        if training:
            dx_hat = dx_hat - dx_hat.mean(axes, keepdims=True) - x_hat * (dx_hat * x_hat).mean(axes, keepdims=True)
        return dx_hat / deviation, gradients

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        c, axes = at[0], all_but_channels(x)
        mean = x.mean(axes) if training else theta["running_mean"]
        variance = x.var(axes) if training else theta["running_var"]
        known = {"x": float(x[image][at]), "μ": float(mean[c]), "σ²": float(variance[c]), "ε": self.eps}
        known |= {"γ": float(theta["weight"][c]), "β": float(theta["bias"][c])}
        deviation = math.sqrt(known["σ²"] + known["ε"])
        x_hat = (known["x"] - known["μ"]) / deviation
        steps = (
            Step("x̂", "(x − μ) / √(σ² + ε)", x_hat),
            Step("y", "γ · x̂ + β", known["γ"] * x_hat + known["β"]),
        )
        whole = f"mean and variance of the {x[:, c].size} numbers of unit {c} in this batch"
        remark = f"μ and σ² are {whole if training else 'the running ones, kept from training'}."
        largest = float(np.abs(x[:, c]).mean()) if training else abs(known["μ"])
        size = max(max(abs(known["x"]), largest) * abs(known["γ"]) / deviation, abs(known["β"]))
        sources = (Source(at, known["x"], known["x"]),)
        return Formula("y = γ · x̂ + β,  x̂ = (x − μ) / √(σ² + ε)", known, steps, sources, remark=remark, size=size)

    def running(self, x: Array, theta: Mapping[str, Array]) -> Parameters:
        """Running mean and variance after training on x; of the variance the unbiased estimate, as torch does."""
        mean, variance = x.mean(all_but_channels(x)), x.var(all_but_channels(x), ddof=1)
        m = self.momentum
        return {
            "running_mean": (1 - m) * theta["running_mean"] + m * mean,
            "running_var": (1 - m) * theta["running_var"] + m * variance,
        }

    def _normalized(self, x: Array, theta: Mapping[str, Array], training: bool) -> tuple[Array, Array]:
        """x̂, and √(σ² + ε) in a shape that broadcasts with x."""
        axes = all_but_channels(x)
        mean = x.mean(axes) if training else theta["running_mean"]
        variance = x.var(axes) if training else theta["running_var"]
        deviation = np.sqrt(per_channel(variance, x) + self.eps)
        return (x - per_channel(mean, x)) / deviation, deviation


def all_but_channels(x: Array) -> tuple[int, ...]:
    """The axes of a batch of maps or vectors besides that of the channels."""
    return (0, *range(2, x.ndim))


def per_channel(values: Array, x: Array) -> Array:
    """A number for each channel, in a shape that broadcasts with x."""
    return values.reshape(1, -1, *(1 for _ in x.shape[2:]))
