"""Networks as well-known libraries build them, looked into: projections against the explicit reference, strongest
activations against sorting all of them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from deconvnet_reference import deconvnet
from projection_networks import EXACT, assert_same, awake
from torch import Tensor, fx, nn
from zoo import ZOO, MobileNet, ResNet

from striate.inside.atlases.atlas import atlas
from striate.inside.projections.projection import project
from striate.inside.projections.rules import Rule
from striate.inside.receptive.fields import receptive_fields
from striate.inside.studies.activations import activations


def images_for(name: str, count: int = 1) -> Tensor:
    return torch.randn(count, *ZOO[name][1], generator=torch.Generator().manual_seed(2))


def expected_of(net: nn.Module, image: Tensor, unit: int, rule: Rule = "deconvnet") -> Tensor:
    layers = cast("Any", copy.deepcopy(net)).reference()
    return deconvnet(layers, image[None], unit, None, rule == "guided")


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
@pytest.mark.parametrize("name", ZOO)
def test_projections(name: str, rule: Rule) -> None:
    net, image = awake(ZOO[name][0]()), images_for(name)[0]
    excited = 0
    for unit in (0, 1, 2):
        expected = expected_of(net, image, unit, rule)
        found = project(net, image, ZOO[name][2], unit, rule=rule)
        assert (found - expected).abs().max() <= EXACT * expected.abs().max()
        excited += int(expected.abs().max() > 0)
    assert excited > 0


@pytest.mark.parametrize("name", ["resnet", "mobilenet", "lenet", "shufflenet", "unet"])
def test_projections_of_traced_networks(name: str) -> None:
    net, image = awake(ZOO[name][0]()), images_for(name)[0]
    expected = expected_of(net, image, 1)
    if name != "shufflenet":  # it takes shapes apart, which fx cannot follow
        assert_same(project(fx.symbolic_trace(net), image, ZOO[name][2], 1), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = cast("nn.Module", torch.jit.trace(net, image[None]))
    assert_same(project(traced, image, ZOO[name][2], 1), expected)


@pytest.mark.parametrize("name", ZOO)
def test_activations_and_receptive_fields(name: str) -> None:
    net, images = awake(ZOO[name][0]()), images_for(name, 2)
    found, fields = activations(net, images), receptive_fields(net, ZOO[name][1])
    layer = ZOO[name][2]
    layers = cast("Any", net).reference()
    with torch.no_grad():
        torch.testing.assert_close(found[layer], nn.Sequential(*layers)(images))
    assert set(fields) == set(found)
    for key, maps in found.items():
        places = tuple(maps.shape[2:]) or (1, 1)
        assert (len(fields[key].rows), len(fields[key].columns)) == places
        assert fields[key].how == "traced"


def training(net: nn.Module) -> nn.Module:
    return net.train()


def frozen(net: nn.Module) -> nn.Module:
    return net.requires_grad_(requires_grad=False)


@contextmanager
def unchanged(net: nn.Module) -> Generator[None]:
    flags = [part.training for part in net.modules()]
    grads = [parameter.requires_grad for parameter in net.parameters()]
    state = {key: value.clone() for key, value in net.state_dict().items()}
    yield
    assert flags == [part.training for part in net.modules()]
    assert grads == [parameter.requires_grad for parameter in net.parameters()]
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("name", ["resnet", "googlenet"])
@pytest.mark.parametrize("change", [training, frozen, nn.Module.double])
@pytest.mark.parametrize("inference", [False, True])
def test_whatever_state_they_are_in(name: str, change: Callable[[nn.Module], nn.Module], inference: bool) -> None:
    net, image = awake(ZOO[name][0]()), images_for(name)[0]
    other = change(copy.deepcopy(net))
    dtype = next(other.parameters()).dtype
    expected = expected_of(net.to(dtype), image.to(dtype), 1)
    with unchanged(other), torch.inference_mode() if inference else nullcontext():
        found = project(other, image, ZOO[name][2], 1)
    assert_same(found, expected)


@pytest.mark.parametrize(
    ("build", "layers"), [(ResNet, ["conv1", "layer2.0.conv2"]), (MobileNet, ["features.1.conv.1.0"])]
)
def test_the_atlas_against_brute_force(build: Callable[[], nn.Module], layers: list[str], tmp_path: Path) -> None:
    net = awake(build())
    images = torch.randn(24, 3, 24, 24, generator=torch.Generator().manual_seed(3))
    made = atlas(net, images, tmp_path / "atlas", layers)
    following = {"conv1": "relu", "layer2.0.conv2": "layer2.0.bn2", "features.1.conv.1.0": "features.1.conv.1"}
    for layer in layers:
        seen = activations(net, images, [f"{following[layer]}"])[following[layer]].flatten(2)
        for unit in range(seen.shape[1]):
            order = seen[:, unit].amax(1).sort(descending=True, stable=True).indices[:9].tolist()
            held = [item["image"] for item in made.unit(layer, unit)["top"]]
            assert held == order[: len(held)]
            assert len(held) == 9 or seen[order[len(held)], unit].max() <= 0
            for place, item in enumerate(made.unit(layer, unit)["top"][:2]):
                position = seen[order[place], unit].argmax()
                assert item["position"] == list(divmod(int(position), made.layer(layer)["shape"][2]))
