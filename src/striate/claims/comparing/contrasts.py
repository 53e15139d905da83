"""Contrasts: the differences that a claim's rule asks for, judged together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

from striate.claims.comparing import words
from striate.claims.comparing.statistics import Paired, Verdict, compared, verdict

if TYPE_CHECKING:
    from striate.claims.comparing.metrics import Metric


@final
@dataclass(frozen=True)
class Contrast:
    """A difference that a rule asks for: its name, what was found, the verdict, both in a sentence; by which metric."""

    name: str
    found: Paired
    verdict: Verdict
    sentence: str
    metric: Metric

    @property
    def better(self) -> bool:
        """As the verdict's."""
        return self.verdict.better

    @property
    def worse(self) -> bool:
        """As the verdict's."""
        return self.verdict.worse

    @property
    def none(self) -> bool:
        """As the verdict's."""
        return self.verdict.none


def contrasts(sets: Mapping[str, Sequence[float]], metric: Metric) -> dict[str, Contrast]:
    """Judges several differences together; each value is one seed's. `metric` gives unit, direction and size."""
    found = compared(list(sets.values()))
    judged: dict[str, Contrast] = {}
    for name, one in zip(sets, found, strict=True):
        said = verdict(one, smallest=metric.smallest, higher=metric.higher)
        sure, advice = words.evidence(one, metric), words.advice(said, metric) or words.small(one, said, metric)
        spoken = f"{name}: {words.change(one.mean, metric, one.t)}, {words.judged(said, metric)} ({sure}){advice}"
        judged[name] = Contrast(name, one, said, spoken, metric)
    return judged


def contrast_json(judged: Mapping[str, Contrast]) -> dict[str, Any]:
    """The contrasts for JSON."""
    return {name: one.found.as_json() | {"verdict": asdict(one.verdict)} for name, one in judged.items()}
