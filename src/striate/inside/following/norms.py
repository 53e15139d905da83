"""Calls that normalize, as layers."""

from __future__ import annotations

import torch
from torch import Tensor

from striate.inside.following.arguments import Given, held, require
from striate.inside.following.steps import Translated
from striate.layers.batchnorm import BatchNorm
from striate.layers.layer import Shape
from striate.layers.lrn import Lrn
from striate.layers.normalization import GroupNorm, LayerNorm


def batch(given: Given, input: Shape) -> Translated:
    """`F.batch_norm`."""
    require(len(input) in (1, 3), f"an input of {len(input)} dimensions; explained are maps and vectors")
    tensors = _scaled(given, input[0]) | held(**{name: given[name] for name in ("running_mean", "running_var")})
    return Translated(BatchNorm(given["eps"]), tensors, training=bool(given["training"]))


def layer(given: Given, input: Shape) -> Translated:
    """`F.layer_norm`, over the channels at each position, or over a vector."""
    shape, eps = tuple(given["normalized_shape"]), given["eps"]
    over_channels = len(input) == 1 or given["channels_last"]
    require(
        over_channels and shape == input[:1],
        f"normalized_shape={shape}; explained is one over the channels at each position, or over a vector",
    )
    return Translated(LayerNorm(eps), _scaled(given, input[0]))


def group(given: Given, input: Shape) -> Translated:
    """`F.group_norm`."""
    require(len(input) in (1, 3), f"an input of {len(input)} dimensions; explained are maps and vectors")
    return Translated(GroupNorm(given["num_groups"], given["eps"]), _scaled(given, input[0]))


def instance(given: Given, input: Shape) -> Translated:
    """`F.instance_norm`: a group norm of one channel each; by running statistics, a batch norm in evaluation."""
    if not given["use_input_stats"]:
        return batch({**given, "training": False}, input)
    require(len(input) == 3, f"an input of {len(input)} dimensions; explained are maps")
    return Translated(GroupNorm(input[0], given["eps"]), _scaled(given, input[0]))


def _scaled(given: Given, channels: int) -> dict[str, Tensor]:
    """γ and β; 1 and 0 where there are none."""
    plain = {"weight": torch.ones(channels), "bias": torch.zeros(channels)}
    return plain | held(weight=given["weight"], bias=given["bias"])


def local(given: Given, input: Shape) -> Translated:
    """`F.local_response_norm`."""
    return Translated(Lrn(given["size"], given["alpha"], given["beta"], given["k"]))
