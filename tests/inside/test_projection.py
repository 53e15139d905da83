"""Projections against the deconvnet written out in `deconvnet_reference`."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import TypeVar, cast

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from deconvnet_reference import Join, Sum, deconvnet
from torch import Tensor, fx, nn
from torch.utils.checkpoint import checkpoint

from striate.errors import ModelError
from striate.inside.projections.projection import project, project_many
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


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
@pytest.mark.parametrize("name", RECTIFIERS)
def test_every_spelling(name: str, rule: Rule) -> None:
    net = Spelled(RECTIFIERS[name])
    awake(net)
    assert_same(project(net, picture()[0], "conv3", 1, rule=rule), spelled_reference(net, picture(), rule))


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


REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": nn.GELU(),
    "silu": F.silu,
    "elu": nn.ELU(),
    "leakyrelu": nn.LeakyReLU(),
    "hardtanh": nn.ReLU6(),
    "sigmoid": torch.sigmoid,
    "tanh": lambda x: x.tanh_(),
    "softplus": nn.Softplus(),
    "mish": nn.Mish(),
    "hardswish": nn.Hardswish(inplace=True),
    "prelu": nn.PReLU(),
    "softmax": nn.Softmax(1),
    "clamp": lambda x: x.clamp(0, 6),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "mask": lambda x: x * (x > 0),
    "threshold": lambda x: F.threshold(x, 0.5, 0),
    "maximum": lambda x: torch.maximum(x, 0.1 * x),
    "minimum": lambda x: torch.minimum(x, torch.tensor(6.0)),
    "sin": torch.sin,
    "sign": lambda x: x * (x.sign() + 1) / 2,
    "tanh on a view": lambda x: x.view(len(x), -1).tanh_().view(x.shape),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_refused_by_name_or_passed_by_its_gradient(name: str) -> None:
    net = Spelled(REFUSED[name])
    awake(net)
    image = picture()
    with pytest.raises(ModelError, match=name.split(maxsplit=1)[0]):
        project(net, image[0], "conv3", 1)
    image.requires_grad_()
    if name != "mask":
        (expected,) = torch.autograd.grad(net(image.clone())[0, 1, 0, 0], image)
        assert_same(project(net, image[0].detach(), "conv3", 1, (0, 0), others="gradient"), expected[0])
    assert project(net, image[0].detach(), "conv1", 1).abs().max() > 0, "it is not on the way"


def assigned(x: Tensor) -> Tensor:
    y = x.clone()
    y[y < 0] = 0
    return y


def assigned_in_a_view(x: Tensor) -> Tensor:
    y = x.clone()
    y.view(-1)[y.view(-1) < 0] = 0
    return y


def assigned_by_place(x: Tensor) -> Tensor:
    return x.index_put((x < 0).nonzero(as_tuple=True), torch.tensor(0.0))


def a_mask_filled_in(x: Tensor) -> Tensor:
    mask = torch.zeros_like(x)
    mask[x > 0] = 1
    return x * mask


MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "as floats": lambda x: x * (x > 0).float(),
    "of the type": lambda x: (x.detach() > 0).type_as(x) * x,
    "in place": lambda x: x.clone().mul_(x.gt(0).to(x.dtype)),
    "taken away": lambda x: x - x * (x < 0).double().float(),
    "filled in": a_mask_filled_in,
    "step": lambda x: x * torch.heaviside(x.data, torch.tensor(0.0)),
    "added": lambda x: torch.addcmul(torch.zeros(1), x, (x > 0).float()),
    "assigned": assigned,
    "assigned in a view": assigned_in_a_view,
    "assigned by place": assigned_by_place,
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_made_of_activations_are_refused(name: str) -> None:
    net = awake(Spelled(MASKS[name]))
    image = picture()
    with pytest.raises(ModelError, match="mask has no deconvnet rule"):
        project(net, image[0], "conv3", 1)
    image.requires_grad_()
    (expected,) = torch.autograd.grad(net(image)[0, 1, 0, 0], image)
    assert_same(project(net, image[0].detach(), "conv3", 1, (0, 0), others="gradient"), expected[0])


CONSTANT: dict[str, Callable[[Tensor], Tensor]] = {
    "by place": lambda x: x * (torch.arange(x.shape[-1]) >= 0).float(),
    "by chance": lambda x: x * (torch.rand_like(x) > 0.5).float(),
    "of ones": lambda x: x * (torch.ones_like(x) > 0).float(),
    "of a statistic": lambda x: x - x.detach().mean(),
}


@pytest.mark.parametrize("name", CONSTANT)
def test_what_is_no_mask_of_activations_passes(name: str) -> None:
    assert project(awake(Spelled(CONSTANT[name])), picture()[0], "conv3", 1).abs().max() > 0


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x**2

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return grads[0]


def test_custom_functions_are_refused() -> None:
    net = Spelled(Square.apply)  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(ModelError, match="custom function Square has no deconvnet rule"):
        project(net, picture()[0], "conv3", 1)


class Recomputed(Spelled):
    def __init__(self, reentrant: bool) -> None:
        super().__init__(torch.relu)
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", checkpoint(super().forward, x, use_reentrant=self.reentrant))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_modules_are_refused(reentrant: bool) -> None:
    outer = nn.Sequential(Recomputed(reentrant), nn.Conv2d(4, 1, 1))
    with pytest.raises(ModelError, match=r"(?i)checkpoint"):
        project(outer, picture()[0], "1", 0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_modules_that_branch_are_refused() -> None:
    scripted = cast("nn.Module", torch.jit.script(nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU())))
    with pytest.raises(ModelError, match="TorchScript module contains"):
        project(scripted, picture()[0], "1", 0)


def test_guards_of_divisions_pass() -> None:
    net = Spelled(lambda x: F.normalize(x.relu(), dim=1))
    assert project(net, picture()[0], "conv3", 1).abs().max() > 0


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
