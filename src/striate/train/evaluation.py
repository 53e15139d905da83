"""How good a model is on a split: accuracy, per-class scores, confusions, hardest images, calibration; as data.

`evaluate` is complete and in float32. `score` is the short form that training uses after every epoch. Nothing prints.
Processes that work together take whole batches in turn, and put the outputs of all together again batch by batch: each
has the numbers of one process, to the last bit where they compute alike.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
import torch
from jaxtyping import Float32, Int64

from striate.data.batches import batches
from striate.errors import DataError, ModelError
from striate.model import EPSILON, Model, device_of, ends_in_softmax, evaluating
from striate.train.sharing import Sharing, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from striate.data import Split
    from striate.data.batches import Resident
    from striate.model import Preprocessing
    from striate.ranks import Ranks
    from striate.train.engine import Engine

BINS = 15
"""Calibration bins, as Guo et al. 2017 use for their tables."""

HARDEST = 100
"""How many of the images with the highest loss are listed."""


class Score(NamedTuple):
    """Mean loss over a split, and the share classified right (None for regression)."""

    loss: float
    accuracy: float | None


@final
@dataclass(frozen=True)
class ClassScore:
    """One class. `precision`: right among those called so; `recall`: found among those that are so; None for 0/0."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@final
@dataclass(frozen=True)
class ConfusedPair:
    """`count` images of class `true` were called `predicted`; `indices` in the split, the surest mistake first."""

    true: int
    predicted: int
    count: int
    indices: tuple[int, ...]


@final
@dataclass(frozen=True)
class Hard:
    """An image with a high loss: its index in the split, what it is, what it was called, and with which probability."""

    index: int
    true: int
    predicted: int
    probability: float
    loss: float


@final
@dataclass(frozen=True)
class Bin:
    """Images whose highest probability is in (low, high]: how many, its mean, the share that is right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@final
@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a classifier does on a split of n images and k classes.

    Attributes:
        classes: their names.
        count: n.
        accuracy: share classified right, 0 to 1.
        loss: mean of -ln p(true class).
        per_class: precision, recall, F1 and support of every class.
        confusion: (k, k) counts; rows are the true classes, columns the predicted ones.
        confused: pairs of classes by how often one is taken for the other, most often first.
        hardest: up to 100 images by loss, highest first.
        calibration: 15 bins of equal width of the highest probability.
        ece: expected calibration error (Guo et al. 2017, On Calibration of Modern Neural Networks, eq. 3).
        predicted: the predicted class of every image, (n,).
        probability: its probability, (n,).
    """

    classes: tuple[str, ...]
    count: int
    accuracy: float
    loss: float
    per_class: tuple[ClassScore, ...]
    confusion: Int64[np.ndarray, "k k"]
    confused: tuple[ConfusedPair, ...]
    hardest: tuple[Hard, ...]
    calibration: tuple[Bin, ...]
    ece: float
    predicted: Int64[np.ndarray, " n"]
    probability: Float32[np.ndarray, " n"]

    def as_json(self) -> dict[str, Any]:
        """Everything but the two arrays over all images, as JSON can hold it."""
        return {
            "classes": list(self.classes),
            "count": self.count,
            "accuracy": self.accuracy,
            "loss": self.loss,
            "per_class": [asdict(row) for row in self.per_class],
            "confusion": self.confusion.tolist(),
            "confused": [asdict(pair) | {"indices": list(pair.indices)} for pair in self.confused],
            "hardest": [asdict(hard) for hard in self.hardest],
            "calibration": [asdict(row) for row in self.calibration],
            "ece": self.ece,
        }


@final
@dataclass(frozen=True)
class RegressionEvaluation:
    """How a regression does on a split of n rows.

    Attributes:
        count: n.
        rmse: root of the mean, over rows and outputs, of the squared error.
        r2: R², 1 - Σ(output - target)² / Σ(target - mean)², summed over all outputs, the mean each output's own; None
            for constant targets.
    """

    count: int
    rmse: float
    r2: float | None

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def evaluate(model: Model, split: Split, batch: int = 512, *, ranks: Ranks | None = None) -> Evaluation:
    """Scores a classifier on a split, in float32, in evaluation mode.

    Arguments:
        model: what to score.
        split: on which images.
        batch: images at a time.
        ranks: the processes that share the images, `Ranks.joined()` under torchrun; each gets the whole evaluation.

    Raises:
        ModelError: the model has no classes, or other outputs than classes.
        DataError: the split is empty.
        Failure: the processes were given different things, or one of them is gone.
    """
    if not model.classes:
        raise ModelError(f"{model.name} has no classes, so that nothing can be right or wrong; use evaluate_regression")
    logarithms = np.concatenate([_log_probabilities(model, x) for x, _ in _outputs(model, split, batch, ranks)])
    if logarithms.shape[1:] != (len(model.classes),):
        raise ModelError(f"{model.name} has {logarithms.shape[1:]} outputs for {len(model.classes)} classes")
    return summarize(logarithms, np.asarray(split.labels, np.int64), model.classes)


def evaluate_regression(
    model: Model, split: Split, batch: int = 512, *, ranks: Ranks | None = None
) -> RegressionEvaluation:
    """Scores a regression on a split. `ranks` as for `evaluate`. Raises DataError where the split is empty."""
    found = _outputs(model, split, batch, ranks)
    outputs = np.concatenate([x.cpu().numpy() for x, _ in found]).astype(np.float64)
    targets = np.asarray(split.labels, np.float64)
    residual, spread = ((outputs - targets) ** 2).sum(), ((targets - targets.mean(0)) ** 2).sum()
    return RegressionEvaluation(
        len(split), float(np.sqrt(residual / targets.size)), float(1 - residual / spread) if spread > 0 else None
    )


def summarize(
    logarithms: Float32[np.ndarray, "n k"], labels: Int64[np.ndarray, " n"], classes: tuple[str, ...]
) -> Evaluation:
    """The evaluation from log probabilities alone. Equal probabilities: the first class is the predicted one."""
    predicted = logarithms.argmax(1)
    probability = np.exp(logarithms.max(1))
    losses = -logarithms[np.arange(len(labels)), labels].astype(np.float64)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    bins = _bins(probability, predicted == labels)
    return Evaluation(
        classes=classes,
        count=len(labels),
        accuracy=float((predicted == labels).mean()),
        loss=float(losses.mean()),
        per_class=tuple(_class_score(name, k, confusion) for k, name in enumerate(classes)),
        confusion=confusion,
        confused=tuple(_confused(confusion, labels, predicted, probability)),
        hardest=tuple(_hardest(losses, labels, predicted, probability)),
        calibration=bins,
        ece=sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / len(labels),
        predicted=predicted,
        probability=probability.astype(np.float32),
    )


def score(
    module: nn.Module,
    preprocessing: Preprocessing,
    split: Split | Resident,
    engine: Engine,
    *,
    regression: bool,
    batch: int = 512,
    sharing: Sharing | None = None,
    heed: Callable[[], None] | None = None,
) -> Score:
    """Mean loss and accuracy on a split, in the engine's precision; for regression the mean squared error.

    With `sharing`, its processes share the images, and all get what the first found. `heed` is called before every
    batch, by all processes at the same one, and may raise.
    """
    sharing = sharing or Sharing()
    loss = torch.zeros((), device=engine.device)
    right = torch.zeros((), dtype=torch.int64, device=engine.device)
    given = ends_in_softmax(module)
    for outputs, labels in _batched(module, preprocessing, split, batch, sharing, engine=engine, heed=heed):
        if regression:
            loss += ((outputs - labels) ** 2).mean(1).sum()
        else:
            logarithms = _logarithms(outputs, given=given)
            loss -= logarithms.gather(1, labels[:, None]).sum()
            right += (logarithms.argmax(1) == labels).sum()
    total, correct = sharing.firsts(loss.item(), right.item())
    return Score(total / len(split), None if regression else correct / len(split))


def _outputs(model: Model, split: Split, batch: int, ranks: Ranks | None) -> Iterator[tuple[Tensor, Tensor]]:
    with Sharing(ranks, device_of(model.module)) as sharing:
        if sharing.together:
            known = {"labels": torch.from_numpy(split.labels)}
            sharing.agree(digest(model.module.state_dict()), digest(known), model.preprocessing, batch)
        yield from _batched(model.module, model.preprocessing, split, model.at_once(batch), sharing)


def _batched(
    module: nn.Module,
    preprocessing: Preprocessing,
    split: Split | Resident,
    batch: int,
    sharing: Sharing,
    *,
    engine: Engine | None = None,
    heed: Callable[[], None] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The module's float32 outputs and the labels, batch by batch; of several processes each computes one in turn."""
    from contextlib import nullcontext

    if not len(split):
        raise DataError("there are no images to evaluate on: this split is empty")
    arithmetic: AbstractContextManager[object] = engine.arithmetic() if engine else nullcontext()
    ranks, device = sharing.ranks, device_of(module)
    with evaluating(module), torch.inference_mode(), arithmetic:
        for images, labels in batches(
            split, batch * ranks.size, device=device, shuffle=False, shard=(ranks.rank, ranks.size)
        ):
            if heed:
                heed()
            sharing.begin(len(labels), of=batch * ranks.size)
            x = preprocessing.normalize(images)
            arranged = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
            outputs = sharing.whole(_results(module, arranged).float())
            yield from zip(outputs.split(batch), labels.split(batch), strict=True)


def _results(module: nn.Module, x: Tensor) -> Tensor:
    """What the module makes of a batch, also of none: many modules cannot take no images, as they ask for views of
    (images, -1)."""
    return module(x) if len(x) else module(x.new_zeros((1, *x.shape[1:])))[:0]


def _logarithms(outputs: Tensor, *, given: bool) -> Tensor:
    """Log probabilities; `given`: the outputs are probabilities already."""
    return outputs.clamp_min(EPSILON).log() if given else outputs.log_softmax(1)


def _log_probabilities(model: Model, outputs: Tensor) -> Float32[np.ndarray, "n k"]:
    return _logarithms(outputs, given=model.gives_probabilities(outputs)).cpu().numpy()


def _class_score(name: str, k: int, confusion: Int64[np.ndarray, "k k"]) -> ClassScore:
    right, called, support = (int(v) for v in (confusion[k, k], confusion[:, k].sum(), confusion[k].sum()))
    f1 = 2 * right / (called + support) if called + support else None
    return ClassScore(name, right / called if called else None, right / support if support else None, f1, support)


def _confused(
    confusion: np.ndarray, labels: np.ndarray, predicted: np.ndarray, probability: np.ndarray
) -> Iterator[ConfusedPair]:
    mistakes = [(int(t), int(p)) for t, p in np.argwhere(confusion > 0) if t != p]
    for true, called in sorted(mistakes, key=lambda pair: (-confusion[pair], pair)):
        found = np.flatnonzero((labels == true) & (predicted == called))
        surest_first = found[np.argsort(-probability[found], kind="stable")]
        yield ConfusedPair(true, called, len(found), tuple(map(int, surest_first)))


def _hardest(losses: np.ndarray, labels: np.ndarray, predicted: np.ndarray, probability: np.ndarray) -> Iterator[Hard]:
    for index in map(int, np.argsort(-losses, kind="stable")[:HARDEST]):
        yield Hard(index, int(labels[index]), int(predicted[index]), float(probability[index]), float(losses[index]))


def _bins(probability: np.ndarray, right: np.ndarray) -> tuple[Bin, ...]:
    edges = np.linspace(0, 1, BINS + 1)
    # A probability of 1.0000001, as float32 may give, belongs to the last bin.
    places = np.clip(np.searchsorted(edges, probability, side="left") - 1, 0, BINS - 1)
    return tuple(_bin(edges[b], edges[b + 1], probability[places == b], right[places == b]) for b in range(BINS))


def _bin(low: float, high: float, probability: np.ndarray, right: np.ndarray) -> Bin:
    if not len(right):
        return Bin(float(low), float(high), 0, 0.0, 0.0)
    return Bin(float(low), float(high), len(right), float(probability.mean(dtype=np.float64)), float(right.mean()))
