"""Results as plain values that JSON can hold: arrays as nested lists, null where a number is not defined."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from torch import Tensor

Plain = Any
"""What JSON can hold: None, a bool, a number, a string, a list, or a dictionary with string keys."""


def plain(value: object) -> Plain:
    """`value` as JSON can hold it: dataclasses by their fields, sequences as lists, NaN and infinities as None.

    Raises:
        TypeError: if there is something in it that has no plain form.

    Example:
        >>> plain({"curve": np.array([1.0, np.nan]), "layers": ("conv1",)})
        {'curve': [1.0, None], 'layers': ['conv1']}
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu().tolist()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    return _fields(value)


def _fields(value: object) -> dict[str, Plain]:
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no plain form")
