"""Activations bent behind autograd's back, as by x * (x > 0).float(), x[x < 0] = 0 or x * x.ceil().detach().

Autograd's graph does not tell such a factor from a constant: a comparison has no gradient, and what is detached has
none any more, so that they leave no node. The calls tell it: values without gradient that are made of activations are
followed to where they meet activations again, and the node that is made there is marked. So are activations that are
overwritten where autograd does not look: in x.data, or under `torch.no_grad`. (What leaves for NumPy and comes back is
taken for a constant.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor

from striate.inside.projections.marks import mark_fault
from striate.inside.watching.each_call import tensors_in, unwatched
from striate.inside.watching.spellings import spelling
from striate.inside.watching.tensors import Tensors, overwriting

_COMPARING = (
    "gt", "ge", "lt", "le", "eq", "ne", "greater", "greater_equal", "less", "less_equal", "not_equal",
    "sign", "sgn", "signbit", "heaviside", "bool",
)  # fmt: skip
"""Calls whose result tells where their input is above, below or at a value."""

_MAKING = ("zeros", "ones", "full", "empty", "rand", "new")
"""How the names of calls begin that take an activation's shape and type, and nothing of its values."""

_SHAPING = ("expand_as", "view_as", "reshape_as", "type_as", "to")
"""Calls that take the values of their first argument, and shape or type of the others."""

_APART = ("broadcast_tensors", "meshgrid", "max_unpool2d")
"""Calls whose results do not each depend on all that they are given; and unpooling, which is given switches."""

_WRITING = ("setitem", "index_put")


@final
class Masks:
    """Follows values without gradient that are made of activations through the calls of one forward pass."""

    def __init__(self) -> None:
        self._derived = Tensors[bool]()
        """Tensors without gradient that were made of activations -> whether a comparison lies between."""
        self._activations = Tensors[bool]()
        """Tensors with gradient: what else lies in their memory, such as x.data, is followed by it."""

    def called(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """What the call gives; it is followed, and the node that it makes is marked if such a value meets activations
        there."""
        name = spelling(func)[0]
        with unwatched():
            given = list(tensors_in(args[:1] if name in _SHAPING else (args, kwargs)))
            derived = [bool(self._derived.get(x)) for x in given if x in self._derived and not x.requires_grad]
            known = bool(derived) or any(x.requires_grad for x in given)
            self._put_activations(given)
        with overwriting((args, kwargs)) as overwritten:
            result = func(*args, **kwargs)
        with unwatched():
            for tensor in overwritten:
                mark_fault(self._unnoticed(tensor), f"{name} without gradient")
            made = args[0] if name == "setitem" else result
            if derived and name not in _APART:
                mark_fault(made, _said(name, masked=any(derived)))
            if known and name not in _APART and not name.startswith(_MAKING):
                self._follow(made, masked=any(derived) or name in _COMPARING)
        return result

    def _put_activations(self, given: Sequence[Tensor]) -> None:
        for tensor in given:
            if tensor.requires_grad:
                self._activations.put(tensor, True)

    def _unnoticed(self, overwritten: Tensor) -> Sequence[Tensor]:
        """The activations that have been overwritten with this tensor, unnoticed by autograd."""
        noticed = overwritten.requires_grad and torch.is_grad_enabled()
        return () if noticed else self._activations.beside(overwritten)

    def _follow(self, made: object, *, masked: bool) -> None:
        for tensor in tensors_in(made):
            if not tensor.requires_grad:
                self._derived.put(tensor, masked or bool(self._derived.get(tensor)))


def _said(name: str, *, masked: bool) -> str:
    """What the call does, in words."""
    if not masked:
        return f"{name} with detached activations"
    if name.startswith(_WRITING):
        return "an assignment under a mask"
    return "a product with a mask" if "mul" in name or "div" in name else f"{name} under a mask"
