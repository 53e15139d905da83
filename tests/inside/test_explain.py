"""Explanations: their values against the module run in float64, the way down against the image, what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import DataError, ModelError
from striate.inside.explaining.convolution_demo import ConvolutionDemo
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation, Pixel, Stop
from striate.layers.terms import Formula, Pooled, Products
from striate.model import Model, Preprocessing
from striate.network import Network

TEXTS = {
    "conv": "input 3x9x8, conv 6 3x3 stride=2 pad=1, sigmoid, conv 4 2x3 groups=2 dilation=2x1 bias=no",
    "same": "input 2x7x6, conv 3 4x4 pad=same stride=2, relu, conv 2 2x3 pad=same",
    "pools": "input 2x9x9, maxpool 3x3 stride=2, avgpool 3x3 stride=2 pad=1 ceil=yes, globalavgpool, dense 3, softmax",
    "norms": "input 4x6x6, conv 5 3x3, batchnorm, tanh, lrn 3 alpha=0.5 k=2, dropout 0.5, flatten, dense 4, batchnorm",
    "blocks": "input 3x8x8, residual(conv 5 3x3 stride=2 pad=1, batchnorm, relu), concat(conv 2 1x1 | |"
    " maxpool 3x3 stride=1 pad=1), gelu, dense 3",
    "vector": "input 5, dense 4, leakyrelu slope=0.2, residual(dense 4), dense 2, softmax",
}


def drawn(text: str, seed: int = 0) -> nn.Sequential:
    """A network with all its numbers drawn, running statistics too."""
    module = Network.parse(text).build(seed)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if "running" in name or ("batchnorm" in name and tensor.is_floating_point()):
            tensor.uniform_(0.2, 1.5, generator=generator)
    return module


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


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


def walked(found: Explanation) -> list[Pixel]:
    """The pixels below; on the way, each number below is the x of the term that led there."""
    assert found.agrees
    pixels: list[Pixel] = []
    for below in found.below:
        assert not isinstance(below.found, Stop), below.found.reason
        value = below.found.value
        assert value == pytest.approx(below.source.x, rel=1e-5, abs=1e-6)
        pixels += [below.found] if isinstance(below.found, Pixel) else walked(below.found)
    return pixels


FOREIGN: list[tuple[nn.Module, tuple[int, ...], str]] = [
    (nn.Conv2d(2, 4, 3, stride=2, padding=1, dilation=2, groups=2), (2, 9, 9), "conv 4 3x3"),
    (nn.Conv2d(2, 4, (2, 3), padding="same", bias=False), (2, 6, 6), "conv 4 2x3 pad=same bias=no"),
    (nn.Conv2d(2, 4, 2, padding="valid"), (2, 6, 6), "conv 4 2x2"),
    (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 8, 8), "maxpool 3x3 stride=2x2 pad=1x1 ceil=yes"),
    (nn.AvgPool2d(3, 2, 1), (2, 8, 8), "avgpool 3x3 stride=2x2 after a border of 1x1 zeros"),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 8, 8), "ceil=yes after a border"),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 8, 8), "avgpool 3x3 stride=2x2 pad=1x1"),
    (nn.AvgPool2d(2), (2, 8, 8), "avgpool 2x2"),
    (nn.AdaptiveAvgPool2d(1), (2, 5, 4), "avgpool 5x4"),
    (nn.AdaptiveAvgPool2d((2, None)), (2, 6, 4), "avgpool 3x1"),
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
    (nn.Flatten(), (2, 3, 4), "flatten"),
    (nn.Softmax(dim=1), (6,), "softmax"),
    (nn.Softmax(-1), (6,), "softmax"),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(("module", "shape", "kind"), FOREIGN, ids=lambda value: str(value)[:40])
def test_torchs_own_layers(module: nn.Module, shape: tuple[int, ...], kind: str) -> None:
    """Every number of the output, against the module alone."""
    image = noise(*shape)
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


@pytest.mark.parametrize(
    ("module", "shape", "words"),
    [
        (
            nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
            (1, 5, 5),
            "padding_mode='reflect'; explained is 'zeros'",
        ),
        (nn.MaxPool2d(2, dilation=2), (1, 5, 5), "dilation=2; explained is 1"),
        (nn.AvgPool2d(2, divisor_override=3), (1, 4, 4), "divisor_override=3"),
        (nn.AdaptiveAvgPool2d(3), (1, 5, 5), "windows of unequal size"),
        (nn.GELU(approximate="tanh"), (4,), "approximate='tanh'"),
        (nn.Softmax(dim=2), (1, 4, 4), "dim=2; explained is dim=1"),
        (nn.SiLU(), (4,), "it is a SiLU; explained are AdaptiveAvgPool2d, AvgPool2d,"),
        (nn.Unflatten(1, (2, 2, 1)), (4,), "it is a Unflatten"),
        (nn.LeakyReLU(-0.5), (4,), "slope of leakyrelu must be"),
        (nn.MaxPool2d(2, return_indices=True), (1, 4, 4), "was not reached"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_not_explained_is_refused_by_name(module: nn.Module, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ModelError, match="layer part ") as refused:
        explain(Holder(module), noise(*shape), "part", 0)
    assert words in str(refused.value)


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


class Holder(nn.Module):
    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor) -> Any:
        return self.part(x)


class Functional(nn.Module):
    """Steps between the layers are functions; one ReLU is used twice; two paths are added, two are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 3, 3, padding=1)
        self.conv2 = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.dense = nn.Linear(54, 4)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        y = self.relu(self.conv2(x)) + x
        x = self.pool(torch.cat([y, self.relu(x)], 1))
        x = self.dense(x.view(len(x), -1))
        return self.last(torch.exp(x))


@pytest.fixture
def functional() -> Functional:
    torch.manual_seed(4)
    return Functional()


def test_functions_between_layers_are_followed(functional: Functional) -> None:
    found = explain(functional, noise(1, 6, 6), "dense", 2, depth="input", follow=6)
    kinds: set[str] = set()

    def note(each: Explanation) -> None:
        kinds.add(f"{each.layer}/{each.kind.split()[0]}")
        for below in each.below:
            if isinstance(below.found, Explanation):
                note(below.found)

    note(found)
    assert walked(found)
    assert {"pool/maxpool", "concat/concat", "sum/residual", "relu/relu", "conv2/conv", "conv1/conv"} <= kinds


def test_a_function_that_is_not_followed_is_named(functional: Functional) -> None:
    (below, *_) = explain(functional, noise(1, 6, 6), "last", 0, depth=2).below
    assert below.found == Stop("the way down ends here: it is made by the function exp")


def test_a_layer_called_twice_needs_its_number(functional: Functional) -> None:
    with pytest.raises(ModelError, match="name one of relu@1, relu@2"):
        explain(functional, noise(1, 6, 6), "relu", 0)
    assert explain(functional, noise(1, 6, 6), "relu@2", 0, (1, 1)).kind == "relu"


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
    assert "/ 255 − 0.25) / 0.5 = " in found.text()


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


def test_a_module_in_half_precision_says_that_it_differs() -> None:
    module = drawn(TEXTS["conv"]).to(torch.bfloat16)
    found = explain(module, noise(3, 9, 8), "conv2", 1, (0, 1))
    assert 1e-5 < found.relative < 0.02
    assert not found.agrees
    assert "more than rounding in float32" in found.text()


# --- how it is shown -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("width", [60, 80, 140])
def test_text_keeps_to_its_width(text: str, width: int) -> None:
    network = Network.parse(text)
    assert network.input is not None
    shown = explain(drawn(text), noise(*network.input), network.names[-1], 0, depth="input").text(width)
    assert max(map(len, shown.splitlines())) <= width
    assert shown.count("module   ") > 1


def test_what_is_not_written_out_is_summed_and_counted() -> None:
    module, image = drawn("input 30, dense 2"), noise(30)
    shown = explain(module, image, "dense1", 1).text(most=4)
    assert "largest 4 of 30 products" in shown
    assert "the other 26 terms together" in shown
    weights, bias = module.state_dict()["dense1.weight"][1].double(), float(module.state_dict()["dense1.bias"][1])
    products = sorted((weights * image.double()).tolist(), key=abs, reverse=True)
    rest = next(line for line in shown.splitlines() if line.startswith("rest"))
    assert float(rest.split()[1].strip(",").replace("−", "-")) == pytest.approx(math.fsum(products[4:]), rel=1e-5)
    value = next(line for line in shown.splitlines() if line.startswith("value"))
    assert float(value.split("= ")[1].replace("−", "-")) == pytest.approx(math.fsum(products) + bias, rel=1e-5)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_json_holds_everything_and_its_numbers_add_up(text: str) -> None:
    network = Network.parse(text)
    assert network.input is not None
    found = explain(drawn(text), noise(*network.input), network.names[-1], 0, depth="input")
    held = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert added_up(held) >= 1


def added_up(held: dict[str, Any]) -> int:
    """How many explanations there are; those that are sums are added up again."""
    terms = held["terms"]
    if terms["form"] == "products":
        total = float(np.sum(np.array(terms["W"]) * np.array(terms["x"])) + (terms["b"] or 0))
        assert total == pytest.approx(held["value"], rel=1e-9, abs=1e-12)
    assert {"layer", "unit", "position", "module_value", "difference", "relative", "agrees"} <= held.keys()
    return 1 + sum(added_up(below["explanation"]) for below in held["below"] if "explanation" in below)


def test_html_is_whole_escaped_and_loads_nothing() -> None:
    module = nn.Sequential()
    module.add_module("<script>alert(1)</script>", nn.Conv2d(1, 1, 3))
    module.add_module("pool", nn.MaxPool2d(2))
    module.add_module("flat", nn.Flatten())
    module.add_module("dense", nn.Linear(4, 2))
    module.add_module("softmax", nn.Softmax(1))
    page = explain(module, noise(1, 6, 6), "softmax", 0, depth="input")._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page
    assert "light-dark(#fbfaf7, #15171a)" in page
    for tag in ("div", "table", "tr", "td", "details", "p"):
        assert page.count(f"<{tag}>") + page.count(f"<{tag} ") == page.count(f"</{tag}>")


def test_all_forms_of_terms_are_met() -> None:
    network, module = Network.parse(TEXTS["pools"]), drawn(TEXTS["pools"])
    found = [explain(module, noise(2, 9, 9), name, 0).terms for name in network.names]
    assert {type(terms) for terms in found} == {Products, Pooled, Formula}


def test_the_lectures_convolution_by_nested_loops() -> None:
    demo = ConvolutionDemo.drawn(seed=3)
    assert set(np.unique(demo.x)) <= {0, 1, 2}
    assert set(np.unique(np.append(demo.W, demo.b))) <= {-1, 0, 1}
    found = {(each.unit, each.position): each for each in demo.explanations()}
    assert len(found) == 18
    for o in range(2):
        for i in range(3):
            for j in range(3):
                total = float(demo.b[o])
                for c in range(3):
                    for u in range(3):
                        for v in range(3):
                            row, column = 2 * i + u - 1, 2 * j + v - 1
                            if 0 <= row < 5 and 0 <= column < 5:
                                total += float(demo.W[o, c, u, v] * demo.x[c, row, column])
                assert found[o, (i, j)].value == found[o, (i, j)].module_value == total
