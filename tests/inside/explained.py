"""What the tests of `explain` share: networks of every kind of layer, and a walk down to the pixels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from striate.inside.explaining.ends import Pixel, Stop
from striate.inside.explaining.explanation import Explanation
from striate.network import Network

TEXTS = {
    "conv": "input 3x9x8, conv 6 3x3 stride=2 pad=1, sigmoid, conv 4 2x3 groups=2 dilation=2x1 bias=no",
    "same": "input 2x7x6, conv 3 4x4 pad=same stride=2, relu, conv 2 2x3 pad=same",
    "pools": "input 2x9x9, maxpool 3x3 stride=2, avgpool 3x3 stride=2 pad=1 ceil=yes, globalavgpool, dense 3, softmax",
    "norms": "input 4x6x6, conv 5 3x3, batchnorm, tanh, lrn 3 alpha=0.5 k=2, dropout 0.5, flatten, dense 4, batchnorm",
    "blocks": "input 3x8x8, residual(conv 5 3x3 stride=2 pad=1, batchnorm, relu), concat(conv 2 1x1 | |"
    " maxpool 3x3 stride=1 pad=1), gelu, dense 3",
    "modern": "input 3x9x8, conv 8 3x3 pad=1 bias=no, groupnorm 2, silu, layernorm, relu6, conv 6 1x1, hardswish,"
    " adaptiveavgpool 4x3, elu alpha=0.5, hardsigmoid, adaptivemaxpool 3x2, dense 4, layernorm",
    "vector": "input 5, dense 4, leakyrelu slope=0.2, residual(dense 4), dense 2, softmax",
}


def drawn(text: str, seed: int = 0) -> nn.Sequential:
    """A network with all its numbers drawn, running statistics too."""
    module = Network.parse(text).build(seed)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if "running" in name or ("norm" in name and tensor.is_floating_point()):
            tensor.uniform_(0.2, 1.5, generator=generator)
    return module


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Calls(nn.Module):
    """A function as a module, which holds the parts that the function uses."""

    def __init__(self, call: Callable[[Tensor], Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.call, self.parts = call, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x)


def walked(found: Explanation) -> list[Pixel]:
    """The pixels below; on the way, each number below is the x of the term that led there."""
    assert found.agrees
    pixels: list[Pixel] = []
    for below in found.below:
        assert not isinstance(below.found, Stop), below.found.reason
        value = below.found.value
        assert value == pytest.approx(below.source.x, rel=1e-5, abs=1e-6)
        pixels += [below.found] if isinstance(below.found, Pixel) else walked(below.found)
    return pixels
