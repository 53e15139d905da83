"""Calls that compute a function of one number, as layers."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from striate.inside.following.arguments import Given, held, require
from striate.inside.following.steps import Translated
from striate.layers.equations.functions import Clamp, GeluTanh, PRelu, Softplus
from striate.layers.layer import Equation, Shape
from striate.layers.rectifiers import Elu, LeakyRelu, Relu6
from striate.layers.selfgated import Gelu


def gelu(given: Given, input: Shape) -> Translated:
    """`F.gelu`."""
    return Translated(GeluTanh() if given["approximate"] == "tanh" else Gelu())


def leaky_relu(given: Given, input: Shape) -> Translated:
    """`F.leaky_relu`."""
    return Translated(LeakyRelu(given["negative_slope"]))


def elu(given: Given, input: Shape) -> Translated:
    """`F.elu`."""
    # As TorchScript calls it, what stands third is a factor; as F.elu, whether x is overwritten.
    require(given["scale"] in (0, 1) and given["input_scale"] == 1, "a scale; explained is none")
    return Translated(Elu(given["alpha"]))


def prelu(given: Given, input: Shape) -> Translated:
    """`F.prelu`, with one slope: a leaky ReLU; or with one for each channel, which torch takes to stand first."""
    slopes = given["weight"]
    if slopes.numel() == 1:
        return Translated(LeakyRelu(float(slopes)))
    require(not given["channels_last"], f"{slopes.numel()} slopes of maps with the channels last, one for each row")
    return Translated(PRelu(), held(weight=slopes))


def softplus(given: Given, input: Shape) -> Translated:
    """`F.softplus`."""
    return Translated(Softplus(given["beta"], given["threshold"]))


def bounded(lowest: str, highest: str) -> Callable[[Given, Shape], Translated]:
    """Bounds on either side or both, by what the arguments are called; ReLU6 where they are 0 and 6."""

    def translate(given: Given, input: Shape) -> Translated:
        bounds = {name: given.get(name) for name in (lowest, highest)}
        for name, bound in bounds.items():
            require(not isinstance(bound, Tensor), f"a tensor as {name}; explained are numbers")
        low, high = bounds.values()
        return Translated(Relu6() if (low, high) == (0, 6) else Clamp(low, high))

    return translate


def always(layer: Equation) -> Callable[[Given, Shape], Translated]:
    """What a function without settings is translated to."""

    def translate(given: Given, input: Shape) -> Translated:
        return Translated(layer)

    return translate
