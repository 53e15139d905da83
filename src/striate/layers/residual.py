"""Residual blocks: what the body computes is added to its input (He et al. 2016, Deep Residual Learning, eq. 1 and 2).

    y = F(x) + S(x)

F is the body. S, the shortcut, is x itself where the shapes agree; else a projection W_s x: a 1x1 convolution without
bias on maps, a dense layer without bias on vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, final

from striate.errors import ShapeError
from striate.layers import sequence
from striate.layers.block import Block, differ
from striate.layers.conv import Conv
from striate.layers.dense import Dense
from striate.layers.layer import Array, Layer, Parameters, Shape, shape_text
from striate.layers.terms import Formula, Source, Step
from striate.layers.window import Field

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from torch import nn

    from striate.layers.terms import Spot


@final
@dataclass(frozen=True)
class Residual(Block):
    """`residual(body)` or `residual(body | shortcut)`: the body's output plus the input.

    The projection that is put in where the shapes differ has the body's stride, so that both see the same place; where
    a 1x1 convolution of that stride does not give the body's rows and columns, the block is refused and the shortcut
    has to be written. An empty body or an empty shortcut is refused: the first would double the input, the second
    says no more than leaving it out.

    Attributes:
        body: the layers whose output is added, at least one.
        shortcut: the layers that the input goes through; None for the identity or the projection.

    Example:
        >>> block = Residual((Conv(8, (3, 3), stride=(2, 2), pad=(1, 1)),))
        >>> block.output((4, 6, 6)), [str(layer) for layer in block.parts((4, 6, 6))["shortcut"]]
        ((8, 3, 3), ['conv 8 1x1 stride=2x2 bias=no'])
    """

    word: ClassVar[str] = "residual"
    label: ClassVar[str] = "residual"
    branch_names: ClassVar[tuple[str, ...]] = ("body", "shortcut")

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.body:
            raise ValueError("residual needs layers in its body: residual(body) or residual(body | shortcut)")
        if self.shortcut is not None and not self.shortcut:
            raise ValueError("the shortcut of residual is empty; leave out the | where the input is added as it is")

    @property
    def branches(self) -> tuple[tuple[Layer, ...], ...]:
        return (self.body,) if self.shortcut is None else (self.body, self.shortcut)

    @classmethod
    def of(cls, branches: tuple[tuple[Layer, ...], ...]) -> Self:
        if len(branches) not in (1, 2):
            raise ValueError(f"residual takes a body and at most one shortcut, found {len(branches)} branches")
        return cls(*branches)

    def parts(self, input: Shape) -> dict[str, tuple[Layer, ...]]:
        return {"body": self.body, "shortcut": _shortcut(self, input)}

    def output(self, input: Shape) -> Shape:
        outputs = self.outputs(input)
        outputs["shortcut"] = sequence.output(_shortcut(self, input), input)
        if outputs["body"] != outputs["shortcut"]:
            raise ShapeError(f"what is added must have the same shape, but {differ(outputs)}")
        return outputs["body"]

    def module(self, input: Shape) -> nn.Module:
        from striate.layers._joints import ResidualSum

        children = {name: sequence.module(part, input) for name, part in self.parts(input).items() if part}
        return ResidualSum(**children)

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        body, shortcut = self.branch_values(x, theta, training=training)
        return body + shortcut

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        return self.branch_gradients(x, [dy, dy], theta, training=training)

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        F, S = self.branch_values(x, theta, training=training)
        return added({"body": float(F[image][at]), "shortcut": float(S[image][at])}, at)


def added(values: Mapping[str, float], at: Spot) -> Formula:
    """The terms of a sum of two branches.

    Arguments:
        values: name of branch -> what leaves it at `at`; F and then S.
        at: the place, the same in both branches and in the sum.

    Example:
        >>> added({"body": 2.0, "shortcut": 0.5}, (0, 1, 1)).value
        2.5
    """
    (body, F), (shortcut, S) = values.items()
    sources = sorted((Source(at, F, F, body), Source(at, S, S, shortcut)), key=lambda source: -abs(source.x))
    remark = f"F(x) is what {body} gives here, S(x) what {shortcut} gives."
    step = Step("y", "F + S", F + S)
    known = {"F": F, "S": S}
    return Formula("y = F(x) + S(x)", known, (step,), tuple(sources), remark=remark, size=max(abs(F), abs(S)))


@lru_cache(maxsize=10_000)  # for the reason that `block.py` gives
def _shortcut(block: Residual, input: Shape) -> tuple[Layer, ...]:
    """The layers of the shortcut; none where it is the identity."""
    if block.shortcut is not None:
        return block.shortcut
    output = block.outputs(input)["body"]
    if output == input:
        return ()
    if len(output) != len(input):
        raise ShapeError(
            f"the body makes {shape_text(output)} of {shape_text(input)}, and no projection leads from maps"
            f" to a vector; write the shortcut: residual(body | shortcut)"
        )
    try:
        return (_projection(block.body, input, output),)
    except ShapeError:
        raise
    except ValueError as fault:
        raise ShapeError(f"no projection leads from {shape_text(input)} to {shape_text(output)}: {fault}") from None


def _projection(body: tuple[Layer, ...], input: Shape, output: Shape) -> Layer:
    """Raises ShapeError where a projection does not fit, ValueError where it would pass a layer's bounds."""
    if len(output) == 1:
        return Dense(output[0], bias=False)
    stride = sequence.field(body, input, Field()).stride
    projection = Conv(output[0], (1, 1), stride, bias=False)
    if projection.output(input) != output:
        raise ShapeError(
            f"the body makes {shape_text(output)} of {shape_text(input)}, and a 1x1 projection of the body's"
            f" stride {shape_text(stride)} makes {shape_text(projection.output(input))};"
            f" pad the body, or write the shortcut: residual(body | shortcut)"
        )
    return projection
