"""Gates: what a branch makes of the input says how much of each number goes on (Hu et al. 2018, Squeeze-and-Excitation
Networks, eq. 2 to 4).

    y = x · g(x)

g is the body. It gives a factor for each number of x, or one for each channel, the same at all positions: squeeze and
excitation is `gate(globalavgpool, dense 4, relu, dense 16, sigmoid)` on 16 channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from striate.errors import ShapeError
from striate.layers import sequence
from striate.layers.block import Block
from striate.layers.layer import Array, Layer, Parameters, Shape, shape_text
from striate.layers.terms import Formula, Source, Step, single

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from torch import nn

    from striate.layers.terms import Spot


@final
@dataclass(frozen=True)
class Gate(Block):
    """`gate(body)`: the input times what the body makes of it, number by number or channel by channel.

    The body must give the input's own shape, or of C channels a vector of C features or Cx1x1 maps.

    Attributes:
        body: the layers whose output is the factor, at least one.

    Example:
        >>> from striate.layers.dense import Dense
        >>> from striate.layers.globalpool import GlobalAvgPool
        >>> block = Gate((GlobalAvgPool(), Dense(16)))
        >>> block.output((16, 8, 8)), block.parameters((16, 8, 8))
        ((16, 8, 8), 272)
    """

    word: ClassVar[str] = "gate"
    label: ClassVar[str] = "gate"
    branch_names: ClassVar[tuple[str, ...]] = ("body",)

    body: tuple[Layer, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.body:
            raise ValueError("gate needs the layers that make its factors: gate(globalavgpool, dense 16, sigmoid)")

    @property
    def branches(self) -> tuple[tuple[Layer, ...], ...]:
        return (self.body,)

    @classmethod
    def of(cls, branches: tuple[tuple[Layer, ...], ...]) -> Self:
        if len(branches) != 1:
            raise ValueError(f"gate takes one branch, the layers that make its factors, found {len(branches)} branches")
        return cls(*branches)

    def parts(self, input: Shape) -> dict[str, tuple[Layer, ...]]:
        return {"body": self.body, "identity": ()}

    def output(self, input: Shape) -> Shape:
        factors = self.outputs(input)["body"]
        allowed = dict.fromkeys([(input[0],), (input[0], 1, 1), input] if len(input) == 3 else [input])
        if factors not in allowed:
            raise ShapeError(
                f"body gives {shape_text(factors)} factors for {shape_text(input)};"
                f" allowed: {' or '.join(map(shape_text, allowed))}"
            )
        return input

    def module(self, input: Shape) -> nn.Module:
        from striate.layers._joints import Gated

        return Gated(sequence.module(self.body, input), flat=len(self.outputs(input)["body"]) < len(input))

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        s, _ = self.branch_values(x, theta, training=training)
        return x * _beside(s, x)

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        """The product rule; a factor that stands for all positions gathers what each of them says."""
        s, _ = self.branch_values(x, theta, training=training)
        ds = dy * x if s.shape == x.shape else (dy * x).sum((2, 3)).reshape(s.shape)
        return self.branch_gradients(x, [ds, dy * _beside(s, x)], theta, training=training)

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        s, _ = self.branch_values(x, theta, training=training)
        own = tuple(min(place, side - 1) for place, side in zip(at, s.shape[1:], strict=False))
        return multiplied(
            {"identity": float(x[image][at]), "body": float(s[image][own])}, {"identity": at, "body": own}
        )


def multiplied(values: Mapping[str, float], at: Mapping[str, Spot]) -> Formula:
    """The terms of a product of two branches.

    Arguments:
        values: name of branch -> the factor that leaves it; x and then s.
        at: name of branch -> where its factor stands in what leaves it.

    Example:
        >>> multiplied({"identity": 4.0, "body": 0.25}, {"identity": (3, 1, 1), "body": (3,)}).value
        1.0
    """
    (one, x), (other, s) = values.items()
    sources = Source(at[one], x, x, one), Source(at[other], s, s, other)
    remark = f"x is what {one} gives here, s what {other} gives."
    return Formula("y = x · s", {"x": x, "s": s}, (Step("y", "x · s", x * s),), sources, remark=remark)


def scaled(x: float, k: float, at: Spot, name: str = "") -> Formula:
    """The terms of a number times a factor that does not depend on the image: a constant, or one that is learned.

    `name`: what the network calls the factor.

    Example:
        >>> scaled(4.0, 0.5, (3, 1, 1)).value
        2.0
    """
    return single("y = k · x", {"x": x, "k": k}, at, Step("y", "k · x", k * x), remark=f"{constant('k', name)}.")


def constant(letter: str, name: str) -> str:
    """What a letter stands for that no number of the image is behind, in words.

    Example:
        >>> constant("k", "layer_scale"), constant("k", "")
        ('k is the constant layer_scale of the network', 'k is a constant, not from the image')
    """
    return f"{letter} is the constant {name} of the network" if name else f"{letter} is a constant, not from the image"


def _beside(s: Array, x: Array) -> Array:
    """Factors (n, C) in a shape that broadcasts with maps; all others as they are."""
    return s[:, :, None, None] if s.ndim < x.ndim else s
