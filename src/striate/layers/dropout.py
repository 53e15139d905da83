"""Dropout: while training, units are left out at random; the rest are scaled so that the mean stays.

    training:    y = m · x / (1 - p),   m = 0 with probability p, else 1, drawn anew for every number
    evaluation:  y = x

Srivastava et al. 2014, Dropout, section 4; scaled in training instead of in evaluation, as in section 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

from striate.layers.layer import Array, Layer, Parameters, Shape
from striate.layers.terms import Formula, Step, single
from striate.layers.values import Real

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from striate.layers.terms import Spot


@final
@dataclass(frozen=True)
class Dropout(Layer):
    """`dropout 0.5`: while training, each number is left out with this probability.

    The equation takes what was drawn as `theta["mask"]`: 0 where a number was left out, else 1, in x's shape.

    Attributes:
        probability: of being left out.

    Example:
        >>> import numpy as np
        >>> Dropout(0.75).forward(np.array([[1.0, 2.0]]), {"mask": np.array([[0.0, 1.0]])}, training=True)
        array([[0., 8.]])
    """

    word: ClassVar[str] = "dropout"
    label: ClassVar[str] = "dropout"

    probability: Annotated[float, Real(0, 1, open_most=True)]

    def output(self, input: Shape) -> Shape:
        return input

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.Dropout(self.probability)

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        return x * theta["mask"] / (1 - self.probability) if training else x

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        return self.forward(dy, theta, training=training), {}

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        p, value = self.probability, float(x[image][at])
        if not training:
            remark = (
                f"In evaluation nothing is left out; in training y = m · x / (1 − {p:g}), m = 0 in {p:.0%} of cases."
            )
            return single("y = x", {"x": value}, at, Step("y", "x", value), remark=remark)
        m = float(theta["mask"][image][at])
        remark = "Left out in this pass: m = 0." if m == 0 else "Kept in this pass: m = 1."
        step = Step("y", "m · x / (1 − p)", m * value / (1 - p))
        return single("y = m · x / (1 − p)", {"x": value, "m": m, "p": p}, at, step, remark=remark)
