"""Marks on the nodes of autograd's graph: what the calls told of them while it was recorded.

The graph knows names of operations only. Who watches the calls also knows which node bends activations by a mask, and
which was made where no call could be watched: in a compiled function, whose own ReLUs would get their plain gradient.
"""

from __future__ import annotations

import re
from typing import Any

from striate.inside.watching.each_call import tensors_in

_FAULT, _SEEN, _UNSEEN = "striate fault", "striate seen", "striate unseen"
"""Keys of a node's metadata."""

_REMADE = (
    "View", "UnsafeView", "ReshapeAlias", "AsStrided", "Alias", "Slice", "Select", "Squeeze", "Unsqueeze", "Transpose",
    "T", "Permute", "Expand", "Split", "SplitWithSizes", "Unbind", "Diagonal", "Unfold", "CopySlices",
)  # fmt: skip
"""Nodes that autograd makes by itself, in no call, where a tensor is overwritten that views look at."""


def mark_fault(made: object, said: str) -> None:
    """Says what is wrong with the nodes of results that have a gradient, and of a view also with that of its base;
    nothing is, if `said` is empty."""
    for tensor in tensors_in(made) if said else ():
        for whole in (tensor, tensor._base):
            if whole is not None and whole.grad_fn is not None:
                node: Any = whole.grad_fn
                node.metadata[_FAULT] = said


def fault_of(node: Any) -> str:
    """What was said of the node; empty if nothing."""
    return str(node.metadata.get(_FAULT, ""))


def mark_seen(made: object) -> None:
    """Says that results come from a call that was watched."""
    for tensor in tensors_in(made):
        if tensor.grad_fn is not None:
            node: Any = tensor.grad_fn
            node.metadata[_SEEN] = True


def mark_unseen(given: object) -> None:
    """Says that arguments of a call come from no call that was watched, where it is so."""
    waiting: list[Any] = [tensor.grad_fn for tensor in tensors_in(given)]
    while waiting:
        node = waiting.pop()
        if node is None or _SEEN in node.metadata or _UNSEEN in node.metadata or is_leaf(node):
            continue
        if node_name(node) in _REMADE or is_custom(node):
            waiting += [before for before, _ in node.next_functions]
        else:
            node.metadata[_UNSEEN] = True


def is_unseen(node: Any) -> bool:
    """Whether the node was made out of reach."""
    return _UNSEEN in node.metadata


def node_name(node: Any) -> str:
    """The bare name of an operation.

    Example:
        >>> import torch
        >>> node_name(torch.ones(1, requires_grad=True).exp().grad_fn)
        'Exp'
    """
    return re.sub(r"Backwards?\d*$", "", str(node.name()).rpartition("::")[2])


def is_leaf(node: Any) -> bool:
    """Whether nothing was computed: a gradient ends here."""
    return node_name(node) == "AccumulateGrad"


def is_custom(node: Any) -> bool:
    """Whether the node is a custom `autograd.Function`, which may have any name."""
    return bool(module_of(node))


def module_of(node: Any) -> str:
    """The Python module that a custom `autograd.Function` is defined in; empty for PyTorch's own operations."""
    return str(getattr(getattr(type(node), "_forward_cls", None), "__module__", ""))
