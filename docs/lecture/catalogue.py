"""Every picture of the lecture: its file and what draws it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lecture import learning, reasons, seeing, testing, visualization
from lecture.studies import IMAGE, Study, command
from striate.report.canvas import Canvas
from striate.report.plots import Plot

COMMANDS: dict[str, str] = {
    "fields.png": f"striate fields runs/lecture --image {IMAGE} --out fields.png",
    "filters.png": "striate filters runs/lecture --out filters.png",
}
"""Pictures that commands make themselves."""

SHEETS: dict[str, Callable[[Study], Canvas]] = {
    "shuffled.png": seeing.shuffled,
    "feature-maps.png": seeing.feature_maps,
    "strides.png": seeing.strides,
    "pooling.png": seeing.pooling,
    "vanilla.png": seeing.vanilla,
    "dropout.png": learning.dropout,
    "convolution.png": reasons.convolution,
    "equivariance.png": reasons.equivariance,
    "atlas.png": visualization.atlas,
}

PLOTS: tuple[Callable[[Study], Plot], ...] = (
    learning.activations,
    learning.slopes,
    learning.gradients,
    reasons.sharing,
    testing.claim,
)
"""Each is saved under its name, with its numbers as JSON beside it."""


def draw(folder: Path, study: Study) -> None:
    """Writes all of them into a folder that exists."""
    for name, words in COMMANDS.items():
        command(words, study.place)
        shutil.copyfile(study.place / name, folder / name)
    for name, sheet in SHEETS.items():
        sheet(study).save(folder / name, margin=16)
    for plot in PLOTS:
        plot(study).save_png(folder)
    learning.ann(study, folder / "ann.svg")
