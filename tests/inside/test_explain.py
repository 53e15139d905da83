"""Explanations: their values against the module run in float64, the way down against the image, what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from explained import TEXTS, Calls, drawn, noise, walked
from torch import Tensor, nn

from striate.errors import DataError, ModelError
from striate.inside.explaining.ends import Pixel, Stop
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation
from striate.layers.terms import Formula, Pooled, Products
from striate.model import Model, Preprocessing
from striate.network import Network


def outputs(module: nn.Module, image: Tensor) -> dict[str, np.ndarray]:
    """What every submodule gives in float64, collected by plain hooks: the second way."""
    twin: dict[str, np.ndarray] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(part: nn.Module, inputs: object, output: Tensor) -> None:
            del part, inputs
            twin[name] = output[0].detach().numpy().copy()

        return hook

    module = module.double().eval()
    hooks = [part.register_forward_hook(keep(name)) for name, part in module.named_modules() if name]
    module(image.double()[None])
    for hook in hooks:
        hook.remove()
    module.float()
    return twin


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_every_layer_at_random_positions_gives_the_modules_number(text: str) -> None:
    network, module = Network.parse(text), drawn(text)
    assert network.input is not None
    image, random = noise(*network.input), np.random.default_rng(5)
    truth = outputs(module, image)
    names = [row.name for row in network.describe().rows]
    assert len(names) >= len(network.names)
    for name in names:
        for _ in range(3):
            at = tuple(int(random.integers(side)) for side in truth[name].shape)
            position = (at[1], at[2]) if len(at) == 3 else None
            found = explain(module, image, name, at[0], position)
            assert found.agrees
            assert found.relative <= 1e-5
            assert found.value == pytest.approx(truth[name][at], rel=1e-4, abs=1e-5)
            assert found.module_value == pytest.approx(truth[name][at], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_the_way_down_is_joined_at_every_step_and_ends_in_the_image(text: str) -> None:
    network, module = Network.parse(text), drawn(text)
    assert network.input is not None
    image = noise(*network.input)
    found = explain(module, image, network.names[-1], 1, depth="input", follow=2)
    pixels = list(walked(found))
    assert pixels
    for pixel in pixels:
        at = (pixel.unit, *(pixel.position or ()))
        assert pixel.value == pytest.approx(float(image[at]))


FOREIGN: list[tuple[nn.Module, tuple[int, ...], str]] = [
    (nn.Conv2d(2, 4, 3, stride=2, padding=1, dilation=2, groups=2), (2, 9, 9), "conv 4 3x3"),
    (nn.Conv2d(2, 4, (2, 3), padding="same", bias=False), (2, 6, 6), "conv 4 2x3 pad=same bias=no"),
    (nn.Conv2d(2, 4, 2, padding="valid"), (2, 6, 6), "conv 4 2x2"),
    (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 8, 8), "maxpool 3x3 stride=2x2 pad=1x1 ceil=yes"),
    (nn.MaxPool2d(2, 1, dilation=2), (2, 6, 6), "maxpool 2x2 stride=1x1 dilation=2x2"),
    (nn.MaxPool2d((2, 3), 1, 1, dilation=(3, 2)), (2, 7, 6), "maxpool 2x3 stride=1x1 pad=1x1 dilation=3x2"),
    (nn.AvgPool2d(3, 2, 1), (2, 8, 8), "avgpool 3x3 stride=2x2 after a border of 1x1 zeros"),
    (nn.AvgPool2d(3, 1, 1), (2, 1, 2), "avgpool 3x3 stride=1x1 after a border of 1x1 zeros"),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 8, 8), "ceil=yes after a border"),
    (nn.AvgPool2d(2, 2, 1, ceil_mode=True), (1, 3, 3), "avgpool 2x2 ceil=yes after a border of 1x1 zeros"),
    (nn.AvgPool2d(2, (2, 5), 1, ceil_mode=True), (1, 4, 9), "avgpool 2x2 stride=2x5 ceil=yes after a border"),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 8, 8), "avgpool 3x3 stride=2x2 pad=1x1"),
    (nn.AvgPool2d(2), (2, 8, 8), "avgpool 2x2"),
    (nn.AdaptiveAvgPool2d(1), (2, 5, 4), "adaptiveavgpool 1x1"),
    (nn.AdaptiveAvgPool2d((2, None)), (2, 6, 4), "adaptiveavgpool 2x4"),
    (nn.AdaptiveAvgPool2d((3, 4)), (2, 5, 6), "adaptiveavgpool 3x4"),
    (nn.AdaptiveAvgPool2d(3), (2, 2, 4), "adaptiveavgpool 3x3"),
    (nn.AdaptiveMaxPool2d(3), (2, 5, 7), "adaptivemaxpool 3x3"),
    (nn.ReLU(inplace=True), (2, 4, 4), "relu"),
    (nn.Sigmoid(), (6,), "sigmoid"),
    (nn.Tanh(), (2, 4, 4), "tanh"),
    (nn.LeakyReLU(0.3), (2, 4, 4), "leakyrelu slope=0.3"),
    (nn.GELU(), (6,), "gelu"),
    (nn.Linear(6, 3), (6,), "dense 3"),
    (nn.Linear(6, 3, bias=False), (6,), "dense 3 bias=no"),
    (nn.BatchNorm1d(6), (6,), "batchnorm"),
    (nn.BatchNorm2d(2, eps=0.1, affine=False), (2, 4, 4), "batchnorm eps=0.1"),
    (nn.BatchNorm2d(2, track_running_stats=False), (2, 4, 4), "batchnorm"),
    (nn.Dropout(0.4), (6,), "dropout 0.4"),
    (nn.LocalResponseNorm(3, alpha=0.5, k=2.0), (4, 4, 4), "lrn 3 alpha=0.5 k=2"),
    (nn.ReLU6(inplace=True), (2, 4, 4), "relu6"),
    (nn.Hardtanh(0, 6), (6,), "relu6"),
    (nn.ELU(0.7), (2, 4, 4), "elu alpha=0.7"),
    (nn.PReLU(init=0.3), (6,), "leakyrelu slope=0.3"),
    (nn.PReLU(init=-0.1), (6,), "leakyrelu slope=-0.1"),
    (nn.PReLU(init=2.5), (2, 4, 4), "leakyrelu slope=2.5"),
    (nn.LeakyReLU(-0.5), (6,), "leakyrelu slope=-0.5"),
    (nn.SiLU(inplace=True), (2, 4, 4), "silu"),
    (nn.Hardsigmoid(), (6,), "hardsigmoid"),
    (nn.Hardswish(), (2, 4, 4), "hardswish"),
    (nn.LayerNorm(6, eps=0.1), (6,), "layernorm eps=0.1"),
    (nn.LayerNorm(6, elementwise_affine=False), (6,), "layernorm"),
    (nn.GroupNorm(2, 4), (4, 3, 4), "groupnorm 2"),
    (nn.GroupNorm(2, 6, affine=False), (6,), "groupnorm 2"),
    (nn.InstanceNorm2d(3, affine=True), (3, 3, 4), "groupnorm 3"),
    (nn.InstanceNorm2d(2, track_running_stats=True), (2, 3, 4), "batchnorm"),
    (nn.Flatten(), (2, 3, 4), "flatten"),
    (nn.Softmax(dim=1), (6,), "softmax"),
    (nn.Softmax(-1), (6,), "softmax"),
    (nn.LogSoftmax(dim=1), (6,), "logsoftmax"),
    (nn.LogSoftmax(1), (3, 2, 4), "logsoftmax"),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(("module", "shape", "kind"), FOREIGN, ids=lambda value: str(value)[:40])
def test_torchs_own_layers(module: nn.Module, shape: tuple[int, ...], kind: str) -> None:
    """Every number of the output, against the module alone."""
    image = 4 * noise(*shape)
    for seed, tensor in enumerate(module.state_dict().values()):
        if tensor.dim() == 1 and len(tensor) > 1:  # weights and running statistics that are no longer 1 and 0
            tensor.copy_(noise(*tensor.shape, seed=seed).abs() + 0.1)
    with torch.no_grad():
        truth = module.eval()(image.clone()[None])[0].numpy()
    for at in np.ndindex(*truth.shape):
        found = explain(nn.Sequential(module), image, "0", at[0], (at[1], at[2]) if len(at) == 3 else None, depth=1)
        assert kind in found.kind
        assert found.value == pytest.approx(float(truth[at]), rel=1e-5, abs=1e-6)
        for below in found.below:
            assert isinstance(below.found, Pixel)
            place = (below.found.unit, *(below.found.position or ()))
            assert below.source.x == pytest.approx(float(image[place]))


def test_of_a_dilated_window_each_row_is_named() -> None:
    found = explain(nn.Sequential(nn.MaxPool2d(2, 1, dilation=2)), noise(1, 6, 6), "0", 0, (1, 2))
    assert "window: rows 1, 3 and columns 2, 4 of unit 0" in found.text()


def test_weights_made_of_others_are_those_the_module_uses() -> None:
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3))
    found = explain(nn.Sequential(conv), noise(1, 4, 4), "0", 1, (0, 1))
    assert found.agrees
    assert found.kind == "conv 2 3x3"


def test_numbers_that_are_none_are_followed_too() -> None:
    image = noise(1, 4, 4)
    image[0, 1, 1] = torch.nan
    found = explain(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()), image, "1", 0, (0, 0), depth="input")
    assert math.isnan(found.value)
    assert found.agrees
    assert not any(isinstance(below.found, Stop) for below in found.below)
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["value"] is None


def test_depth_counts_layers_and_flattening_is_none() -> None:
    module = drawn(TEXTS["blocks"])
    image = noise(3, 8, 8)

    def levels(found: Explanation) -> int:
        return 1 + max((levels(b.found) for b in found.below if isinstance(b.found, Explanation)), default=0)

    assert [levels(explain(module, image, "dense1", 0, depth=depth)) for depth in (0, 1, 2)] == [1, 2, 3]
    below = explain(module, image, "dense1", 0, depth=1).below[0].found
    assert isinstance(below, Explanation)
    assert below.layer == "gelu1"
    assert below.position is not None


def test_deep_networks_stay_small_and_still_reach_the_pixels() -> None:
    text = "input 1x20x20, (conv 4 3x3 pad=1, relu) x9, dense 3"
    found = explain(Network.parse(text), noise(1, 20, 20), "dense1", 0, depth="input")
    assert walked(found)

    def size(each: Explanation) -> int:
        return 1 + sum(size(b.found) for b in each.below if isinstance(b.found, Explanation))

    assert 40 < size(found) < 600


def test_an_image_that_the_module_overwrites_stays_the_callers() -> None:
    image = noise(1, 4, 4)
    before = image.clone()
    below = explain(nn.Sequential(nn.ReLU(inplace=True)), image, "0", 0, (0, 0), depth=1).below[0].found
    assert torch.equal(image, before)
    assert isinstance(below, Pixel)
    assert below.value == float(before[0, 0, 0])


def test_the_module_is_left_as_it_was() -> None:
    module = drawn(TEXTS["norms"]).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    explain(module, noise(4, 6, 6), "dense1", 0, depth=2)
    with pytest.raises(ModelError):
        explain(module, noise(4, 6, 6), "dense1", 9)
    assert all(part.training for part in module.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())  # pyright: ignore[reportPrivateUsage]
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_models_pixels_come_with_their_raw_values() -> None:
    network = Network.parse("input 1x4x4, conv 2 3x3")
    model = Model(network.build(), Preprocessing((1, 4, 4), (0.25,), (0.5,)), network=network)
    image = np.arange(0, 160, 10, dtype=np.uint8).reshape(1, 4, 4)
    found = explain(model, image, "conv1", 0, (1, 0), depth="input", follow=9)
    for below in found.below:
        pixel = below.found
        assert isinstance(pixel, Pixel)
        assert pixel.position is not None
        assert pixel.raw is not None
        assert pixel.raw == image[(0, *pixel.position)]
        assert (pixel.raw / 255 - 0.25) / 0.5 == pytest.approx(pixel.value, abs=1e-6)
    assert "/ 255 − 0.25) / 0.5 = " in " ".join(found.text().split())


def test_without_a_position_the_maximum_is_taken() -> None:
    module, image = drawn(TEXTS["conv"]), noise(3, 9, 8)
    found = explain(module, image, "conv1", 2)
    assert found.position is not None
    assert found.module_value == pytest.approx(float(outputs(module, image)["conv1"][2].max()), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("conv3", 0, (0, 0)), "no layer 'conv3' in Sequential: nearest are conv"),
        (("conv1", 6, (0, 0)), "no unit 6 in conv1: it has 6 units, 0 to 5"),
        (("conv1", -1, (0, 0)), "no unit -1 in conv1"),
        (("conv1", 0, (5, 0)), "no position 5,0 in conv1: its maps have rows 0 to 4 and columns 0 to 3"),
        (("conv1", 0, (0, -1)), "no position 0,-1 in conv1"),
    ],
)
def test_places_that_do_not_exist_are_refused(arguments: tuple[str, int, tuple[int, int]], words: str) -> None:
    with pytest.raises(ModelError) as refused:
        explain(drawn(TEXTS["conv"]), noise(3, 9, 8), *arguments)
    assert words in str(refused.value)


def test_vectors_have_no_positions_and_one_image_is_wanted() -> None:
    module = drawn(TEXTS["vector"])
    with pytest.raises(ModelError, match="dense1 gives a vector of 4 units"):
        explain(module, noise(5), "dense1", 0, (0, 0))
    with pytest.raises(DataError, match="one image is needed"):
        explain(module, noise(2, 5), "dense1", 0)
    with pytest.raises(ModelError, match="depth must be 0 or more"):
        explain(module, noise(5), "dense1", 0, depth=-2)


@pytest.mark.parametrize(
    ("forward", "unit", "words"),
    [
        (torch.sigmoid, 4, "no unit 4 in the module: it has 2 units"),
        (torch.abs, 0, "^the module cannot be explained: it is made by the function abs"),
        (torch.clone, 0, "^the module cannot be explained: it hands on the image as it is"),
    ],
    ids=["unit", "function", "image"],
)
def test_a_module_without_a_name_is_called_the_module(
    forward: Callable[[Tensor], Tensor], unit: int, words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        explain(Calls(forward), noise(2, 3, 3), "", unit, (0, 0))


def test_more_terms_than_there_are_may_be_followed() -> None:
    found = explain(nn.Sequential(nn.Linear(3, 1)), noise(3), "0", 0, depth=1, follow=2**63)
    assert len(found.below) == 3


def test_all_forms_of_terms_are_met() -> None:
    network, module = Network.parse(TEXTS["pools"]), drawn(TEXTS["pools"])
    found = [explain(module, noise(2, 9, 9), name, 0).terms for name in network.names]
    assert {type(terms) for terms in found} == {Products, Pooled, Formula}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": "pixels"}, "depth must be 0 or more layers, or 'input', found 'pixels'"),
        ({"depth": 1.5}, "depth must be 0 or more layers, or 'input', found 1.5"),
        ({"depth": -1}, "depth must be 0 or more layers, or 'input', found -1"),
        ({"depth": True}, "depth must be 0 or more layers, or 'input', found True"),
        ({"depth": None}, "depth must be 0 or more layers, or 'input', found None"),
        ({"depth": 2, "follow": -1}, "follow must be 1 term or more, found -1"),
        ({"follow": 0}, "follow must be 1 term or more, found 0"),
        ({"follow": 2.0}, "follow must be 1 term or more, found 2.0"),
        ({"position": (0,)}, r"position must be a row and a column, found \(0,\)"),
        ({"position": (0.5, 1)}, r"position must be a row and a column, found \(0.5, 1\)"),
        ({"position": 3}, "position must be a row and a column, found 3"),
        ({"position": "01"}, "position must be a row and a column, found '01'"),
        ({"unit": 0.5}, "unit must be a whole number, found 0.5"),
        ({"unit": True}, "unit must be a whole number, found True"),
        ({"unit": None}, "unit must be a whole number, found None"),
        ({"unit": 2**70}, "no unit 1180591620717411303424 in 0: it has 2 units, 0 to 1"),
        ({"layer": 0}, "layer must be a name, found 0"),
        ({"seed": "x"}, "seed must be a whole number of 64 bits, found 'x'"),
        ({"seed": 2**70, "unit": "a"}, "unit must be a whole number, found 'a'; seed must be a whole number of 64"),
        ({"subject": None}, "explained is a Model, a module or a Network, found NoneType"),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_are_refused_in_a_sentence(arguments: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {
        "subject": nn.Sequential(nn.Conv2d(1, 2, 3)),
        "image": noise(1, 5, 5),
        "layer": "0",
        "unit": 0,
        "position": (0, 0),
    }
    with pytest.raises(ModelError, match=words):
        explain(**(given | arguments))


@pytest.mark.parametrize("image", [None, "cat.jpg", [[1.0], [2.0, 3.0]], np.array([None])], ids=str)
def test_what_is_no_image_is_refused(image: Any) -> None:
    with pytest.raises(DataError, match="an image is needed, a tensor or an array of numbers; found"):
        explain(nn.Sequential(nn.Linear(2, 1)), image, "0", 0)


def test_whole_numbers_of_numpy_and_torch_are_whole_numbers() -> None:
    module, image = nn.Sequential(nn.Conv2d(1, 2, 3)), noise(1, 5, 5)
    wanted = explain(module, image, "0", 1, (0, 2)).as_json()
    place: Any = np.array([0, 2])
    assert explain(module, image.numpy(), "0", np.int64(1), place, depth=np.int64(0)).as_json() == wanted  # pyright: ignore[reportArgumentType]
    assert explain(module, image, "0", torch.tensor(1), [torch.tensor(0), 2]).as_json() == wanted  # pyright: ignore[reportArgumentType]
