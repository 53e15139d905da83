"""Decimals: as many as one image, or an interval, can tell."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import decimals


@given(st.integers(1, 10_000), st.data())
def test_one_image_more_shows_in_a_score(images: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, images - 1))
    places = decimals.of_score(images)
    assert decimals.percent(right / images, places) != decimals.percent((right + 1) / images, places)
    assert places == 1 or 10 ** (places - 1) * 100 < images, "with one decimal less some would look alike"


@pytest.mark.parametrize(
    ("half", "places"), [(math.inf, 0), (17.8, 0), (10, 0), (9.99, 1), (1, 1), (0.99, 2), (0.1, 2), (0.004, 2), (0, 2)]
)
def test_a_mean_has_two_figures_of_half_its_interval(half: float, places: int) -> None:
    assert decimals.of_mean(half) == places


@given(st.floats(1e-6, 1e6), st.integers(1, 4))
def test_figures_are_those_of_scientific_notation(value: float, figures: int) -> None:
    places = decimals.of_figures(value, figures)
    assert round(value, places) == pytest.approx(float(f"{value:.{figures - 1}e}"), rel=1e-9)


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 2))
def test_what_is_not_all_is_never_all(share: float, places: int) -> None:
    text = decimals.percent(share, places)
    assert text != f"{100:.{places}f}%"
    assert abs(float(text[:-1]) - 100 * share) <= 10**-places
