"""A small network with dead units, and images for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def small_net() -> nn.Sequential:
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(True),
        nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(32, 5),
    )  # fmt: skip
    with torch.no_grad():
        for layer, unit in ((0, 2), (3, 5)):
            net[layer].bias[unit] = -100  # pyright: ignore[reportIndexIssue]  # dead
    return net


def gray_images(count: int = 40) -> Tensor:
    """The last quarter repeats the first, so that every value is tied."""
    images = torch.randn(count - count // 4, 1, 14, 14, generator=torch.Generator().manual_seed(0))
    return torch.cat([images, images[: count // 4]])
