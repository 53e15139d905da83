from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.errors import ModelError
from striate.inside.studies.activations import activations, feature_maps


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.last = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.conv(x))
        z = self.last(y)
        z += y
        return self.act(z)


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net()


def test_values_are_those_before_anything_overwrites_them(net: Net) -> None:
    images = torch.randn(2, 3, 8, 8)
    found = activations(net, images)
    with torch.no_grad():
        conv = net.conv(images)
        y = conv.clamp(min=0)
        last = net.last(y)
    assert list(found) == ["conv", "act@1", "act@2", "last"]
    assert torch.equal(found["conv"], conv)
    assert torch.equal(found["act@1"], y)
    assert torch.equal(found["last"], last)
    assert torch.equal(found["act@2"], (last + y).clamp(min=0))
    assert list(activations(net, images, ["last", "conv"])) == ["last", "conv"]


def test_pictures_scale_per_unit_per_layer_and_over_all(net: Net) -> None:
    image = torch.randn(3, 8, 8)
    values = activations(net, image[None])
    largest = {name: np.abs(a[0].numpy()).max((1, 2)) for name, a in values.items()}
    unit = feature_maps(net, image, scale="unit")
    layer = feature_maps(net, image, scale="layer")
    over_all = feature_maps(net, image, scale="all")
    for name, most in largest.items():
        np.testing.assert_allclose(unit[name].limits, most)
        np.testing.assert_allclose(layer[name].limits, most.max())
        np.testing.assert_allclose(over_all[name].limits, max(m.max() for m in largest.values()))
    assert [name for name, maps in unit.items() if maps.signed] == ["conv", "last"]
    assert unit["conv"].caption == "conv: each unit has its own scale"
    assert f"±{layer['conv'].limits[0]:.3g}" in layer["conv"].caption
    assert "0 to" in layer["act@1"].caption


def test_colours_of_signed_and_unsigned_maps(net: Net) -> None:
    maps = feature_maps(net, torch.randn(3, 8, 8), scale="unit")
    signed, unsigned = maps["conv"].picture(0), maps["act@1"].picture(0)
    negative, zero = maps["conv"].values[0] < 0, maps["act@1"].values[0] == 0
    assert (signed[negative][:, 2] >= signed[negative][:, 0]).all(), "blue below zero"
    assert (signed[~negative][:, 0] >= signed[~negative][:, 2]).all(), "red above"
    assert (unsigned[zero] == 0).all()
    assert (unsigned[..., 0] == unsigned[..., 1]).all()
    assert maps["conv"].sheet(columns=4).shape == (48, 4 * 48 + 3 * 2, 3)


def test_vectors_are_maps_of_one_position() -> None:
    maps = feature_maps(nn.Sequential(nn.Flatten(), nn.Linear(4, 5)), torch.ones(1, 2, 2))
    assert maps["1"].values.shape == (5, 1, 1)


def test_faults_are_named(net: Net) -> None:
    with pytest.raises(ModelError, match="no layer 'conv1' in Net: nearest are conv"):
        activations(net, torch.zeros(1, 3, 8, 8), ["conv1"])
    with pytest.raises(ModelError, match=r"floating-point.*uint8"):
        activations(net, torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ModelError, match="scale must be"):
        feature_maps(net, torch.zeros(3, 8, 8), scale="none")  # pyright: ignore[reportArgumentType]
