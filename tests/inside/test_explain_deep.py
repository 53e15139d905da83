"""Explanations of networks that are deeper than functions of Python may call themselves."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from explained import noise
from torch import nn

from striate.inside.explaining.ends import Pixel
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation

LAYERS = 500


@pytest.fixture(scope="module")
def deep() -> Explanation:
    """The last of 500 layers, each of which adds 1/2: a bias and nothing else is learned."""
    layers = [nn.Conv2d(1, 1, 1) for _ in range(LAYERS)]
    for layer in layers:
        nn.init.ones_(layer.weight)
        assert layer.bias is not None
        nn.init.constant_(layer.bias, 0.5)
    return explain(nn.Sequential(*layers), torch.ones(1, 2, 2), str(LAYERS - 1), 0, (0, 1), depth="input")


def test_the_way_down_reaches_the_pixels_of_a_network_of_500_layers(deep: Explanation) -> None:
    assert sys.getrecursionlimit() < 3 * LAYERS, "or this proves nothing"
    found, values = deep, list[float]()
    while True:
        assert found.agrees
        values.append(found.value)
        (below,) = found.below
        if isinstance(below.found, Pixel):
            break
        assert isinstance(below.found, Explanation)
        found = below.found
    assert values == [1 + (LAYERS - k) / 2 for k in range(LAYERS)]
    assert below.found.value == 1.0


def test_a_network_of_500_layers_is_told_whole(deep: Explanation) -> None:
    shown = deep.text()
    assert shown.count("module   ") == LAYERS
    assert "is the image at channel 0" in " ".join(shown.split())
    page = deep._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert page.count("<details>") == page.count("</details>") == LAYERS - 1
    assert page.index("where its x = 1.5 comes from") < page.index("x = 1 is the image at channel 0")
    held: dict[str, Any] = deep.as_json()
    layers = [held["layer"]]
    while "explanation" in held["below"][0]:
        held = held["below"][0]["explanation"]
        layers.append(held["layer"])
    assert layers == [str(LAYERS - 1 - k) for k in range(LAYERS)]
    assert held["below"][0]["pixel"]["value"] == 1.0


def test_an_explanation_names_itself_in_a_line(deep: Explanation) -> None:
    assert len(repr(deep)) < 200
    assert repr(deep).startswith("Explanation(layer='499', kind='conv 1 1x1'")


def test_networks_of_hundreds_of_blocks_are_followed_through_both_ways() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)
            self.norm = nn.BatchNorm2d(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.relu(self.norm(self.conv(x)))

    torch.manual_seed(0)
    net = nn.Sequential(*[Block() for _ in range(150)])
    found = explain(net, noise(2, 3, 3), "149", 1, (0, 1), depth="input", follow=2)
    assert " ".join(found.text().split()).count("is the image at channel") > 1
    assert found.as_json()["agrees"]
