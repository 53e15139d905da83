"""A dense layer applied at each position, of tokens or of maps: the same weights and biases everywhere.

    y[o] = b[o] + Σ_k W[o,k] · x[k]

k runs over the features of one position, as in the position-wise networks of Vaswani et al. 2017, Attention is all you
need, section 3.3. No text form has it: networks from elsewhere do. Letters as in `layer.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, final

from striate.layers.dense import Dense
from striate.layers.layer import Array, Shape, maps
from striate.layers.terms import Products, Spot, grid


@final
@dataclass(frozen=True)
class DenseAtEachPosition:
    """A dense layer on the channels of maps, position by position, as an equation.

    Attributes:
        dense: the layer.

    Example:
        >>> everywhere = DenseAtEachPosition(Dense(3))
        >>> str(everywhere), everywhere.output((8, 4, 4))
        ('dense 3 at each position', (3, 4, 4))
    """

    word: ClassVar[str] = Dense.word

    dense: Dense

    def __str__(self) -> str:
        return f"{self.dense} at each position"

    def output(self, input: Shape) -> Shape:
        """The shape that comes out when `input` goes in. Raises ShapeError where that is no maps."""
        _, rows, columns = maps(input, str(self))
        return self.dense.outputs, rows, columns

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Products:
        """What the equation makes one number of: that of the dense layer here; arguments as of `Layer.terms`."""
        o, i, j = at
        here = self.dense.terms(x[:, :, i, j], theta, (o,), image=image, training=training)
        return replace(here, places=grid(range(x.shape[1]), [i], [j]).reshape(-1, 3))
