"""Concatenation: branches look at the same input, and their maps are put one after another
(Szegedy et al. 2015, Going Deeper with Convolutions, figure 2).

    y = (F_1(x), F_2(x), ...)   by channel; by feature where the branches give vectors
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from striate.errors import ShapeError
from striate.layers import sequence
from striate.layers.block import Block, differ
from striate.layers.layer import Array, Layer, Parameters, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from torch import nn


@final
@dataclass(frozen=True)
class Concat(Block):
    """`concat(a | b | ...)`: the branches' maps, one after another by channel; rows and columns must agree.

    One branch may be empty: it hands on the input, `concat( | conv 8 3x3 pad=same)` (Huang et al. 2017, DenseNet).

    Attributes:
        joined: the layers of each branch, two branches or more.

    Example:
        >>> from striate.layers.conv import Conv
        >>> block = Concat(((Conv(4, (1, 1)),), (Conv(6, (3, 3), pad="same"),)))
        >>> str(block), block.output((3, 8, 8))
        ('concat(conv 4 1x1 | conv 6 3x3 pad=same)', (10, 8, 8))
    """

    word: ClassVar[str] = "concat"
    label: ClassVar[str] = "concat"

    joined: tuple[tuple[Layer, ...], ...]

    def __post_init__(self) -> None:
        if len(self.joined) < 2:
            raise ValueError(f"concat takes two branches or more, such as concat(a | b), found {len(self.joined)}")
        if self.joined.count(()) > 1:
            raise ValueError("only one branch of concat may be empty: each would hand on the same input")

    @property
    def branches(self) -> tuple[tuple[Layer, ...], ...]:
        return self.joined

    @classmethod
    def of(cls, branches: tuple[tuple[Layer, ...], ...]) -> Self:
        return cls(branches)

    def output(self, input: Shape) -> Shape:
        outputs = self.outputs(input)
        if len({shape[1:] for shape in outputs.values()}) > 1:
            raise ShapeError(f"branches must agree in rows and columns, but {differ(outputs)}")
        shapes = list(outputs.values())
        return sum(shape[0] for shape in shapes), *shapes[0][1:]

    def module(self, input: Shape) -> nn.Module:
        from striate.layers._joints import Concatenation

        return Concatenation({name: sequence.module(part, input) for name, part in self.parts(input).items()})

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        return np.concatenate(self.branch_values(x, theta, training=training), axis=1)

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        ends = np.cumsum([shape[0] for shape in self.outputs(x.shape[1:]).values()])
        return self.branch_gradients(x, np.split(dy, ends[:-1], axis=1), theta, training=training)
