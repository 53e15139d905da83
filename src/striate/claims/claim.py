"""What a claim is: a declaration, fixed before anything runs, and the study that puts it to the test.

The declaration says what would support the sentence and what would refute it; the study only measures and applies it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, final

from striate.claims import words
from striate.claims.metrics import VALIDATION, Metric
from striate.claims.statistics import Paired, Verdict, compared, verdict
from striate.claims.variants import Variant, fitted
from striate.claims.views import View
from striate.train.recipe import Recipe

if TYPE_CHECKING:
    from striate.claims.comparison import Comparison
    from striate.claims.trials import Trials
    from striate.data import DataSet
    from striate.network import Network

Word = Literal["supported", "contradicted", "inconclusive", "not applicable"]

Scale = Literal["quick", "full"]


@final
@dataclass(frozen=True)
class Figure:
    """What a plot shows, as numbers.

    Attributes:
        kind: `curves` (lines: name, x, y, low, high) or `bars` (lines: name, value, low, high).
        title, x, y: in words.
        lines: what is drawn.
        percent: whether values are shares.
        log: axes on a logarithmic scale, of "x" and "y".
        note: what the bands are, with n.
    """

    kind: Literal["curves", "bars"]
    title: str
    x: str
    y: str
    lines: Sequence[Mapping[str, Any]]
    percent: bool = False
    log: str = ""
    note: str = ""


@final
@dataclass(frozen=True)
class Outcome:
    """What a study found.

    Attributes:
        verdict: by the declared rule.
        because: the sentences that decide it, with their numbers.
        headings, rows: a table for readers.
        figures: what to draw.
        numbers: everything measured, for JSON.
        seeds: of the trainings or draws; empty for counted claims, which need none.
    """

    verdict: Word
    because: tuple[str, ...]
    headings: tuple[str, ...] = ()
    rows: Sequence[Sequence[str]] = ()
    figures: tuple[Figure, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seeds: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The attributes under their names, and n."""
        return asdict(self) | {"n": len(self.seeds)}


@final
@dataclass(frozen=True)
class Setting:
    """Where a study works.

    Attributes:
        data: what is learned.
        scale: how much is done.
        trials: conducts and keeps trainings.
        net: the network that counted claims count, as a preset, a file or text.
        view: how all trainings see the data.
        first: the first seed. Repeated from another one, a claim meets draws that nobody has seen.
    """

    data: DataSet
    scale: Scale
    trials: Trials
    net: str = "vanilla"
    view: View = field(default_factory=View)
    first: int = 0

    @property
    def network(self) -> Network:
        """What `net` names, fitted to the data. Raises NetworkError."""
        return fitted(self.net, self.data)

    def seeds(self, count: int) -> tuple[int, ...]:
        """The seeds of `count` trainings, or draws."""
        return tuple(range(self.first, self.first + count))

    def variant(self, name: str, text: str, recipe: Recipe, view: View | None = None) -> Variant:
        """A variant whose network is a preset or text; `{classes}` in the text stands for the number of classes."""
        network = fitted(text.replace("{classes}", str(len(self.data.classes))), self.data)
        return Variant(name, network, recipe, view or self.view)

    def compare(
        self,
        variants: Sequence[Variant],
        seeds: int,
        metric: Metric,
        rates: Sequence[float],
        *,
        tune_by: Metric = VALIDATION,
        probes: tuple[str, ...] = (),
    ) -> Comparison:
        """`comparison.paired` on the setting's trials, with so many of its seeds."""
        from striate.claims.comparison import paired

        own = self.seeds(seeds)
        return paired(variants, self.trials, seeds=own, metric=metric, rates=rates, tune_by=tune_by, probes=probes)


@final
@dataclass(frozen=True)
class Claim:
    """A sentence of the lecture and how it is tested.

    Attributes:
        number, name: its place in the lecture, and what to call it in commands.
        sentence, source: what is claimed, and by whom.
        varied, held, metric: what differs, what does not, what is measured.
        supported, contradicted: the rule. Neither: inconclusive; no test possible on this data or network: not
            applicable.
        published: the data of the full scale.
        study: applies the rule.
        learns: whether anything is trained, so that labels matter.
    """

    number: int
    name: str
    sentence: str
    source: str
    varied: str
    held: str
    metric: str
    supported: str
    contradicted: str
    published: str
    study: Callable[[Setting], Outcome]
    learns: bool = True

    def as_json(self) -> dict[str, Any]:
        """The declaration."""
        return {key: value for key, value in vars(self).items() if key != "study"}


@final
@dataclass(frozen=True)
class Contrast:
    """A difference that a rule asks for: its name, what was found, the verdict, and both in a sentence."""

    name: str
    found: Paired
    verdict: Verdict
    sentence: str

    @property
    def better(self) -> bool:
        """Whether the difference is in the favourable direction beyond chance."""
        return self.verdict.word == "better"

    @property
    def worse(self) -> bool:
        """Whether it is in the unfavourable direction beyond chance."""
        return self.verdict.word == "worse"

    @property
    def none(self) -> bool:
        """Whether it is smaller than what matters."""
        return self.verdict.word == "no difference larger than"


def contrasts(sets: Mapping[str, Sequence[float]], metric: Metric) -> dict[str, Contrast]:
    """Judges several differences together; each value is one seed's. `metric` gives unit, direction and size."""
    found = compared(list(sets.values()))
    judged: dict[str, Contrast] = {}
    for name, one in zip(sets, found, strict=True):
        said = verdict(one, smallest=metric.smallest, higher=metric.higher)
        evidence = f"95% interval {words.span(one, metric)}, n = {one.n}, {words.probability(one.p_corrected)}"
        spoken = f"{name}: {words.change(one.mean, metric)}, {words.judged(said, metric)} ({evidence})"
        judged[name] = Contrast(name, one, said, spoken)
    return judged


def contrast_json(judged: Mapping[str, Contrast]) -> dict[str, Any]:
    """The contrasts for JSON."""
    return {name: one.found.as_json() | {"verdict": asdict(one.verdict)} for name, one in judged.items()}


def recipe(**values: object) -> Recipe:
    """The recipe of the claims: the product's default without anything that regularizes beside what is varied."""
    settings: dict[str, object] = {
        "epochs": 8,
        "batch_size": 64,
        "label_smoothing": 0.0,
        "weight_decay": 0.0,
        "augmentation": {},
    }
    return Recipe.parse(settings | values)


def not_applicable(why: str) -> Outcome:
    """No test is possible here."""
    return Outcome("not applicable", (why,))


def table(comparison: Comparison) -> tuple[tuple[str, ...], list[list[str]]]:
    """A row per variant: mean, deviation, the value of every seed, learning rate, parameters."""
    metric = comparison.metric
    headings = ("variant", metric.name, "standard deviation", "by seed", "learning rate", "parameters")
    rows: list[list[str]] = []
    for one in comparison.measured:
        mean = sum(one.values) / len(one.values)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in one.values) / (len(one.values) - 1))
        spread = f"a factor of {2**deviation:.3g}" if metric.unit == "steps" else f"{100 * deviation:.2f} points"
        rows.append(
            [
                one.variant.name,
                words.value(mean, metric),
                spread,
                "  ".join(words.value(v, metric) for v in one.values),
                f"{one.tuned.chosen:g}" + (" (edge of the grid)" if one.tuned.at_edge else ""),
                words.count(one.variant.network.parameters),
            ]
        )
    return headings, rows


def learning_curves(comparison: Comparison) -> Figure:
    """Training error against steps, or validation accuracy against epochs."""
    n = len(comparison.seeds)
    note = f"Mean of {n} seeds and its 95% interval."
    if comparison.metric.curve:
        lines = [_without_first(line) for line in comparison.curves()]  # step 0 has no place on a logarithmic axis
        return Figure("curves", "Training error", "steps", "classified wrong", lines, percent=True, log="x", note=note)
    lines = comparison.curves()
    return Figure("curves", "Validation accuracy", "epoch", "classified right", lines, percent=True, note=note)


def value_bars(comparison: Comparison, title: str) -> Figure:
    """Every variant's mean with its 95% t interval."""
    from striate.claims.statistics import t_interval

    shown = comparison.metric.shown
    lines: list[dict[str, Any]] = []
    for one in comparison.measured:
        low, high = t_interval(one.values)
        mean = sum(one.values) / len(one.values)
        lines.append({"name": one.variant.name, "value": shown(mean), "low": shown(low), "high": shown(high)})
    share = comparison.metric.unit == "share"
    note = f"Mean of {len(comparison.seeds)} seeds and its 95% interval."
    log = "x" if comparison.metric.unit == "steps" else ""
    return Figure("bars", title, comparison.metric.name, "", lines, percent=share, log=log, note=note)


def _without_first(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value[1:] if key in ("x", "y", "low", "high") else value for key, value in line.items()}
