"""Functions that hand on numbers as they are, in another order or shape: which place each of them came from.

The places themselves are sent through the same function, so that nothing about it needs to be known but that it
moves: what stands where a number stood before is where that number came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.inside.following.origins import BORDER, Origin

_KEPT = frozenset(
    {
        "contiguous", "clone", "detach", "to", "type", "type_as", "float", "double", "half", "bfloat16",
        "cpu", "cuda", "alias", "requires_grad", "data"
    }
)  # fmt: skip
"""They change neither order nor shape."""

_MOVED = frozenset(
    {
        "flatten", "view", "reshape", "squeeze", "unsqueeze", "view_as", "reshape_as", "unflatten", "ravel",
        "expand", "expand_as", "permute", "transpose", "movedim", "moveaxis", "swapaxes", "swapdims",
        "adjoint", "t", "T", "mT", "getitem", "narrow", "select", "slice", "flip", "roll", "rot90",
        "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "chunk", "split", "tensor_split", "unbind",
        "index_select", "repeat", "tile", "repeat_interleave", "unsafe_chunk", "unsafe_split",
        "split_with_sizes", "reflection_pad2d", "replication_pad2d",
        "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest_exact1d", "upsample_nearest_exact2d"
    }
)  # fmt: skip
"""They put numbers in another order or shape, leave some out, or repeat them."""

Sides = tuple[int, int, int, int]
"""Zeros around maps: left, right, above, below, as torch counts them."""


def moves(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether this call moves the numbers of its first argument about, and does nothing else."""
    if name == "pad":
        return (args[2] if len(args) > 2 else kwargs.get("mode", "constant")) != "constant" or _fill(args, kwargs) == 0
    if name == "add":
        return _adds_nothing(args, kwargs)
    if name == "interpolate":
        return kwargs.get("mode", args[3] if len(args) > 3 else "nearest") in ("nearest", "nearest-exact")
    return name in _KEPT or name in _MOVED or (name == "constant_pad_nd" and _fill((*args[:2], "", *args[2:]), {}) == 0)


def _fill(args: Sequence[Any], kwargs: Mapping[str, Any]) -> float:
    """What `pad` puts around."""
    value = args[3] if len(args) > 3 else kwargs.get("value")
    return 0 if value is None else value


def _adds_nothing(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether it is x + 0, with which Python's `sum` begins."""
    return len(args) == 2 and not kwargs and isinstance(args[1], int) and args[1] == 0


def moved(
    func: Callable[..., Any], name: str, args: Sequence[Any], kwargs: Mapping[str, Any], origin: Origin
) -> tuple[Origin, ...]:
    """Where the numbers of the call's results come from, given where those of its first argument do."""
    if origin.reason or name in _KEPT or name == "add":
        return (origin,)
    # From 1, since what `pad` puts in is 0; float64 holds every whole number up to 2^53. In one piece, for `view`.
    places = torch.from_numpy(np.ascontiguousarray(origin.places - BORDER)).to(args[0].device, torch.float64)
    result = func(places, *args[1:], **kwargs)
    results: Sequence[Tensor] = result if isinstance(result, list | tuple) else (result,)
    return tuple(replace(origin, index=each.long().cpu().numpy() + BORDER) for each in results)


def zeros_around(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sides | None:
    """How many zeros a call puts around maps; None where it does anything else."""
    if name not in ("pad", "constant_pad_nd") or not moves(name, args, kwargs):
        return None
    sides = args[1] if len(args) > 1 else kwargs["pad"]
    mode = "constant" if name != "pad" else args[2] if len(args) > 2 else kwargs.get("mode", "constant")
    if mode != "constant" or not 2 <= len(sides) <= 4 or len(sides) % 2 or min(sides) < 0:
        return None
    left, right, top, bottom = [*sides, 0, 0][:4]
    return int(left), int(right), int(top), int(bottom)
