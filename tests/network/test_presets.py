"""The presets: what was published, counted."""

from __future__ import annotations

import math

import pytest
import torch

from striate import presets
from striate.layers import sequence
from striate.network import Network

NAMES = [
    "alexnet",
    "ann",
    "convolution-demo",
    "keras-mnist",
    "lenet5",
    "nielsen-1conv",
    "nielsen-2conv",
    "nielsen-dropout",
    "nielsen-fc",
    "nielsen-relu",
    "resnet18",
    "tiny-vgg",
    "vanilla",
    "vgg11",
    "vgg16",
    "zfnet",
]

PUBLISHED = {
    "alexnet": 61_100_840,  # torchvision
    "vgg11": 132_863_336,  # torchvision
    "vgg16": 138_357_544,  # torchvision
    "resnet18": 11_689_512,  # torchvision
    "keras-mnist": 34_826,  # keras.io
}

COUNTED_BY_HAND = {
    "ann": (3 + 1) * 4 + (4 + 1) * 4 + (4 + 1),
    "convolution-demo": 2 * (3 * 9 + 1),
    "nielsen-fc": 785 * 100 + 101 * 10,
    "nielsen-1conv": 20 * 26 + (20 * 12 * 12 + 1) * 100 + 101 * 10,
    "nielsen-2conv": 20 * 26 + 40 * 501 + (40 * 4 * 4 + 1) * 100 + 101 * 10,
    "nielsen-relu": 20 * 26 + 40 * 501 + (40 * 4 * 4 + 1) * 100 + 101 * 10,
    "nielsen-dropout": 20 * 26 + 40 * 501 + 641 * 1000 + 1001 * 1000 + 1001 * 10,
    # LeCun 1998: C1 156, C5 48,120, F6 10,164 as published; C3 with all connections 2,416; dense output 850
    "lenet5": 156 + 2_416 + 48_120 + 10_164 + 850,
    "vanilla": 20 * 26 + 40 * 501 + (40 * 4 * 4 + 1) * 100 + 101 * 10,
    "zfnet": 96 * 148 + 256 * 2401 + 384 * 2305 + 384 * 3457 + 256 * 3457 + 9217 * 4096 + 4097 * 4096 + 4097 * 1000,
}


def test_they_are_all_there() -> None:
    assert list(presets.names()) == NAMES


@pytest.mark.parametrize(("name", "parameters"), [*PUBLISHED.items(), *COUNTED_BY_HAND.items()])
def test_parameters(name: str, parameters: int) -> None:
    assert Network.preset(name).parameters == parameters


@pytest.mark.parametrize("name", NAMES)
def test_the_module_has_as_many_parameters_and_gives_that_shape(name: str) -> None:
    network = Network.preset(name)
    assert network.input is not None
    with torch.device("meta"):
        module = sequence.module(network.layers, network.input)
        y = module(torch.empty(2, *network.input))
    assert sum(parameter.numel() for parameter in module.parameters()) == network.parameters
    assert math.prod(y.shape[1:]) == network.outputs


@pytest.mark.parametrize("name", NAMES)
def test_each_opens_with_its_source_and_leaves_softmax_to_the_loss(name: str) -> None:
    assert presets.text(name).startswith("# ")
    assert all(layer.word != "softmax" for layer in Network.preset(name).layers)


def test_the_sizes_of_zeiler_and_fergus() -> None:
    sides = [shape[1] for shape in Network.preset("zfnet").shapes if len(shape) == 3]
    assert list(dict.fromkeys(sides)) == [110, 55, 26, 13, 6]


def test_multiply_adds_of_the_published_ones() -> None:
    """torchvision's documentation gives 0.71, 15.47 and 1.81 GFLOPs, which are multiply-adds."""
    for name, billions in [("alexnet", 0.71), ("vgg16", 15.47), ("resnet18", 1.81)]:
        weighted = [row for row in Network.preset(name).describe().rows if row.dense_parameters is not None]
        assert sum(row.multiply_adds for row in weighted) / 1e9 == pytest.approx(billions, abs=0.01)


def test_the_lectures_demo() -> None:
    network = Network.preset("convolution-demo")
    assert network.shapes == ((2, 3, 3),)
    assert network.describe().multiply_adds == 18 * 27
