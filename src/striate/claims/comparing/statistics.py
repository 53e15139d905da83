"""What values measured in pairs say: the difference, how sure it is, how large it is, and a verdict in plain words.

A pair is one seed under two variants, so that what the seed decides (draws, order of images) is the same in both and
falls out of the difference. Everything is computed from the differences d_1 ... d_n alone. Legend: n pairs, m
comparisons made together.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = 0.95
"""Of all intervals; a difference counts as found at p < 1 - LEVEL."""

POWER = 0.8
"""How likely a difference of the smallest size that matters should be found, where more seeds are advised."""

RESAMPLES = 9999
"""Of the bootstrap, as scipy has it."""

MOST_SEEDS = 1000
"""Beyond this many the advice is "more than 1000"."""

ROUNDING = 1e-12
"""Differences that differ by less than this share of the largest are equal."""

Word = Literal["better", "worse", "no difference larger than", "inconclusive"]


class Interval(NamedTuple):
    """An interval and its ends."""

    low: float
    high: float


@final
@dataclass(frozen=True)
class Paired:
    """One comparison of two variants: b minus a, seed by seed.

    Attributes:
        differences: one per seed.
        mean, deviation: of the differences (n - 1 in the denominator).
        t: the 95% interval of the mean by Student's t; without width, and no interval, where all differences are equal.
        bootstrap: the same by resampling (BCa); equal to `t`'s centre where all differences are equal.
        effect: Hedges' g of the paired differences: the mean in standard deviations, corrected for small n; None
            where they do not vary.
        p: two-sided p value of the paired t test.
        p_corrected: after Holm's correction for all comparisons made together.
        simultaneous: the interval at the level 1 - 0.05/m (Bonferroni), on which equivalence is decided, as
            `deciding_interval` gives it.
        comparisons: m, how many were made together.
    """

    differences: tuple[float, ...]
    mean: float
    deviation: float
    t: Interval
    bootstrap: Interval
    effect: float | None
    p: float
    p_corrected: float
    simultaneous: Interval
    comparisons: int = 1

    @property
    def n(self) -> int:
        """How many pairs."""
        return len(self.differences)

    @property
    def equal(self) -> bool:
        """Whether the difference is the same with every seed, so that t has no spread to work with."""
        return self.deviation == 0

    def as_json(self) -> dict[str, Any]:
        """The attributes under their names, and `n`; an infinite end as null."""
        ends = {key: [e if math.isfinite(e) else None for e in getattr(self, key)] for key in _INTERVALS}
        return asdict(self) | {"n": self.n} | ends


_INTERVALS = ("t", "bootstrap", "simultaneous")


@final
@dataclass(frozen=True)
class Verdict:
    """What a comparison says.

    Attributes:
        word: the verdict; `better` and `worse` speak of b against a.
        largest: for `no difference larger than` the bound; else None.
        more_seeds: for `inconclusive` about how many more seeds are needed; None: more than `MOST_SEEDS`, or no number
            of seeds helps.
    """

    word: Word
    largest: float | None = None
    more_seeds: int | None = None

    @property
    def better(self) -> bool:
        """Whether the difference is in the favourable direction beyond chance."""
        return self.word == "better"

    @property
    def worse(self) -> bool:
        """Whether it is in the unfavourable direction beyond chance."""
        return self.word == "worse"

    @property
    def none(self) -> bool:
        """Whether it is smaller than what matters."""
        return self.word == "no difference larger than"


def compared(sets: Sequence[Sequence[float]]) -> tuple[Paired, ...]:
    """Analyses several sets of paired differences made together; p values are corrected by Holm over all of them.

    Arguments:
        sets: the differences of each comparison, at least two in each.

    Example:
        >>> found, = compared([[0.01, 0.02, 0.03]])
        >>> round(found.mean, 3), round(found.p, 3)
        (0.02, 0.074)
    """
    raw = [p_value(differences) for differences in sets]
    return tuple(
        _paired(differences, p, corrected, len(sets))
        for differences, p, corrected in zip(sets, raw, holm(raw), strict=True)
    )


def _paired(differences: Sequence[float], p: float, corrected: float, m: int) -> Paired:
    d = np.asarray(differences, float)
    return Paired(
        differences=tuple(map(float, d)),
        mean=float(d.mean()),
        deviation=0.0 if _equal(d) else float(d.std(ddof=1)),
        t=t_interval(d),
        bootstrap=bootstrap_interval(d),
        effect=hedges(d),
        p=p,
        p_corrected=corrected,
        simultaneous=deciding_interval(d, m),
        comparisons=m,
    )


def deciding_interval(differences: Sequence[float] | np.ndarray, m: int) -> Interval:
    """The interval at the level 1 - 0.05/m: that of t, or of the sign test where all differences are equal, which has
    no ends while they are too few.

    Scores are counted in whole images, and few of them are easily equal by luck: such an interval without width would
    show "no difference" from two seeds.

    Arguments:
        m: comparisons made together.

    Example:
        >>> deciding_interval([0.0] * 5, 1), deciding_interval([0.0] * 6, 1)
        (Interval(low=-inf, high=inf), Interval(low=0.0, high=0.0))
    """
    d = np.asarray(differences, float)
    if not _equal(d):
        return t_interval(d, 1 - (1 - LEVEL) / m)
    return Interval(float(d.mean()), float(d.mean())) if _sure_of_equal(len(d), m) else Interval(-math.inf, math.inf)


def verdict(found: Paired, *, smallest: float, higher: bool) -> Verdict:
    """The verdict on b against a, in this order.

    1. The corrected p is below 5%: better, or worse.
    2. The simultaneous interval lies within ± `smallest`: no difference larger than its farther end.
    3. Otherwise inconclusive, with the seeds that would find a difference of `smallest` with a probability of 80%, or
       settle the mean found, whichever takes more; both at the corrected level, which decides.

    Arguments:
        found: b minus a.
        smallest: the smallest difference that matters, in the metric's unit.
        higher: whether more is better.

    Example:
        >>> verdict(compared([[0.010, 0.012, 0.011]])[0], smallest=0.005, higher=True).word
        'better'
    """
    if found.p_corrected < 1 - LEVEL:
        return Verdict("better" if (found.mean > 0) == higher else "worse")
    largest = max(map(abs, found.simultaneous))
    if largest <= smallest:
        return Verdict("no difference larger than", largest=largest)
    needed = seeds_needed(found.deviation, smallest, comparisons=found.comparisons, mean=found.mean)
    return Verdict("inconclusive", more_seeds=None if needed is None else max(needed - found.n, 1))


def t_interval(differences: Sequence[float] | np.ndarray, level: float = LEVEL) -> Interval:
    """Student's interval of the mean: mean ± t(n-1) s/√n. Infinite for a single pair."""
    from scipy import stats

    d = np.asarray(differences, float)
    mean = float(d.mean())
    if len(d) < 2:
        return Interval(-math.inf, math.inf)
    half = float(stats.t.ppf((1 + level) / 2, len(d) - 1)) * float(d.std(ddof=1)) / math.sqrt(len(d))
    return Interval(mean - half, mean + half)


def bootstrap_interval(differences: Sequence[float] | np.ndarray, level: float = LEVEL, seed: int = 0) -> Interval:
    """The bias-corrected and accelerated bootstrap of the mean (Efron 1987, JASA 82:171), seeded.

    With few pairs it is too narrow: with 5 it holds about 85% instead of 95%. Verdicts rest on t; this shows whether
    the shape of the differences changes the picture.
    """
    from scipy import stats

    d = np.asarray(differences, float)
    if len(d) < 2 or _equal(d):
        return Interval(float(d.mean()), float(d.mean()))
    found = stats.bootstrap(
        (d,), np.mean, confidence_level=level, n_resamples=RESAMPLES, method="BCa", rng=np.random.default_rng(seed)
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def hedges(differences: Sequence[float] | np.ndarray) -> float | None:
    """Cohen's d_z = mean / s, times Hedges' correction Γ(ν/2) / (√(ν/2) Γ((ν-1)/2)), ν = n - 1 (Hedges 1981).

    None where the differences do not vary, or n < 3, where the correction is 0.
    """
    d = np.asarray(differences, float)
    if len(d) < 3 or _equal(d):
        return None
    v = len(d) - 1
    correction = math.exp(math.lgamma(v / 2) - math.lgamma((v - 1) / 2)) / math.sqrt(v / 2)
    return float(d.mean() / d.std(ddof=1)) * correction


def p_value(differences: Sequence[float] | np.ndarray) -> float:
    """Two-sided p of the paired t test: that a mean so far from 0 comes about by chance.

    Where all differences are equal t has no spread to work with; then the sign test answers: 1 if they are zero, else
    2 / 2^n.
    """
    from scipy import stats

    d = np.asarray(differences, float)
    if len(d) < 2:
        return 1.0
    if _equal(d):
        return 1.0 if not d.any() else 2.0 ** (1 - len(d))
    t = d.mean() / (d.std(ddof=1) / math.sqrt(len(d)))
    return float(2 * stats.t.sf(abs(t), len(d) - 1))


def _equal(d: np.ndarray) -> bool:
    """Whether differences are equal but for rounding, as 0.92 - 0.90 and 0.93 - 0.91 are."""
    return bool(np.ptp(d) <= ROUNDING * np.abs(d).max())


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979): the k-th smallest of m times m - k + 1, never below one before it.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p)), key=lambda k: p[k])
    corrected = [0.0] * len(p)
    highest = 0.0
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[k]))
        corrected[k] = highest
    return corrected


def power(n: int, deviation: float, difference: float, comparisons: int = 1) -> float:
    """How likely the two-sided paired t test finds `difference` with n pairs (noncentral t, δ = √n d/s).

    It is made at 5% / m (Bonferroni), the level that Holm's correction asks of the first of m comparisons.

        P(|t| > c) = E[Φ(δ - c u) + Φ(-δ - c u)],  u² = χ²(n-1) / (n-1)

    The mean over u is taken by Gauss-Legendre over its quantiles, as scipy's noncentral t has gaps (1.17: not a number
    for n = 6, δ = 24).
    """
    from scipy import stats

    shift, critical = math.sqrt(n) * difference / deviation, _critical(n, comparisons)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    u = np.sqrt(stats.chi2.ppf((nodes + 1) / 2, n - 1) / (n - 1))
    found = stats.norm.cdf(shift - critical * u) + stats.norm.cdf(-shift - critical * u)
    return float(weights @ found / 2)


def seeds_needed(deviation: float, smallest: float, *, comparisons: int = 1, mean: float = 0.0) -> int | None:
    """Pairs with which a difference of `smallest` is found with a probability of 80%, and an interval around `mean`
    leaves out 0 or lies within ± `smallest`. None: more than `MOST_SEEDS`.

    Example:
        >>> seeds_needed(deviation=0.01, smallest=0.01)
        10
        >>> seeds_needed(deviation=0.01, smallest=0.01, comparisons=6)
        16
    """
    candidates = range(2, MOST_SEEDS + 1)
    settled = max(abs(mean), smallest - abs(mean))  # half an interval; `enough` only comes true as n grows
    at = bisect.bisect_left(candidates, True, key=lambda n: _enough(n, deviation, smallest, settled, comparisons))
    return candidates[at] if at < len(candidates) else None


def _sure_of_equal(n: int, comparisons: int) -> bool:
    """Whether n equal differences are enough for the sign test: they are all on one side of a mean that is elsewhere
    with a probability of at most 2 / 2^n."""
    return 2.0 ** (1 - n) < (1 - LEVEL) / comparisons


def _enough(n: int, deviation: float, smallest: float, settled: float, comparisons: int) -> bool:
    if deviation == 0:
        return _sure_of_equal(n, comparisons)
    half = _critical(n, comparisons) * deviation / math.sqrt(n)
    return half <= settled and power(n, deviation, smallest, comparisons) >= POWER


def _critical(n: int, comparisons: int) -> float:
    from scipy import stats

    return float(stats.t.ppf(1 - (1 - LEVEL) / (2 * comparisons), n - 1))
