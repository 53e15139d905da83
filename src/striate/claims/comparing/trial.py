"""A trial: one training of one variant with one seed, watched more closely than a run is.

It takes the steps that `striate.train.run` takes, from the same first weights in the same batches, to bit-identical
weights (a test holds it); between them it looks at what claims ask for. It keeps one JSON record instead of a run's
folder. A trial is small: one that is interrupted begins again.

One rule makes results independent of how trials are spread: **every trial computes with one thread**, in float32
unless its recipe asks for bfloat16, so that trials next to each other in worker processes give, bit for bit, what they
give one after another.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

import torch

from striate.claims.comparing.probes import look
from striate.claims.comparing.views import View, without_test
from striate.data.batches import batches, resident
from striate.model import Model
from striate.network import Network
from striate.train.engine import Engine
from striate.train.evaluation import score
from striate.train.loop import take_step
from striate.train.recipe import Recipe
from striate.train.workbench import Workbench, matching, preprocessing, set_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from striate.claims.comparing.variants import Variant
    from striate.data import DataSet, Split

VERSION = 1
"""Part of every key: raised when a trial with equal inputs would give another record."""

HEEDED = 2
"""The version of trials whose recipes stop early or ask for bfloat16, which the first version did not heed."""

WATCHED = 400
"""Images of a split that its learning curve is measured on, evenly spread; an error in steps of 0.25 points."""

GROWTH = 1.12
"""Steps between two points of a learning curve grow by this factor, so that a time is known to about 6% either way."""


@final
@dataclass(frozen=True)
class Trial:
    """What decides a trial.

    Attributes:
        network: the text form, with its input line.
        recipe: with the seed in it.
        fingerprint: of the data as loaded; its images are handed over apart.
        view: how the data is seen.
        tuning: whether it only helps to choose a learning rate: the test split is then taken away beforehand.
        curve: whether the errors on training and validation images are measured as it goes.
        probes: what else is looked at, names of `probes`.
        until: an error of the curve and a value: the training ends with the epoch in which it came down to it, as
            whoever asks wants nothing else; None: it takes all its steps.
    """

    network: str
    recipe: Recipe
    fingerprint: str
    view: View = field(default_factory=View)
    tuning: bool = False
    curve: bool = False
    probes: tuple[str, ...] = ()
    until: tuple[str, float] | None = None

    @classmethod
    def of(
        cls,
        one: Variant,
        data: DataSet,
        seed: int,
        *,
        curve: bool,
        tuning: bool = False,
        probes: tuple[str, ...] = (),
        until: tuple[str, float] | None = None,
    ) -> Trial:
        """The training of a variant on these data with this seed."""
        recipe = one.recipe.changed(seed=seed)
        return cls(str(one.network), recipe, data.fingerprint, one.view, tuning, curve, probes, until)

    @property
    def key(self) -> str:
        """A name for the content: equal trials, equal keys, on any machine."""
        said = json.dumps(self.as_json(), sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:24]

    def as_json(self) -> dict[str, Any]:
        """Everything that decides it; `until` where it is given, so that what it does not touch keeps its key."""
        ending = {"until": list(self.until)} if self.until else {}
        newer = self.recipe.early_stopping > 0 or self.recipe.precision == "bfloat16"
        return {
            "version": HEEDED if newer else VERSION,
            "network": self.network,
            "recipe": self.recipe.model_dump(mode="json"),
            "fingerprint": self.fingerprint,
            "view": vars(self.view),
            "tuning": self.tuning,
            "curve": self.curve,
            "probes": list(self.probes),
            **ending,
        }


def engine(recipe: Recipe | None = None) -> Engine:
    """What a trial computes on. A precision that the recipe leaves to the machine is float32: equal on all machines."""
    bfloat16 = recipe is not None and recipe.precision == "bfloat16"
    return Engine.choose(precision="bfloat16" if bfloat16 else "float32", threads=1)


def conduct(trial: Trial, data: DataSet) -> dict[str, Any]:
    """Trains, and returns the record.

    Arguments:
        trial: what to do.
        data: as loaded; the trial's view is applied here.

    Returns, ready for JSON:
        trial: what decided it; engine: on what it was computed; seconds.
        curve: per point step, training_error, validation_error (shares of `WATCHED` images), where asked for.
        epochs: per epoch loss and accuracy on the validation split, and the training loss.
        chance: share of the most frequent class on the validation split.
        diverged: whether the loss left the finite numbers; training then ended there.
        best_epoch, validation: the epoch with the best validation score (accuracy, then loss), and that score.
        training, test: loss, accuracy and count with the best epoch's weights; test null for tuning.
        probes: what each probe found, by name.
    """
    seen = trial.view.of(data)
    seen = without_test(seen) if trial.tuning else seen
    computing = engine(trial.recipe)
    network = matching(Network.parse(trial.network, allow_large=True), seen)
    began = time.perf_counter()
    bench = set_up(network, seen, trial.recipe, computing, preprocessing(seen, "crop"))
    with computing.running(deterministic=trial.recipe.deterministic), bench.randomness.ours():
        record = _Watch(trial, seen, bench, network).record()
    return {
        "trial": trial.as_json(),
        "engine": computing.as_json(),
        "seconds": time.perf_counter() - began,
        "chance": _chance(seen.validation),
        **record,
    }


@final
class _Watch:
    """A trial at work."""

    def __init__(self, trial: Trial, data: DataSet, bench: Workbench, network: Network) -> None:
        self.trial, self.data, self.bench, self.network = trial, data, bench, network
        self.curve: list[dict[str, float]] = []
        self.epochs: list[dict[str, Any]] = []
        self.kept = self.first = _weights(bench)
        self.path: list[tuple[int, dict[str, Tensor]]] = [(0, self.first)]
        self.watched = {name: _spread(split, WATCHED) for name, split in self._splits()}

    def _splits(self) -> list[tuple[str, Split]]:
        return [("training_error", self.data.train), ("validation_error", self.data.validation)]

    def record(self) -> dict[str, Any]:
        """Trains to the end and says what was seen."""
        steps = self.bench.steps * self.bench.recipe.epochs
        due = set(points(steps))
        diverged = False
        for count in self._steps():
            if count in due:
                self._look(count)
            if count % self.bench.steps == 0:
                diverged = not self._close_epoch()
            if diverged or (count % self.bench.steps == 0 and (self._come_down() or self._stands_still())):
                break
        return self._found(diverged=diverged)

    def _steps(self) -> Iterator[int]:
        """Takes the steps; gives how many are done. Gives 0 before the first."""
        bench, train = self.bench, resident(self.data.train, self.bench.engine.device)
        yield 0
        for epoch in range(bench.recipe.epochs):
            batched = batches(train, bench.recipe.batch_size, seed=bench.recipe.seed, epoch=epoch)
            for step, (images, labels) in enumerate(batched):
                take_step(bench, images, labels, epoch, step)
                yield epoch * bench.steps + step + 1

    def _look(self, count: int) -> None:
        if self.trial.curve:
            errors = {name: 1 - (self._score(split)[1] or 0.0) for name, split in self.watched.items()}
            self.curve.append({"step": count} | errors)
        if "path" in self.trial.probes and count:
            self.path.append((count, _weights(self.bench)))

    def _come_down(self) -> bool:
        """Whether the error that ends the training has come down to its value."""
        if self.trial.until is None:
            return False
        which, target = self.trial.until
        return any(point[which] <= target for point in self.curve)

    def _stands_still(self) -> bool:
        """Whether the recipe ends the training early: its last epochs brought no better validation score."""
        patience = self.bench.recipe.early_stopping
        return 0 < patience <= len(self.epochs) - self._best_epoch()

    def _best_epoch(self) -> int:
        best = max(self.epochs, key=_rank, default=None)
        return best["epoch"] if best else 0

    def _score(self, split: Split) -> tuple[float, float | None]:
        bench = self.bench
        return score(bench.judged, bench.preprocessing, split, bench.engine, regression=not self.data.classes)

    def _close_epoch(self) -> bool:
        """Scores the epoch; whether all numbers are still finite."""
        if self.bench.total == 0:  # before the first step
            return True
        training_loss = self.bench.total.item() / len(self.data.train)
        self.bench.total.zero_()
        loss, accuracy = self._score(self.data.validation)
        if not (math.isfinite(loss) and math.isfinite(training_loss)):
            return False
        scored = {"epoch": len(self.epochs) + 1, "loss": loss, "accuracy": accuracy, "training_loss": training_loss}
        if all(_rank(scored) > _rank(past) for past in self.epochs):
            self.kept = _weights(self.bench)
        self.epochs.append(scored)
        return True

    def _found(self, *, diverged: bool) -> dict[str, Any]:
        model = self._model()
        return {
            "curve": self.curve,
            "epochs": self.epochs,
            "diverged": diverged,
            "best_epoch": self._best_epoch(),
            "validation": self._scored(model, self.data.validation),
            "training": self._scored(model, self.data.train),
            "test": self._scored(model, self.data.test) if len(self.data.test) else None,
            "probes": {
                name: look(name, model, self.data, seed=self.bench.recipe.seed, path=self.path)
                for name in self.trial.probes
            },
        }

    def _model(self) -> Model:
        module = self.network.build(0)
        module.load_state_dict(self.kept)
        return Model(module.eval(), self.bench.preprocessing, self.data.classes, self.network, self.data.name)

    def _scored(self, model: Model, split: Split) -> dict[str, Any]:
        """A split scored as a run's result is: in float32, whatever the training computed in."""
        exact = engine()
        module = exact.place(copy.deepcopy(model.module))
        loss, accuracy = score(module, self.bench.preprocessing, split, exact, regression=not self.data.classes)
        return {"loss": loss if math.isfinite(loss) else None, "accuracy": accuracy, "count": len(split)}


def points(steps: int) -> list[int]:
    """The steps after which a learning curve has a point: 0, 1, 2, ... growing by `GROWTH`, and the last.

    Example:
        >>> points(20)
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 17, 19, 20]
    """
    found = [0]
    while found[-1] < steps:
        found.append(min(max(found[-1] + 1, int(found[-1] * GROWTH + 0.5)), steps))
    return found


def _weights(bench: Workbench) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in bench.judged.state_dict().items()}


def _spread(split: Split, count: int) -> Split:
    rows = range(0, len(split), max(1, -(-len(split) // count)))
    at = list(rows)
    return replace(split, images=split.images[at], labels=split.labels[at], sources=("",) * len(at))


def _rank(scored: dict[str, Any]) -> tuple[float, float]:
    accuracy = scored["accuracy"]
    return (accuracy if accuracy is not None else 0.0, -scored["loss"])


def _chance(split: Split) -> float:
    """The share of the most frequent class: what always naming it would get right."""
    counts = torch.bincount(torch.from_numpy(split.labels))
    return float(counts.max()) / len(split)
