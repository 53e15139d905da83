"""PyTorch as the second way: what a layer's module computes, and its gradients by autograd, in float64 NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from striate.layers import Layer, Shape, sequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.utils.hooks import RemovableHandle

    from striate.layers.layer import Array, Parameters


@dataclass(frozen=True)
class Pass:
    """What went in (`x`, `dy`, `theta` with the masks that were drawn) and what PyTorch made of it."""

    x: Array
    dy: Array
    theta: Parameters
    y: Array
    dx: Array
    gradients: Parameters
    after: Parameters
    """The state afterwards: running statistics have moved."""


def drawn(layers: Sequence[Layer], input: Shape, seed: int) -> nn.Sequential:
    """The module in float64 with everything that it holds drawn at random: weights, scales, running statistics."""
    module = sequence.module(layers, input).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.normal_(generator=generator)
            if name.endswith("running_var"):
                tensor.abs_().add_(0.1)
    return module


def run(
    layers: Sequence[Layer], input: Shape, *, seed: int, training: bool, coarse: bool = False, images: int = 3
) -> Pass:
    """One forward and one backward pass. `coarse` inputs are halves, so that ties and zeros are common."""
    module = drawn(layers, input, seed).train(training)
    random = np.random.default_rng(seed)
    x = random.normal(size=(images, *input))
    x = np.round(x * 2) / 2 if coarse else x
    theta = state(module)
    hooks = [
        _keep_mask(part, f"{name}.mask", theta) for name, part in module.named_modules() if isinstance(part, nn.Dropout)
    ]
    torch.manual_seed(seed)
    leaf = torch.tensor(x, requires_grad=True)
    y = module(leaf)
    for hook in hooks:
        hook.remove()
    dy = random.normal(size=y.shape)
    y.backward(torch.tensor(dy))
    assert leaf.grad is not None
    gradients = {name: part.grad.numpy() for name, part in module.named_parameters() if part.grad is not None}
    return Pass(x, dy, theta, y.detach().numpy(), leaf.grad.numpy(), gradients, state(module))


def state(module: nn.Module) -> Parameters:
    """A copy of the module's floating-point state under its names."""
    return {
        name: part.detach().numpy().copy() for name, part in module.state_dict().items() if part.is_floating_point()
    }


def _keep_mask(part: nn.Dropout, key: str, theta: Parameters) -> RemovableHandle:
    """Puts into `theta` which numbers the module will leave out: those it leaves out of ones with the same draw."""

    def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        drawn_so_far = torch.get_rng_state()
        ones = nn.functional.dropout(torch.ones_like(inputs[0]), part.p, part.training)
        theta[key] = (ones != 0).double().numpy()
        torch.set_rng_state(drawn_so_far)

    return part.register_forward_pre_hook(keep)
