"""Dense (fully connected) layers: every output sees every input.

    y[n,o] = b[o] + Σ_k W[o,k] · x[n,k]

k runs over all features; maps are flattened first, channel by channel, row by row. Letters as in `layer.py`;
Goodfellow et al. 2016, Deep Learning, eq. 6.36.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

import numpy as np

from striate.layers.layer import Array, Layer, Parameters, Shape
from striate.layers.terms import Products, grid
from striate.layers.values import Whole, YesNo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from striate.layers.terms import Spot


@final
@dataclass(frozen=True)
class Dense(Layer):
    """`dense 100 bias=no`: `outputs` weighted sums of all inputs.

    Attributes:
        outputs: features that come out.
        bias: whether each has a bias.

    Example:
        >>> dense = Dense(30)
        >>> dense.output((1, 28, 28)), dense.parameters((1, 28, 28))
        ((30,), 23550)
    """

    word: ClassVar[str] = "dense"
    label: ClassVar[str] = "dense"

    outputs: Annotated[int, Whole(1, 1_000_000)]
    bias: Annotated[bool, YesNo()] = True

    def output(self, input: Shape) -> Shape:
        return (self.outputs,)

    def parameters(self, input: Shape) -> int:
        return self.outputs * (math.prod(input) + self.bias)

    def multiply_adds(self, input: Shape) -> int:
        """One product for every weight; adding the bias does not count."""
        return self.outputs * math.prod(input)

    def window(self, input: Shape) -> None:
        return None

    def before(self, input: Shape) -> dict[str, nn.Module]:
        if len(input) == 1:
            return {}
        from torch import nn

        return {"flatten": nn.Flatten()}

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.Linear(math.prod(input), self.outputs, self.bias)

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        y = np.einsum("ok,nk->no", theta["weight"], _flat(x))
        return y + theta["bias"] if self.bias else y

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        dx = np.einsum("ok,no->nk", theta["weight"], dy).reshape(x.shape)
        dW = np.einsum("no,nk->ok", dy, _flat(x))
        return dx, {"weight": dW} | ({"bias": dy.sum(0)} if self.bias else {})

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Products:
        (o,) = at
        places = grid(*map(range, x.shape[1:])).reshape(-1, x.ndim - 1)
        b = float(theta["bias"][o]) if self.bias else None
        inside = np.ones(len(places), dtype=bool)
        equation = f"y[o] = {'b[o] + ' if self.bias else ''}Σ_k W[o,k] · x[k]"
        return Products(equation, _flat(x)[image], theta["weight"][o], b, places, inside)


def _flat(x: Array) -> Array:
    return x.reshape(len(x), math.prod(x.shape[1:]))
