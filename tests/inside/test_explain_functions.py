"""Functions in place of layers: explained as the layers are, followed where they move numbers, named where not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from explained import noise, walked
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import ModelError
from striate.inside.explaining.ends import Stop
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation


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
        (nn.MaxPool2d(2, dilation=2), (1, 5, 5), "dilation=2; explained is 1"),
        (nn.AvgPool2d(2, divisor_override=3), (1, 4, 4), "divisor_override=3"),
        (nn.AdaptiveAvgPool2d(3), (1, 5, 5), "windows of unequal size"),
        (nn.GELU(approximate="tanh"), (4,), "approximate='tanh'"),
        (nn.Softmax(dim=2), (1, 4, 4), "dim=2; explained is dim=1"),
        (nn.SiLU(inplace=True), (4,), "it is made by the function silu, which no layer's equation describes"),
        (nn.ConvTranspose2d(1, 1, 2), (1, 4, 4), "the function conv_transpose2d, which no"),
        (nn.ConstantPad2d(1, 3.0), (1, 4, 4), "the function pad, which no"),
        (nn.Linear(4, 2), (1, 4, 4), "an input of 3 dimensions; explained is a vector"),
        (nn.Identity(), (4,), "it hands on the image as it is"),
        (nn.LeakyReLU(-0.5), (4,), "slope of leakyrelu must be"),
        (nn.MaxPool2d(2, return_indices=True), (1, 4, 4), "it is a MaxPool2d, which gives more than one tensor"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_not_explained_is_refused_by_name(module: nn.Module, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ModelError, match="layer part ") as refused:
        explain(Holder(module), noise(*shape), "part", 0)
    assert words in str(refused.value)
