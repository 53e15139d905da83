"""A data set, a network and recipes that train in milliseconds, for the tests of this folder and their subprocess."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate.data import DataSet, Findings, Split
from striate.network import Network
from striate.train import Run, checkpoint, run
from striate.train.engine import Engine
from striate.train.events import Stepped
from striate.train.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from striate.train.events import Event

ENGINE = Engine(device="cpu", precision="float32", channels_last=True, threads=1, keep_memory=False)
NETWORK = Network.parse("input 1x8x8, conv 4 3x3, batchnorm, relu, maxpool 2x2, dropout 0.3, dense 3")


def squares(images: int = 96, seed: int = 0) -> DataSet:
    """Three classes of noisy 8x8 images: a bright square at the top left, in the middle, at the bottom right."""
    rng = np.random.default_rng(seed)

    def split(count: int) -> Split:
        labels = rng.permutation(np.arange(count) % 3).astype(np.int64)
        pixels = rng.integers(0, 140, (count, 1, 8, 8), dtype=np.uint8)
        for image, label in zip(pixels, labels, strict=True):
            at = 2 * int(label) + 1
            image[0, at : at + 3, at : at + 3] += 100
        return Split(pixels, labels, tuple(f"square[{i}]" for i in range(count)))

    parts = split(images), split(30), split(30)
    return DataSet(
        "squares", ("top", "middle", "bottom"), *parts, Findings(images=images + 60), f"squares{images}/{seed}"
    )


def recipe(**values: object) -> Recipe:
    """Three epochs of six steps with everything that has a state: averages, dropout, augmentation, momentum."""
    settings = {"epochs": 3, "batch_size": 16, "ema": 0.9, "learning_rate": 0.01, "precision": "float32"}
    return Recipe.parse(settings | values)


def steady(metrics: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without the times, which no run repeats."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


DATA = squares()


def trained(out: Path, **values: object) -> Run:
    """A finished run of `NETWORK` on `DATA`."""
    return run(NETWORK, DATA, recipe(**values), out=out, engine=ENGINE)


def tensors_equal(a: Run, b: Run) -> bool:
    """Whether the last checkpoints of two runs hold the same numbers, bit by bit."""
    ours, theirs = (checkpoint.read(r.checkpoint("last"))[0] for r in (a, b))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def stop_with_ctrl_c(at: int) -> Callable[[Event], None]:
    """A consumer of events that presses Ctrl-C once, at the so-many-th step."""
    seen = 0

    def watch(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, Stepped)
        if seen == at:
            seen += 1
            raise KeyboardInterrupt

    return watch
