"""How activations are followed back to the pixels: the rules `deconvnet`, `guided` and `gradient`.

Followed back, every operation of a network passes on what its transpose passes on, which is what autograd does: a
convolution filters with the transposed filters, a max pool puts each value back where its maximum was taken (the
switches; where windows overlap, values add up). Only rectification, y = max(0, x), is treated in three ways
(Springenberg et al. 2015, Striving for Simplicity, fig. 1):

    gradient    dx = dy · [x > 0]
    deconvnet   dx = max(0, dy)                Zeiler & Fergus 2014, section 2.1
    guided      dx = max(0, dy) · [x > 0]

A ReLU with a ceiling c, y = min(c, max(0, x)), such as ReLU6, is a rectification too: the deconvnet looks at no
forward value, so that nothing changes for it; the others have [0 < x < c]. Normalizations (batch, layer, group, local
response) pass on what the transpose of their Jacobian passes on.

The rule replaces the backward pass of every way to spell a ReLU, wherever it is called from, by a mode on the calls
themselves; the module is not touched. What may lie on the way besides is a list (`forms`); everything else, be it
GELU, a product of two activations, or a ReLU written so that nobody recognizes it, has no such rule: it is refused by
name, unless the caller asks for its plain gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast, final

import torch
from torch import Tensor
from torch.utils.checkpoint import CheckpointError

from striate.errors import ModelError
from striate.inside.projections.marks import mark_fault, mark_seen, mark_unseen
from striate.inside.projections.masks import Masks
from striate.inside.projections.refusal import bent_in_a_view, refuse_what_has_no_rule
from striate.inside.watching.each_call import EachCall, unwatched
from striate.inside.watching.spellings import rectification, whole_map_maximum

Rule = Literal["deconvnet", "guided", "gradient"]
RULES: tuple[Rule, ...] = ("deconvnet", "guided", "gradient")


@contextmanager
def backward_rule(rule: Rule, others: Literal["gradient"] | None = None) -> Generator[None]:
    """Inside the block every ReLU is recorded with the backward pass of `rule`; forward values do not change.

    Run the forward pass inside, and get the projection with `follow_back`, inside or outside.

    Arguments:
        rule: `deconvnet`, `guided` or `gradient` (everything by plain gradient).
        others: `gradient` lets what has no deconvnet rule (GELU, SiLU, sigmoid, attention, ...) pass by its plain
            gradient; None refuses it.

    Raises:
        ModelError: if `rule` or `others` is none of these.

    Example:
        >>> x = torch.tensor([-1.0, 2.0], requires_grad=True)
        >>> with backward_rule("deconvnet"):
        ...     y = x.relu()
        >>> follow_back(y, torch.tensor([3.0, -4.0]), x, rule="deconvnet")
        tensor([3., 0.])
    """
    _check(rule, others)
    if rule == "gradient":
        yield
        return
    with _Rectifiers(guided=rule == "guided"):
        yield


def follow_back(
    activations: Tensor, seed: Tensor, image: Tensor, *, rule: Rule, others: Literal["gradient"] | None = None
) -> Tensor:
    """What `seed` at `activations` becomes at `image`, followed back through a forward pass made under `backward_rule`.

    Arguments:
        activations: output of a layer, any shape.
        seed: same shape; 1 at the chosen activations and 0 elsewhere.
        image: the input that the activations were computed from; requires a gradient.
        rule, others: as they were given to `backward_rule`.

    Returns:
        A tensor of the image's shape.

    Raises:
        ModelError: naming everything on the way that has no such rule; or if nothing leads from the activations to
            the image.
    """
    _check(rule, others)
    if not activations.requires_grad:
        raise ModelError(
            "nothing can be followed back: the layer does not depend on the image, or is computed without gradients "
            "(torch.no_grad, detach)"
        )
    if rule != "gradient":
        refuse_what_has_no_rule(activations, image, rule, others)
    try:
        (projection,) = torch.autograd.grad(activations, image, seed, retain_graph=True, materialize_grads=True)
    except CheckpointError:
        raise ModelError("the module recomputes parts of itself: turn its gradient checkpointing off") from None
    return projection


def _check(rule: str, others: str | None) -> None:
    if rule not in RULES:
        raise ModelError(f"rule must be one of {', '.join(RULES)}; found {rule!r}")
    if others not in (None, "gradient"):
        raise ModelError(f"others must be 'gradient' or None; found {others!r}")


@final
class _Rectifiers(EachCall):
    """Replaces calls that rectify by `Rectify`, or its in-place form, and marks what other calls make."""

    def __init__(self, guided: bool) -> None:
        super().__init__()
        self.guided, self.masks = guided, Masks()

    def called(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        with unwatched():
            mark_unseen((args, kwargs))
            views = [x for x in args[:1] if isinstance(x, torch.Tensor) and x._is_view() and x.requires_grad]
            versions = [view._version for view in views]
        result, followed = self._by_rule(func, args, kwargs)
        with unwatched():
            mark_seen((result, args[:1]))
            if not followed and [view._version for view in views] != versions:
                mark_fault(views, bent_in_a_view(func, args, kwargs))
        return result

    def _by_rule(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, bool]:
        """What the call gives, and whether it has been given the rule."""
        found = rectification(func, args, kwargs) if torch.is_grad_enabled() else None
        if found is not None and found.x.requires_grad:
            apply = (RectifyInPlace if found.inplace else Rectify).apply
            return cast("Tensor", apply(found.x, self.guided, found.ceiling)), True
        whole = whole_map_maximum(func, args, kwargs)
        if whole is not None and whole[0].requires_grad:
            largest = torch.nn.functional.adaptive_max_pool2d(whole[0], 1)
            return (largest if whole[1] else largest.flatten(1)), True
        return self.masks.called(func, args, kwargs), False


@final
class Rectify(torch.autograd.Function):
    """y = max(0, x), or min(ceiling, max(0, x)); backward max(0, dy), times [0 < y < ceiling] where guided."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, guided: bool, ceiling: float | None) -> Tensor:
        y = torch.relu(x) if ceiling is None else x.clamp(0, ceiling)
        if guided:
            ctx.save_for_backward(y)
        ctx.ceiling = ceiling
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _rectified(ctx, grads[0]), None, None


@final
class RectifyInPlace(torch.autograd.Function):
    """`Rectify` that overwrites x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, guided: bool, ceiling: float | None) -> Tensor:
        ctx.mark_dirty(x)
        if ceiling is None:
            torch.relu_(x)
        else:
            x.clamp_(0, ceiling)
        if guided:
            ctx.save_for_backward(x)
        ctx.ceiling = ceiling
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _rectified(ctx, grads[0]), None, None


def _rectified(ctx: Any, dy: Tensor) -> Tensor:
    dx = torch.relu(dy)
    if not ctx.saved_tensors:
        return dx
    (y,) = ctx.saved_tensors
    return dx * (y > 0 if ctx.ceiling is None else (y > 0) & (y < ctx.ceiling))
