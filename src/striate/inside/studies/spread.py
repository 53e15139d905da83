"""A quantity measured on several images: its mean, how much it varies, and over how many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int


@final
@dataclass(frozen=True, eq=False)
class Spread:
    """Mean, sample standard deviation (n - 1 in the denominator) and n, along the last axis of what was measured.

    Where a value is not defined (NaN) it is left out; `mean` is NaN where n is 0, `deviation` where n is below 2.

    Example:
        >>> found = Spread.of(np.array([[1.0, 3.0, np.nan], [np.nan, np.nan, np.nan]]))
        >>> found.mean.tolist(), found.n.tolist()
        ([2.0, nan], [2, 0])
    """

    mean: Float[np.ndarray, "*axes"]
    deviation: Float[np.ndarray, "*axes"]
    n: Int[np.ndarray, "*axes"]

    @classmethod
    def of(cls, values: Float[np.ndarray, "*axes n"]) -> Spread:
        """The spread of `values` along their last axis."""
        defined = np.isfinite(values)
        n = defined.sum(-1)
        mean = _quotient(np.where(defined, values, 0).sum(-1), n)
        squares = np.where(defined, values - mean[..., None], 0) ** 2
        return cls(mean, np.sqrt(_quotient(squares.sum(-1), n - 1)), n)


def _quotient(total: Float[np.ndarray, "*axes"], count: Int[np.ndarray, "*axes"]) -> Float[np.ndarray, "*axes"]:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
