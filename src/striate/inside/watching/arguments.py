"""Arguments that are whole numbers or places: checked once, refused in one sentence."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor

from striate.errors import DataError
from striate.layers.values import Pair


def whole(value: Any, name: str, least: int | None = None) -> int:
    """`value`, if it is a whole number, and at least `least`.

    Raises:
        DataError: it is not; says what was found.

    Example:
        >>> whole(torch.tensor(3), "unit")
        3
        >>> whole(0.5, "unit")
        Traceback (most recent call last):
        striate.errors.DataError: unit must be a whole number, found 0.5
    """
    try:
        found = operator.index(value)
    except TypeError:
        raise DataError(f"{name} must be a whole number, found {value!r}") from None
    if least is not None and found < least:
        raise DataError(f"{name} must be at least {least}, found {found}")
    return found


def place(value: Any, name: str = "position") -> Pair:
    """`value`, if it is two whole numbers: row and column. Raises DataError for anything else.

    Example:
        >>> place([2, 3])
        (2, 3)
        >>> place((0,))
        Traceback (most recent call last):
        striate.errors.DataError: position must be two whole numbers, row and column; found (0,)
    """
    try:
        row, column = map(operator.index, value)
    except (TypeError, ValueError):
        raise DataError(f"{name} must be two whole numbers, row and column; found {value!r}") from None
    return row, column


def numbers_of(values: Any, name: str) -> Tensor:
    """Whole numbers as a tensor, of however many dimensions. Raises DataError for anything else.

    Example:
        >>> numbers_of([1, 2], "units")
        tensor([1, 2])
    """
    try:
        found = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"{name} must be whole numbers, found {values!r}") from None
    if found.numel() and (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool):
        raise DataError(f"{name} must be whole numbers, found {found.tolist()}")
    return found.long()
