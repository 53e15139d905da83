"""The spread against the standard library's statistics."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from striate.inside.studies.spread import Spread


def test_mean_and_deviation_are_those_of_the_standard_library() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 7))
    values[0, 1, 2:5] = np.nan
    found = Spread.of(values)
    for i in range(2):
        for j in range(3):
            kept = [float(v) for v in values[i, j] if v == v]  # noqa: PLR0124 (NaN is not itself)
            assert found.n[i, j] == len(kept)
            assert found.mean[i, j] == pytest.approx(statistics.mean(kept))
            assert found.deviation[i, j] == pytest.approx(statistics.stdev(kept))


def test_one_value_has_no_deviation() -> None:
    found = Spread.of(np.array([2.0]))
    assert found.mean == 2
    assert np.isnan(found.deviation)
