"""Each change of a batch against a second derivation: per-image NumPy, or scipy.ndimage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage

from striate.data.augment import Augmentation, Draw, augment, changed, drawn

IMAGES = torch.randint(0, 256, (12, 3, 10, 14), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


def draws(settings: Augmentation, seed: int = 0) -> Draw:
    return drawn(len(IMAGES), settings, torch.Generator().manual_seed(seed))


def test_nothing_asked_for_is_the_identity() -> None:
    assert augment(IMAGES, Augmentation(), torch.Generator()) is IMAGES


@pytest.mark.parametrize("most", [1, 3, 12])
def test_shifts_move_whole_pixels_and_let_zeros_in(most: int) -> None:
    settings = Augmentation(shift=most)
    draw = draws(settings)
    result = changed(IMAGES, settings, draw)
    assert result.dtype == torch.uint8
    for x, y, down, right in zip(IMAGES.numpy(), result.numpy(), draw.down.tolist(), draw.right.tolist(), strict=True):
        assert np.array_equal(y, ndimage.shift(x, (0, down, right), order=0, mode="constant"))


def test_shifts_reach_every_place_up_to_the_most() -> None:
    draw = drawn(4000, Augmentation(shift=2), torch.Generator().manual_seed(1))
    for values in (draw.down, draw.right):
        counts = torch.bincount(values + 2)
        assert len(counts) == 5
        assert counts.min() > 650


def test_flip_exchanges_left_and_right_for_about_half() -> None:
    settings = Augmentation(flip=True)
    draw = draws(settings)
    for x, y, flip in zip(IMAGES.numpy(), changed(IMAGES, settings, draw).numpy(), draw.flip.tolist(), strict=True):
        assert np.array_equal(y, np.flip(x, 2) if flip else x)
    many = drawn(4000, settings, torch.Generator().manual_seed(1))
    assert 1850 < int(many.flip.sum()) < 2150


@pytest.mark.parametrize(
    "settings",
    [Augmentation(rotate=30), Augmentation(scale=0.3), Augmentation(rotate=180, scale=0.5, shift=3)],
)
def test_rotation_and_scaling_against_scipy(settings: Augmentation) -> None:
    draw = draws(settings)
    result = changed(IMAGES.double() / 255, settings, draw).numpy()
    for i, image in enumerate(IMAGES.double().numpy() / 255):
        angle = np.deg2rad(float(draw.angle[i]))
        # Output (row, column) from the centre to input: turn back, shrink. Rows run down, so a turn that is
        # counterclockwise as seen has this matrix on (row, column).
        back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / float(draw.factor[i])
        centre = (np.array(image.shape[1:]) - 1) / 2
        moved = np.array([float(draw.down[i]), float(draw.right[i])])
        offset = centre - back @ (centre + moved)
        for c in range(3):
            expected = ndimage.affine_transform(image[c], back, offset, order=1, mode="grid-constant")  # pyright: ignore[reportArgumentType]
            assert np.abs(result[i, c] - expected).max() < 1e-4


def test_a_quarter_turn_is_counterclockwise_and_uint8_stays_exact() -> None:
    square = IMAGES[:1, :, :10, :10]
    still = Draw(*(values[:1] for values in draws(Augmentation())))
    quarter = still._replace(angle=torch.tensor([90.0]))
    result = changed(square, Augmentation(rotate=90), quarter)
    assert result.dtype == torch.uint8
    assert np.array_equal(result[0].numpy(), np.rot90(square[0].numpy(), axes=(1, 2)))


def test_contrast_and_brightness_by_their_formula() -> None:
    settings = Augmentation(contrast=0.5, brightness=0.3)
    draw = draws(settings)
    result = changed(IMAGES, settings, draw).numpy()
    for i, x in enumerate(IMAGES.numpy().astype(float)):
        y = x.mean() + float(draw.contrast[i]) * (x - x.mean()) + 255 * float(draw.brightness[i])
        assert np.abs(result[i] - np.clip(y, 0, 255)).max() <= 0.51
    floats = changed(IMAGES.float() / 255, settings, draw)
    assert (floats * 255 - torch.from_numpy(result)).abs().max() <= 0.51


def test_erased_rectangles_stay_within_their_share() -> None:
    settings = Augmentation(erase=0.4)
    ones = torch.ones(500, 1, 20, 30)
    result = augment(ones, settings, torch.Generator().manual_seed(2))
    for image in result[:, 0].numpy():
        rows, columns = np.where(image == 0)
        if len(rows):
            assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    shares = (result == 0).float().mean((1, 2, 3))
    assert shares.max() < 0.45
    assert abs(float(shares.mean()) - 0.2) < 0.03
    assert {0, 19} <= set(torch.where(result == 0)[2].tolist())  # up to the borders


@pytest.mark.parametrize(
    "settings", [Augmentation(shift=2), Augmentation(rotate=20, flip=True, erase=0.2, contrast=0.2)]
)
def test_the_same_seed_gives_the_same_and_the_global_state_is_left_alone(settings: Augmentation) -> None:
    before = torch.get_rng_state()
    first, second = (augment(IMAGES, settings, torch.Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, augment(IMAGES, settings, torch.Generator().manual_seed(10)))
    assert torch.equal(before, torch.get_rng_state())


def test_switching_one_change_on_leaves_the_draws_of_the_others() -> None:
    alone, together = draws(Augmentation(shift=2)), draws(Augmentation(shift=2, rotate=10, flip=True, erase=0.1))
    assert torch.equal(alone.down, together.down)
    assert torch.equal(alone.right, together.right)


@pytest.mark.parametrize("wrong", [{"shift": -1}, {"rotate": 181}, {"scale": 1}, {"erase": 1}, {"turn": 3}])
def test_settings_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Augmentation(**wrong)
