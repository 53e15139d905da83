"""Activations bent by masks made of activations, as in x * (x > 0).float() and x[x < 0] = 0.

Autograd's graph does not tell such a mask from a constant: a comparison has no gradient, so that it leaves no node. The
calls tell it: they are followed from the activations, over the comparison, to where its result meets activations again,
and the node that is made there is marked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from striate.inside.projections.refusal import MASKED
from striate.inside.projections.spellings import spelling

_COMPARING = (
    "gt", "ge", "lt", "le", "eq", "ne", "greater", "greater_equal", "less", "less_equal", "not_equal",
    "sign", "sgn", "signbit", "heaviside", "bool",
)  # fmt: skip
"""Calls whose result tells where their input is above, below or at a value."""

_MAKING = ("zeros", "ones", "full", "empty", "rand", "new")
"""How the names of calls begin that take an activation's shape and type, and nothing of its values."""

_WRITING = ("setitem", "index_put")


@final
class Masks:
    """Follows masks made of activations through the calls of one forward pass."""

    def __init__(self) -> None:
        self._derived = WeakTensorKeyDictionary()
        """Tensors without gradient that were made of activations -> whether a comparison lies between."""

    def called(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """What the call gives; it is followed, and the node that it makes is marked if a mask meets activations."""
        given = list(_tensors((args, kwargs)))
        masked = any(self._derived.get(tensor, False) for tensor in given)
        known = masked or any(tensor.requires_grad or tensor in self._derived for tensor in given)
        result = func(*args, **kwargs)
        name = spelling(func)[0]
        made = args[0] if name == "setitem" else result
        if masked:
            _mark(made, name)
        if known and not name.startswith(_MAKING):
            self._follow(made, masked or name in _COMPARING)
        return result

    def _follow(self, made: object, masked: bool) -> None:
        for tensor in _tensors(made):
            if not tensor.requires_grad:
                self._derived[tensor] = masked or self._derived.get(tensor, False)


def _mark(result: object, name: str) -> None:
    """Marks the node of a result that has a gradient; of a view, also that of what it is a view of."""
    said = "an assignment under a mask" if name.startswith(_WRITING) else "a product with a mask"
    for tensor in _tensors(result):
        for made in (tensor, tensor._base):
            if made is not None and made.grad_fn is not None:
                node: Any = made.grad_fn
                node.metadata[MASKED] = said


def _tensors(value: object) -> Iterator[Tensor]:
    """The tensors in a call's arguments or result."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
