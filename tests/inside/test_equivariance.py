"""Equivariance where theory says exactly what comes out, and against a loop over positions."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.errors import DataError, ModelError
from striate.inside.receptive.fields import receptive_fields
from striate.inside.studies.equivariance import equivariance
from striate.inside.studies.regions import region
from striate.inside.studies.transforms import Kind, Motion

EXACT = 1e-12


def pictures(side: int = 24, n: int = 2) -> Tensor:
    return torch.randn((n, 2, side, side), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def padded() -> nn.Sequential:
    """Strides 1, 1, 1, 2, 2, 4 with padding everywhere."""
    torch.manual_seed(0)
    first = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1)
    return nn.Sequential(*first, nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 2, stride=2)).double()


@pytest.mark.parametrize("transform", ["shift", "shift_columns"])
def test_shifts_by_whole_strides_are_exact_in_the_interior_only(transform: Kind) -> None:
    found = equivariance(padded(), None, pictures(), transform=transform, amounts=[-4, -1, 0, 1, 2, 4])
    assert [stride[0] for stride in found.strides] == [1, 1, 1, 2, 2, 4]
    for layer, (stride, _) in enumerate(found.strides):
        for a, amount in enumerate(found.amounts):
            exact = amount % stride == 0
            assert found.matched[layer, a] == exact
            assert found.positions[layer, a] > 0
            assert (found.interior[layer, a] < EXACT).all() if exact else (found.interior[layer, a] > 1e-3).all()
            if exact and amount:
                assert (found.whole[layer, a] > 1e-3).all()  # the padding of the layers below
    assert (found.whole[:, 2] == 0).all()  # no shift


def test_errors_against_a_loop_over_positions() -> None:
    net, x, amount = padded(), pictures(n=1), 2
    found = equivariance(net, "4", x, amounts=[amount])
    moved = torch.zeros_like(x)
    moved[:, :, amount:] = x[:, :, :-amount]
    with torch.no_grad():
        f, g = net.eval()[:5](x)[0], net[:5](moved)[0]
    field = receptive_fields(net, (2, 24, 24))["4"]
    sums = {"interior": [0.0, 0.0], "whole": [0.0, 0.0]}
    for i in range(12):
        for j in range(12):
            if i < 1:
                continue  # comes from beyond the map
            boxes = [field.box((i, j), clipped=False), field.box((i - 1, j), clipped=False)]
            real = all(min(b.top, b.left) >= 0 and max(b.bottom, b.right) <= 24 for b in boxes)
            for name in ["whole", "interior"] if real else ["whole"]:
                sums[name][0] += float(((g[:, i, j] - f[:, i - 1, j]) ** 2).sum())
                sums[name][1] += float((f[:, i - 1, j] ** 2).sum())
    assert found.interior.item() == pytest.approx((sums["interior"][0] / sums["interior"][1]) ** 0.5, abs=1e-12)
    assert found.whole.item() == pytest.approx((sums["whole"][0] / sums["whole"][1]) ** 0.5, rel=1e-9)


@pytest.mark.parametrize(("kind", "amount"), [("rotate", 90), ("rotate", 31.0), ("scale", 1.4), ("scale", 0.7)])
def test_what_looks_at_single_pixels_is_equivariant_to_everything_that_is_linear(kind: Kind, amount: float) -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 1, bias=False)).double()
    found = equivariance(net, None, pictures(), transform=kind, amounts=[amount])
    assert found.interior.max() < EXACT
    assert found.positions[0, 0] > 100


def test_a_symmetric_filter_is_equivariant_to_quarter_turns_and_another_is_not() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU()).double()
    weight = net.state_dict()["0.weight"]
    weight.copy_(sum((torch.rot90(weight, k, (2, 3)) for k in range(4)), torch.zeros_like(weight)))
    symmetric = equivariance(net, None, pictures(), transform="rotate", amounts=[90, 180, 270])
    assert symmetric.matched.all()
    assert symmetric.interior.max() < EXACT
    assert symmetric.whole.max() < EXACT  # zeros around the image turn with it
    assert equivariance(padded(), "0", pictures(), transform="rotate", amounts=[90, 20]).interior.min() > 0.1
    assert equivariance(padded(), "0", pictures(), transform="scale", amounts=[1.3]).interior.min() > 0.1


@pytest.mark.parametrize("transform", ["shift", "rotate", "scale"])
def test_interior_positions_do_not_see_what_is_beyond_the_border(transform: Kind) -> None:
    """Changing what comes in from outside must not change the interior: an oracle for the region."""
    amount = {"shift": 4, "rotate": 37.0, "scale": 0.8}[transform]
    unpadded = nn.Sequential(nn.Conv2d(2, 2, (5, 3), stride=(2, 1)), nn.AvgPool2d(2)).double()
    for net in (padded(), unpadded):
        one, other = (
            equivariance(net, None, pictures(), transform=transform, amounts=[amount], outside=value)
            for value in (0, 50.0)
        )
        assert np.allclose(one.interior, other.interior, rtol=1e-9, atol=EXACT, equal_nan=True)
        assert one.positions[0, 0] > 0
        # without padding a position either sees what was shifted or has come from beyond the map
        assert (one.whole != other.whole).any() == (net is not unpadded or transform != "shift")


def test_regions_take_the_positions_of_the_loop() -> None:
    net = nn.Sequential(nn.Conv2d(2, 1, 4, stride=3, padding=2))
    field = receptive_fields(net, (2, 24, 24))["0"]
    found = region(field, (9, 9), Motion("shift_columns", 6))
    for i in range(9):
        for j in range(9):
            now, then = 3 * j - 2, 3 * j - 8
            fits = 0 <= 3 * i - 2 <= 20 and 0 <= now <= 20 and 0 <= then <= 20
            assert bool(found.interior[i, j]) == fits
            assert float(found.columns[i, j]) == j - 2


def test_one_position_cannot_move() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.AdaptiveAvgPool2d(1)).double()
    found = equivariance(net, None, pictures(), transform="shift", amounts=[0, 2])
    assert found.positions[1].tolist() == [1, 0]
    assert (found.whole[1, 0] == 0).all()
    assert (found.whole[1, 1] > 0).all()
    assert np.isnan(found.interior[1, 1]).all()
    kept = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert kept["interior"][1][1] == [None, None]
    assert kept["over_images"]["whole"]["n"] == [[2, 2], [2, 2]]


@pytest.mark.parametrize("make", [lambda: padded().float(), lambda: padded().to(torch.bfloat16)])
def test_other_precisions_are_as_exact_as_they_are_and_the_module_stays(make: Callable[[], nn.Sequential]) -> None:
    net = make().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    rounding = torch.finfo(net[0].weight.dtype).eps  # pyright: ignore[reportArgumentType]
    with torch.inference_mode():
        found = equivariance(net, ["0", "5"], pictures(), amounts=[4], batch=1)
    with pytest.raises(ModelError, match="layer 'conv' gives no maps"):
        equivariance(net, ["conv"], pictures(), amounts=[4])
    assert found.interior.max() < 10 * rounding
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.training


def test_without_amounts_every_layer_meets_a_shift_that_it_can_follow() -> None:
    net, x = padded(), pictures(side=48)
    assert equivariance(net, "0", x).amounts == (1, 2, 4)
    assert equivariance(net, "0", x, transform="scale").amounts == (0.75, 1.25, 1.5)
    deep = nn.Sequential(*net, nn.MaxPool2d(2), nn.Conv2d(4, 2, 1).double())
    found = equivariance(deep, "7", x)
    assert found.amounts == (1, 2, 4, 8)
    assert found.matched.tolist() == [[False, False, False, True]]
    assert found.interior[0, 3].max() < EXACT
    tall = nn.Sequential(nn.Conv2d(2, 2, (3, 1), stride=(3, 1))).double()
    assert equivariance(tall, None, x).amounts == (1, 2, 3, 4)
    assert equivariance(tall, None, x, transform="shift_columns").amounts == (1, 2, 4)
    small = nn.Sequential(nn.AvgPool2d(24), nn.Conv2d(2, 2, 1)).double()
    assert equivariance(small, "1", pictures()).amounts == (1, 2, 4)  # as wide as the image: no such shift


def test_vectors_and_bad_amounts_are_refused() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten()).double()
    with pytest.raises(ModelError, match="layer '1' gives no maps, so nothing in it can move; those that do: 0"):
        equivariance(net, "1", pictures(), amounts=[1])
    with pytest.raises(DataError, match="whole pixels"):
        equivariance(net, "0", pictures(), amounts=[0.5])
    with pytest.raises(DataError, match="transform must be one of shift, shift_columns, rotate, scale, found 'turn'"):
        equivariance(net, "0", pictures(), transform="turn")  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match=r"images are needed, a tensor .*; found str"):
        equivariance(net, pictures(), "0")  # pyright: ignore[reportArgumentType]


def test_a_module_may_overwrite_its_input() -> None:
    x = pictures()
    one, other = (
        equivariance(nn.Sequential(nn.Tanh(), nn.ReLU(inplace=i)), "1", x, amounts=[0, 1]) for i in (True, False)
    )
    overwriting = equivariance(nn.Sequential(nn.ReLU(inplace=True)), "0", x, amounts=[0, 1])
    assert (one.whole == other.whole).all()
    assert (overwriting.whole == 0).all()
    assert torch.equal(x, pictures())


ENLARGED: dict[str, Callable[[], nn.Module]] = {
    "nearest": lambda: nn.Upsample(scale_factor=2),
    "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "transposed convolution": lambda: nn.ConvTranspose2d(2, 2, 3, 2),
}


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("kind", ENLARGED)
def test_what_enlarges_maps_moves_with_the_image_by_whole_strides_of_its_input(kind: str, stride: int) -> None:
    """A shift by the stride moves the enlarged map by two positions, exactly, as f is a convolution on either grid."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3, stride), ENLARGED[kind](), nn.ReLU()).double()
    x = pictures(40)[:, :1]
    found = equivariance(net, "2", x, amounts=[stride, 2 * stride])
    assert found.strides == ((stride / 2, stride / 2),)
    assert found.matched.all()
    assert (found.positions > 0).all()
    assert found.interior.max() < 1e-12
