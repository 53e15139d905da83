"""What the lecture's pictures are drawn from: one small run, made by the page's first command, and one image."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from striate import Network, Recipe, data, inside, train
from striate.data import DataSet
from striate.model import Model
from striate.pictures import Picture, photograph
from striate.train.runs import Run

TRAIN = "striate train digits --net vanilla --epochs 4 --out runs/lecture"
"""The first command of the page."""

IMAGE = "test:17"
"""The image that every picture shows."""


@final
@dataclass(frozen=True, eq=False)
class Study:
    """The run, its data and the image.

    Attributes:
        place: the folder in which the page's commands are run.
        digits, run, model: what was learned from, and what was learned.
        pixels: the image, uint8 (1, 28, 28).
        seen: layer -> its activations for the image, (units, rows, columns) or (units,).
    """

    place: Path
    digits: DataSet
    run: Run
    model: Model
    pixels: np.ndarray
    seen: dict[str, np.ndarray]

    @classmethod
    def made(cls, place: Path) -> Study:
        """Trains in `place`."""
        command(TRAIN, place)
        digits = data.load("digits")
        run = Run.open(place / "runs" / "lecture")
        model = run.model()
        pixels = digits.test.images[int(IMAGE.removeprefix("test:"))]
        found = inside.activations(model, torch.from_numpy(pixels.copy())[None])
        return cls(place, digits, run, model, pixels, {name: values[0].numpy() for name, values in found.items()})

    @property
    def image(self) -> Picture:
        """The image as a picture."""
        return photograph(self.pixels)

    @property
    def conv1(self) -> nn.Conv2d:
        """The first layer."""
        layer = self.model.module.get_submodule("conv1")
        assert isinstance(layer, nn.Conv2d)
        return layer

    @property
    def x(self) -> Tensor:
        """The image as the network takes it, float32 (1, 1, 28, 28)."""
        return self.normalized(self.pixels)

    def normalized(self, pixels: np.ndarray) -> Tensor:
        """An image as the network takes it, as a batch of one."""
        return self.model.preprocessing.normalize(torch.tensor(pixels)[None])

    def strongest(self, layer: str, count: int) -> list[int]:
        """The units of a layer with the greatest activations, strongest first."""
        peaks = self.seen[layer].reshape(len(self.seen[layer]), -1).max(1)
        return np.argsort(-peaks, kind="stable")[:count].tolist()


def command(words: str, place: Path) -> None:
    """Runs a command of the page in a folder."""
    subprocess.run([sys.executable, "-m", *shlex.split(words)], cwd=place, check=True, capture_output=True)


def regression(place: Path) -> Run:
    """The 3-4-4-1 network of the lecture, fitted to x₁x₂ + x₃ as on the page."""
    x = np.random.default_rng(0).uniform(-1, 1, (1000, 3))
    table = data.table(x, x[:, 0] * x[:, 1] + x[:, 2])
    recipe = Recipe(epochs=30, batch_size=32, learning_rate=0.03, loss="mean-squared-error", label_smoothing=0.0)
    return train.run(Network.preset("ann"), table, recipe, out=place / "runs" / "ann")
