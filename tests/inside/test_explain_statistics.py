"""Sums, means, variances and lengths along axes, written as calls; norms written by hand with them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import cast

import numpy as np
import pytest
import torch
from explained import Calls, noise, walked
from torch import Tensor, nn

from striate.inside.explaining.ends import Stop
from striate.inside.explaining.explain import explain

Call = Callable[[Tensor], Tensor]


class After(nn.Module):
    """A call after a convolution."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.conv, self.call = nn.Conv2d(3, 4, 3), call
        self.weight, self.bias = nn.Parameter(noise(4)), nn.Parameter(noise(4, seed=2))

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.conv(x))


CALLS: dict[str, tuple[Call, str]] = {
    "mean of channels": (lambda x: x.mean(1, keepdim=True), "mean"),
    "mean of everything": (lambda x: torch.mean(x, dim=(1, 2, 3), keepdim=True), "mean"),
    "sum of channels": (lambda x: x.sum(dim=1, keepdim=True), "sum"),
    "sum of positions": (lambda x: x.sum((-1, -2)), "sum"),
    "sum of rows": (lambda x: torch.sum(x, 2, keepdim=True), "sum"),
    "as NumPy has it": (lambda x: torch.sum(x, axis=1, keepdims=True), "sum"),  # pyright: ignore[reportCallIssue, reportUnknownLambdaType]
    "mean, as NumPy has it": (lambda x: torch.mean(x, axis=(2, 3)), "globalavgpool"),  # pyright: ignore[reportCallIssue, reportUnknownLambdaType]
    "sum of flat maps": (lambda x: x.flatten(2).sum(-1), "sum"),
    "variance": (lambda x: torch.var(x, 1, unbiased=False, keepdim=True), "variance"),
    "variance, estimated": (lambda x: torch.var(x, (2, 3), keepdim=True), "variance"),
    "deviation": (lambda x: torch.std(x, dim=1, correction=0, keepdim=True), "deviation"),
    "length": (lambda x: cast("Tensor", torch.linalg.vector_norm(x, dim=1, keepdim=True)), "length"),
    "length of maps": (lambda x: cast("Tensor", torch.norm(x, dim=(2, 3))), "length"),
    "largest channel": (lambda x: x.amax(1, keepdim=True), "largest"),
    "largest, with its place": (lambda x: x.max(dim=1, keepdim=True)[0], "largest"),
    "largest of everything": (lambda x: torch.amax(x, (1, 2, 3), keepdim=True), "largest"),
    "channels last": (
        lambda x: cast("Tensor", torch.linalg.vector_norm(x.permute(0, 2, 3, 1), 2, (1, 2), True)),
        "length",
    ),
    "channels last, by channel": (lambda x: x.permute(0, 2, 3, 1).mean(-1, keepdim=True), "mean"),
    "channels last, all positions": (lambda x: x.permute(0, 2, 3, 1).mean([1, 2]), "mean"),
}


@pytest.mark.parametrize("name", CALLS)
def test_numbers_taken_together(name: str) -> None:
    torch.manual_seed(0)
    call, kind = CALLS[name]
    module, image, random = After(call), noise(3, 6, 5), np.random.default_rng(1)
    with torch.no_grad():
        truth = module(image[None])
    truth = (truth.permute(0, 3, 1, 2) if name.startswith("channels last") and truth.dim() == 4 else truth)[0]
    for _ in range(3):
        at = tuple(int(random.integers(side)) for side in truth.shape)
        found = explain(module, image, "", at[0], (at[1], at[2]) if len(at) == 3 else None, depth="input")
        assert found.value == pytest.approx(float(truth[at]), rel=1e-5, abs=1e-6)
        assert found.kind == kind
        pixels = walked(found)
        assert pixels
        assert all(pixel.value == float(image[(pixel.unit, *(pixel.position or ()))]) for pixel in pixels)


def layer_norm(m: After, x: Tensor) -> Tensor:
    """Of the authors of ConvNeXt, for maps with the channels first."""
    u = x.mean(1, keepdim=True)
    s = (x - u).pow(2).mean(1, keepdim=True)
    x = (x - u) / torch.sqrt(s + 1e-6)
    return m.weight[:, None, None] * x + m.bias[:, None, None]


def response_norm(m: After, x: Tensor) -> Tensor:
    """Global response normalization, of the authors of ConvNeXt V2, for maps with the channels last."""
    x = x.permute(0, 2, 3, 1)
    Gx = torch.norm(x, p=2, dim=(1, 2), keepdim=True)
    Nx = Gx / (Gx.mean(dim=-1, keepdim=True) + 1e-6)
    return (m.weight * (x * Nx) + m.bias + x).permute(0, 3, 1, 2)


@pytest.mark.parametrize("by_hand", [layer_norm, response_norm])
def test_norms_written_by_hand(by_hand: Callable[[After, Tensor], Tensor]) -> None:
    torch.manual_seed(2)
    module, image = After(lambda x: by_hand(module, x)), noise(3, 6, 5)
    with torch.no_grad():
        truth = module(image[None])[0]
    for at in ((0, 0, 0), (3, 2, 1), (1, 3, 2)):
        found = explain(module, image, "", at[0], (at[1], at[2]), depth="input", follow=2)
        assert found.value == pytest.approx(float(truth[at]), rel=1e-5)
        assert walked(found)


def test_attention_to_places() -> None:
    """Of CBAM (Woo et al. 2018, eq. 5): mean and maximum of the channels, convolved, gate every place."""
    torch.manual_seed(2)
    conv = nn.Conv2d(2, 1, 3, padding=1)

    def attention(x: Tensor) -> Tensor:
        both = torch.cat([x.mean(1, keepdim=True), torch.max(x, 1, keepdim=True).values], 1)
        return x * torch.sigmoid(conv(both))

    module, image = After(attention), noise(3, 6, 5)
    with torch.no_grad():
        truth = module(image[None])[0]
    found = explain(module, image, "", 1, (3, 2), depth="input", follow=4)
    assert found.value == pytest.approx(float(truth[1, 3, 2]), rel=1e-5)
    assert walked(found)
    assert "x is the largest of 4 numbers, that of unit " in found.text()


def test_a_norm_by_hand_gives_what_the_layer_norm_gives() -> None:
    torch.manual_seed(2)
    module, image = After(lambda x: layer_norm(module, x)), noise(3, 6, 5)

    class Normed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = module.conv(x).permute(0, 2, 3, 1)
            return nn.functional.layer_norm(x, (4,), module.weight, module.bias, 1e-6).permute(0, 3, 1, 2)

    by_hand, layer = (explain(each, image, "", 2, (3, 1)) for each in (module, Normed()))
    assert layer.kind == "layernorm eps=1e-06"
    assert by_hand.value == pytest.approx(layer.value, rel=1e-6)


REFUSED: list[tuple[Call, str]] = [
    (lambda x: x.sum(2), "the function sum with dim=2, which leaves 2 dimensions; explained are maps and vectors"),
    (lambda x: cast("Tensor", torch.norm(x, p=1, dim=1, keepdim=True)), "the function norm with p=1; explained is 2"),
    (lambda x: x.max(), "the function max with dim=None; explained are dimensions of one image, named"),
    (lambda x: x.sum(0), "the function sum with dim=0; explained are dimensions of one image, named"),
    (lambda x: x.sum(), "the function sum with dim=None; explained are dimensions of one image, named"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_is_refused(call: Call, words: str) -> None:
    module = nn.Sequential(After(lambda x: x * call(x).reshape(-1)[0].reshape(1, 1, 1, 1)), nn.Conv2d(4, 1, 1))
    found = explain(module, noise(3, 6, 5), "1", 0, (1, 1), depth=2, follow=4).below[0].found
    reasons = [each.found.reason for each in getattr(found, "below", ()) if isinstance(each.found, Stop)]
    assert [words in reason for reason in reasons] == [True]


LARGE = {
    "group norm": nn.GroupNorm(1, 2),
    "instance norm": nn.InstanceNorm2d(2),
    "variance": Calls(lambda x: torch.var(x, (1, 2, 3), keepdim=True)),
    "length": Calls(lambda x: cast("Tensor", torch.norm(x, dim=(2, 3)))),
}


@pytest.mark.parametrize("part", LARGE.values(), ids=LARGE.keys())
def test_what_is_not_shown_is_not_built(part: nn.Module) -> None:
    """However many numbers are taken together, as many functions are called as for a few."""
    module = nn.Sequential(nn.Conv2d(2, 2, 1), part)
    small, large = noise(2, 8, 8), noise(2, 64, 64)
    called(module, small)  # what is imported at the first call is not counted
    assert called(module, large) < 1.5 * called(module, small)


def called(module: nn.Module, image: Tensor) -> int:
    """How often functions of Python are called to explain a number and those below it, and to show that."""
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        found = explain(module, image, "1", 0, depth=1)
        found.text()
        found._repr_html_()  # pyright: ignore[reportPrivateUsage]
    finally:
        sys.setprofile(None)
    return count


def test_json_has_every_number_of_a_norm() -> None:
    image = noise(4, 3, 2)
    held = explain(nn.Sequential(nn.GroupNorm(2, 4)), image, "0", 3, (1, 0)).as_json()["terms"]
    group = image[2:].double()
    squares = ((group - group.mean()) ** 2).flatten()
    first, *others = held["sources"]
    assert (first["at"], first["x"], first["adds"]) == ([3, 1, 0], float(image[3, 1, 0]), float(image[3, 1, 0]))
    assert [other["adds"] for other in others] == pytest.approx(
        sorted((float(square) for k, square in enumerate(squares) if k != 8), reverse=True)
    )
    assert {(*other["at"], other["x"]) for other in others} == {
        (c, i, j, float(image[c, i, j])) for c in (2, 3) for i in range(3) for j in range(2) if (c, i, j) != (3, 1, 0)
    }
