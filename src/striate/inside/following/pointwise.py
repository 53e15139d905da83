"""Calls that compute a function of one number, as layers."""

from __future__ import annotations

from collections.abc import Callable

from striate.inside.following.arguments import Given, require
from striate.inside.following.steps import Translated
from striate.layers.layer import Layer, Shape
from striate.layers.rectifiers import Elu, LeakyRelu, Relu6
from striate.layers.selfgated import Gelu


def gelu(given: Given, input: Shape) -> Translated:
    """`F.gelu`."""
    approximate = given["approximate"]
    require(approximate == "none", f"approximate={approximate!r}; explained is the exact 'none'")
    return Translated(Gelu())


def leaky_relu(given: Given, input: Shape) -> Translated:
    """`F.leaky_relu`."""
    return Translated(LeakyRelu(given["negative_slope"]))


def elu(given: Given, input: Shape) -> Translated:
    """`F.elu`."""
    # As TorchScript calls it, what stands third is a factor; as F.elu, whether x is overwritten.
    require(given["scale"] in (0, 1) and given["input_scale"] == 1, "a scale; explained is none")
    return Translated(Elu(given["alpha"]))


def prelu(given: Given, input: Shape) -> Translated:
    """`F.prelu`, with one slope: a leaky ReLU."""
    require(given["weight"].numel() == 1, f"{given['weight'].numel()} slopes; explained is one for all channels")
    return Translated(LeakyRelu(float(given["weight"])))


def ceiling(lowest: str, highest: str) -> Callable[[Given, Shape], Translated]:
    """ReLU6, written as a call with these bounds."""

    def translate(given: Given, input: Shape) -> Translated:
        low, high = given[lowest], given[highest]
        require((low, high) == (0, 6), f"{lowest}={low}, {highest}={high}; explained are 0 and 6, and 0 and none")
        return Translated(Relu6())

    return translate


def always(layer: Layer) -> Callable[[Given, Shape], Translated]:
    """What a function without settings is translated to."""

    def translate(given: Given, input: Shape) -> Translated:
        return Translated(layer)

    return translate
