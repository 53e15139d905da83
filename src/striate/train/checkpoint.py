"""Checkpoints: everything a training needs to go on as if it had never stopped, in one .safetensors file.

Tensors: `module.NAME` weights and running statistics, `average.NAME` moving averages of the weights, `optimizer.I.KEY`
the optimizer's state of parameter I, `random.DEVICE` states of the random generators, `total` the loss summed up since
the last recorded step. The metadata's one entry holds `State` as JSON. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from striate import files
from striate.errors import Failure, ModelError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from torch import Tensor

    from striate.train.workbench import Workbench

METADATA = "striate-training"
"""The metadata key under which `State` stands."""


@final
@dataclass
class State:
    """How far a training is, besides its tensors.

    Attributes:
        epoch: finished epochs, evaluation included.
        step: steps done in the running epoch.
        images: training images seen, counting repetitions.
        window: images since the last recorded step; their loss is the tensor `total`.
        epoch_loss: sum over images of the training loss in the running epoch, up to the last recorded step.
        epoch_images: how many images that sum is over.
        epoch_seconds: time spent in the running epoch.
        seconds: time spent in all.
        history: one entry per finished epoch: epoch, loss, accuracy, training_loss, best, seconds.
        best_epoch: the epoch (from 1) with the best validation score; 0 before the first.
        metrics_bytes: length of metrics.jsonl at this point.
        learning_rate: of the last step; the schedule itself depends on the step alone.
        network: the text of the network that the run began with.
        recipe: the settings that it began with, as JSON has them.
    """

    epoch: int = 0
    step: int = 0
    images: int = 0
    window: int = 0
    epoch_loss: float = 0.0
    epoch_images: int = 0
    epoch_seconds: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    best_epoch: int = 0
    metrics_bytes: int = 0
    learning_rate: float = 0.0
    network: str = ""
    recipe: dict[str, Any] = field(default_factory=dict[str, Any])

    def close_epoch(self, evaluated: dict[str, Any]) -> None:
        """Books a finished epoch, as the event `Evaluated` describes it, and begins the next."""
        self.history.append(evaluated)
        self.epoch, self.step = evaluated["epoch"], 0
        self.best_epoch = self.epoch if evaluated["best"] else self.best_epoch
        self.epoch_loss, self.epoch_images, self.epoch_seconds = 0.0, 0, 0.0


class NotFinite(Failure):
    """A weight has become infinite or not a number; nothing was written."""


def save(path: Path, bench: Workbench, state: State) -> None:
    """Writes a checkpoint atomically.

    Raises:
        NotFinite: a weight is not finite; what lies at `path` stays.
        OSError: it could not be written, a full disk for one; what lies at `path` stays.
    """
    tensors = _tensors(bench)
    broken = [name for name, t in tensors.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if broken:
        raise NotFinite(f"{broken[0]} holds a number that is infinite or not a number")
    with files.replacing(path) as draft, _system_faults():
        save_file(tensors, draft, {METADATA: json.dumps(asdict(state))})


@contextlib.contextmanager
def _system_faults() -> Generator[None]:
    """Gives what the system refused its own class again: safetensors tells a full disk in words only."""
    try:
        yield
    except SafetensorError as cause:
        number = re.search(r"os error (\d+)", str(cause))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


def restore(path: Path, bench: Workbench) -> State:
    """Loads a checkpoint into the workbench's tensors, bit by bit, and returns how far it was.

    Raises:
        ModelError: the file is missing or no checkpoint.
    """
    tensors, state = read(path)
    bench.module.load_state_dict(_below(tensors, "module."))
    if bench.averaged is not None:
        bench.averaged.load_state_dict(_below(tensors, "average."), strict=False)
    _restore_optimizer(bench.optimizer, tensors)
    bench.randomness.states = _below(tensors, "random.")
    bench.total.copy_(tensors["total"])
    return state


def read(path: Path) -> tuple[dict[str, Tensor], State]:
    """The tensors and the state of a checkpoint. Raises ModelError where the file is missing or no checkpoint."""
    with _readable(path), safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, _state(file.metadata())


def read_state(path: Path) -> State:
    """The state of a checkpoint, without its tensors. Raises ModelError as `read`."""
    with _readable(path), safe_open(path, "pt") as file:
        return _state(file.metadata())


def _state(metadata: Mapping[str, str] | None) -> State:
    return State(**json.loads((metadata or {})[METADATA]))


@contextlib.contextmanager
def _readable(path: Path) -> Generator[None]:
    try:
        yield
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as cause:
        raise ModelError(f"{path} is not a checkpoint that can be read: {cause}") from None


def judged_weights(path: Path) -> dict[str, Tensor]:
    """The weights a checkpoint would be judged by: the averaged ones where there are any. Under the module's names."""
    tensors, _ = read(path)
    return _below(tensors, "module.") | _below(tensors, "average.")


def _tensors(bench: Workbench) -> dict[str, Tensor]:
    kept = {f"module.{name}": tensor for name, tensor in bench.module.state_dict().items()}
    if bench.averaged is not None:
        kept |= {f"average.{name}": tensor.data for name, tensor in bench.averaged.named_parameters()}
    for index, values in bench.optimizer.state_dict()["state"].items():
        kept |= {f"optimizer.{index}.{key}": value for key, value in values.items() if value is not None}
    kept |= {f"random.{device}": tensor for device, tensor in bench.randomness.states.items()}
    kept["total"] = bench.total
    return {name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    described = optimizer.state_dict()
    learned = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _below(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        like = learned[int(index)]
        # The fused optimizers walk weight and state side by side in memory: both need the same strides.
        same = tensor if tensor.shape != like.shape else torch.empty_like(like).copy_(tensor)
        state.setdefault(int(index), {})[key] = same.detach()
    optimizer.load_state_dict(described | {"state": state})


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
