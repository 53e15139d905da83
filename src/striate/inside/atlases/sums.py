"""Sums over a whole data set that do not depend on the order of what is added, nor on who adds which part of it."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float64, Int
from torch import Tensor
from torch.nn import functional


@final
class Sum:
    """Sums in float64 whose rounding errors are summed beside them, as if in twice the precision.

    The rounding error of a sum of two numbers is a number of the same precision (Knuth 1997, The Art of Computer
    Programming 2, section 4.2.2, theorem B), here computed as in Ogita, Rump & Oishi 2005, Accurate Sum and Dot
    Product, algorithm 4.4. The total is exact, whatever the order, unless the numbers differ by more than about 2^39.

    Attributes:
        parts: (2, ...) float64: the sums as rounded, and what rounding has lost.

    Example:
        >>> found = Sum(1)
        >>> for term in (1e16, 1.0, 1.0, -1e16):
        ...     found.add(torch.tensor([term], dtype=torch.float64))
        >>> found.value
        tensor([2.], dtype=torch.float64)
    """

    def __init__(self, *shape: int) -> None:
        self.parts = torch.zeros(2, *shape, dtype=torch.float64)

    @property
    def value(self) -> Float64[Tensor, "*sums"]:
        """The sums, rounded once."""
        return self.parts[0] + self.parts[1]

    def add(self, b: Float64[Tensor, "*sums"], rows: Int[Tensor, " row"] | slice = slice(None)) -> None:
        """Adds to all sums, or to those in some rows, of which each is named once."""
        a = self.parts[0, rows]
        total = a + b
        back = total - a
        self.parts[1, rows] += (a - (total - back)) + (b - back)
        self.parts[0, rows] = total

    def take(self, parts: Float64[Tensor, "parts ..."]) -> None:
        """Adds the `parts` of other sums; of these there may be more rows, or fewer."""
        rows = slice(parts.shape[1])
        self.grow(parts.shape[1])
        self.add(parts[0], rows)
        self.parts[1, rows] += parts[1]

    def grow(self, rows: int) -> None:
        """Makes room for so many rows, of columns."""
        self.parts = functional.pad(self.parts, (0, 0, 0, max(rows - self.parts.shape[1], 0)))
