"""Local response normalization: a unit is damped by what its neighbours in channel do at the same position.

    y[n,c,h,w] = x[n,c,h,w] / (k + α/N · Σ_d x[n,d,h,w]²)^β,   d = c - ⌊N/2⌋ ... c + ⌊(N-1)/2⌋

d runs over the channels that exist, N is the size. This is torch's formula; Krizhevsky et al. 2012, section 3.3, do not
divide by N, so that their α = 0.0001 with N = 5 is written alpha=0.0005 here. Letters as in `layer.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

import numpy as np

from striate.layers.layer import Array, Layer, Parameters, Shape, maps
from striate.layers.terms import Formula, Source, Step, Summed
from striate.layers.values import Real, Whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from striate.layers.terms import Spot


@final
@dataclass(frozen=True)
class Lrn(Layer):
    """`lrn 5 alpha=0.0001 beta=0.75 k=2`: normalization over `size` neighbouring channels. Defaults as torch's.

    Attributes:
        size: channels under one sum, N.
        alpha: weight of the sum of squares, α.
        beta: exponent, β.
        k: added to the sum; above 0, so that nothing is divided by 0.

    Example:
        >>> import numpy as np
        >>> Lrn(1, alpha=3, beta=0.5).forward(np.ones((1, 1, 1, 1)), {})
        array([[[[0.5]]]])
    """

    word: ClassVar[str] = "lrn"
    label: ClassVar[str] = "lrn"

    size: Annotated[int, Whole(1, 1_000_000)]
    alpha: Annotated[float, Real(0, 1e6)] = 0.0001
    beta: Annotated[float, Real(0, 100)] = 0.75
    k: Annotated[float, Real(0, 1e6, open_least=True)] = 1

    def output(self, input: Shape) -> Shape:
        return maps(input, self.word)

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.LocalResponseNorm(self.size, self.alpha, self.beta, self.k)

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        return x / self._denominator(x) ** self.beta

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        s = self._denominator(x)
        # Channel d of x stands in the sums of all c that have d for a neighbour: the transposed relation.
        reached = np.einsum("cd,nchw->ndhw", self._neighbours(x), dy * x * s ** (-self.beta - 1))
        return dy / s**self.beta - 2 * self.alpha * self.beta / self.size * x * reached, {}

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Formula:
        c, h, w = at
        d = np.flatnonzero(self._neighbours(x)[c])
        beside = x[image, d, h, w]
        summed = Summed("x_d^2", beside, beside**2, np.stack([d, np.full_like(d, h), np.full_like(d, w)], -1))
        known = {"x": float(x[image][at]), "k": float(self.k), "α": self.alpha, "N": float(self.size), "β": self.beta}
        s = self.k + self.alpha / self.size * summed.total
        steps = (Step("s", "k + α / N · Σ", s), Step("y", "x / s^β", known["x"] / s**self.beta))
        others = [Source((int(e), h, w), float(v), float(v)) for e, v in zip(d, beside, strict=True) if e != c]
        sources = (Source(at, known["x"], known["x"]), *sorted(others, key=lambda other: -abs(other.x)))
        size = max(self.beta, 1) * abs(steps[-1].value)  # what is lost of s is lost β-fold of its power
        return Formula("y[c] = x[c] / (k + α/N · Σ_d x[d]²)^β", known, steps, sources, summed, size=size)

    def _denominator(self, x: Array) -> Array:
        return self.k + self.alpha / self.size * np.einsum("cd,ndhw->nchw", self._neighbours(x), x**2)

    def _neighbours(self, x: Array) -> Array:
        """1 at (c, d) where channel d stands in the sum of channel c, else 0."""
        c, d = np.ogrid[: x.shape[1], : x.shape[1]]
        return ((d >= c - self.size // 2) & (d <= c + (self.size - 1) // 2)).astype(np.float64)
