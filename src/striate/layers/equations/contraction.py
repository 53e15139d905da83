"""Products of two tensors, added up along the axes that they share: matrix products, and Einstein's sums.

    Y[i,j] = Σ_k  A[i,k] · B[k,j]

for every matrix, where there are several. Attention is made of two of them (Vaswani et al. 2017, Attention is all you
need, eq. 1; Wang et al. 2018, Non-local neural networks, eq. 1 and 3): of queries and keys, then of the shares of 1
that a softmax makes of it, and values. One tensor may be a constant; no text form has either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Int

from striate.layers.gate import constant
from striate.layers.layer import Array, Shape
from striate.layers.terms import Dot, Products, Spot

LEADING = "abcdefgh"
"""Labels of the axes by which the matrices are counted, from the last."""


@final
@dataclass(frozen=True)
class Factor:
    """One of the two tensors.

    Attributes:
        values: its numbers.
        shown: the shape in which an explanation shows them, in the same order.
        branch: the name of what gave it; None where it is a constant.
        name: of a constant, what the network calls it; "" where it has no name.
    """

    values: Array
    shown: Shape
    branch: str | None = None
    name: str = ""


@final
@dataclass(frozen=True)
class Contraction:
    """Which axes of two tensors are multiplied, and which are added up: one letter for each axis.

    Attributes:
        a, b: of the tensors; an axis of one number stands for any number of them.
        y: of what comes out; what it lacks is added up.

    Example:
        >>> Contraction.matmul(3, 3), Contraction.einsum("bid,bjd")
        (Contraction(a='aik', b='akj', y='aij'), Contraction(a='bid', b='bjd', y='ij'))
    """

    a: str
    b: str
    y: str

    @classmethod
    def matmul(cls, a: int, b: int) -> Contraction:
        """A matrix product of tensors of so many axes; of one axis: a vector."""
        first, second = LEADING[: max(a - 2, 0)][::-1], LEADING[: max(b - 2, 0)][::-1]
        rows, columns = "i" * (a > 1), "j" * (b > 1)
        return cls(f"{first}{rows}k", f"{second}k{columns}", f"{max(first, second, key=len)}{rows}{columns}")

    @classmethod
    def einsum(cls, equation: str) -> Contraction | None:
        """What torch writes as `bhid,bhjd->bhij`; None where it is of other than two tensors, or takes a diagonal."""
        given, _, wanted = equation.replace(" ", "").partition("->")
        a, comma, b = given.partition(",")
        if not comma or not (a + b).isalpha() or len(set(a)) < len(a) or len(set(b)) < len(b):
            return None
        return cls(a, b, wanted if "->" in equation else "".join(sorted(set(a) ^ set(b))))

    def terms(self, A: Factor, B: Factor, at: Spot) -> Dot | Products:
        """What the number at this place of what comes out is made of."""
        taken = {label: np.array([place]) for label, place in zip(self.y, at, strict=True)}
        added = [label for label in dict.fromkeys(self.a + self.b) if label not in taken]
        sides = [self._side(label, A.values.shape, B.values.shape) for label in added]
        grid = np.meshgrid(*(np.arange(side) for side in sides), indexing="ij")
        taken |= {label: places.ravel() for label, places in zip(added, grid, strict=True)}
        (a, places_a), (b, places_b) = (_read(*each, taken) for each in ((A, self.a), (B, self.b)))
        equation = self._equation(A.values.shape, B.values.shape)
        if A.branch is not None and B.branch is not None:
            return Dot(equation, a, b, places_a, places_b, (A.branch, B.branch))
        x, places, W = (a, places_a, b) if B.branch is None else (b, places_b, a)
        inside = np.ones(len(x), dtype=bool)
        remark = f"{constant('B', B.name) if B.branch is None else constant('A', A.name)}."
        return Products(equation, x, W, None, places, inside, called="matrix", remark=remark)

    def _side(self, label: str, a: Shape, b: Shape) -> int:
        """How many numbers stand along an axis."""
        sides = dict(zip(self.a, a, strict=True)), dict(zip(self.b, b, strict=True))
        return max(each.get(label, 1) for each in sides)

    def _equation(self, a: Shape, b: Shape) -> str:
        """As it is printed for tensors of these shapes, without what is one image or one matrix."""
        kept = {label for label in self.a + self.b if self._side(label, a, b) > 1 or label in "ijk"}
        A, B, Y = (",".join(label for label in labels if label in kept) for labels in (self.a, self.b, self.y))
        added = "".join(f"Σ_{label} " for label in dict.fromkeys(self.a + self.b) if label in kept - set(self.y))
        return f"Y[{Y}] = {added}A[{A}] · B[{B}]"


def _read(
    factor: Factor, labels: str, taken: dict[str, Int[np.ndarray, " n"]]
) -> tuple[Array, Int[np.ndarray, "n axes"]]:
    """The numbers of a tensor at these places along each label, and where they stand."""
    shape = factor.values.shape
    along: Sequence[Array] = np.broadcast_arrays(*taken.values())
    places = dict(zip(taken, along, strict=True))
    index = tuple(np.minimum(places[label], side - 1) for label, side in zip(labels, shape, strict=True))
    return factor.values[index], np.stack(np.unravel_index(np.ravel_multi_index(index, shape), factor.shown), -1)
