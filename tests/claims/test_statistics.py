"""The statistics against scipy's own, on known samples, and by simulation where nothing differs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from striate.claims.comparing import statistics, words
from striate.claims.comparing.contrasts import contrasts
from striate.claims.comparing.metrics import ACCURACY
from striate.claims.comparing.statistics import compared, verdict

SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
"""Differences of Student's own paired sample (1908, the two soporifics): t = 4.0621, p = 0.00283."""


def test_students_sample_gives_students_result() -> None:
    (found,) = compared([SLEEP])
    assert found.mean == pytest.approx(1.58)
    assert found.p == pytest.approx(0.00283, abs=1e-5)
    assert found.t.low == pytest.approx(0.7001, abs=1e-4)
    assert found.t.high == pytest.approx(2.4599, abs=1e-4)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_interval_and_p_are_scipys(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=n), rng.normal(0.4, 1, n)
    theirs = stats.ttest_rel(b, a)
    (found,) = compared([(b - a).tolist()])
    assert found.p == pytest.approx(float(theirs.pvalue))
    assert found.t == pytest.approx(tuple(theirs.confidence_interval(0.95)))


def test_the_intervals_of_several_comparisons_together_are_wider_and_scipys() -> None:
    rng = np.random.default_rng(7)
    sets = rng.normal(0.5, 1, (3, 6))
    for one, found in zip(sets, compared(sets.tolist()), strict=True):
        theirs = stats.ttest_1samp(one, 0).confidence_interval(1 - 0.05 / 3)
        assert found.simultaneous == pytest.approx(tuple(theirs))
        assert found.simultaneous.low < found.t.low < found.t.high < found.simultaneous.high


def test_holm_on_a_worked_sample() -> None:
    # Four tests: 0.005 times 4, 0.01 times 3, 0.03 times 2, and 0.04 raised to the one before it.
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_bootstrap_is_seeded_and_near_t_for_many_normal_differences() -> None:
    d = np.random.default_rng(0).normal(1, 2, 200)
    first, again = statistics.bootstrap_interval(d), statistics.bootstrap_interval(d)
    assert first == again
    assert first == pytest.approx(statistics.t_interval(d), abs=0.05)


def test_hedges_is_unbiased_where_cohen_is_not() -> None:
    rng = np.random.default_rng(1)
    samples = rng.normal(0.8, 1, (20_000, 5))
    cohen = samples.mean(1) / samples.std(1, ddof=1)
    ours = [statistics.hedges(row) or 0 for row in samples[:4000]]
    assert cohen.mean() > 0.95  # 0.8 / 0.798
    assert np.mean(ours) == pytest.approx(0.8, abs=0.04)


def test_holm_never_falls_below_the_raw_values_nor_above_bonferroni() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        p = rng.uniform(size=5) ** 3
        corrected = statistics.holm(p.tolist())
        assert all(raw <= own <= min(1, 5 * raw) + 1e-12 for raw, own in zip(p, corrected, strict=True))
        assert np.diff(np.array(corrected)[np.argsort(p)]).min() >= 0
        assert min(corrected) == pytest.approx(min(1, 5 * p.min()))


@pytest.mark.parametrize("comparisons", [1, 6])
def test_power_by_simulation(comparisons: int) -> None:
    rng = np.random.default_rng(3)
    found = np.mean([statistics.p_value(row) < 0.05 / comparisons for row in rng.normal(1.2, 1, (1500, 6))])
    assert statistics.power(6, 1.0, 1.2, comparisons) == pytest.approx(found, abs=0.04)


def test_power_is_that_of_scipys_noncentral_t_and_grows_with_n_where_that_has_gaps() -> None:
    for n, shift in ((3, 1.0), (8, 2.5), (40, 3.0)):
        critical = stats.t.ppf(0.975, n - 1)
        theirs = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
        assert statistics.power(n, math.sqrt(n), shift) == pytest.approx(float(theirs), abs=1e-5)
    grown = [statistics.power(n, 0.1, 1.0, comparisons=10) for n in range(2, 200)]
    assert np.diff(grown).min() > -1e-9
    assert grown[-1] == pytest.approx(1)


def test_seeds_needed_agree_with_the_textbook() -> None:
    # Cohen 1988: an effect of 0.5 takes 34 pairs at 80%.
    assert statistics.seeds_needed(deviation=2.0, smallest=1.0) == 34
    assert statistics.seeds_needed(deviation=1000.0, smallest=1.0) is None


@pytest.mark.parametrize("ratio", [0.3, 1.0, 3.0, 7.0])
def test_seeds_needed_are_the_fewest_with_enough_power(ratio: float) -> None:
    found = statistics.seeds_needed(deviation=ratio, smallest=1.0)
    assert found is not None
    rng = np.random.default_rng(6)

    def share_found(n: int) -> float:
        d = rng.normal(1, ratio, (3000, n))
        t = d.mean(1) / d.std(1, ddof=1) * math.sqrt(n)
        return float(np.mean(np.abs(t) > stats.t.ppf(0.975, n - 1)))

    assert share_found(found) > 0.77
    assert found == 3 or share_found(found - 1) < 0.83


def test_advised_seeds_find_the_difference_that_matters_among_several_comparisons() -> None:
    n = statistics.seeds_needed(deviation=1.0, smallest=1.0, comparisons=6)
    assert n is not None
    rng = np.random.default_rng(8)
    runs = 1500
    found = 0
    for d in rng.normal(0, 1, (runs, 6, n)) + np.array([1, 0, 0, 0, 0, 0])[:, None]:
        found += statistics.holm([statistics.p_value(one) for one in d])[0] < 0.05
    assert found / runs > statistics.POWER - 0.03


def test_an_unclear_result_is_never_told_that_it_had_seeds_enough() -> None:
    rng = np.random.default_rng(9)
    unclear = 0
    for mean in np.linspace(0, 1.2, 60):
        d = rng.normal(size=8)
        d = mean + 0.5 * (d - d.mean()) / d.std(ddof=1)  # such that its size and spread are known
        t = [statistics.t_interval(d, level) for level in (0.95, 1 - 0.05 / 3)]
        p = statistics.p_value(d)
        found = statistics.Paired(tuple(d), float(mean), 0.5, t[0], t[0], None, p, min(1, 3 * p), t[1], 3)
        said = verdict(found, smallest=1.0, higher=True)
        if said.word == "inconclusive":
            unclear += 1
            needed = statistics.seeds_needed(0.5, 1.0, comparisons=3, mean=float(mean))
            assert needed is not None
            assert said.more_seeds == needed - 8 > 0
    assert unclear


@pytest.mark.parametrize("kind", ["normal", "accuracies"])
def test_a_against_a_finds_a_difference_in_about_one_of_twenty(kind: str) -> None:
    rng = np.random.default_rng(4)
    runs, n = 2000, 5
    if kind == "normal":
        d = rng.normal(size=(runs, n))
    else:
        # Two trainings of one network, each right on a share of 1,000 images that varies from seed to seed.
        shares = rng.normal(0.97, 0.004, (2, runs, n)).clip(0, 1)
        counts = rng.binomial(1000, shares) / 1000
        d = counts[0] - counts[1]
    words = [verdict(_one(row), smallest=math.inf, higher=True).word for row in d]
    rate = np.mean([word in ("better", "worse") for word in words])
    assert abs(rate - 0.05) < 3.5 * math.sqrt(0.05 * 0.95 / runs)


def test_three_variants_together_still_err_in_at_most_one_of_twenty() -> None:
    rng = np.random.default_rng(5)
    runs = 1000
    values = rng.normal(size=(runs, 3, 5))
    wrong = 0
    for a, b, c in values:
        p = statistics.holm([statistics.p_value(d) for d in (b - a, c - a, c - b)])
        wrong += min(p) < 0.05
    assert wrong / runs < 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


def _one(differences: np.ndarray) -> statistics.Paired:
    """`compared` without the bootstrap, which no verdict rests on and which takes a hundred times longer."""
    p = statistics.p_value(differences)
    t = statistics.t_interval(differences)
    spread = float(differences.std(ddof=1))
    return statistics.Paired(tuple(differences), float(differences.mean()), spread, t, t, None, p, p, t)


def test_verdicts_in_words() -> None:
    sure = compared([[0.02, 0.021, 0.019, 0.022]])[0]
    assert verdict(sure, smallest=0.005, higher=True).word == "better"
    assert verdict(sure, smallest=0.005, higher=False).word == "worse"
    same = compared([[0.0001, -0.0001, 0.0002, -0.0002]])[0]
    none = verdict(same, smallest=0.005, higher=True)
    assert none.word == "no difference larger than"
    assert none.largest == pytest.approx(max(map(abs, same.t)))
    wide = verdict(compared([[0.05, -0.04, 0.03, -0.01]])[0], smallest=0.005, higher=True)
    assert wide.word == "inconclusive"
    assert wide.more_seeds is not None
    assert wide.more_seeds > 100


def test_equal_differences_are_judged_by_their_signs() -> None:
    assert statistics.p_value([0.0, 0.0, 0.0]) == 1
    assert statistics.p_value([0.01] * 5) == pytest.approx(2 / 32)
    assert verdict(compared([[0.0] * 6])[0], smallest=0.01, higher=True).word == "no difference larger than"
    assert verdict(compared([[0.02] * 3])[0], smallest=0.01, higher=True).word == "inconclusive"
    assert statistics.p_value([0.3]) == 1


def test_few_equal_differences_show_no_absence_of_one() -> None:
    for m in (1, 3):
        enough = next(n for n in range(2, 20) if stats.binomtest(0, n).pvalue < 0.05 / m)
        for n in (2, enough - 1):
            found = compared([[0.0] * n, *[[0.01, 0.02]] * (m - 1)])[0]
            said = verdict(found, smallest=0.005, higher=True)
            assert (said.word, said.more_seeds) == ("inconclusive", enough - n)
            assert found.as_json()["simultaneous"] == [None, None]
        found = compared([[0.0] * enough, *[[0.01, 0.02]] * (m - 1)])[0]
        assert verdict(found, smallest=0.005, higher=True).none
        assert "(the same with every seed, n = " in words.sentence("a", "b", found, said, ACCURACY)


@pytest.mark.parametrize("images", [100, 1000])
@pytest.mark.parametrize("n", [2, 5])
def test_a_difference_that_matters_is_seldom_said_to_be_absent(images: int, n: int) -> None:
    rng = np.random.default_rng(images + n)
    runs = 600
    shares = np.array([[[0.95]], [[0.9551]]]) + rng.normal(0, 0.002, (2, runs, n))
    counted = (shares * images).round() / images
    wrong = [_none(row) for row in counted[1] - counted[0]]
    assert np.mean(wrong) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def _none(differences: np.ndarray) -> bool:
    found = replace(_one(differences), simultaneous=statistics.deciding_interval(differences, 1))
    within = max(map(abs, found.simultaneous)) <= 0.005  # else the seeds are counted that it needs, which takes long
    return within and verdict(found, smallest=0.005, higher=True).none


def test_a_sentence_says_what_is_taken_from_what_and_that_p_is_corrected() -> None:
    first, second = compared([[0.02, -0.01, 0.02], [0.01, 0.012, 0.011]])
    said = words.sentence("old", "new", first, verdict(first, smallest=0.005, higher=True), ACCURACY)
    assert said.startswith(
        "new against old: inconclusive, test accuracy +1.0 points (95% interval \N{MINUS SIGN}3.3 to +5.3 points"
    )  # ± 4.303 · √3/√3
    assert all(one.comparisons == 2 for one in (first, second))
    assert "corrected for 2 comparisons" in said
    (alone,) = compared([[0.02, -0.01, 0.02]])
    assert "corrected" not in words.evidence(alone, ACCURACY)


def test_a_contrast_says_what_it_needs_at_the_end_of_its_sentence() -> None:
    unclear, sure = contrasts({"x": [0.02, -0.01, 0.02], "y": [0.02, 0.021, 0.019]}, ACCURACY).values()
    assert unclear.sentence.startswith("x: +1.0 points, inconclusive (95% interval")
    assert unclear.sentence.endswith(
        f"; to tell a difference of 0.5 points it needs about {unclear.verdict.more_seeds} more seeds"
    )
    assert sure.sentence.endswith("corrected for 2 comparisons)")


def test_differences_that_are_equal_but_for_rounding_are_equal() -> None:
    (found,) = statistics.compared([[0.92 - 0.9, 0.93 - 0.91, 0.94 - 0.92]])
    assert len(set(found.differences)) > 1, "as floats they are not"
    assert found.effect is None
    assert found.deviation == 0
    assert found.bootstrap.low == found.bootstrap.high
    said = statistics.verdict(found, smallest=0.005, higher=True)
    assert (said.word, said.more_seeds) == ("inconclusive", 3), "2 / 2^6 is below 5%"


def test_a_sure_difference_that_does_not_matter_says_so() -> None:
    (judged,) = contrasts({"x": [0.001, 0.0011, 0.0009, 0.001]}, ACCURACY).values()
    assert judged.better
    assert judged.sentence.endswith("); less than 0.5 points, too little to matter")
    (large,) = contrasts({"x": [0.01, 0.011, 0.009, 0.01]}, ACCURACY).values()
    assert large.sentence.endswith(")")
