"""How activations are followed back to the pixels: the rules `deconvnet`, `guided` and `gradient`.

Followed back, every operation of a network passes on what its transpose passes on, which is what autograd does: a
convolution filters with the transposed filters, a max pool puts each value back where its maximum was taken (the
switches; where windows overlap, values add up). Only rectification, y = max(0, x), is treated in three ways
(Springenberg et al. 2015, Striving for Simplicity, fig. 1):

    gradient    dx = dy · [x > 0]
    deconvnet   dx = max(0, dy)                Zeiler & Fergus 2014, section 2.1
    guided      dx = max(0, dy) · [x > 0]

The rule replaces the backward pass of every way to spell a ReLU, wherever it is called from, by a mode on the calls
themselves; the module is not touched. An activation that is no ReLU has no such rule: it is refused by name, unless
the caller asks for its plain gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast, final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import CheckpointError

from striate.errors import ModelError
from striate.inside.projections.masks import Masks
from striate.inside.projections.refusal import RefusedInPlace, overwrites_a_part, refuse_what_has_no_rule
from striate.inside.projections.spellings import rectified_by

Rule = Literal["deconvnet", "guided", "gradient"]
RULES: tuple[Rule, ...] = ("deconvnet", "guided", "gradient")


@contextmanager
def backward_rule(rule: Rule, others: Literal["gradient"] | None = None) -> Generator[None]:
    """Inside the block every ReLU is recorded with the backward pass of `rule`; forward values do not change.

    Run the forward pass inside, and get the projection with `follow_back`, inside or outside.

    Arguments:
        rule: `deconvnet`, `guided` or `gradient` (everything by plain gradient).
        others: `gradient` lets activations that have no deconvnet rule (GELU, SiLU, sigmoid, ...) pass by their
            plain gradient; None refuses them.

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
    with _Rectifiers(rule, others):
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
        A tensor of the image's shape; zeros where `activations` do not depend on it.

    Raises:
        ModelError: naming every activation on the way that has no such rule.
    """
    _check(rule, others)
    if activations.grad_fn is None:
        return torch.zeros_like(image)
    if rule != "gradient":
        refuse_what_has_no_rule(activations, rule, others)
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
class _Rectifiers(TorchFunctionMode):
    """Replaces calls that rectify by `Rectify`, or its in-place form."""

    def __init__(self, rule: Rule, others: str | None) -> None:
        super().__init__()
        self.rule, self.others, self.masks = rule, others, Masks()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        rectified = rectified_by(func, args, kwargs)
        if rectified is None or not torch.is_grad_enabled():
            result = self.masks.called(func, args, kwargs)
            hidden = "" if self.others else overwrites_a_part(func, args, kwargs)
            return RefusedInPlace.apply(args[0], hidden, self.rule) if hidden else result
        x, inplace = rectified
        return cast("Tensor", (RectifyInPlace if inplace else Rectify).apply(x, self.rule == "guided"))


@final
class Rectify(torch.autograd.Function):
    """max(0, x); backward max(0, dy), times [x > 0] where guided."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, guided: bool) -> Tensor:
        y = torch.relu(x)
        if guided:
            ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _rectified(ctx, grads[0]), None


@final
class RectifyInPlace(torch.autograd.Function):
    """`Rectify` that overwrites x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, guided: bool) -> Tensor:
        ctx.mark_dirty(x)
        torch.relu_(x)
        if guided:
            ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _rectified(ctx, grads[0]), None


def _rectified(ctx: Any, dy: Tensor) -> Tensor:
    dx = torch.relu(dy)
    return dx * (ctx.saved_tensors[0] > 0) if ctx.saved_tensors else dx
