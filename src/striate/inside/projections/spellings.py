"""The ways to write a rectification, y = max(0, x), in PyTorch, told apart from calls that look like one.

`F.relu`, `torch.relu_`, `Tensor.clamp(min=0)`, `F.threshold(x, 0, 0)`, `torch.maximum(x, zeros)`, ... all are;
`clamp(0, 6)`, `leaky_relu(x, 0.1)` and `torch.max(x)` are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def rectified_by(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Tensor, bool] | None:
    """If this call computes max(0, x): x, and whether it overwrites x; otherwise None."""
    name, inplace = spelling(func)
    if name not in _BOUNDS:
        return None
    given = dict(zip(("input", *_BOUNDS[name]), args, strict=False)) | kwargs
    inplace = inplace or given.get("inplace") is True
    x = given.pop("input", given.pop("self", None))
    if name in ("maximum", "max"):
        x = _other_than_zero(x, given.get("other"))
        return None if x is None else (x, False)
    bounds = {
        "min": None,
        "max": None,
        "threshold": 0,
        "value": 0,
        "negative_slope": 0.01 if name == "leaky_relu" else 0,
    }
    bounds |= {key: value for key, value in given.items() if key in bounds}
    lower = 0 if "min" not in _BOUNDS[name] else bounds["min"]
    if not isinstance(x, Tensor) or not _is_zero(lower) or bounds["max"] is not None:
        return None
    flat = all(_is_zero(bounds[key]) for key in ("threshold", "value", "negative_slope"))
    return (x, inplace) if flat else None


_BOUNDS: dict[str, tuple[str, ...]] = {
    "relu": ("inplace",),
    "clamp": ("min", "max"),
    "clip": ("min", "max"),
    "clamp_min": ("min",),
    "threshold": ("threshold", "value", "inplace"),
    "leaky_relu": ("negative_slope", "inplace"),
    "maximum": ("other",),
    "max": ("other",),
}
"""Calls that can be a ReLU, and their arguments after the first."""


def spelling(func: Callable[..., Any]) -> tuple[str, bool]:
    """The bare name of a call (`relu` for F.relu, Tensor.relu_, torch.ops.aten.relu.default), and whether the name says
    that it overwrites its input.

    Example:
        >>> spelling(torch.Tensor.relu_), spelling(torch.ops.aten.relu.default)
        (('relu', True), ('relu', False))
    """
    name = str(getattr(func, "__name__", "")).partition(".")[0]
    return name.strip("_"), name.endswith("_") and not name.endswith("__")


def _is_zero(value: object) -> bool:
    """Whether a bound is the constant 0."""
    if isinstance(value, Tensor):
        return not value.requires_grad and not bool(value.any())
    return value == 0


def _other_than_zero(a: object, b: object) -> Tensor | None:
    """Of two operands, the one whose other is the constant 0."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return None
    whole = torch.broadcast_shapes(a.shape, b.shape)
    if _is_zero(b) and a.shape == whole:
        return a
    return b if _is_zero(a) and b.shape == whole else None
