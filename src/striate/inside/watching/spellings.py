"""The ways to write a rectification, y = max(0, x), in PyTorch, told apart from calls that look like one.

`F.relu`, `torch.relu_`, `Tensor.clamp(min=0)`, `F.threshold(x, 0, 0)`, `torch.maximum(x, zeros)`, ... all are;
`leaky_relu(x, 0.1)` and `torch.max(x)` are not. `relu6`, `hardtanh(x, 0, c)` and `clamp(0, c)` are one with a ceiling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Rectification:
    """A call that computes max(0, x), or min(c, max(0, x)).

    Attributes:
        x: what it is computed of.
        inplace: whether x is overwritten.
        ceiling: c; None where there is none.
    """

    x: Tensor
    inplace: bool
    ceiling: float | None = None


def rectification(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Rectification | None:
    """What this call rectifies; None if it does not."""
    name, inplace = spelling(func)
    if name not in _PARAMETERS:
        return None
    given = dict(zip(("input", *_PARAMETERS[name]), args, strict=False)) | kwargs
    inplace = inplace or given.get("inplace") is True
    x = given.pop("input", given.pop("self", None))
    if name in ("maximum", "max"):
        x = _other_than_zero(x, given.get("other"))
        return None if x is None else Rectification(x, inplace=False)
    bounds = _DEFAULTS[name] | {key: value for key, value in given.items() if key in _DEFAULTS[name]}
    ceiling = bounds.pop("ceiling", bounds.pop("max", bounds.pop("max_val", None)))
    if not isinstance(x, Tensor) or not all(map(_is_zero, bounds.values())):
        return None
    if isinstance(ceiling, float | int) and ceiling > 0:
        return Rectification(x, inplace, float(ceiling))
    return Rectification(x, inplace) if ceiling is None else None


def rectified_by(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Tensor, bool] | None:
    """If this call computes max(0, x), without a ceiling: x, and whether it overwrites x; otherwise None."""
    found = rectification(func, args, kwargs)
    return None if found is None or found.ceiling is not None else (found.x, found.inplace)


_PARAMETERS: dict[str, tuple[str, ...]] = {
    "relu": ("inplace",),
    "relu6": ("inplace",),
    "hardtanh": ("min_val", "max_val", "inplace"),
    "clamp": ("min", "max"),
    "clip": ("min", "max"),
    "clamp_min": ("min",),
    "threshold": ("threshold", "value", "inplace"),
    "leaky_relu": ("negative_slope", "inplace"),
    "maximum": ("other",),
    "max": ("other",),
}
"""Calls that can be a rectification, and their parameters after the first."""

_DEFAULTS: dict[str, dict[str, Any]] = {
    "relu": {},
    "relu6": {"ceiling": 6.0},
    "hardtanh": {"min_val": -1.0, "max_val": 1.0},
    "clamp": {"min": None, "max": None},
    "clip": {"min": None, "max": None},
    "clamp_min": {"min": None},
    "threshold": {"threshold": None, "value": None},
    "leaky_relu": {"negative_slope": 0.01},
}
"""What must be 0 for the call to be one, apart from the ceiling (`max`, `max_val`)."""


def whole_map_maximum(
    func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Tensor, bool] | None:
    """If this call is `amax` over rows and columns, a max pool over whole maps: the maps, and whether these
    dimensions are kept; otherwise None."""
    if spelling(func)[0] != "amax":
        return None
    given = dict(zip(("input", "dim", "keepdim"), args, strict=False)) | kwargs
    x, dim = given.get("input", given.get("self")), given.get("dim")
    if not isinstance(x, Tensor) or x.dim() != 4 or not isinstance(dim, list | tuple):
        return None
    return (x, bool(given.get("keepdim", False))) if {d % 4 for d in dim} == {2, 3} else None


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
