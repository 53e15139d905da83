"""What is refused when activations are followed back: operations that bend their input and have no deconvnet rule.

The judge is the graph that autograd has recorded from the activations to the pixels, so that only what lies on the
way is judged, and nothing escapes it, however it was called: from TorchScript, C++, or a custom `autograd.Function`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import torch
from torch import Tensor

from striate.errors import ModelError
from striate.inside.projections.spellings import spelling

_BENDING = re.compile(
    r"relu|elu|silu|swish|mish|sigmoid|tanh|soft(plus|max|shrink|sign)|hard|shrink|glu|threshold|clamp|clip|where|attention|rnn|lstm|gru|"
    r"erf|maskedfill|masked_fill|maskedscatter|abs|^(maximum|minimum|fmax|fmin)$|"
    r"^(exp|exp2|expm1|log|log2|log10|log1p|a?sinh?|a?cosh?|tan|atan|sinc|sign|sgn|heaviside|ceil|floor|round|trunc|frac)$",
    re.IGNORECASE,
)
"""Names of operations that bend their input, as autograd's nodes and PyTorch's functions spell them."""

_GUARD = 1e-3
"""A lower bound above 0 and up to here guards a division, as in `F.normalize`; it is no activation."""

MASKED = "striate masked"
"""Where a node's metadata says what a mask made of activations does to it; see `masks.Masks`."""

_OURS = ("RectifyBackward", "RectifyInPlaceBackward")


def refuse_what_has_no_rule(activations: Tensor, rule: str, others: str | None) -> None:
    """Raises ModelError if what lies between the input and `activations` has no rule.

    A rectification that the rule's mode could not see is refused even where `others` are allowed: its plain gradient
    would be silently wrong.
    """
    found = sorted({name for node in _nodes(activations) if (name := _bends(node))})
    hidden = [name for name in found if name in ("relu", "differentiablegraph")]
    if hidden:
        raise ModelError(f"a ReLU called from compiled code cannot be given the rule {rule}; use the uncompiled module")
    if found and not others:
        raise ModelError(_no_rule(", ".join(found), rule))


def overwrites_a_part(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """The name of an activation that overwrites part of a tensor, which the graph does not name; otherwise empty."""
    name, inplace = spelling(func)
    if not (inplace or kwargs.get("inplace") is True) or not _BENDING.search(name):
        return ""
    return name if args and isinstance(args[0], Tensor) and args[0].requires_grad and args[0]._is_view() else ""


@final
class RefusedInPlace(torch.autograd.Function):
    """Leaves its input as it is; refuses to be followed back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, name: str, rule: str) -> Tensor:
        ctx.mark_dirty(x)
        ctx.said = name, rule
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise ModelError(_no_rule(*ctx.said))


def _no_rule(names: str, rule: str) -> str:
    return f"{names} has no {rule} rule: choose rule='gradient', or others='gradient' to pass it by its plain gradient"


def _nodes(activations: Tensor) -> Iterator[Any]:
    """Every operation recorded between the leaves and `activations`, once."""
    waiting, seen = [activations.grad_fn], set[object]()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting.extend(before for before, _ in node.next_functions)


def _bends(node: Any) -> str:
    """The name of the operation if it bends its input and has no rule, otherwise empty."""
    name = re.sub(r"Backward\d*$", "", str(node.name()))
    if type(node).__name__ in _OURS:
        return ""
    if hasattr(type(node), "_forward_cls"):
        return f"the custom function {name}"
    if _BENDING.search(name) and not (name.startswith("Clamp") and _is_guard(node)):
        return name.lower()
    if name == "Mul" and _has_mask(node):
        return "a product with a mask"
    return str(node.metadata.get(MASKED, ""))


def _has_mask(node: Any) -> bool:
    """Whether one factor of a product is a boolean mask, as in x * (x > 0)."""
    return any(
        isinstance(factor, Tensor) and str(factor.dtype) == "torch.bool"
        for factor in (node._saved_self, node._saved_other)
    )


def _is_guard(node: Any) -> bool:
    """Whether a clamp only keeps a divisor from 0."""
    lower, upper = getattr(node, "_saved_min", None), getattr(node, "_saved_max", None)
    return upper is None and isinstance(lower, float | int) and 0 < lower <= _GUARD
