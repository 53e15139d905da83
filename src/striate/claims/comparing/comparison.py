"""Compare: a controlled experiment as one call.

Every variant is trained with the same seeds. A seed decides the first weights (the same wherever layer names and
shapes agree) and the order of the images, so the variants differ in what is varied alone, and their differences are
taken seed by seed. The learning rate is tuned for every variant apart, over a grid of the same size, on seeds of its
own, by the validation split alone; the test split is scored once per training, after its last step.

Verdicts speak of the variants at the rates chosen for them: the luck of that choice is not in their intervals.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from striate.claims.comparing import words
from striate.claims.comparing.bands import of_records
from striate.claims.comparing.metrics import ACCURACY, Metric, Record
from striate.claims.comparing.metrics import metric as named_metric
from striate.claims.comparing.statistics import Paired, Verdict, compared, verdict
from striate.claims.comparing.trial import Trial
from striate.claims.comparing.trials import Trials, Watch
from striate.claims.comparing.tuning import TUNING_SEEDS, Tuned, at_rate, tuned
from striate.claims.comparing.variants import Variant, variant
from striate.errors import DataError, UserError
from striate.ranks import Ranks
from striate.train.recipe import Recipe

if TYPE_CHECKING:
    from striate.data import DataSet


@final
@dataclass(frozen=True)
class Measured:
    """One variant after its trainings.

    Attributes:
        variant: with the learning rate it was given.
        tuned: how that was chosen.
        records: one per seed.
        values: the metric's, one per seed.
    """

    variant: Variant
    tuned: Tuned
    records: tuple[Record, ...]
    values: tuple[float, ...]


@final
@dataclass(frozen=True)
class Pair:
    """One variant against another: their names, b minus a, the verdict on b, and the same in a sentence."""

    a: str
    b: str
    found: Paired
    verdict: Verdict
    sentence: str


@final
@dataclass(frozen=True)
class Comparison:
    """What came out.

    Attributes:
        metric: what was measured.
        seeds: the seeds of all variants.
        measured: the variants, in order.
        pairs: every variant against every earlier one; p values corrected for all of them together.
    """

    metric: Metric
    seeds: tuple[int, ...]
    measured: tuple[Measured, ...]
    pairs: tuple[Pair, ...]

    def of(self, name: str) -> Measured:
        """A variant by name."""
        return next(one for one in self.measured if one.variant.name == name)

    def pair(self, a: str, b: str) -> Pair:
        """The comparison of b with a, where a stands before b."""
        return next(pair for pair in self.pairs if (pair.a, pair.b) == (a, b))

    def curves(self) -> list[dict[str, Any]]:
        """Learning curves: per variant the mean over seeds and its 95% t interval, as `bands.of_records` has them."""
        if self.metric.curve:
            return [
                of_records(one.variant.name, one.records, "curve", "step", "training_error") for one in self.measured
            ]
        return [of_records(one.variant.name, one.records, "epochs", "epoch", "accuracy") for one in self.measured]

    def as_json(self) -> dict[str, Any]:
        """Everything but the records, which lie in `trials/`.

        Values and means are in the metric's unit; deviations and differences as they are compared: of steps, log2.
        """
        return {
            "metric": {key: getattr(self.metric, key) for key in ("name", "unit", "higher", "smallest")},
            "seeds": list(self.seeds),
            "variants": [_as_json(one, self.metric) for one in self.measured],
            "pairs": [
                {"a": p.a, "b": p.b, **p.found.as_json(), "verdict": asdict(p.verdict), "sentence": p.sentence}
                for p in self.pairs
            ],
            "curves": self.curves(),
        }


def compare(
    variants: Sequence[Variant | str],
    data: DataSet,
    recipe: Recipe | None = None,
    *,
    seeds: int | Sequence[int] = 5,
    metric: Metric | str = ACCURACY,
    rates: Sequence[float] | None = None,
    out: Path | str,
    workers: int = 1,
    watch: Watch | None = None,
    ranks: Ranks | None = None,
) -> Comparison:
    """Trains the variants with paired seeds and says what differs, and how sure that is.

    Arguments:
        variants: two or more; text as `variants.variant` reads it.
        data: what they learn.
        recipe: of the variants given as text; the one that suits the data unless given.
        seeds: how many (0, 1, ...), or which.
        metric: what is compared, or its name as `metrics.metric` reads it.
        rates: learning rates to choose from; by default `GRID` times each recipe's own. One rate: no tuning. None, ():
            each recipe's own, no tuning.
        out: the folder of the records, where an interrupted comparison goes on and a finished one is only read.
        workers: processes. Results do not depend on it. With more than one, a script that calls this needs the usual
            `if __name__ == "__main__":`, as the processes import it.
        watch: told of progress.
        ranks: the processes that call this together, `Ranks.joined()` under torchrun; each then has `workers` more.

    Raises:
        UserError: fewer than two variants or seeds, equal names, or something that does not fit the data.
        Failure: interrupted; what is finished is kept.
    """
    read = [one if isinstance(one, Variant) else variant(one, data, recipe or Recipe.suiting(data)) for one in variants]
    with Trials(data, Path(out), workers, watch, ranks or Ranks()) as trials:
        return paired(read, trials, seeds=seeds, metric=metric, rates=rates)


def paired(
    variants: Sequence[Variant],
    trials: Trials,
    *,
    seeds: int | Sequence[int],
    metric: Metric | str = ACCURACY,
    rates: Sequence[float] | None = None,
    probes: tuple[str, ...] = (),
) -> Comparison:
    """`compare` on trials that others share.

    Arguments:
        probes: what else every training is asked, names of `probes`.
    """
    chosen = named_metric(metric) if isinstance(metric, str) else metric
    numbers = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if len(variants) < 2:
        raise UserError(f"a comparison needs at least two variants, found {len(variants)}")
    measured = measure(variants, trials, seeds=numbers, metric=chosen, rates=rates, probes=probes)
    return Comparison(chosen, numbers, measured, judged(measured, chosen))


def measure(
    variants: Sequence[Variant],
    trials: Trials,
    *,
    seeds: tuple[int, ...],
    metric: Metric,
    rates: Sequence[float] | None = None,
    probes: tuple[str, ...] = (),
) -> tuple[Measured, ...]:
    """Tunes and trains the variants, one or more; arguments as `paired`."""
    _check(variants, seeds, metric, trials.data)
    found = tuned(variants, trials, rates, metric.tuned_by)
    ready = [at_rate(one, how.chosen) for one, how in zip(variants, found, strict=True)]
    asked = [Trial.of(one, trials.data, seed, curve=metric.curve, probes=probes) for one in ready for seed in seeds]
    records = trials.records(asked, "trainings")
    groups = [records[at : at + len(seeds)] for at in range(0, len(records), len(seeds))]
    return tuple(
        Measured(one, how, tuple(group), tuple(metric.of(record) for record in group))
        for one, how, group in zip(ready, found, groups, strict=True)
    )


def judged(measured: Sequence[Measured], metric: Metric) -> tuple[Pair, ...]:
    """Every variant against every earlier one."""
    named = list(itertools.combinations(measured, 2))
    differences = [[y - x for x, y in zip(a.values, b.values, strict=True)] for a, b in named]
    found: list[Pair] = []
    for (a, b), one in zip(named, compared(differences), strict=True):
        said = verdict(one, smallest=metric.smallest, higher=metric.higher)
        names = a.variant.name, b.variant.name
        bounded = any(map(metric.bound, (*a.records, *b.records)))  # the difference may be larger than it looks
        sentence = words.sentence(*names, one, said, metric) + ("" if bounded else words.small(one, said, metric))
        hidden = _hidden(a, b, one, said, metric)
        if hidden:
            said, sentence = Verdict("inconclusive"), words.hidden(*names, hidden, one.n, metric)
        found.append(Pair(*names, one, said, sentence))
    return tuple(found)


def _hidden(a: Measured, b: Measured, found: Paired, said: Verdict, metric: Metric) -> int:
    """With how many seeds lower bounds hide what is said: 0 where they hide nothing.

    Bounds on both sides hide the difference itself. A bound on the larger side alone makes the difference too small,
    so that it stands, and its absence does not, nor do equal differences that lack seeds alone. A bound on the smaller
    side, as of a training that ended early, hides whether it is the smaller one at all.
    """
    bounds = [(metric.bound(x), metric.bound(y)) for x, y in zip(a.records, b.records, strict=True)]
    both = sum(x and y for x, y in bounds)
    either, smaller = sum(x or y for x, y in bounds), sum(x if found.mean > 0 else y for x, y in bounds)
    absent = said.none or (found.equal and said.word == "inconclusive")
    return both or (either if absent else smaller)


def _check(variants: Sequence[Variant], seeds: tuple[int, ...], metric: Metric, data: DataSet) -> None:
    names = [one.name for one in variants]
    if len(set(names)) < len(names):
        raise UserError(f"the variants need different names, found {', '.join(names)}")
    if len(set(seeds)) < max(len(seeds), 2) or min(seeds) < 0 or set(TUNING_SEEDS) & set(seeds):
        raise UserError(f"a comparison needs two or more different seeds from 0, none of them of {TUNING_SEEDS}")
    if not data.classes:
        raise DataError(f"a comparison needs labelled images; {data.name} is a regression")
    if metric.needs_test and not len(data.test):
        raise DataError(f"{metric.name} needs a test split; that of {data.name} is empty")
    assert not metric.tuned_by.needs_test, "a learning rate is never chosen by the test split"


def _as_json(one: Measured, metric: Metric) -> dict[str, Any]:
    shown = [metric.shown(value) for value in one.values]
    return {
        "name": one.variant.name,
        "network": str(one.variant.network),
        "parameters": one.variant.network.parameters,
        "recipe": one.variant.recipe.model_dump(mode="json"),
        "tuned": asdict(one.tuned),
        "values": shown,
        "mean": metric.shown(float(np.mean(one.values))),
        "deviation": float(np.std(one.values, ddof=1)),
        "diverged": sum(bool(record["diverged"]) for record in one.records),
    }
