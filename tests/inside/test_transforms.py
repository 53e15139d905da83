"""Motions against torch's own flips and rolls, against grid_sample, and by their algebra."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from striate.errors import DataError
from striate.inside.studies.transforms import Kind, sampled, transformed


def pictures(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("amount", [-9, -3, 0, 1, 4, 8, 20])
def test_a_shift_moves_rows_and_fills_with_the_value_outside(amount: int) -> None:
    x = pictures(2, 3, 8, 5)
    expected = torch.full_like(x, 0.25)
    for row in range(8):
        if 0 <= row - amount < 8:
            expected[:, :, row] = x[:, :, row - amount]
    assert torch.equal(transformed(x, "shift", amount, outside=0.25), expected)
    assert torch.equal(transformed(x.mT, "shift_columns", amount, outside=0.25), expected.mT)


@pytest.mark.parametrize("quarters", [1, 2, 3, -1, 5])
@pytest.mark.parametrize("side", [6, 7])
def test_quarter_turns_are_those_of_rot90(quarters: int, side: int) -> None:
    x = pictures(2, 1, side, side, dtype=torch.float32)
    assert torch.equal(transformed(x, "rotate", 90 * quarters), torch.rot90(x, quarters, (2, 3)))


def test_half_a_turn_of_an_oblong_image_flips_it() -> None:
    x = pictures(1, 2, 4, 7)
    assert torch.equal(transformed(x, "rotate", 180), x.flip(2, 3))


@pytest.mark.parametrize(("kind", "amount"), [("rotate", 25.0), ("rotate", -130.0), ("scale", 1.7), ("scale", 0.6)])
def test_other_motions_are_those_of_grid_sample(kind: Kind, amount: float) -> None:
    x = pictures(2, 3, 9, 9)
    angle, factor = (math.radians(amount), 1.0) if kind == "rotate" else (0.0, amount)
    # In grid_sample's (x right, y down) coordinates, from a point of the output to the point it came from.
    theta = [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]]
    matrix = torch.tensor(theta, dtype=torch.float64).div(factor).expand(2, 2, 3)
    expected = F.grid_sample(x, F.affine_grid(matrix, [2, 3, 9, 9], align_corners=True), align_corners=True)
    inner = (slice(None), slice(None), slice(2, 7), slice(2, 7))  # theirs fades at the border in units of half pixels
    assert torch.allclose(transformed(x, kind, amount)[inner], expected[inner], atol=1e-12)


@pytest.mark.parametrize(("kind", "amount"), [("shift", 0), ("shift_columns", 0), ("rotate", 0), ("scale", 1)])
def test_no_motion_leaves_every_bit(kind: Kind, amount: float) -> None:
    x = pictures(1, 1, 5, 4, dtype=torch.bfloat16)
    assert torch.equal(transformed(x, kind, amount), x)


def test_between_positions_values_are_mixed_by_nearness() -> None:
    x = torch.tensor([[[[0.0, 1.0], [10.0, 31.0]]]])
    place = torch.tensor([[0.25]], dtype=torch.float64), torch.tensor([[0.5]], dtype=torch.float64)
    assert sampled(x, *place).item() == pytest.approx(0.75 * 0.5 + 0.25 * 20.5)
    assert sampled(x, place[0] - 0.75, place[1], outside=2.5).item() == pytest.approx(0.5 * 0.5 + 0.5 * 2.5)


@pytest.mark.parametrize(
    ("kind", "amount", "words"),
    [
        ("shift", 0.5, "whole pixels, found 0.5"),
        ("scale", 0, "above 0, found 0"),
        ("rotate", math.nan, "finite number, found nan"),
        ("shear", 1, "one of shift, shift_columns, rotate, scale, found 'shear'"),
    ],
)
def test_a_bad_amount_is_refused(kind: Kind, amount: float, words: str) -> None:
    with pytest.raises(DataError, match=words):
        transformed(pictures(1, 1, 4, 4), kind, amount)
