"""Small networks built as well-known libraries build those of today: gates, layer scale, norms of one image, channels
that stand last. Each is drawn with all its numbers, also those that begin as 0 or 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Residual(nn.Module):
    """x + body(x), as torchvision's blocks write it."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.block = nn.Sequential(*body)

    def forward(self, input: Tensor) -> Tensor:
        result = self.block(input)
        result += input
        return result


def convolved(i: int, o: int, kernel: int, act: Callable[[], nn.Module], **options: int) -> nn.Module:
    """torchvision's Conv2dNormActivation."""
    conv = nn.Conv2d(i, o, kernel, padding=(kernel - 1) // 2, bias=False, **options)  # pyright: ignore[reportArgumentType]
    return nn.Sequential(conv, nn.BatchNorm2d(o, eps=0.001), act())


class SqueezeExcitation(nn.Module):
    """torchvision's: two convolutions of 1x1 on the mean of each channel."""

    def __init__(self, channels: int, squeezed: int, act: nn.Module, scale: nn.Module) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.activation, self.scale_activation = act, scale

    def forward(self, input: Tensor) -> Tensor:
        scale = self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(input)))))
        return scale * input


class StochasticDepth(nn.Module):
    """torchvision's: leaves out a whole image's branch while training."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return input
        noise = torch.empty([input.shape[0], 1, 1, 1], dtype=input.dtype).bernoulli_(0.8)
        noise.div_(0.8)
        return input * noise


def mobilenet_v3() -> nn.Module:
    hard = partial(nn.Hardswish, inplace=True)

    def gate(channels: int) -> nn.Module:
        return SqueezeExcitation(channels, 4, nn.ReLU(), nn.Hardsigmoid())

    wide = [convolved(4, 8, 1, nn.ReLU), convolved(8, 8, 5, nn.ReLU6, groups=8), gate(8)]
    return nn.Sequential(
        convolved(3, 4, 3, hard, stride=2),
        Residual(*wide, convolved(8, 4, 1, nn.Identity)),
        nn.Sequential(convolved(4, 6, 1, hard), convolved(6, 6, 3, hard, stride=2, groups=6), gate(6)),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1)),
        nn.Sequential(nn.Linear(6, 8), nn.Hardswish(inplace=True), nn.Dropout(0.2), nn.Linear(8, 3)),
    )


def efficientnet() -> nn.Module:
    silu = partial(nn.SiLU, inplace=True)

    def gate(channels: int) -> nn.Module:
        return SqueezeExcitation(channels, 2, nn.SiLU(inplace=True), nn.Sigmoid())

    wide = [convolved(4, 8, 1, silu), convolved(8, 8, 3, silu, groups=8), gate(8), convolved(8, 4, 1, nn.Identity)]
    return nn.Sequential(
        convolved(3, 4, 3, silu, stride=2),
        Residual(*wide, StochasticDepth()),
        convolved(4, 6, 1, silu),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Dropout(0.2), nn.Linear(6, 3), nn.Softmax(1)),
    )


class LayerNorm2d(nn.LayerNorm):
    """torchvision's: over the channels of maps, moved to the end and back."""

    def forward(self, input: Tensor) -> Tensor:
        x = input.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Permute(nn.Module):
    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return torch.permute(x, self.dims)


class CNBlock(nn.Module):
    """torchvision's, of ConvNeXt: dense layers on channels that stand last; a scale for each channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, 7, padding=3, groups=dim), Permute(0, 2, 3, 1), nn.LayerNorm(dim, eps=1e-6),
            nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim), Permute(0, 3, 1, 2),
        )  # fmt: skip
        self.layer_scale = nn.Parameter(torch.ones(dim, 1, 1))
        self.stochastic_depth = StochasticDepth()

    def forward(self, input: Tensor) -> Tensor:
        result = self.layer_scale * self.block(input)
        result = self.stochastic_depth(result)
        result += input
        return result


def convnext() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 4, 4), LayerNorm2d(4, eps=1e-6)),
        CNBlock(4),
        nn.Sequential(LayerNorm2d(4), nn.Conv2d(4, 6, 2, 2)),
        CNBlock(6),
        nn.AdaptiveAvgPool2d(1),
        nn.Sequential(LayerNorm2d(6), nn.Flatten(1), nn.Linear(6, 3)),
    )


class ConvNeXtBlock(nn.Module):
    """The one of the paper's authors: channels stay last for the scale, and move back before the sum."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv, self.norm = nn.Conv2d(dim, dim, 7, padding=3, groups=dim), nn.LayerNorm(dim)
        self.pwconv1, self.act, self.pwconv2 = nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.dwconv(x).permute(0, 2, 3, 1)
        x = self.pwconv2(self.act(self.pwconv1(self.norm(x))))
        x = self.gamma * x
        return shortcut + x.permute(0, 3, 1, 2)


class GatedBlock(nn.Module):
    """timm's, of MambaOut: all with the channels last; some of them are gates, some are convolved, some pass."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm, self.fc1, self.act = nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, 4 * dim), nn.GELU()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.fc2 = nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        dim = x.shape[1]
        shortcut = x = x.permute(0, 2, 3, 1)
        gate, passed, c = torch.split(self.fc1(self.norm(x)), [2 * dim, dim, dim], dim=-1)
        c = self.conv(c.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = self.fc2(self.act(gate) * torch.cat((passed, c), dim=-1))
        return (x + shortcut).permute(0, 3, 1, 2)


class StdConv2d(nn.Conv2d):
    """timm's: the weights are standardized by the batch norm of a batch of one."""

    def forward(self, input: Tensor) -> Tensor:
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(flat, None, None, training=True, momentum=0.0, eps=1e-6).reshape_as(self.weight)
        return F.conv2d(input, weight, self.bias, self.stride, self.padding)


class SEBottleneck(nn.Module):
    """timm's, of SE-ResNet: the gate before the sum; swish written as a product."""

    def __init__(self, i: int, width: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(2, i), StdConv2d(i, width, 1, bias=False)
        self.norm2, self.conv2 = nn.InstanceNorm2d(width, affine=True), StdConv2d(width, i, 3, padding=1)
        self.fc = nn.Linear(i, i)
        self.skip_gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        y = self.norm2(self.conv1(y * y.sigmoid()))
        y = self.conv2(F.elu(y))
        gate = self.fc(y.mean((2, 3))).sigmoid().view(len(y), -1, 1, 1)
        return x + 2.0 * y * gate * self.skip_gain


class SEResNet(nn.Module):
    """It brings its input to the scale that it was trained on, and pools to unequal windows."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(3))
        self.std = nn.Buffer(torch.ones(3))
        self.stem = nn.Conv2d(3, 4, 3, stride=2)
        self.block1, self.block2 = SEBottleneck(4, 6), ConvNeXtBlock(4)
        self.pool, self.fc = nn.AdaptiveAvgPool2d((3, 2)), nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        mean, std = (each[None, :, None, None] for each in (self.get_buffer("mean"), self.std))
        x = (x / 255 - mean).div_(std)
        return self.fc(self.pool(self.block2(self.block1(self.stem(x)))).flatten(1))


def drawn(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network with all its numbers drawn, in evaluation."""
    torch.manual_seed(seed)
    module = make().eval()
    for tensor in module.state_dict().values():
        if (tensor.is_floating_point() and tensor.dim() < 2) or tensor.shape[1:] == (1, 1):
            tensor.uniform_(0.3, 1.2)
    return module


def mamba_out() -> nn.Module:
    head = nn.Sequential(nn.AdaptiveMaxPool2d((2, 3)), nn.Flatten(), nn.Linear(24, 3))
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), GatedBlock(4), GatedBlock(4), head)


MODERN: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "mobilenet_v3": (mobilenet_v3, (3, 17, 17)),
    "efficientnet": (efficientnet, (3, 12, 12)),
    "convnext": (convnext, (3, 16, 16)),
    "mamba_out": (mamba_out, (3, 11, 9)),
    "se_resnet": (SEResNet, (3, 11, 11)),
}
"""Name -> what builds it, and the shape of an image."""
