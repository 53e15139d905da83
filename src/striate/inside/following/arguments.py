"""What a call is given: its arguments, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from striate.errors import ModelError
from striate.layers.values import Pair


class Untranslatable(ModelError):  # noqa: N818 - the adjective says it
    """A call whose arithmetic no equation of ours says exactly; the message is the end of "it has ..."."""


Given = Mapping[str, Any]
"""The arguments of a call by name, but the first, which is the input."""


def input_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
    """The first argument of a call, where it is a tensor."""
    first = args[0] if args else kwargs.get("input", kwargs.get("self"))
    return first if isinstance(first, Tensor) else None


def convolves(name: str, args: Sequence[Any]) -> bool:
    """Whether a call is a convolution, not a transposed one."""
    transposed = name == "convolution" and len(args) > 6 and bool(args[6])
    return name in ("conv2d", "convolution") and not transposed


def held(**tensors: Tensor | None) -> dict[str, Tensor]:
    """The tensors that were given."""
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def pair(value: int | Sequence[int]) -> Pair:
    """Rows and columns, of one number for both or one for each."""
    sides = [value] if isinstance(value, int) else value
    return int(sides[0]), int(sides[-1])


def require(holds: bool, fault: str) -> None:
    """Raises Untranslatable where it does not hold."""
    if not holds:
        raise Untranslatable(fault)
