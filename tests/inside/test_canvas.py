"""Waves of a spectrum against cosines written out, and the spectrum of their amplitudes."""

from __future__ import annotations

import math

import pytest
import torch

from striate.errors import DataError
from striate.inside.studies.canvas import COLORS, Canvas, frequencies, moved


def canvas(*shape: int, decorrelate: bool = False) -> Canvas:
    channels, height, width = shape
    return Canvas((channels, height, width), [0.0], [1.0], decorrelate)


@pytest.mark.parametrize(("row", "column"), [(1, 0), (0, 2), (3, 1), (6, 3)])
def test_one_coefficient_is_one_cosine_divided_by_its_frequency(row: int, column: int) -> None:
    height, width = 9, 8
    spectrum = torch.zeros(1, height, width // 2 + 1, 2)
    spectrum[0, row, column, 0] = 1
    fy, fx = (row if row <= height // 2 else row - height) / height, column / width
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    wave = torch.cos(2 * math.pi * (fy * y + fx * x)) / math.hypot(fy, fx) / math.sqrt(height * width)
    # Coefficients off the first column stand for themselves and their conjugate; in it the conjugate has its own place.
    share = 2 if column else 1
    logits = 4 * canvas(1, height, width).picture(spectrum).logit()[0, 0]
    assert torch.allclose(logits, share * wave, atol=1e-5)


def test_amplitudes_fall_with_frequency() -> None:
    """Energy of the pixels' waves times f² is the same in every band, as the drawn spectrum is white."""
    chance = torch.Generator().manual_seed(0)
    whole = canvas(64, 32, 32)
    logits = whole.picture(whole.spectrum(0.01, chance)).logit()[0].double()
    energy = torch.fft.rfft2(logits, norm="ortho").abs().square().mean(0) * frequencies(32, 32).square()
    inner = energy[1:16, 1:16]  # the edges of the half plane are counted once, not twice
    f = frequencies(32, 32)[1:16, 1:16]
    low, high = inner[f < 0.15].mean(), inner[f > 0.35].mean()
    assert float(low / high) == pytest.approx(1, abs=0.1)
    assert float(inner.mean()) == pytest.approx(2 * 0.01**2 / 16, rel=0.05)  # two parts, and logits / 4


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 224, 224), (1, 7, 5), (2, 1, 9), (4, 3, 1)])
def test_pictures_have_exactly_the_size_and_lie_between_0_and_1(shape: tuple[int, int, int]) -> None:
    whole = canvas(*shape)
    picture = whole.picture(whole.spectrum(2.0, torch.Generator().manual_seed(1)))
    assert picture.shape == (1, *shape)
    assert 0 <= float(picture.min()) < float(picture.max()) <= 1


def test_frequencies_are_those_of_a_loop() -> None:
    found = frequencies(5, 6)
    for row in range(5):
        for column in range(4):
            fy, fx = min(row, 5 - row) / 5, column / 6
            assert float(found[row, column]) == pytest.approx(max(math.hypot(fy, fx), 1 / 6))


def test_decorrelated_colors_are_the_colour_matrix_times_the_plain_ones() -> None:
    spectrum = canvas(3, 6, 6).spectrum(1.0, torch.Generator().manual_seed(2))
    plain = canvas(3, 6, 6).picture(spectrum).logit()[0]
    colored = canvas(3, 6, 6, decorrelate=True).picture(spectrum).logit()[0]
    longest = max(math.sqrt(sum(row[k] ** 2 for row in COLORS)) for k in range(3))
    for c in range(3):
        expected = sum(COLORS[c][k] / longest * plain[k] for k in range(3))
        assert torch.allclose(colored[c], torch.as_tensor(expected), atol=1e-5)


def test_input_is_normalized() -> None:
    picture = torch.full((1, 2, 3, 3), 0.5)
    found = Canvas((2, 3, 3), [0.5, 0.25], [1.0, 0.5], decorrelate=False).input(picture)
    assert found[0, :, 0, 0].tolist() == [0.0, 0.5]


def test_moving_reflects_at_the_border() -> None:
    picture = torch.arange(5.0).expand(1, 1, 5, 5)
    assert moved(picture, 2, 2, 2).equal(picture)
    assert moved(picture, 2, 0, 0)[0, 0, 0].tolist() == [2, 1, 0, 1, 2]
    assert moved(picture.mT, 2, 4, 2)[0, 0, :, 0].tolist() == [2, 3, 4, 3, 2]


def test_what_cannot_be_a_canvas_is_refused() -> None:
    with pytest.raises(DataError, match="decorrelate needs the 3 channels"):
        canvas(1, 8, 8, decorrelate=True)
    with pytest.raises(DataError, match=r"one number or one per channel \(3\), std above 0"):
        Canvas((3, 8, 8), [0.0, 0.0], [1.0], decorrelate=False)
    with pytest.raises(DataError, match="of at least 1"):
        canvas(1, 0, 8)
