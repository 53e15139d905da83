"""Calls that are several in one: attention, written out in the calls that PyTorch's documentation defines it by.

What the call itself gives goes on; what lies between, which it does not show, these calls make beside it. Vaswani et
al. 2017, Attention is all you need, eq. 1 and section 3.2.2.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from striate.inside.following.arguments import Given, require


def is_composed(name: str) -> bool:
    """Whether a function of this name is several calls in one."""
    return name in _WRITTEN_OUT


def written_out(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """What such a function computes first, made in calls that can be followed.

    Raises:
        Untranslatable: it is another with these arguments.

    Example:
        >>> q = torch.rand(1, 2, 5, 4)
        >>> y = F.scaled_dot_product_attention(q, q, q)
        >>> torch.allclose(y, written_out("scaled_dot_product_attention", (q, q, q), {}))
        True
    """
    signature, compute = _WRITTEN_OUT[name]
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return compute(bound.arguments)


def _scaled_dot_product(given: Given) -> Tensor:
    """`F.scaled_dot_product_attention`."""
    q, k, v, mask = (given[name] for name in ("query", "key", "value", "attn_mask"))
    if given["enable_gqa"]:
        shared = q.shape[-3] // k.shape[-3]
        k, v = (each.repeat_interleave(shared, -3) for each in (k, v))
    if given["is_causal"]:
        mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
    scale = 1 / math.sqrt(q.shape[-1]) if given["scale"] is None else given["scale"]
    return _attention(q, k, v, scale, mask, given["dropout_p"])


def _multi_head(given: Given) -> Tensor:
    """`F.multi_head_attention_forward`, whose tensors are (positions, one image, features)."""
    q, k, v = (given[name] for name in ("query", "key", "value"))
    require(q.dim() == 3 and q.shape[1] == 1, f"a query of shape {tuple(q.shape)}; explained is one image")
    for name in ("bias_k", "bias_v", "static_k", "static_v", "key_padding_mask"):
        require(given[name] is None, f"{name}; explained is none")
    require(not given["add_zero_attn"], "add_zero_attn=True; explained is attention to what is there")
    whole, bias, mask = (given[name] for name in ("in_proj_weight", "in_proj_bias", "attn_mask"))
    apart = [given[f"{name}_proj_weight"] for name in "qkv"]
    weights = apart if given["use_separate_proj_weight"] else whole.chunk(3)
    parts = zip((q, k, v), weights, (None,) * 3 if bias is None else bias.chunk(3), strict=True)
    q, k, v = (_heads(F.linear(x.transpose(0, 1), W, b), given["num_heads"]) for x, W, b in parts)
    allowed = mask.logical_not() if mask is not None and mask.dtype == torch.bool else mask  # there: what is not
    y = _attention(q, k, v, 1 / math.sqrt(q.shape[-1]), allowed, given["dropout_p"] if given["training"] else 0.0)
    return F.linear(y.transpose(1, 2).flatten(2), given["out_proj_weight"], given["out_proj_bias"]).transpose(0, 1)


def _heads(x: Tensor, heads: int) -> Tensor:
    """(one image, positions, features) as (one image, heads, positions, features of one head)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _attention(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None, left_out: float) -> Tensor:  # noqa: PLR0917 - as the books have it
    """softmax(scale · q kᵀ + mask) v; a mask of truths says which scores are allowed."""
    require(left_out == 0, f"dropout_p={left_out}; explained is attention that leaves nothing out")
    scores = q @ k.transpose(-2, -1) * scale
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill(mask.logical_not(), -math.inf)
    return (scores if mask is None else scores + mask).softmax(-1) @ v


def _signature(**defaults: object) -> inspect.Signature:
    """The arguments of a function that does not tell them; `...` where one has no default."""
    empty, kind = inspect.Parameter.empty, inspect.Parameter.POSITIONAL_OR_KEYWORD
    given = {name: empty if value is ... else value for name, value in defaults.items()}
    return inspect.Signature([inspect.Parameter(name, kind, default=value) for name, value in given.items()])


_WRITTEN_OUT: dict[str, tuple[inspect.Signature, Callable[[Given], Tensor]]] = {
    "scaled_dot_product_attention": (
        _signature(
            query=..., key=..., value=..., attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
        ),
        _scaled_dot_product,
    ),
    "multi_head_attention_forward": (inspect.signature(F.multi_head_attention_forward), _multi_head),
}
