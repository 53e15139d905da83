"""A module that has been looked into is bit for bit and flag for flag as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from striate.errors import DataError, ModelError
from striate.inside.explaining.explain import explain
from striate.inside.projections.projection import project
from striate.inside.projections.rules import RULES
from striate.inside.receptive.fields import receptive_fields
from striate.inside.studies.activations import activations
from striate.inside.studies.correspondence import correspondence
from striate.inside.studies.equivariance import equivariance
from striate.inside.studies.evolution import evolution
from striate.inside.studies.grad_cam import grad_cam
from striate.inside.studies.invariance import invariance
from striate.inside.studies.occlusion import occlude
from striate.inside.studies.responses import responses
from striate.inside.watching.watch import layer_names, layer_shapes, undisturbed, watch
from striate.model import Model


class Restless(nn.Module):
    """Counts its calls in a buffer, draws random numbers, and overwrites its input: all that looking must not show."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        x += torch.rand(1) * 0
        return x


def build() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        Restless(),
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Sequential(nn.Conv2d(4, 3, 3), nn.ReLU(inplace=True)),
    )
    net.get_submodule("5").eval()
    net.get_parameter("1.bias").requires_grad_(False)
    net.get_parameter("1.weight").grad = torch.ones(4, 1, 3, 3)
    return net


def state(net: nn.Module) -> dict[str, Any]:
    everything: dict[str, Any] = {f"{name}!training": part.training for name, part in net.named_modules()}
    for name, part in net.named_modules():
        everything[f"{name}!hooks"] = (len(part._forward_hooks), len(part._forward_pre_hooks))  # pyright: ignore[reportPrivateUsage]
    for name, parameter in net.named_parameters():
        grad = None if parameter.grad is None else parameter.grad.tolist()
        everything[name] = (id(parameter), parameter.requires_grad, grad, parameter.dtype, parameter.tolist())
    everything |= {name: (id(buffer), buffer.tolist()) for name, buffer in net.named_buffers()}
    return everything | {"random": torch.get_rng_state().tolist()}


def raising(net: nn.Module) -> None:
    with suppress(ModelError):
        project(net, torch.randn(1, 9, 9), "5.0", unit=99)


LOOKS: dict[str, Callable[[nn.Module], object]] = {
    "project": lambda net: project(net, torch.ones(1, 9, 9), "5.1", 0),
    "project and fail": raising,
    "activations": lambda net: activations(net, torch.ones(2, 1, 9, 9)),
    "fields": lambda net: receptive_fields(net, (1, 9, 9)),
    "shapes": lambda net: layer_shapes(net, torch.ones(1, 1, 9, 9)),
}


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("look", LOOKS)
def test_everything_is_as_it_was(look: str, inference: bool) -> None:
    net = build()
    torch.manual_seed(5)
    if look == "project and fail":
        torch.randn(1, 9, 9)
        before = state(net)
        torch.manual_seed(5)
    else:
        before = state(net)
    with torch.inference_mode(inference):
        LOOKS[look](net)
        assert torch.is_inference_mode_enabled() == inference
    assert state(net) == before


def test_the_callers_image_is_not_written_into() -> None:
    image = torch.ones(1, 9, 9)
    project(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(1, 1, 3)), -image, "1", 0)
    negative = -image
    activations(nn.Sequential(nn.ReLU(inplace=True)), negative[None])
    assert torch.equal(negative, -image)


def test_inside_the_module_is_still_and_the_exception_comes_through() -> None:
    net = build()
    before = state(net)
    with pytest.raises(ZeroDivisionError), undisturbed(net) as still:  # noqa: PT012 - what is raised is not the point
        assert not any(part.training for part in still.modules())
        assert not any(parameter.requires_grad for parameter in still.parameters())
        raise ZeroDivisionError
    assert state(net) == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_types_other_than_float32(dtype: torch.dtype) -> None:
    net = build()
    image = torch.rand(1, 9, 9)
    expected = project(net, image, "5.0", 0, (1, 1))
    other = copy.deepcopy(net).to(dtype)
    found = project(other, image, "5.0", 0, (1, 1))
    assert {p.dtype for p in other.parameters()} == {dtype}
    assert found.dtype == (torch.float32 if dtype == torch.bfloat16 else dtype)
    assert (found - expected).abs().max() < (0.05 if dtype == torch.bfloat16 else 1e-6) * expected.abs().max()


def test_modules_and_images_born_in_inference_mode() -> None:
    image = torch.rand(1, 9, 9)
    expected = project(build(), image, "5.1", 1)
    with torch.inference_mode():
        net, born = build(), image.clone()
        assert torch.equal(project(net, born, "5.1", 1), expected)
    assert torch.equal(project(net, born, "5.1", 1), expected)
    assert all(parameter.is_inference() for parameter in net.parameters())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_modules_run_uncompiled() -> None:
    net = build()
    expected = project(net, torch.ones(1, 9, 9), "5.1", 1)
    compiled = torch.compile(copy.deepcopy(net))
    assert isinstance(compiled, nn.Module)
    assert torch.equal(project(compiled, torch.ones(1, 9, 9), "_orig_mod.5.1", 1), expected)


def test_watching_reduces_at_once_and_starts_anew_with_each_call() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True)).eval()
    with torch.no_grad(), watch(net, ["0", "1"], lambda output: output.amin()) as seen:
        for scale in (1.0, 5.0):
            x = scale * torch.randn(3, 1, 4, 4)
            net(x)
            conv = nn.functional.conv2d(x, net.get_parameter("0.weight"), net.get_parameter("0.bias"))
            assert seen["0"] == conv.amin(), "the value before the ReLU overwrote it"
            assert seen["1"] == 0
            assert {name: len(calls) for name, calls in seen.calls.items()} == {"0": 1, "1": 1}


def test_what_is_kept_can_be_differentiated_on_both_sides() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Conv2d(2, 1, 3))
    x = torch.randn(1, 1, 6, 6, requires_grad=True)
    with watch(net, ["0"]) as seen:
        y = net(x)
    (above,) = torch.autograd.grad(y.sum(), seen["0"], retain_graph=True)
    (below,) = torch.autograd.grad(seen["0"].sum(), x)
    expected = nn.functional.conv_transpose2d(torch.ones(1, 1, 2, 2), net.get_parameter("2.weight"))
    torch.testing.assert_close(above, expected * (seen["0"] > 0))
    torch.testing.assert_close(
        below, nn.functional.conv_transpose2d(torch.ones(1, 2, 4, 4), net.get_parameter("0.weight"))
    )


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Skipping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pair, self.unused = Pair(), nn.ReLU()
        self.stages = nn.ModuleList([nn.ReLU()])

    def forward(self, x: Tensor) -> Tensor:
        return self.stages[0](self.pair(x)[0])


def test_layers_without_units_are_named() -> None:
    net, x = Skipping(), torch.ones(1, 1, 2, 2)
    assert layer_names(net) == ("pair", "unused", "stages.0")
    assert layer_shapes(net, x) == {"stages.0": (1, 2, 2)}
    with pytest.raises(ModelError, match="layer pair gives no tensor"):
        activations(net, x, ["pair"])
    with pytest.raises(ModelError, match="unused was called 0 times"):
        activations(net, x, ["unused"])
    for name in ("stages.1", "stages.0@0", "stages.0@x"):
        with pytest.raises(ModelError, match=f"no layer '{name}' in Skipping: nearest are"):
            activations(net, x, [name])
    with pytest.raises(ModelError, match="was called 1 times"):
        activations(net, x, ["stages.0@2"])


@pytest.mark.parametrize("lazy", [nn.LazyConv2d(2, 3), nn.LazyBatchNorm2d(), nn.LazyBatchNorm2d(affine=False)])
def test_parameters_and_buffers_without_a_shape_are_refused(lazy: nn.Module) -> None:
    with pytest.raises(ModelError, match="of a lazy layer has no shape yet"):
        activations(nn.Sequential(lazy), torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize("kind", ["hook", "pre_hook"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_hooks_on_backward_passes_rest_and_are_there_afterwards(kind: str, everywhere: bool) -> None:
    net, image = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 1, 3)), torch.rand(1, 9, 9)
    expected = [project(net, image, "2", 0, rule=rule) for rule in RULES]
    fired = list[str]()

    def fire(*_: object) -> None:
        fired.append("hook")

    hooked = net.get_submodule("0")
    register = getattr(
        nn.modules.module if everywhere else hooked, f"register_{'module_' * everywhere}full_backward_{kind}"
    )
    handle = register(fire)
    try:
        for rule, projection in zip(RULES, expected, strict=True):
            assert torch.equal(project(net, image, "2", 0, rule=rule), projection)
        with pytest.raises(ModelError):
            project(net, image, "2", unit=99)
        assert fired == []
        net(image[None].requires_grad_()).sum().backward()
        assert fired
    finally:
        handle.remove()
    fired.clear()
    net(image[None].requires_grad_()).sum().backward()
    assert fired == []
    assert net.training


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 9)], ids=["channels", "size"])
def test_what_the_module_cannot_take_is_told_in_a_sentence(shape: tuple[int, ...]) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    said = f"^the module cannot be run on an input of the shape {'x'.join(map(str, (1, *shape)))}: RuntimeError: .*$"
    looks: list[Callable[[], object]] = [
        lambda: activations(net, torch.rand(1, *shape), ["0"]),
        lambda: project(net, torch.rand(shape), "0", 1),
    ]
    for look in looks:
        with pytest.raises(ModelError, match=said) as told:
            look()
        assert isinstance(told.value.__cause__, RuntimeError)
        assert "\n" not in str(told.value)
    assert activations(net, torch.rand(1, 3, 8, 8), ["0"])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.zeros(1, 8, 8, dtype=torch.uint8), "the model takes images of 3 channels, found the shape 1x8x8"),
        (torch.zeros(4, 8, 8, dtype=torch.uint8), "the model takes images of 3 channels, found the shape 4x8x8"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "must be of uint8 numbers from 0 to 255, found torch.int64"),
    ],
    ids=["grey", "transparent", "not bytes"],
)
def test_images_that_a_model_would_normalize_wrongly_are_refused(image: Tensor, words: str) -> None:
    """A grey image was taken three times, and whole numbers of other types were not divided by 255."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    model = Model.foreign(net, (3, 8, 8))
    looks: list[Callable[[Tensor], object]] = [
        lambda x: activations(model, x[None]),
        lambda x: project(model, x, "0", 1),
        lambda x: explain(model, x, "0", 1, (0, 0), depth="input"),
        lambda x: occlude(model, x, "1", 0),
        lambda x: grad_cam(model, x, "1"),
        lambda x: responses(model, x),
        lambda x: invariance(model, x[None], ["1"]),
        lambda x: equivariance(model, ["1"], x[None]),
        lambda x: correspondence(model, x[None].repeat(2, 1, 1, 1), {"eye": [(0, 0, 3, 3)] * 2}, ["1"]),
    ]
    if image.dtype == torch.uint8:
        looks.append(lambda x: evolution([(1, model)], x[None], "1", [0]))
    for look in looks:
        with pytest.raises(DataError, match=words):
            look(image)


def test_a_model_takes_bytes_of_other_sizes_and_vectors_of_whole_numbers() -> None:
    model = Model.foreign(nn.Sequential(nn.Conv2d(3, 4, 3)), (3, 8, 8), mean=(0.5,) * 3, std=(0.25,) * 3)
    image = torch.full((1, 3, 9, 7), 51, dtype=torch.uint8)
    wanted = activations(model, torch.full((1, 3, 9, 7), (51 / 255 - 0.5) / 0.25))["0"]
    assert torch.allclose(activations(model, image)["0"], wanted, atol=1e-6)
    table = Model.foreign(nn.Sequential(nn.Linear(2, 1)), (2,))
    assert torch.equal(
        activations(table, torch.tensor([[3, 4]]))["0"], activations(table, torch.tensor([[3.0, 4]]))["0"]
    )
