"""Networks for tests of projections, with random weights; and how exact a projection must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from deconvnet_reference import Join, Sum, deconvnet
from torch import Tensor, nn

from striate.inside.projections.rules import Rule

EXACT = 1e-6

Net = TypeVar("Net", bound=nn.Module)


def awake(module: Net, seed: int = 0) -> Net:
    """Random weights, and batch norms with scales of both signs and statistics of their own."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            fan = max(parameter[0].numel(), 1)
            parameter.data = torch.randn(parameter.shape, generator=generator) * (1.5 / fan) ** 0.5
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data = torch.randn(part.weight.shape, generator=generator)
            part.running_mean = torch.randn(part.weight.shape, generator=generator)
            part.running_var = torch.rand(part.weight.shape, generator=generator) + 0.5
    return module.eval()


def picture(channels: int = 2, side: int = 17, batch: int = 1) -> Tensor:
    return torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(1))


def assert_same(found: Tensor, expected: Tensor, tolerance: float = EXACT) -> None:
    assert expected.abs().max() > 0
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def conv(i: int, o: int, kernel: int = 3, **options: int) -> nn.Conv2d:
    return nn.Conv2d(i, o, kernel, **options)  # pyright: ignore[reportArgumentType]


NETWORKS: dict[str, Callable[[], list[nn.Module]]] = {
    "plain": lambda: [conv(2, 6), nn.ReLU(), nn.MaxPool2d(2), conv(6, 5), nn.ReLU()],
    "in place": lambda: [conv(2, 6), nn.ReLU(inplace=True), nn.MaxPool2d(2), conv(6, 5), nn.ReLU(inplace=True)],
    "ends in a convolution": lambda: [conv(2, 6), nn.ReLU(), conv(6, 5, 5, stride=2, padding=2)],
    "overlapping": lambda: [conv(2, 6), nn.ReLU(), nn.MaxPool2d(3, 2), conv(6, 5), nn.ReLU(), nn.MaxPool2d(3, 1)],
    "padded pools": lambda: [conv(2, 6), nn.ReLU(), nn.MaxPool2d(3, 2, 1), conv(6, 5), nn.ReLU()],
    "ceil": lambda: [
        conv(2, 6),
        nn.ReLU(),
        nn.MaxPool2d(2, 2, ceil_mode=True),
        conv(6, 5),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    ],
    "dilated": lambda: [
        conv(2, 6, dilation=2, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(2, 1, dilation=2),
        conv(6, 4, stride=3),
    ],
    "average": lambda: [conv(2, 6), nn.ReLU(), nn.AvgPool2d(3, 2, 1, ceil_mode=True), conv(6, 5), nn.AvgPool2d(2)],
    "batch norm": lambda: [
        conv(2, 6),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        conv(6, 5),
        nn.BatchNorm2d(5),
        nn.ReLU(),
    ],
    "norm before conv": lambda: [nn.BatchNorm2d(2), nn.ReLU(), conv(2, 5), nn.BatchNorm2d(5)],
    "response norm": lambda: [
        conv(2, 8),
        nn.ReLU(),
        nn.LocalResponseNorm(5, 0.5, 0.75, 2),
        nn.MaxPool2d(3, 2),
        conv(8, 5),
        nn.ReLU(),
    ],
    "dropout": lambda: [conv(2, 6), nn.ReLU(), nn.Dropout2d(0.5), nn.Dropout(0.9), conv(6, 5)],
    "one-sided padding": lambda: [nn.ZeroPad2d((0, 1, 2, 0)), conv(2, 6), nn.ReLU(), conv(6, 5)],
    "residual": lambda: [
        conv(2, 6),
        nn.ReLU(),
        Sum(nn.Sequential(conv(6, 6, padding=1), nn.BatchNorm2d(6), nn.ReLU(), conv(6, 6, padding=1)), nn.Identity()),
        nn.ReLU(),
        Sum(nn.Sequential(conv(6, 4, stride=2, padding=1), nn.ReLU()), conv(6, 4, 1, stride=2)),
        nn.ReLU(),
    ],
    "concat": lambda: [
        conv(2, 6),
        Join(
            nn.Sequential(conv(6, 3, 1), nn.ReLU()),
            nn.Sequential(conv(6, 2, padding=1), nn.ReLU()),
            nn.MaxPool2d(3, 1, 1),
        ),
        conv(11, 5),
        nn.ReLU(),
    ],
    "ceiling": lambda: [
        conv(2, 6, padding=1),
        nn.ReLU6(),
        Sum(
            nn.Sequential(conv(6, 12, 1), nn.ReLU6(True), conv(12, 12, groups=12, padding=1), conv(12, 6, 1)),
            nn.Identity(),
        ),
        conv(6, 6, stride=2, groups=3),
        nn.BatchNorm2d(6),
        nn.ReLU6(inplace=True),
    ],
    "dense": lambda: [
        conv(2, 6, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(96, 10),
        nn.ReLU(),
        nn.Linear(10, 3),
    ],
}


class Spelled(nn.Module):
    def __init__(self, rectify: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = conv(2, 6), conv(6, 6), conv(6, 4)
        self.pool = nn.MaxPool2d(3, 2)
        self.rectify = rectify

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.rectify(self.conv1(x)))
        return self.conv3(self.rectify(self.conv2(x)))


def spelled_reference(net: Spelled, image: Tensor, rule: Rule, layer: str = "conv3") -> Tensor:
    layers: list[nn.Module] = [net.conv1, nn.ReLU(), net.pool, net.conv2, nn.ReLU(), net.conv3]
    last = {"conv2": 4, "conv3": 6, "pool": 3}[layer]
    return deconvnet(layers[:last], image, 1, None, rule == "guided")
