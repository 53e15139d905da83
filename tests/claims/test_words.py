"""Numbers in words have the digits that images and intervals tell; worked out by hand."""

from __future__ import annotations

import math

import pytest

from striate.claims.comparing import words
from striate.claims.comparing.contrasts import contrasts
from striate.claims.comparing.metrics import ACCURACY, GAP, Metric, images, steps_metric
from striate.claims.comparing.statistics import Interval, compared, verdict

STEPS = steps_metric()
LOSS = Metric("loss", "number", higher=False, smallest=0.05, of=lambda record: record["validation"]["loss"])


@pytest.mark.parametrize(
    ("mean", "low", "high", "said"),
    [
        (-0.014, -0.1919, 0.1639, "\N{MINUS SIGN}1 point, \N{MINUS SIGN}19 to +16 points"),
        (0.0429, 0.0259, 0.0599, "+4.3 points, +2.6 to +6.0 points"),
        (0.00148, 0.00063, 0.00233, "+0.15 points, +0.06 to +0.23 points"),
        (0.0001, -0.0001, 0.0003, "+0.01 points, \N{MINUS SIGN}0.01 to +0.03 points"),
        (-0.0004, -0.12, 0.1192, "0 points, \N{MINUS SIGN}12 to +12 points"),
        (0.02, 0.02, 0.02, "+2.00 points, +2.00 to +2.00 points"),
    ],
)
def test_a_difference_in_points_has_two_figures_of_half_its_interval(
    mean: float, low: float, high: float, said: str
) -> None:
    within = Interval(low, high)
    assert f"{words.change(mean, ACCURACY, within)}, {words.span(within, ACCURACY)}" == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.707, 0.768, "times 0.737, 0.707 to 0.768"),
        (1.2158, 1.3301, "times 1.27, 1.22 to 1.33"),
        (1.0012, 1.0068, "times 1.004, 1.001 to 1.007"),
        (0.9903, 1.0079, "times 0.999, 0.990 to 1.008"),
        (2.03, 8.26, "times 4.1, 2.0 to 8.3"),
        (7.1, 28.2, "times 14, 7 to 28"),
        (0.01, 25, "times 0.50, 0.010 to 25"),  # equal decimals would say 0, or 25.000
        (8123, 18763, "times 12\u202f300, 8\u202f100 to 18\u202f800"),
        (0.00031, 0.00052, "times 0.00040, 0.00031 to 0.00052"),
    ],
)
def test_a_factor_has_two_figures_of_half_its_interval_and_three_at_most(low: float, high: float, said: str) -> None:
    within = Interval(math.log2(low), math.log2(high))
    mean = sum(within) / 2  # of logarithms: √(low high)
    assert f"{words.change(mean, STEPS, within)}, {words.span(within, STEPS)}" == said


def test_a_ratio_of_steps_is_read_as_one() -> None:
    (found,) = compared([[math.log2(factor) for factor in (2.0, 2.5, 3.2)]])
    said = words.sentence("fast", "slow", found, verdict(found, smallest=0.25, higher=False), STEPS)
    assert said.startswith(  # log2 1.333 ± 0.842, so 1.41 to 4.52, of which half is 1.6
        "slow is worse than fast: 2.5 times as many steps to 25% training error (95% interval 1.4 to 4.5, n = 3, "
    )


def test_another_number_has_three_decimals_at_most() -> None:
    assert words.change(-0.123456, LOSS, Interval(-0.2234, -0.0234)) == "\N{MINUS SIGN}0.12"
    assert words.change(0.123456, LOSS, Interval(0.1214, 0.1254)) == "+0.123"


def test_an_end_that_is_not_known_is_unknown() -> None:
    assert words.span(Interval(-math.inf, math.inf), ACCURACY) == "unknown to unknown points"
    assert words.span(Interval(-math.inf, math.inf), STEPS) == "unknown to unknown"


def test_a_bound_is_rounded_up_and_what_was_declared_is_not_rounded() -> None:
    assert words.bound(0.00371, ACCURACY) == "0.38 points"
    assert words.bound(0.0037, ACCURACY) == "0.37 points"
    assert words.bound(0.121, ACCURACY) == "13 points"
    assert words.bound(math.log2(1.081), STEPS) == "a factor of 1.09"
    assert [words.size(points / 100, ACCURACY) for points in (0.5, 1, 7, 12.25)] == [
        "0.5 points",
        "1 point",
        "7 points",
        "12.25 points",
    ]


def test_a_value_has_the_decimals_of_its_images_and_a_mean_those_of_its_interval() -> None:
    assert [words.value(0.96388, ACCURACY, n) for n in (36, 360, 10_000)] == ["96.4%", "96.4%", "96.39%"]
    assert words.value(-0.0123, GAP, 360) == "\N{MINUS SIGN}1.2%"
    assert words.value(math.log2(2410.35), STEPS, 0) == "2\u202f410"
    assert words.one_change(-0.02344, ACCURACY, 1000, Interval(-0.2, 0.2)) == "\N{MINUS SIGN}2.3"
    assert words.one_change(math.log2(1.0837), STEPS, 0, Interval(-0.2, 0.2)) == "1.08"
    narrow, wide = [0.9930, 0.9933, 0.9931, 0.9929, 0.9916, 0.9928], [0.61, 0.85, 0.70]
    assert (words.mean(narrow, ACCURACY, 10_000), words.deviation(narrow, ACCURACY, 10_000)) == (
        "99.28%",
        "0.06 points",
    )
    assert (words.mean(wide, ACCURACY, 10_000), words.deviation(wide, ACCURACY, 10_000)) == ("72%", "12 points")
    assert words.mean([1.0, 1.0], ACCURACY, 150) == "100.0%", "nothing varied: as each of them"
    assert words.mean([math.log2(90), math.log2(100), math.log2(95)], STEPS, 0) == "95"  # 83 to 108
    for count in (2, 5, 6, 9):
        for steps in (55, 708):
            assert words.mean([math.log2(steps)] * count, STEPS, 0) == str(steps), "as each of them"


def test_images_are_those_of_the_test_split_where_there_is_one() -> None:
    validation = {"accuracy": 0.5, "count": 40}
    assert images({"test": {"accuracy": 0.5, "count": 30}, "validation": validation}) == 30
    assert images({"test": None, "validation": validation}) == 40


def test_a_contrast_of_few_images_says_no_more_than_it_knows() -> None:
    (found,) = contrasts({"x": [0.10, -0.15, 0.007]}, ACCURACY).values()  # mean -1.43, s 12.64: ± 31.4 points
    assert found.sentence.startswith(
        "x: \N{MINUS SIGN}1 point, inconclusive (95% interval \N{MINUS SIGN}33 to +30 points, n = 3,"
    )
