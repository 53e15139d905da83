"""Transposed convolution and interpolation, taken apart: every weight against torch's own derivative."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from explained import Calls, noise, walked
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import ModelError
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation
from striate.layers.terms import Formula, Pooled, Products

Call = Callable[[Tensor], Tensor]


def whole(random: np.random.Generator, least: int, most: int) -> tuple[int, int]:
    rows, columns = (int(each) for each in random.integers(least, most + 1, 2))
    return rows, columns


def transposed(random: np.random.Generator) -> nn.ConvTranspose2d:
    """One with every option drawn, of four channels."""
    stride, dilation = whole(random, 1, 3), whole(random, 1, 3)
    extra = tuple(int(random.integers(max(s, d))) for s, d in zip(stride, dilation, strict=True))
    groups, kernel = int(random.choice([1, 2, 4])), whole(random, 1, 4)
    pad = tuple(int(random.integers((k - 1) * d // 2 + 2)) for k, d in zip(kernel, dilation, strict=True))
    return nn.ConvTranspose2d(
        4, 2 * groups, kernel, stride, pad, extra, groups, bool(random.integers(2)), dilation  # pyright: ignore[reportArgumentType]
    )  # fmt: skip


def assert_derived(found: Explanation, call: Call, image: Tensor, at: tuple[int, ...]) -> None:
    """What each input counts for is the derivative of the number with respect to it, by torch, in float64."""
    x = image.double()[None].requires_grad_()
    y = call(x)[0]
    (derivative,) = torch.autograd.grad(y[at], x)
    counted = np.zeros(image.shape)
    assert isinstance(found.terms, Products | Pooled)
    weights = found.terms.W if isinstance(found.terms, Products) else found.terms.shares
    counted[tuple(np.moveaxis(found.terms.places, -1, 0))] = weights
    assert counted == pytest.approx(derivative[0].numpy(), rel=1e-4, abs=1e-6)
    assert found.value == pytest.approx(float(y.detach()[at]), rel=1e-5, abs=1e-6)
    assert {source.at for source in found.terms.sources} == set(map(tuple, np.argwhere(counted).tolist()))


@pytest.mark.parametrize("seed", range(40))
def test_a_transposed_convolution_of_any_options(seed: int) -> None:
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    part, image = transposed(random), noise(4, 5, 4, seed=seed)
    shape = part(image[None]).shape[1:]
    for _ in range(6):
        at = tuple(int(random.integers(side)) for side in shape)
        found = explain(nn.Sequential(part), image, "0", at[0], (at[1], at[2]))
        assert found.kind.startswith("convtranspose ")
        assert found.agrees
        if isinstance(found.terms, Formula):
            bias = 0 if part.bias is None else float(part.bias.detach()[at[0]])
            assert (found.value, found.below, found.terms.sources) == (bias, (), ())
        else:
            call = cast("Call", part.double())
            assert_derived(found, call, image, at)
            part.float()


def test_a_place_that_no_window_reaches_has_the_bias_alone() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.ConvTranspose2d(2, 3, 1, 2), nn.Conv2d(3, 1, 1))
    found = explain(module, noise(2, 4, 4), "0", 1, (1, 2), depth="input")
    assert found.value == float(cast("Any", module[0]).bias.detach()[1])
    assert "No input's window reaches this place" in found.text()
    assert explain(module, noise(2, 4, 4), "1", 0, (1, 2), depth="input").below[0].found


def test_which_taps_of_the_filter_are_meant_is_said() -> None:
    torch.manual_seed(0)
    part = nn.ConvTranspose2d(1, 1, 3, 2, 1)
    found = explain(nn.Sequential(part), noise(1, 4, 4), "0", 0, (3, 2))
    words = "Of the filter these are the rows u = 2, 0 and the columns v = 1."
    assert words in found.text()
    assert words in found._repr_html_()  # pyright: ignore[reportPrivateUsage] - as notebooks show it
    assert isinstance(found.terms, Products)
    assert found.terms.W[0].tolist() == [[float(part.weight.detach()[0, 0, u, 1])] for u in (2, 0)]


RESIZED: list[dict[str, Any]] = [
    {"size": (9, 13)},
    {"size": 5},
    {"size": (1, 1)},
    {"scale_factor": 2},
    {"scale_factor": 1.7},
    {"scale_factor": (2, 0.6)},
    {"scale_factor": 1.7, "recompute_scale_factor": True},
    {"scale_factor": 2, "align_corners": True},
    {"size": (11, 1), "align_corners": True},
]

UNALIGNED = [options for options in RESIZED if "align_corners" not in options]


MODES = [(mode, each) for each in RESIZED for mode in ("bilinear", "bicubic")] + [("area", each) for each in UNALIGNED]


@pytest.mark.parametrize(("mode", "options"), MODES, ids=str)
def test_interpolation(mode: str, options: dict[str, Any]) -> None:
    image, random = noise(3, 7, 8), np.random.default_rng(1)

    def call(x: Tensor) -> Tensor:
        return F.interpolate(x, mode=mode, **options)

    shape = call(image[None]).shape[1:]
    for _ in range(8):
        at = tuple(int(random.integers(side)) for side in shape)
        found = explain(Calls(call), image, "", at[0], (at[1], at[2]))
        assert found.agrees
        assert_derived(found, call, image, at)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("options", UNALIGNED, ids=str)
def test_the_nearest_pixel_is_passed_through(mode: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    conv, image, random = nn.Conv2d(3, 4, 3), noise(3, 9, 10), np.random.default_rng(1)

    def call(x: Tensor) -> Tensor:
        return F.interpolate(conv(x), mode=mode, **options)

    with torch.no_grad():
        truth = call(image[None])[0]
    at = tuple(int(random.integers(side)) for side in truth.shape)
    found = explain(Calls(call, conv), image, "", at[0], (at[1], at[2]), depth="input")
    assert found.kind == "conv 4 3x3"
    assert found.value == pytest.approx(float(truth[at]), rel=1e-5)
    assert walked(found)


def test_lines_are_maps_of_one_row() -> None:
    """1-D: a transposed convolution, then an interpolation, below a dense layer."""
    torch.manual_seed(0)
    up, last = nn.ConvTranspose1d(2, 3, 3, stride=2, padding=1), nn.Linear(27, 2)

    def call(x: Tensor) -> Tensor:
        x = F.interpolate(up(x.flatten(2)), scale_factor=1.5, mode="linear")
        return last(F.interpolate(x, size=9, mode="nearest").flatten(1))

    image = noise(2, 2, 3)
    with torch.no_grad():
        truth = call(image[None])[0]
    found = explain(Calls(call, up, last), image, "", 1, depth="input", follow=2)
    assert found.value == pytest.approx(float(truth[1]), rel=1e-5)
    assert walked(found)


def test_the_place_between_pixels_is_as_exact_as_float32_lets_it_be() -> None:
    """Far right on a large map, torch loses more of the place than 1e-5 of what is added up."""
    image, random = noise(1, 127, 120), np.random.default_rng(0)
    module = nn.Sequential(nn.Upsample((255, 251), mode="bilinear", align_corners=True))
    for _ in range(60):
        found = explain(module, image, "0", 0, (int(random.integers(255)), int(random.integers(251))))
        assert found.agrees


def test_what_interpolation_says() -> None:
    found = explain(nn.Sequential(nn.UpsamplingBilinear2d((4, 7))), noise(1, 2, 4), "0", 0, (1, 3))
    assert found.kind == "interpolate bilinear 4x7 corners=aligned"
    said = found.text()
    assert "The place lies at row r = 0.333333 and column s = 1.5 of the input" in " ".join(said.split())
    assert "a_h = 1 − |r − h|,  b_w = 1 − |s − w|" in said
    assert "shares" in said
    assert "no bias" not in said
    assert "shares" in found._repr_html_()  # pyright: ignore[reportPrivateUsage] - as notebooks show it


def test_the_shares_of_a_bicubic_interpolation_are_those_of_the_polynomials_that_are_printed() -> None:
    found = explain(nn.Sequential(nn.Upsample(scale_factor=2, mode="bicubic")), noise(1, 6, 6), "0", 0, (5, 6))
    said = " ".join(found.text(80).split()).replace("−", "-")
    assert "a_h = k(|r - h|), b_w = k(|s - w|)" in said
    assert "row r = 2.25 and column s = 2.75" in said
    near, far = re.search(r"k\(t\) = (.*) for t up to 1, (.*) for t from 1 to 2\.", said).groups()  # pyright: ignore[reportOptionalMemberAccess]
    near, far = (
        re.sub("[²³]", lambda power: f"**{'²³'.index(power[0]) + 2}", each).replace("·", "*") for each in (near, far)
    )

    def k(t: float) -> float:
        return eval(near if t <= 1 else far, {"t": t})  # as a reader works it out

    assert isinstance(found.terms, Products)
    wanted = [[k(abs(2.25 - h)) * k(abs(2.75 - w)) for w in range(1, 5)] for h in range(1, 5)]
    assert found.terms.W[0] == pytest.approx(np.array(wanted))


@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("record", ["jit", "export"])
def test_recorded_programs(record: str) -> None:
    """The calls have other names there, and other arguments."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.ConvTranspose2d(2, 3, 3, 2, 1, 1, bias=False),
        nn.Upsample(scale_factor=1.7, mode="bilinear"),
        nn.ConvTranspose2d(3, 2, 2, groups=1),
        nn.Upsample((20, 21), mode="bicubic", align_corners=True),
        nn.Upsample(scale_factor=2, mode="nearest-exact"),
    ).eval()
    image = noise(2, 4, 5)
    program = torch.jit.trace(module, image[None]) if record == "jit" else torch.export.export(module, (image[None],))
    held = cast("nn.Module", program if record == "jit" else cast("Any", program).module())
    expected, found = (explain(each, image, "", 1, (17, 30), depth="input", follow=2) for each in (module, held))
    assert found.value == expected.value
    assert found.as_json()["terms"] == expected.as_json()["terms"]
    assert walked(found) == walked(expected)


def test_what_is_refused() -> None:
    module = nn.Sequential(Calls(lambda x: F.interpolate(x, size=3, mode="bilinear", antialias=True)))
    with pytest.raises(ModelError, match="antialias=True; explained is interpolation without it"):
        explain(module, noise(1, 8, 8), "0", 0)
