"""Functions in place of layers: explained as the layers are, followed where they move numbers, named where not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from explained import Calls, noise, walked
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import ModelError
from striate.inside.explaining.ends import Stop
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation
from striate.inside.watching.calls import trace


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
    assert below.found == Stop(
        "the way down ends here: it is made by the function exp, which no layer's equation describes"
    )


def test_a_layer_called_twice_needs_its_number(functional: Functional) -> None:
    with pytest.raises(ModelError, match="name one of relu@1, relu@2"):
        explain(functional, noise(1, 6, 6), "relu", 0)
    assert explain(functional, noise(1, 6, 6), "relu@2", 0, (1, 1)).kind == "relu"


@pytest.mark.parametrize(
    ("module", "shape", "words"),
    [
        (nn.AvgPool2d(2, divisor_override=3), (1, 4, 4), "divisor_override=3"),
        (nn.Softmax(dim=0), (1, 4, 4), "dim=0 of 4; explained are dim=1 and the last two"),
        (nn.SELU(inplace=True), (4,), "it is made by the function selu, which no layer's equation describes"),
        (Calls(lambda x: x.clamp(torch.tensor(-1.0))), (4,), "a tensor as min; explained are numbers"),
        (Calls(lambda x: F.prelu(x.permute(0, 2, 3, 1), torch.ones(2))), (4, 2, 2), "2 slopes of maps with the chan"),
        (nn.LayerNorm([2, 3, 3]), (2, 3, 3), "normalized_shape=(2, 3, 3); explained is one over the channels"),
        (nn.LayerNorm(3), (3, 3, 3), "normalized_shape=(3,); explained is one over the channels"),
        (nn.Softsign(), (1, 4, 4), "the function softsign, which no"),
        (nn.ConstantPad2d(1, 3.0), (1, 4, 4), "the function pad, which no"),
        (nn.Linear(4, 2), (1, 4, 4), "an input of 3 dimensions; explained is a vector"),
        (nn.Identity(), (4,), "it hands on the image as it is"),
        (nn.LeakyReLU(math.nan), (4,), "slope of leakyrelu must be"),
        (nn.MaxPool2d(2, return_indices=True), (1, 4, 4), "it is a MaxPool2d, which gives more than one tensor"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_not_explained_is_refused_by_name(module: nn.Module, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ModelError, match="layer part ") as refused:
        explain(Holder(module), noise(*shape), "part", 0)
    assert words in str(refused.value)


class Nameless(nn.Module):
    """Its first convolution is a function, which no submodule stands for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(noise(3, 1, 3, 3))
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(F.conv2d(x, self.weight)))


def test_convolutions_without_a_name_have_the_one_that_an_atlas_gives_them() -> None:
    module, image = Nameless(), noise(1, 7, 7)
    with torch.no_grad():
        truth = F.conv2d(image[None], module.weight)[0]
    assert "conv2d@1" in trace(module, image[None]).layers
    found = explain(module, image, "conv2d@1", 2, (1, 3))
    assert (found.layer, found.kind) == ("conv2d@1", "conv 3 3x3 bias=no")
    assert found.value == pytest.approx(float(truth[2, 1, 3]), rel=1e-5)
    assert (
        explain(module, image, "conv2d@2", 0).as_json()["terms"] == explain(module, image, "conv", 0).as_json()["terms"]
    )
    for name in ("conv2d@3", "conv2d@0", "conv2d@x"):
        with pytest.raises(ModelError, match="conv2d"):
            explain(module, image, name, 0)


# --- modules and functions, side by side -----------------------------------------------------------------------


Pairs = list[tuple[nn.Module, Callable[[Tensor], Tensor]]]
"""A module, and the same computation written as a call."""


class Written(nn.Module):
    """The calls one after another; holds the modules whose weights they use."""

    def __init__(self, pairs: Pairs) -> None:
        super().__init__()
        self.held = nn.ModuleList(part for part, _ in pairs)
        self.calls = [call for _, call in pairs]

    def forward(self, x: Tensor) -> Tensor:
        for call in self.calls:
            x = call(x)
        return x


def convolution(random: np.random.Generator, channels: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    groups = int(random.choice([1, 2])) if channels % 2 == 0 else 1
    kernel = tuple(int(side) for side in random.integers(1, 4, 2))
    stride, dilation = (int(side) for side in random.integers(1, 3, 2))
    padding: Any = random.choice(["same", "valid", "number"]) if stride == 1 else "number"
    padding = 2 if padding == "number" else str(padding)
    bias = bool(random.integers(2))
    part = nn.Conv2d(channels, 4, kernel, stride, padding, dilation, groups, bias)  # pyright: ignore[reportArgumentType]
    return part, lambda x: F.conv2d(x, part.weight, part.bias, stride, padding, dilation=dilation, groups=groups)


def norm(random: np.random.Generator, channels: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    part = nn.BatchNorm2d(channels, eps=float(random.uniform(1e-5, 0.1)), affine=bool(random.integers(2)))
    assert part.running_mean is not None
    assert part.running_var is not None
    mean, variance = part.running_mean.uniform_(-1, 1), part.running_var.uniform_(0.5, 2)

    def function(x: Tensor) -> Tensor:
        return F.batch_norm(x, mean, variance, part.weight, part.bias, eps=part.eps)

    def other(x: Tensor) -> Tensor:  # its arguments come in another order
        return torch.batch_norm(x, part.weight, part.bias, mean, variance, False, 0.1, part.eps, False)

    return part, function if random.integers(2) else other


def enlarging(random: np.random.Generator, channels: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    stride, bias = int(random.integers(1, 3)), bool(random.integers(2))
    part = nn.ConvTranspose2d(channels, 3, 3, stride, padding=1, output_padding=stride - 1, bias=bias)
    return part, lambda x: F.conv_transpose2d(x, part.weight, part.bias, stride, 1, stride - 1)


def sloped(channels: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    part = nn.PReLU(channels, init=0.3)
    return part, lambda x: torch.prelu(x, part.weight)


def one_of(random: np.random.Generator, channels: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    ceil = bool(random.integers(2))
    kinds: list[Callable[[], tuple[nn.Module, Callable[[Tensor], Tensor]]]] = [
        lambda: convolution(random, channels),
        lambda: norm(random, channels),
        lambda: (nn.MaxPool2d(3, 2, 1, ceil_mode=ceil), lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=ceil)),
        lambda: (nn.MaxPool2d((2, 1)), lambda x: torch.max_pool2d(x, (2, 1))),
        lambda: (nn.AvgPool2d(2, 1, 1), lambda x: F.avg_pool2d(x, kernel_size=2, stride=1, padding=1)),
        lambda: (nn.AvgPool2d(2, 1, 1, count_include_pad=False), lambda x: F.avg_pool2d(x, 2, 1, 1, False, False)),
        lambda: (nn.ReLU(inplace=True), F.relu_),
        lambda: (nn.ReLU(), lambda x: x.clamp(min=0)),
        lambda: (nn.LeakyReLU(0.2), lambda x: F.leaky_relu(x, 0.2)),
        lambda: (nn.Sigmoid(), torch.sigmoid),
        lambda: (nn.Tanh(), lambda x: x.tanh()),
        lambda: (nn.GELU(), F.gelu),
        lambda: (nn.Dropout(0.3), lambda x: F.dropout(x, 0.3, training=False)),
        lambda: (nn.LocalResponseNorm(3, 0.3, k=2.0), lambda x: F.local_response_norm(x, 3, 0.3, k=2.0)),
        lambda: (nn.Softmax(1), lambda x: x.softmax(-3)),
        lambda: (nn.Softmax(-1), lambda x: torch.softmax(x, 3)),
        lambda: (nn.Upsample(scale_factor=1.4, mode="bilinear"), lambda x: F.interpolate(x, None, 1.4, "bilinear")),
        lambda: (nn.UpsamplingNearest2d((9, 8)), lambda x: F.interpolate(x, (9, 8))),
        lambda: (nn.Hardtanh(-0.3, 0.4), lambda x: x.clamp(-0.3, 0.4)),
        lambda: (nn.Mish(), F.mish),
        lambda: (nn.Softplus(2), lambda x: F.softplus(x, 2)),
        lambda: (nn.GELU("tanh"), lambda x: F.gelu(x, approximate="tanh")),
        lambda: enlarging(random, channels),
        lambda: sloped(channels),
    ]
    return kinds[int(random.integers(len(kinds)))]()


def ending(random: np.random.Generator, channels: int, side: tuple[int, int]) -> Pairs:
    """From maps to three numbers: over all positions, or over their means."""
    whole = random.integers(3)
    features = channels if whole else channels * side[0] * side[1]
    dense = nn.Linear(features, 3, bias=bool(random.integers(2)))

    def call(x: Tensor) -> Tensor:
        return F.linear(x, dense.weight, dense.bias)

    last = (dense, call)
    if not whole:
        return [(nn.Flatten(), lambda x: x.view(len(x), -1)), last]
    mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return [(mean, (lambda x: x.mean((2, 3))) if whole == 1 else lambda x: torch.mean(x, dim=[-1, -2])), last]


def unnamed(held: Any) -> Any:
    """An explanation as JSON without the names of layers, which functions have not."""
    if isinstance(held, dict):
        items: dict[str, Any] = held
        return {key: unnamed(value) for key, value in items.items() if key not in ("layer", "branch", "remark")}
    return [unnamed(each) for each in held] if isinstance(held, list) else held


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("seed", range(30))
def test_random_networks_of_functions_are_explained_as_those_of_modules(seed: int) -> None:
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    pairs: Pairs = []
    image = x = noise(2, 9, 8, seed=seed)
    with torch.no_grad():
        for _ in range(4):
            part, call = one_of(random, len(x))
            x = part.eval()(x.clone()[None])[0]
            pairs.append((part, call))
        pairs += ending(random, len(x), (x.shape[1], x.shape[2]))
        names = nn.Sequential(*(part for part, _ in pairs)).eval()
        written = Written(pairs)
        truth = names(image[None])[0]
    unit = int(random.integers(3))
    modules, functions = (explain(each, image, "", unit, depth="input") for each in (names, written))
    assert functions.value == pytest.approx(float(truth[unit]), rel=1e-4, abs=1e-6)
    assert walked(functions)
    assert unnamed(functions.as_json()) == unnamed(modules.as_json())
