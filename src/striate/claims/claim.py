"""What a claim is: a declaration, fixed before anything runs, and the study that puts it to the test.

The declaration says what would support the sentence and what would refute it; the study only measures and applies it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, final

from striate.claims.comparing.contrasts import Contrast, contrast_json
from striate.claims.comparing.figures import Figure, contrast_figures, differences, diverged, table
from striate.claims.comparing.metrics import Metric
from striate.claims.comparing.variants import Variant, fitted
from striate.claims.comparing.views import View
from striate.claims.learning import taught
from striate.claims.ruling import Ruling
from striate.train.recipe import Recipe

if TYPE_CHECKING:
    from striate.claims.comparing.comparison import Comparison
    from striate.claims.comparing.trials import Trials
    from striate.data import DataSet
    from striate.network import Network
    from striate.train.engine import Precision

Scale = Literal["quick", "full"]


FULL_EPOCHS = 12
"""Passes over the images of a training at full scale. Nothing regularizes it, and after so many a network of claim 5 or
12 knows the training images of CIFAR-10 by heart (training loss 0.03 or less). At a rate of 0.003 that of claim 12 has
74% of the validation images right after 12 epochs, and 73% after 30."""

FULL_RATES = (0.0003, 0.001, 0.003)
"""Learning rates tried at full scale: a tenth of those of the quick scale, which takes far fewer steps. On CIFAR-10 the
network of claim 12 comes to 73%, 75% and 74% of the validation images with them; that of claim 5 to 75% with 0.001 and
to 64% with 0.01."""


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

    verdict: Ruling
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
        count: trainings of every variant, or draws; None: as many as the claim declares.
        precision: of the convolutions and matrix products of all trainings.
    """

    data: DataSet
    scale: Scale
    trials: Trials
    net: str = "vanilla"
    view: View = field(default_factory=View)
    first: int = 0
    count: int | None = None
    precision: Precision = "float32"

    @property
    def network(self) -> Network:
        """What `net` names, fitted to the data. Raises NetworkError."""
        return fitted(self.net, self.data)

    @property
    def seen(self) -> DataSet:
        """The data as all trainings see them."""
        return self.view.of(self.data)

    def of(self, claim: Claim) -> Setting:
        """The setting in which this claim is studied: with its own number of seeds, unless another is asked for."""
        return replace(self, count=self.count or claim.seeds)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of all trainings of a variant, or of all draws."""
        assert self.count is not None, "a claim is studied in a setting of its own"
        return tuple(range(self.first, self.first + self.count))

    def variant(self, name: str, text: str, recipe: Recipe, view: View | None = None) -> Variant:
        """A variant whose network is a preset or text; `{classes}` in the text stands for the number of classes."""
        network = fitted(text.replace("{classes}", str(len(self.data.classes))), self.data)
        exact = self.precision == "float32"
        return Variant(name, network, recipe if exact else recipe.changed(precision=self.precision), view or self.view)

    def compare(
        self,
        variants: Sequence[Variant],
        metric: Metric,
        rates: Sequence[float],
        *,
        probes: tuple[str, ...] = (),
    ) -> Comparison:
        """`comparison.paired` on the setting's trials, with its seeds."""
        from striate.claims.comparing.comparison import paired

        return paired(variants, self.trials, seeds=self.seeds, metric=metric, rates=rates, probes=probes)


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
        published: name of the data set that the full scale is made for.
        study: applies the rule, in a setting `of` this claim.
        seeds: trainings of every variant, or draws; 0 where there is nothing to draw.
        learns: whether anything is trained, so that labels matter.
        hours: of one core that the full scale takes on a processor with AVX-512, measured or added up from the time
            of a step; 0: minutes.
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
    seeds: int = 0
    learns: bool = True
    hours: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The declaration."""
        return {key: value for key, value in vars(self).items() if key != "study"}


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


def ruled(*, supported: bool, contradicted: bool) -> Ruling:
    """The verdict of a declared rule; neither of the two is inconclusive."""
    if supported:
        return "supported"
    return "contradicted" if contradicted else "inconclusive"


def outcome(
    found: Comparison,
    decided: tuple[Ruling, tuple[str, ...]],
    figures: tuple[Figure, ...],
    judged: Mapping[str, Contrast] | None = None,
) -> Outcome:
    """What a comparison showed, with its table; nothing is said where nothing was learned.

    Arguments:
        decided: the verdict by the claim's rule, and the sentences that decide it.
        figures: of the claim's own; the differences that a rule looks at follow them.
        judged: the contrasts that the rule asked for, if any.
    """
    headings, rows = table(found)
    figures = (*figures, differences(found), *contrast_figures(judged or {}))
    decided = decided[0], (*decided[1], *diverged(found.measured))
    numbers = found.as_json() | ({"contrasts": contrast_json(judged)} if judged else {})
    return Outcome(*taught(found.measured, decided), headings, rows, figures, numbers, found.seeds)
