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
from striate.layers.terms import Formula, Source, Step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from torch import nn

    from striate.layers.terms import Spot


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
        super().__post_init__()
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

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        names = self.parts(x.shape[1:])
        values = self.branch_values(x, theta, training=training)
        return chosen({name: value[image] for name, value in zip(names, values, strict=True)}, at)


def chosen(values: Mapping[str, Array], at: Spot) -> Formula:
    """The terms of a number of a concatenation: the number of the one branch that stands there.

    Arguments:
        values: name of branch -> what leaves it for one image, in order.
        at: the place in the concatenation.

    Example:
        >>> chosen({"branch1": np.zeros(2), "branch2": np.array([7.0, 8.0])}, (3,)).remark
        'Unit 3 is unit 1 of branch2: 2 units stand before it.'
    """
    ends = np.cumsum([len(value) for value in values.values()])
    which = int(np.searchsorted(ends, at[0], side="right"))
    name, value = list(values.items())[which]
    before = int(ends[which]) - len(value)
    own = (at[0] - before, *at[1:])
    y = float(value[own])
    remark = f"Unit {at[0]} is unit {own[0]} of {name}: {before} units stand before it."
    return Formula(
        "y = (F_1(x), F_2(x), ...)", {"x": y}, (Step("y", "x", y),), (Source(own, y, y, name),), remark=remark
    )
