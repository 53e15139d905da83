"""Numbers on a page: read back as numbers, compared with scipy's interval."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from striate.report import numbers
from striate.report.intervals import wilson


def read_back(text: str) -> float:
    text = text.replace(numbers.THIN_SPACE, "").replace(numbers.MINUS, "-")
    mantissa, _, power = text.partition("×10")
    return float(mantissa) * 10.0 ** int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)


@given(st.floats(-1e30, 1e30).filter(lambda v: abs(v) > 1e-30))
def test_a_number_reads_back_to_three_figures(value: float) -> None:
    assert read_back(numbers.number(value)) == pytest.approx(value, rel=0.005)
    assert "-" not in numbers.number(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1.00"),
        (9.999, "10.0"),
        (999.9, "1\u202f000"),
        (0.00012, "0.000120"),
        (0.00001, "1.00×10⁻⁵"),
        (float("nan"), "not a number"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_at_the_edges(value: float, text: str) -> None:
    assert numbers.number(value) == text


@given(st.integers(-(10**15), 10**15))
def test_counts_keep_every_figure(value: int) -> None:
    text = numbers.count(value)
    assert int(text.replace("\u202f", "").replace("−", "-")) == value
    assert all(len(group) == 3 for group in text.split("\u202f")[1:])


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_a_percentage_has_the_fewest_decimals_that_tell_counts_apart(n: int, part: float) -> None:
    right = round(part * n)
    text = numbers.percent(right / n, n)
    assert abs(float(text[:-1]) - 100 * right / n) <= 0.5 + 1e-9
    decimals = len(text[:-1].partition(".")[2])
    assert decimals == 2 or 10**decimals * 100 >= n, "one more or less shows"
    assert decimals == 0 or 10 ** (decimals - 1) * 100 < n, "and one decimal less would hide it"
    assert (text.startswith("100")) == (right == n)


def test_durations() -> None:
    assert [numbers.seconds(s) for s in (0.04, 59.9, 60, 3599.7)] == ["0.0 s", "60 s", "1 min 0 s", "1 h 0 min"]


@given(st.integers(1, 20_000), st.floats(0, 1))
def test_wilson_is_scipys(n: int, part: float) -> None:
    successes = min(n, round(part * n))
    theirs = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_covers_95_percent() -> None:
    n, p = 500, 0.97
    covered = sum(stats.binom.pmf(k, n, p) for k in range(n + 1) if wilson(k, n)[0] <= p <= wilson(k, n)[1])
    assert covered == pytest.approx(0.95, abs=0.015)
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)
