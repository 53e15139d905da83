"""Projections against the deconvnet written out in `deconvnet_reference`."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import cast

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from deconvnet_reference import deconvnet
from projection_networks import NETWORKS, Spelled, assert_same, awake, picture, spelled_reference
from torch import Tensor, fx, nn

from striate.errors import ModelError
from striate.inside.projections.projection import project, project_many
from striate.inside.projections.rules import Rule


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_every_network(name: str, rule: Rule) -> None:
    net = awake(nn.Sequential(*NETWORKS[name]()))
    reference = copy.deepcopy(net)
    image = picture()
    for number in range(len(net)):
        for unit, position in ((0, None), (1, None), (1, (0, 0))):
            expected = deconvnet(list(reference)[: number + 1], image, unit, position, rule == "guided")
            found = project(net, image[0], str(number), unit, position, rule)
            if expected.abs().max() == 0:
                assert found.abs().max() == 0
            else:
                assert_same(found, expected)


def test_the_plain_gradient() -> None:
    net = awake(nn.Sequential(*NETWORKS["concat"]()))
    image = picture().requires_grad_()
    (expected,) = torch.autograd.grad(cast("Tensor", net(image))[0, 2, 3, 4], image)
    assert torch.equal(project(net, image[0].detach(), "3", 2, (3, 4), "gradient"), expected[0])


def test_many_images_each_with_its_own_unit_and_position() -> None:
    net = awake(nn.Sequential(*NETWORKS["batch norm"]()))
    images, units = picture(batch=4), [4, 0, 0, 2]
    positions = torch.tensor([[0, 1], [4, 4], [2, 0], [1, 1]])
    found = project_many(net, images, "4", units, positions)
    for k in range(4):
        row, column = positions[k].tolist()
        expected = deconvnet(list(net)[:5], images[k : k + 1], units[k], (row, column))
        assert_same(found[k], expected)


def test_the_first_of_equal_maxima_is_taken() -> None:
    one = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(one.weight)
    image = torch.zeros(1, 4, 4)
    image[0, 1, 3] = image[0, 2, 0] = 5
    assert project(nn.Sequential(one), image, "0", 0).nonzero().tolist() == [[0, 1, 3]]


RECTIFIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "F.relu in place by position": lambda x: F.relu(x, True),
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp by position": lambda x: torch.clamp(x, 0),
    "clamp of a tensor": lambda x: torch.clamp(x, min=torch.tensor(0.0)),
    "clamp_": lambda x: x.clamp_(0.0),
    "clamp_min": lambda x: x.clamp_min(0),
    "clamp_min_": lambda x: torch.clamp_min_(x, 0),
    "clip": lambda x: x.clip(0),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "threshold_": lambda x: torch.threshold_(x, 0, 0),
    "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "maximum, turned": lambda x: torch.maximum(torch.zeros(1), x),
    "max": lambda x: torch.max(x, torch.tensor(0.0)),
    "leaky with slope 0": lambda x: F.leaky_relu(x, 0.0),
    "aten": torch.ops.aten.relu.default,
    "aten in place": torch.ops.aten.relu_.default,
    "aten packet": torch.ops.aten.relu,
    "in place on a view": lambda x: x.view(x.shape[0], -1).relu_().view(x.shape),
}


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
@pytest.mark.parametrize("name", RECTIFIERS)
def test_every_spelling(name: str, rule: Rule) -> None:
    net = Spelled(RECTIFIERS[name])
    awake(net)
    assert_same(project(net, picture()[0], "conv3", 1, rule=rule), spelled_reference(net, picture(), rule))


CEILINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "module": nn.ReLU6(),
    "in place": nn.ReLU6(inplace=True),
    "F.relu6": F.relu6,
    "hardtanh": lambda x: F.hardtanh(x, 0.0, 6.0),
    "hardtanh_": lambda x: F.hardtanh_(x, 0, 6),
    "clamp": lambda x: x.clamp(0, 6),
    "clamp by name": lambda x: torch.clip(x, max=6.0, min=0.0),
    "aten": lambda x: torch.ops.aten.hardtanh_.default(x, 0.0, 6.0),
}


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
@pytest.mark.parametrize("name", CEILINGS)
def test_every_spelling_of_a_ceiling(name: str, rule: Rule) -> None:
    net, image = awake(Spelled(CEILINGS[name])), 9 * picture()
    layers = [net.conv1, nn.ReLU6(), net.pool, net.conv2, nn.ReLU6(), net.conv3]
    expected = deconvnet(layers, image, 1, None, rule == "guided")
    uncapped = deconvnet([nn.ReLU() if isinstance(x, nn.ReLU6) else x for x in layers], image, 1, None, guided=True)
    assert (expected - uncapped).abs().max() > 0.1 * expected.abs().max(), "the ceiling is reached"
    assert_same(project(net, image[0], "conv3", 1, rule=rule), expected)


@pytest.mark.parametrize("inplace", [False, True])
def test_one_relu_shared_by_all(inplace: bool) -> None:
    net = Spelled(nn.ReLU(inplace))
    awake(net)
    expected = spelled_reference(net, picture(), "deconvnet")
    assert_same(project(net, picture()[0], "conv3", 1), expected)
    top = deconvnet([net.conv1, nn.ReLU(), net.pool, net.conv2, nn.ReLU()], picture(), 1, None)
    assert_same(project(net, picture()[0], "rectify@2", 1), top)
    with pytest.raises(ModelError, match="called 2 times in one pass: name one of rectify@1, rectify@2"):
        project(net, picture()[0], "rectify", 1)


IN_MODULES: list[Callable[[Tensor], Tensor]] = [nn.ReLU(), nn.ReLU(inplace=True), F.relu, torch.relu_]


@pytest.mark.parametrize("layer", ["conv2", "conv3", "pool"])
@pytest.mark.parametrize("rectify", [*IN_MODULES, RECTIFIERS["clamp"], RECTIFIERS["method in place"]])
def test_traced_modules(rectify: Callable[[Tensor], Tensor], layer: str) -> None:
    net = Spelled(rectify)
    awake(net)
    expected = spelled_reference(net, picture(), "deconvnet", layer)
    assert_same(project(fx.symbolic_trace(net), picture()[0], layer, 1), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = cast("nn.Module", torch.jit.trace(net, picture()))
    assert_same(project(traced, picture()[0], layer, 1), expected)
    assert_same(project(nn.Sequential(traced), picture()[0], f"0.{layer}", 1), expected)
    for _ in range(3):  # TorchScript rewrites what has run a few times
        traced(picture())
    assert_same(project(traced, picture()[0], layer, 1), expected)


def test_exported_modules() -> None:
    net = Spelled(F.relu)
    awake(net)
    exported = torch.export.export(net, (picture(),)).module()
    wrapped = nn.Sequential(exported)
    assert_same(project(wrapped, picture()[0], "0", 1), spelled_reference(net, picture(), "deconvnet"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": "9", "unit": 0}, "no layer '9'"),
        ({"layer": "0", "unit": 6}, "no unit 6: the layer has 6 units"),
        ({"layer": "0", "unit": -1}, "no unit -1"),
        ({"layer": "0", "unit": 0, "position": (15, 0)}, r"no position \(15, 0\)"),
        ({"layer": "0", "unit": 0, "rule": "lrp"}, "rule must be one of deconvnet, guided, gradient"),
        ({"layer": "0", "unit": 0, "others": "skip"}, "others must be"),
    ],
)
def test_faults_are_named(arguments: dict[str, object], message: str) -> None:
    net = nn.Sequential(*NETWORKS["plain"]())
    with pytest.raises(ModelError, match=message):
        project(net, picture()[0], **arguments)  # pyright: ignore[reportArgumentType]
