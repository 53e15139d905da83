"""Random programs of calls, as forward passes are written: each number of each against the same program in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from explained import noise, walked
from torch import Tensor, nn

from striate.inside.explaining.explain import explain

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class Parts(nn.Module):
    """What the calls use: of 4 channels, on maps of 6x5."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.valid = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3)
        self.gamma = nn.Parameter(noise(4).abs() + 0.5)
        self.register_buffer("shift", noise(1, 4, 1, 1, seed=3))
        self.linear, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)
        self.map = noise(6, 5, seed=4)


def summed_in_place(m: Parts, a: Tensor, b: Tensor) -> Tensor:
    y = a.clone()
    y += b
    y *= 0.5
    return y


def mixed(m: Parts, a: Tensor, b: Tensor) -> Tensor:
    """With the channels last: a norm, a dense layer, a scale, a product."""
    y = m.linear(m.norm(a.permute(*LAST))) * m.gamma
    return (y * b.permute(*LAST)).permute(*FIRST)


CALLS: list[Callable[[Parts, Tensor, Tensor], Tensor]] = [
    lambda m, a, b: m.conv(a),
    lambda m, a, b: a * b,
    lambda m, a, b: a - b,
    lambda m, a, b: a / (b * b + 2),
    lambda m, a, b: (1 - torch.sigmoid(a)) * b,
    lambda m, a, b: a * m.gamma.view(-1, 1, 1),
    lambda m, a, b: a * torch.sigmoid(b.mean((2, 3), keepdim=True)),
    lambda m, a, b: F.silu(a) - m.get_buffer("shift"),
    lambda m, a, b: F.group_norm(a, 2) + b.amax(1, keepdim=True),
    lambda m, a, b: torch.cat(a.chunk(2, 1)[::-1], 1) + m.map,
    lambda m, a, b: F.interpolate(F.adaptive_avg_pool2d(a, (4, 5)), size=(6, 5)),
    lambda m, a, b: m.valid(F.pad(a, (1, 1, 1, 1))) - 1,
    lambda m, a, b: F.hardswish(a.permute(*LAST)).permute(*FIRST),
    lambda m, a, b: torch.addcmul(a, b, m.get_buffer("shift"), value=0.5),
    lambda m, a, b: a.flip(3).mul_(-1),
    lambda m, a, b: F.relu6(m.conv(a).transpose(2, 3) + 1).transpose(2, 3),
    lambda m, a, b: torch.roll(a, 1, 2) * m.map[None, None],
    summed_in_place,
    mixed,
]


class Program(nn.Module):
    """Calls one after another, each of two of the maps made so far."""

    def __init__(self, seed: int, length: int) -> None:
        super().__init__()
        self.parts = Parts()
        random = np.random.default_rng(seed)
        self.steps = [
            (int(random.integers(len(CALLS))), int(random.integers(made)), made - 1) for made in range(1, length + 1)
        ]

    def forward(self, x: Tensor) -> Tensor:
        made = [self.parts.conv(x)]
        for call, one, other in self.steps:
            made.append(CALLS[call](self.parts, made[other], made[one]))
        return made[-1]


@pytest.mark.parametrize("seed", range(30))
def test_random_programs(seed: int) -> None:
    torch.manual_seed(seed)
    module, image, random = Program(seed, 1 + seed % 6).eval(), noise(4, 6, 5, seed=seed), np.random.default_rng(seed)
    twin = copy.deepcopy(module).double()
    twin.parts.map = twin.parts.map.double()
    with torch.no_grad():
        truth = twin(image.double()[None])[0].numpy()
    for _ in range(2):
        at = tuple(int(random.integers(side)) for side in truth.shape)
        found = explain(module, image, "", at[0], (at[1], at[2]), depth="input")
        assert found.value == pytest.approx(truth[at], rel=1e-4, abs=1e-4)
        assert all(pixel.value == float(image[(pixel.unit, *(pixel.position or ()))]) for pixel in walked(found))
        assert max(map(len, found.text(60).splitlines())) <= 60
        page = found._repr_html_()  # pyright: ignore[reportPrivateUsage]
        assert page.count("<table") == page.count("</table>") > 0
