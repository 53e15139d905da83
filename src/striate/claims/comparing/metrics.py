"""Metrics: one number from a trial's record, with its unit, which way is better, and what difference matters.

The smallest difference that matters is part of the declaration, fixed before anything runs: it decides between "no
difference larger than" and "inconclusive".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, final

from striate.errors import UserError

Record = Mapping[str, Any]
"""What `trial.conduct` returns."""

TARGET = 0.25
"""Training error of Krizhevsky et al. 2012, figure 1."""

POINT = 0.01
"""One percentage point."""


@final
@dataclass(frozen=True)
class Metric:
    """What a comparison measures.

    Attributes:
        name: in words.
        unit: `share` is shown as a percentage, differences in points; `steps` is compared as a ratio.
        higher: whether more is better.
        smallest: the smallest difference that matters: of shares, or of the logarithm to base 2 for steps.
        of: the value of one trial, on the scale that is compared.
        curve: whether a learning curve must be measured for it.
        needs_test: whether the test split must be there.
        bound: whether the value of a trial is only a lower bound, as for an error that was never reached.
        until: the error of the curve, and its value, after which a training adds nothing to this metric; or None.
        tuned_at: for steps: the validation error whose steps a learning rate is chosen by.
    """

    name: str
    unit: Literal["share", "steps", "number"]
    higher: bool
    smallest: float
    of: Callable[[Record], float]
    curve: bool = False
    needs_test: bool = True
    bound: Callable[[Record], bool] = lambda _: False
    until: tuple[str, float] | None = None
    tuned_at: float = TARGET

    @property
    def tuned_by(self) -> Metric:
        """What a learning rate is chosen by, on validation images: steps by steps, all else by accuracy."""
        return VALIDATION if self.until is None else steps_metric(self.tuned_at, "validation_error")

    def mattering(self, smallest: float) -> Metric:
        """The metric with another smallest difference that matters, as a reader says it: points, a factor, a number.

        Raises:
            UserError: it is not above 0; a factor of steps not above 1.

        Example:
            >>> ACCURACY.mattering(2).smallest, steps_metric().mattering(2).smallest
            (0.02, 1.0)
        """
        least, what = {"steps": (1, "a factor"), "share": (0, "points"), "number": (0, "a number")}[self.unit]
        if not (math.isfinite(smallest) and smallest > least):
            raise UserError(
                f"the smallest difference in {self.name} that matters must be {what} above {least}, found {smallest:g}"
            )
        own = math.log2(smallest) if self.unit == "steps" else smallest * (POINT if self.unit == "share" else 1)
        return replace(self, smallest=own)

    def shown(self, value: float) -> float:
        """A value of `of` in the unit a reader expects: steps instead of their logarithm."""
        return 2**value if self.unit == "steps" else value


def images(record: Record) -> int:
    """Images that a trial's shares are counted over: of the test split, without one of the validation split."""
    scored = record.get("test") or record.get("validation") or {}
    return int(scored.get("count", 0))


def steps_to(record: Record, target: float = TARGET, which: str = "training_error") -> float:
    """Steps until an error first is `target` or less, linear between the curve's points.

    Where it is never reached the number of steps the training took: a lower bound. A difference from a training that
    did reach it in fewer steps comes out too small, never too large; one from a training that took more says nothing.
    """
    curve = record["curve"]
    before = curve[0]
    for point in curve:
        if point[which] <= target:
            fall = before[which] - point[which]
            share = (before[which] - target) / fall if fall > 0 else 1.0
            return max(before["step"] + share * (point["step"] - before["step"]), 1.0)
        before = point
    return float(curve[-1]["step"])


def reached(record: Record, target: float = TARGET, which: str = "training_error") -> bool:
    """Whether the error came down to `target` at all."""
    return any(point[which] <= target for point in record["curve"])


def _test_accuracy(record: Record) -> float:
    return float(record["test"]["accuracy"])


def _gap(record: Record) -> float:
    return float(record["training"]["accuracy"]) - _test_accuracy(record)


def steps_metric(target: float = TARGET, which: str = "training_error", *, tuned_at: float | None = None) -> Metric:
    """Steps to an error, compared as a ratio: a factor of 2^0.25, a fifth more, is what matters.

    Arguments:
        tuned_at: a validation error to choose learning rates by, where validation images never come down to `target`.
    """
    what = which.replace("_", " ")
    return Metric(
        name=f"steps to {100 * target:g}% {what}",
        unit="steps",
        higher=False,
        smallest=0.25,
        of=lambda record: math.log2(steps_to(record, target, which)),
        curve=True,
        needs_test=False,
        bound=lambda record: not reached(record, target, which),
        until=(which, target),
        tuned_at=target if tuned_at is None else tuned_at,
    )


ACCURACY = Metric("test accuracy", "share", higher=True, smallest=POINT / 2, of=_test_accuracy)
ERROR = Metric("test error", "share", higher=False, smallest=POINT / 2, of=lambda record: 1 - _test_accuracy(record))
GAP = Metric("train-test gap", "share", higher=False, smallest=POINT / 2, of=_gap)
VALIDATION = Metric(
    "validation accuracy",
    "share",
    higher=True,
    smallest=POINT / 2,
    of=lambda record: float(record["validation"]["accuracy"]),
    needs_test=False,
)

NAMED = {"accuracy": ACCURACY, "error": ERROR, "gap": GAP, "steps": steps_metric()}
"""The metrics a user can name; `steps-N` besides: steps to N% training error."""


def metric(name: str) -> Metric:
    """A metric by name. Raises UserError that lists the names.

    Example:
        >>> metric("steps-10").name
        'steps to 10% training error'
    """
    word, dash, percent = name.partition("-")
    if word == "steps" and dash and percent.isdigit() and 0 < int(percent) < 100:
        return steps_metric(int(percent) / 100)
    if name not in NAMED:
        raise UserError(f"metric must be one of {', '.join(NAMED)}, steps-N (N% training error), found {name!r}")
    return NAMED[name]
