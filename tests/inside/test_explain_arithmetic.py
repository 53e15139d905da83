"""Arithmetic written between layers: worked out again by PyTorch, followed to the pixels; what is refused of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch
from explained import noise, walked
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import ModelError
from striate.inside.explaining.ends import Pixel, Stop
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation
from striate.layers.terms import Formula

AROUND: list[object] = []
AROUND.append(AROUND)  # a list that holds itself, in the file that is looked through for constants
MEAN = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)


class Held(nn.Module):
    """A call between two convolutions that may use what the module holds."""

    def __init__(self, call: Callable[[Held, Tensor], Tensor]) -> None:
        super().__init__()
        self.call = call
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.gate = nn.Conv2d(3, 3, 1)
        self.gamma = nn.Parameter(noise(3))
        self.register_buffer("std", noise(1, 3, 1, 1).abs() + 0.2)
        self.map = noise(4, 5)
        self.stages = {"mean": [noise(3, 4, 5)]}

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self, self.conv(x))


Call = Callable[[Held, Tensor], Tensor]


def inplace(m: Held, x: Tensor) -> Tensor:
    x *= 3
    x += m.map
    x -= 0.5
    x /= m.gamma.view(3, 1, 1)
    return x.mul_(2).add_(m.gamma[:, None, None], alpha=-2).neg_()


CALLS: dict[str, tuple[Call, str]] = {
    "a number added": (lambda m, x: x + 1, "sum with a constant"),
    "to a number": (lambda m, x: 2.5 + x, "sum with a constant"),
    "a bias by hand": (lambda m, x: x + m.gamma.view(1, 3, 1, 1), "sum with a constant"),
    "a number taken away": (lambda m, x: x - 0.5, "difference from a constant"),
    "taken from a number": (lambda m, x: 1 - x, "difference from a constant"),
    "rsub": (lambda m, x: torch.rsub(x, m.map), "difference from a constant"),
    "a buffer taken away": (lambda m, x: torch.sub(x, cast("Tensor", m.std), alpha=2), "difference from a constant"),
    "a tensor of the file": (lambda m, x: x - MEAN, "difference from a constant"),
    "a tensor in a list": (lambda m, x: x.subtract(m.stages["mean"][0]), "difference from a constant"),
    "a tensor made in the pass": (lambda m, x: x * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1), "product with"),
    "one like x": (lambda m, x: x * torch.full_like(x, 3), "product with a constant"),
    "alpha": (lambda m, x: torch.add(x, m.gamma[:, None, None], alpha=3), "sum with a constant"),
    "times": (lambda m, x: 2 * x, "product with a constant"),
    "a layer's scale": (lambda m, x: m.gamma.reshape(-1, 1, 1) * x, "product with a constant"),
    "a scale worked out": (lambda m, x: torch.exp(m.gamma).view(3, 1, 1) * x, "product with a constant"),
    "one place, one scale": (lambda m, x: x.mul(m.map), "product with a constant"),
    "over 255": (lambda m, x: x / 255, "quotient with a constant"),
    "over a buffer": (lambda m, x: x.div(cast("Tensor", m.std)), "quotient with a constant"),
    "a number over it": (lambda m, x: 3 / x, "quotient with a constant"),
    "reciprocal": (lambda m, x: torch.reciprocal(x), "quotient with a constant"),
    "minus": (lambda m, x: -x, "negative"),
    "square": (lambda m, x: x**2, "power with a constant"),
    "root": (lambda m, x: x.square().sqrt(), "root"),
    "rsqrt": (lambda m, x: torch.rsqrt(x * x), "power with a constant"),
    "powers": (lambda m, x: 2**x, "power with a constant"),
    "in place": (inplace, "negative"),
    "two": (lambda m, x: x + m.gate(x), "residual"),
    "two, weighted": (lambda m, x: torch.add(x, m.gate(x), alpha=0.3), "sum"),
    "two, one per channel": (lambda m, x: m.gate(x).mean((2, 3), keepdim=True) + x, "residual"),
    "two, one taken away": (lambda m, x: x - x.mean((2, 3), keepdim=True), "difference"),
    "a gate": (lambda m, x: x * m.gate(x.mean((2, 3), keepdim=True)).sigmoid(), ""),
    "a gate from a vector": (lambda m, x: m.gate(x).mean((2, 3)).tanh()[:, :, None, None] * x, ""),
    "a gate per place": (lambda m, x: x * torch.sigmoid(m.gate(x)[:, 1:2]), ""),
    "swish by hand": (lambda m, x: x * torch.sigmoid(x), ""),
    "quotient": (lambda m, x: x / m.gate(x), "quotient"),
    "a product added": (lambda m, x: torch.addcmul(m.gamma[:, None, None], x, m.map, value=-2), "sum with a product"),
    "a product of two added": (lambda m, x: torch.addcmul(x, x, m.gate(x)), "sum with a product"),
    "cast": (lambda m, x: x.float() * 2, "product with a constant"),
    "itself": (lambda m, x: x * x, ""),
}


@pytest.mark.parametrize(("call", "kind"), CALLS.values(), ids=CALLS.keys())
def test_arithmetic_is_worked_out_and_followed(call: Call, kind: str) -> None:
    torch.manual_seed(1)
    module, image, random = Held(call).eval(), noise(3, 4, 5), np.random.default_rng(2)
    with torch.no_grad():
        truth = call(module, module.conv(image[None]))[0]
    for _ in range(4):
        at = tuple(int(random.integers(side)) for side in truth.shape)
        found = explain(module, image, "", at[0], (at[1], at[2]), depth="input")
        assert found.value == pytest.approx(float(truth[at]), rel=1e-5, abs=1e-7)
        assert kind in found.kind
        pixels = walked(found)
        assert pixels
        assert all(pixel.value == float(image[(pixel.unit, *(pixel.position or ()))]) for pixel in pixels)


def test_a_gate_of_neighbouring_channels() -> None:
    """Efficient channel attention (Wang et al. 2020): a convolution along the channels' means."""
    line = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def gated(m: Held, x: Tensor) -> Tensor:
        return x * line(x.mean((2, 3)).view(1, 1, -1)).sigmoid().view(1, -1, 1, 1)

    module, image = Held(gated), noise(3, 4, 5)
    with torch.no_grad():
        truth = module(image[None])[0]
    found = explain(module, image, "", 1, (2, 2), depth="input")
    assert found.value == pytest.approx(float(truth[1, 2, 2]), rel=1e-5)
    assert walked(found)
    assert "conv 1 1x3 pad=0x1 bias=no of an input of 1x1x3" in found.text()
    assert "conv, unit 0 at row 0, column 1: " in found.text()


def test_a_product_of_two_names_both_and_follows_both() -> None:
    module = Held(lambda m, x: x * m.gate(x.mean((2, 3), keepdim=True)).sigmoid())
    found = explain(module, noise(3, 4, 5), "", 2, (3, 1), depth=1)
    below = [each.found for each in found.below]
    assert all(isinstance(each, Explanation) for each in below)
    assert {(each.layer, each.unit, each.position) for each in below if isinstance(each, Explanation)} == {
        ("conv", 2, (3, 1)),
        ("sigmoid", 2, (0, 0)),
    }


NAMED: list[tuple[Call, str]] = [
    (lambda m, x: x * m.gamma.view(-1, 1, 1), "k is the constant gamma of the network."),
    (lambda m, x: x + m.gamma[1], "c is the constant gamma of the network."),
    (lambda m, x: x / cast("Tensor", m.std), "c is the constant std of the network."),
    (lambda m, x: x * 3, "k is a constant, not from the image."),
    (lambda m, x: x * torch.exp(m.gamma)[:, None, None], "k is a constant, not from the image."),
    (
        lambda m, x: x - np.float32(0.5),  # pyright: ignore[reportOperatorIssue, reportUnknownLambdaType]
        "c is a constant, not from the image.",
    ),
    (lambda m, x: x - x.relu(), "F is what conv gives here; S is what relu gives here."),
]


@pytest.mark.parametrize(("call", "remark"), NAMED)
def test_constants_have_the_names_that_the_module_has_for_them(call: Call, remark: str) -> None:
    terms = explain(Held(call), noise(3, 4, 5), "", 2, (3, 1)).terms
    assert isinstance(terms, Formula)
    assert terms.remark == remark


def test_a_gate_that_is_shut_is_followed_too() -> None:
    """Why the product is 0 is told, though a 0 adds nothing."""
    module = Held(lambda m, x: F.relu(m.gate(x.mean((2, 3), keepdim=True)) - 99) * x)
    found = explain(module, noise(3, 4, 5), "", 2, (3, 1), depth=2)
    assert (found.value, found.kind, found.input) == (0, "product", (3, 4, 5))
    assert {below.source.branch: below.source.x for below in found.below}["relu"] == 0
    assert len(found.below) == 2
    shown = " ".join(found.text().split())
    assert "y = x · s = 0 · " in shown
    assert "where x = 0 comes from relu, unit 2 at row 0, column 0: 0" in shown
    assert "where s = " in shown


def test_a_module_that_normalizes_its_own_input_ends_in_the_pixels() -> None:
    class Normalize(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("std", torch.tensor([0.2, 0.3, 0.4]))

        def forward(self, x: Tensor) -> Tensor:
            return (x - MEAN) / cast("Tensor", self.std)[None, :, None, None] * 2 - 1

    image = noise(3, 4, 4).abs()
    found = explain(nn.Sequential(Normalize(), nn.Conv2d(3, 2, 3)), image, "0", 1, (2, 3), depth="input")
    assert (found.layer, found.kind) == ("0", "difference from a constant")
    assert found.value == pytest.approx((float(image[1, 2, 3]) - 0.5) / 0.3 * 2 - 1, rel=1e-5)
    steps = [found]
    while isinstance(steps[-1].below[0].found, Explanation):
        steps.append(steps[-1].below[0].found)
    known = [each.as_json()["terms"]["known"] for each in steps]
    constants = [each.get("c", each.get("k")) for each in known]
    assert constants == pytest.approx([1, 2, 0.3, 0.5], rel=1e-6)
    end = steps[-1].below[0].found
    assert end == Pixel(1, (2, 3), float(image[1, 2, 3]))


# --- what is refused -----------------------------------------------------------------------------------------------


def unseen(x: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        return x.exp()


REFUSED: list[tuple[Call, str]] = [
    (lambda m, x: x + x.mean(), "add with a tensor of shape (); explained is a batch of one image"),
    (lambda m, x: x * x.max().item(), "mul with a float after item took numbers of the image out of their tensors"),
    (lambda m, x: x * torch.tensor(x.amax((2, 3)).tolist()[0]).view(3, 1, 1), "the function mul with"),
    (lambda m, x: torch.div(x, 2, rounding_mode="floor"), "div with rounding_mode='floor'; explained is the quotient"),
    (lambda m, x: torch.max(x, m.map), "the function max, which"),
    (lambda m, x: torch.maximum(x, -x), "the function maximum, which"),
    (lambda m, x: x // 2, "the function floordiv, which"),
    (lambda m, x: x % 2, "the function remainder, which"),
    (lambda m, x: torch.rsub(x, 1, alpha=2), "rsub with alpha=2; explained is 1"),
    (lambda m, x: x + unseen(x), "add with a tensor that the module does not hold"),
    (lambda m, x: torch.addcdiv(x, x, x), "the function addcdiv, which"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_is_no_arithmetic_of_constants_and_ways_is_named(call: Call, words: str) -> None:
    module = nn.Sequential(Held(call), nn.Conv2d(3, 1, 1))
    (stop, *_) = explain(module, noise(3, 4, 5), "1", 0, (0, 0), depth="input").below
    assert isinstance(stop.found, Stop)
    assert words in stop.found.reason
    assert "\n" not in stop.found.reason


def test_constants_beside_maps_are_said_to_be_constants() -> None:
    """The shortcut of the residual networks of CIFAR-10: new maps are zeros."""

    def call(m: Held, x: Tensor) -> Tensor:
        return torch.cat([x, x.new_full((1, 2, 4, 5), 7.0)], 1)

    found = explain(Held(call), noise(3, 4, 5), "", 4, (1, 1), depth=1)
    assert (found.value, found.kind) == (7, "concat")
    assert "Unit 4 is unit 1 of a constant: 3 units stand before it." in found.text()
    assert found.below[0].found == Stop("the way down ends here: it is a constant, the same for every image")
    assert walked(explain(Held(call), noise(3, 4, 5), "", 2, (1, 1), depth="input"))


def test_zeros_filled_by_assignment_are_no_constant() -> None:
    def call(m: Held, x: Tensor) -> Tensor:
        y = x.new_zeros(x.shape)
        y[:, 1:] = x[:, :-1]
        return y * 2

    (stop, *_) = explain(nn.Sequential(Held(call), nn.Conv2d(3, 1, 1)), noise(3, 4, 5), "1", 0, (0, 0), depth=3).below
    assert isinstance(stop.found, Explanation)
    (below,) = stop.found.below
    assert below.found == Stop("the way down ends here: it was put together part by part, in place")


def test_of_a_layer_that_is_a_constant_nothing_can_be_told() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(torch.ones(1, 2, 3, 3))

    with pytest.raises(ModelError, match="layer 0 cannot be explained: it is a constant, the same for every image"):
        explain(nn.Sequential(Constant()), noise(2, 3, 3), "0", 0)


@pytest.mark.parametrize("through_a_view", [False, True])
def test_padding_that_is_written_over_is_no_padding_of_the_convolution(through_a_view: bool) -> None:
    conv = nn.Conv2d(1, 2, 3)

    class Shifted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            padded = F.pad(x, (1, 1, 1, 1))
            if through_a_view:
                padded[:, :, 0] = 2
            else:
                padded.add_(1)
            return F.conv2d(padded, conv.weight, conv.bias)

    module, image = Shifted(), noise(1, 5, 5)
    with torch.no_grad():
        truth = module(image[None])[0]
    found = explain(module, image, "", 1, (0, 0), depth=1)
    assert found.kind == "conv 2 3x3"
    assert found.value == pytest.approx(float(truth[1, 0, 0]), rel=1e-5)
