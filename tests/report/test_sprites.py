"""The pictures of an atlas's page, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from striate.report.sprites import means, projected


def test_projections_are_drawn_to_their_percentile() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 20, 20)).astype(np.float32)
    pictures, limits = projected(values)
    for picture, limit, place in zip(pictures, limits, values, strict=True):
        assert np.mean(np.abs(place) > limit) == pytest.approx(0.005, abs=0.001)
        expected = np.clip(place / limit, -1, 1).transpose(1, 2, 0) * 127.5 + 127.5
        np.testing.assert_allclose(picture, expected, atol=0.51)
    assert (projected(np.zeros((1, 1, 4, 4), np.float32))[0][0] == 128).all()


def test_means_of_blocks() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 7, 5))
    blocks = means(values, 3)
    assert blocks.shape == (2, 3, 3, 2)
    assert blocks[1, 2, 2, 1] == pytest.approx(values[1, 2, 6:, 3:].mean())
    assert blocks[0, 1, 0, 0] == pytest.approx(values[0, 1, :3, :3].mean())
