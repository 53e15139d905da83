"""The way down from one number: what its largest terms are made of, what those are made of, and so on to the pixels."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, final

import numpy as np

from striate.inside.explaining.ends import Pixel, Stop
from striate.inside.explaining.explanation import Below, Explanation
from striate.inside.explaining.figures import standing
from striate.inside.explaining.rounding import Rounding
from striate.inside.following.origins import Origin, Step
from striate.layers.terms import Formula, Source, Spot, Terms

if TYPE_CHECKING:
    from striate.model import Preprocessing

FOLLOWED = 60
"""How many numbers one call explains with several terms of each; below these it follows the largest term alone."""


@final
@dataclass(eq=False)
class _Number:
    """A number on the way, and those below it that are still to be explained.

    Attributes:
        step: what made it.
        name: the layer's name.
        at: where it stands in the step's output.
        depth: how many layers below it are followed; -1 for all.
        budget: how many numbers may be explained with several terms of each, this one and those below it.
        below: the terms that are followed, and where each leads.
        explained: what came of it.
    """

    step: Step
    name: str
    at: Spot
    depth: int
    budget: int
    below: list[tuple[Source, _Number | Pixel | Stop]] = field(
        default_factory=list["tuple[Source, _Number | Pixel | Stop]"]
    )
    explained: Explanation | None = None

    @cached_property
    def terms(self) -> Terms:
        """What it is made of."""
        return self.step.terms(self.at)

    def explain(self) -> None:
        """Makes the explanation, once all below it are made."""
        below = tuple(Below(source, _explained(found)) for source, found in self.below)
        step, at = self.step, self.at
        value, rounding = float(step.output[at]), Rounding.of(step.dtype)
        self.explained = Explanation(
            self.name, step.text, step.input, *standing(at), self.terms, value, rounding, below
        )


@final
@dataclass(frozen=True)
class Descent:
    """How the way down is gone.

    Attributes:
        raw: the image before preprocessing; None where it came preprocessed.
        preprocessing: how it was preprocessed.
        follow: how many terms of each number are followed.
    """

    raw: np.ndarray | None
    preprocessing: Preprocessing | None
    follow: int

    def explanation(self, step: Step, name: str, at: Spot, depth: int) -> Explanation:
        """The number at `at` of a step's output, and `depth` layers below it; -1 for all."""
        numbers = [_Number(step, name, at, depth, FOLLOWED)]
        for number in numbers:  # which grows meanwhile: functions cannot call themselves through hundreds of layers
            numbers += self._below(number)
        for number in reversed(numbers):
            number.explain()
        found = numbers[0].explained
        assert found is not None, "each number is explained after those below it"
        return found

    def _below(self, number: _Number) -> list[_Number]:
        """Follows the largest terms of a number; those of them that are to be explained in turn."""
        if not number.depth:
            return []
        followed = list(islice(_adding(number.terms), min(self.follow, sys.maxsize)))
        # What is left is shared out, and the largest term is always followed, so that the pixels are reached.
        share = max(number.budget - 1, 0) // max(len(followed), 1)
        for source in followed if share else followed[:1]:
            found = self._found(number.step.origins[source.branch], source, number.depth - 1, share)
            number.below.append((source, found))
        return [found for _, found in number.below if isinstance(found, _Number)]

    def _found(self, origin: Origin, source: Source, depth: int, budget: int) -> _Number | Pixel | Stop:
        """Where a source leads."""
        if origin.reason:
            return Stop(f"the way down ends here: {origin.reason}")
        at = origin.place(source.at)
        if at is None:
            return Stop("a 0 that was put around the maps, which counts")
        if not np.array_equal(origin.values[at], source.x, equal_nan=True):
            return Stop("the way down ends here: this number was overwritten or rounded on its way between two layers")
        if origin.step is None:
            return self._pixel(at, source.x)
        if origin.step.text == "flatten":
            (inner,) = origin.step.terms(at).sources
            return self._found(origin.step.origins[""], inner, depth, budget)
        return _Number(origin.step, origin.step.name, at, depth, budget)

    def _pixel(self, at: Spot, value: float) -> Pixel:
        if self.raw is None or self.preprocessing is None:
            return Pixel(*standing(at), value)
        mean, std = self.preprocessing.mean[at[0]], self.preprocessing.std[at[0]]
        return Pixel(*standing(at), value, int(self.raw[at]), mean, std)


def _explained(found: _Number | Pixel | Stop) -> Explanation | Pixel | Stop:
    if not isinstance(found, _Number):
        return found
    assert found.explained is not None, "a number is explained after those below it"
    return found.explained


def _adding(terms: Terms) -> Iterator[Source]:
    """The sources to follow: those that add something, or the first; of a formula of one or two, each."""
    each = isinstance(terms, Formula) and terms.summed is None
    for number, source in enumerate(terms.sources):
        if each or source.adds != 0 or number == 0:
            yield source
