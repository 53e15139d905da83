"""What happens while a network trains, as values: `fit` yields these, and everything else (the progress bar, the
metrics file, live plots) reads them. Nothing here does anything.

Epochs and steps are counted from 1 as a reader counts them: epoch 2, step 30 is the 30th batch of the second epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final


@final
@dataclass(frozen=True)
class Started:
    """Training begins, or goes on.

    Attributes:
        out: the run's folder.
        epochs: how many the recipe asks for.
        steps: steps in one epoch.
        images: training images in one epoch.
        parameters: learned numbers of the network.
        engine: the engine's line: what computes, and why.
        epoch: the epoch that comes next, 1 for a new run.
        step: steps of that epoch already done, 0 for a new run.
        resumed: whether a checkpoint was loaded.
        processes: how many share each batch.
        validation: images that every epoch is scored on.
        test: images that the end is scored on; 0 where there are none.
    """

    out: Path
    epochs: int
    steps: int
    images: int
    parameters: int
    engine: str
    epoch: int
    step: int
    resumed: bool
    processes: int = 1
    validation: int = 0
    test: int = 0


@final
@dataclass(frozen=True)
class Stepped:
    """Some steps were taken. Comes a few times a second and at every recorded step; never decides a result.

    Attributes:
        epoch: the running epoch.
        step: steps done in it.
        loss: mean training loss since the last recorded step.
        learning_rate: of the last step.
        images: training images seen since the start of the run, counting repetitions.
        images_per_second: over the time since the last event.
        recorded: whether this step stands in metrics.jsonl.
    """

    epoch: int
    step: int
    loss: float
    learning_rate: float
    images: int
    images_per_second: float
    recorded: bool


@final
@dataclass(frozen=True)
class Evaluated:
    """An epoch is over and the validation split has been scored.

    Attributes:
        epoch: the epoch that ended.
        loss: mean validation loss, without smoothing, weights or augmentation.
        accuracy: share of validation images classified right, 0 to 1; None for regression.
        training_loss: mean training loss of the epoch, as it was minimized.
        best: whether these weights are the best so far.
        seconds: time this epoch took, evaluation included.
    """

    epoch: int
    loss: float
    accuracy: float | None
    training_loss: float
    best: bool
    seconds: float


@final
@dataclass(frozen=True)
class Saved:
    """A file that can be resumed from or used lies on the disk.

    Attributes:
        path: the file.
        kind: `last` and `best` checkpoints, an `epoch` kept for its own sake, or the finished `model`.
        epoch: the epoch it belongs to.
        step: steps done in that epoch.
    """

    path: Path
    kind: Literal["last", "best", "epoch", "model"]
    epoch: int
    step: int


@final
@dataclass(frozen=True)
class Finished:
    """Training is over and the test split has been scored, once, with the best weights.

    Attributes:
        out: the run's folder.
        reason: why it ended.
        epochs: epochs trained.
        best_epoch: the epoch whose weights are in model.safetensors.
        accuracy: share of test images classified right, 0 to 1; None for regression, or without a test split.
        loss: mean test loss (for regression the root of the mean squared error); None without a test split.
        seconds: time spent training, over all resumptions.
    """

    out: Path
    reason: Literal["all epochs done", "no improvement on the validation split"]
    epochs: int
    best_epoch: int
    accuracy: float | None
    loss: float | None
    seconds: float


Event = Started | Stepped | Evaluated | Saved | Finished
"""Everything that `fit` yields."""
