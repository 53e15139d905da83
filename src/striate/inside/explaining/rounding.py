"""How well the number that a module gave must agree with its equation: as rounding in its type of numbers lets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

TOLERANCE = 1e-5
"""Largest relative difference between the equation in float64 and a float32 module that rounding explains."""

HALF = 4.0
"""The same of shorter types, in units of their eps: torch adds up in float32, and rounds what comes of it."""


@final
@dataclass(frozen=True)
class Rounding:
    """What rounding explains.

    Attributes:
        dtype: the type of the numbers that the module gave, such as `float32`.
        tolerance: the largest relative difference: 1e-5 in float32; as many times eps in float64.
        underflow: numbers below this are compared absolutely, since the type has no full precision for what is lost of
            them.

    Example:
        >>> Rounding.of(torch.float32).tolerance, round(Rounding.of(torch.bfloat16).tolerance, 4)
        (1e-05, 0.0313)
    """

    dtype: str
    tolerance: float
    underflow: float

    @classmethod
    def of(cls, dtype: torch.dtype) -> Rounding:
        """What it explains in a type of numbers; in whole numbers nothing."""
        name = str(dtype).removeprefix("torch.")
        if not dtype.is_floating_point:
            return cls(name, 0.0, 0.0)
        kind, single = torch.finfo(dtype), torch.finfo(torch.float32).eps
        tolerance = TOLERANCE * kind.eps / single if kind.eps <= single else TOLERANCE + HALF * kind.eps
        return cls(name, tolerance, kind.tiny / tolerance)
