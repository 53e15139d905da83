"""Colours against matplotlib's tables, against arithmetic by hand, and at their limits."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import pictures
from striate.pictures.colors import NOT_A_NUMBER, PAPER, Palette, magma

PALETTES: tuple[Palette, ...] = ("RdBu_r", "BrBG")


def test_magma_is_matplotlibs() -> None:
    theirs = mpl.colormaps["magma"](np.arange(256))[:, :3]
    np.testing.assert_array_equal(magma(), np.rint(theirs * 255).astype(np.uint8))


@pytest.mark.parametrize("palette", PALETTES)
def test_diverging_is_matplotlibs_but_for_the_fifths_next_to_zero(palette: Palette) -> None:
    places = np.linspace(-1, 1, 256)
    theirs = np.rint(mpl.colormaps[palette](np.arange(256))[:, :3] * 255)
    ours = pictures.diverging(places[None], palette, limit=1)[0].astype(float)
    outside = np.abs(places) >= 0.2
    assert np.abs(ours - theirs)[outside].max() <= 1, "rounding of the anchors is all that may differ"
    assert np.abs(ours - theirs).max() <= 6, "near zero the paper's colour stands in for light gray"


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("limit", [None, 0.0, 3.0])
def test_zero_is_paper(palette: Palette, limit: float | None) -> None:
    picture = pictures.diverging(np.zeros((2, 3)), palette, limit)
    assert (picture == PAPER).all()


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20))
def test_diverging_limits_are_symmetric(values: list[float]) -> None:
    both = np.array([values, [-v for v in values]])
    explicit = pictures.diverging(both, limit=float(np.abs(values).max()))
    np.testing.assert_array_equal(pictures.diverging(both), explicit)
    largest = int(np.abs(values).argmax())
    ends = {tuple(explicit[0, largest].tolist()), tuple(explicit[1, largest].tolist())}
    assert ends == ({(5, 48, 97), (103, 0, 31)} if values[largest] else {PAPER})


def test_values_beyond_the_limit_take_its_colour_and_nan_its_own() -> None:
    picture = pictures.diverging(np.array([[-np.inf, -1.0, np.nan, 1.0, 9.0, np.inf]]), limit=1)
    colors = [tuple(c) for c in picture[0].tolist()]
    assert colors[0] == colors[1]
    assert colors[3] == colors[4] == colors[5]
    assert colors[2] == NOT_A_NUMBER
    assert NOT_A_NUMBER not in {tuple(c) for c in magma().tolist()}


def test_a_photographs_pixels_stay_as_they_are() -> None:
    planes = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    for channel in range(3):
        np.testing.assert_array_equal(pictures.photograph(planes)[..., channel], planes[0])
    color = np.random.default_rng(0).integers(0, 256, (3, 5, 7), np.uint8)
    for channel in range(3):
        np.testing.assert_array_equal(pictures.photograph(color)[..., channel], color[channel])
    two = np.stack([np.full((2, 2), 10, np.uint8), np.full((2, 2), 21, np.uint8)])
    assert (pictures.photograph(two) == 16).all(), "15.5 rounds to the even 16"


def test_gray_and_heat_end_at_their_limits() -> None:
    values = np.array([[-1.0, 0.0, 2.0, 4.0]])
    assert pictures.gray(values)[0, :, 0].tolist() == [0, 0, 128, 255]
    assert pictures.gray(values, limit=2)[0, :, 0].tolist() == [0, 0, 255, 255]
    np.testing.assert_array_equal(pictures.heat(values)[0], magma()[[0, 0, 128, 255]])
    assert (pictures.gray(np.zeros((2, 2))) == 0).all()


def test_color_weights_have_gray_for_zero() -> None:
    weights = np.zeros((3, 1, 3), np.float32)
    weights[0, 0, 0], weights[1, 0, 1], weights[2, 0, 2] = 2, -2, 1
    assert pictures.color_weights(weights)[0].tolist() == [[255, 128, 128], [128, 0, 128], [128, 128, 191]]


def test_color_weights_mark_what_is_not_a_number_in_any_colour() -> None:
    weights = np.array([[[np.nan, 1.0, np.inf]], [[0.0, 0.0, -np.inf]], [[0.0, 0.0, 0.0]]])
    assert pictures.color_weights(weights)[0].tolist() == [[255, 0, 255], [255, 128, 128], [255, 0, 128]]


def test_overlay_is_a_weighted_mean() -> None:
    black, white = pictures.blank(2, 2, (0, 0, 0)), pictures.blank(2, 2, (255, 255, 255))
    assert (pictures.overlay(black, white) == 140).all()
    assert (pictures.overlay(black, white, 0) == black).all()
    assert (pictures.overlay(black, white, 1) == white).all()
    with pytest.raises(ValueError, match="shape"):
        pictures.overlay(black, pictures.blank(2, 3))


def test_a_limit_must_be_a_number() -> None:
    with pytest.raises(ValueError, match="found nan"):
        pictures.gray(np.ones((1, 1)), limit=float("nan"))
    with pytest.raises(ValueError, match="found -1"):
        pictures.diverging(np.ones((1, 1)), limit=-1)


def test_scales_are_per_unit_per_layer_and_over_all() -> None:
    rng = np.random.default_rng(1)
    layers = [rng.normal(size=(4, 3, 3)), rng.normal(size=(2, 5)) * 7]
    layers[0][1, 0, 0] = np.nan
    brute = [[max(abs(v) for v in unit.ravel() if not np.isnan(v)) for unit in layer] for layer in layers]
    for got, units in zip(pictures.limits(layers, "unit"), brute, strict=True):
        assert got.tolist() == units
    for got, units in zip(pictures.limits(layers, "layer"), brute, strict=True):
        assert got.tolist() == [max(units)] * len(units)
    for got, units in zip(pictures.limits(layers, "all"), brute, strict=True):
        assert got.tolist() == [max(map(max, brute))] * len(units)
