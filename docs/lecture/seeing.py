"""What a convolution sees and makes: feature maps, strides, pooling, and the whole vanilla network for one image."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from lecture.studies import Study
from striate import pictures
from striate.inside.studies.transforms import transformed
from striate.pictures import Picture
from striate.pictures.colors import MUTED
from striate.report.canvas import Canvas
from striate.report.numbers import count, percent

MARGIN = 16
CELL = 168
PIXEL = 3
"""CSS pixels of a position in the picture of the whole network."""


def shuffled(study: Study) -> Canvas:
    """The image and its pixels in another fixed order, each with the same filter's feature map."""
    (unit,) = study.strongest("conv1", 1)
    order = np.random.default_rng(0).permutation(study.pixels.size)
    canvas = Canvas(2 * MARGIN + 4 * CELL + 3 * 24)
    for place, (words, pixels) in enumerate(
        (("the image", study.pixels), ("its pixels in another order", study.pixels.ravel()[order].reshape(1, 28, 28)))
    ):
        with torch.no_grad():
            maps = study.conv1(study.normalized(pixels))
        x = MARGIN + 2 * place * (CELL + 24)
        canvas.picture(x, MARGIN, pictures.photograph(pixels), CELL)
        canvas.text(x, MARGIN + CELL + 2, words, color=MUTED)
        canvas.picture(x + CELL + 24, MARGIN, pictures.diverging(maps[0, unit].numpy()), CELL)
        canvas.text(x + CELL + 24, MARGIN + CELL + 2, f"feature map {unit} of it", color=MUTED)
    return canvas


def feature_maps(study: Study) -> Canvas:
    """One image, three filters, three feature maps before the activation."""
    units = study.strongest("conv1", 3)
    canvas = Canvas(2 * (MARGIN + CELL + 40) + 80)
    weights = study.conv1.weight.detach().numpy()
    rows = study.seen["conv1"].shape[1]
    canvas.picture(MARGIN, MARGIN + CELL + 26, study.image, CELL)
    canvas.text(MARGIN, MARGIN + 2 * CELL + 28, "the image, 28×28", color=MUTED)
    for place, unit in enumerate(units):
        y = MARGIN + place * (CELL + 26)
        x = MARGIN + CELL + 40
        canvas.picture(x, y + 44, pictures.diverging(weights[unit, 0], "BrBG"), 80)
        canvas.text(x, y + 44 + 82, f"filter {unit}, 5×5", color=MUTED)
        x += 80 + 40
        canvas.picture(x, y, pictures.diverging(study.seen["conv1"][unit]), CELL)
        canvas.text(x, y + CELL, f"feature map {unit}, {rows}×{rows}", color=MUTED)
    return canvas


def strides(study: Study) -> Canvas:
    """The feature map of one filter at stride 1, 2 and 3."""
    (unit,) = study.strongest("conv1", 1)
    layer = study.conv1
    limit = float(np.abs(study.seen["conv1"][unit]).max())
    canvas = Canvas(2 * MARGIN + 3 * CELL + 48)
    for place, stride in enumerate((1, 2, 3)):
        with torch.no_grad():
            made = functional.conv2d(study.x, layer.weight, layer.bias, stride)
        drawn = pictures.diverging(made[0, unit].numpy(), limit=limit)
        x = MARGIN + place * (CELL + 24)
        canvas.picture(x, MARGIN, drawn, CELL)
        canvas.text(x, MARGIN + CELL + 2, f"stride {stride}: {len(drawn)}×{len(drawn)}", color=MUTED)
    return canvas


def pooling(study: Study) -> Canvas:
    """A feature map, pooled by maximum and by mean; and by how much each changes when images move by one pixel."""
    (unit,) = study.strongest("relu1", 1)
    canvas = Canvas(2 * MARGIN + 3 * CELL + 48)
    changes = _changes(study)
    for place, (name, maps) in enumerate(_pooled(study, study.x).items()):
        values = maps[0, unit].numpy()
        x = MARGIN + place * (CELL + 24)
        canvas.picture(x, MARGIN, pictures.gray(values), CELL)
        y = canvas.text(x, MARGIN + CELL + 2, f"{name}, {len(values)}×{len(values)}")
        canvas.text(x, y, f"shift by 1 px: {percent(changes[name], 100)} change", color=MUTED, room=CELL + 16)
    return canvas


def _changes(study: Study) -> dict[str, float]:
    """|f(moved x) − f(x)| / |f(x)| of all maps over a hundred test images, moved to the right."""
    x = study.model.preprocessing.normalize(torch.from_numpy(study.digits.test.images[:100].copy()))
    still, moved = _pooled(study, x), _pooled(study, transformed(x, "shift_columns", 1, outside=float(x.min())))
    return {name: float((moved[name] - maps).norm() / maps.norm()) for name, maps in still.items()}


def _pooled(study: Study, x: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        maps = study.conv1(x).relu()
    return {"after ReLU": maps, "maximum": functional.max_pool2d(maps, 2), "average": functional.avg_pool2d(maps, 2)}


def vanilla(study: Study) -> Canvas:
    """The image on its way through the network: four maps of every layer, all at one scale of positions."""
    gap, room = 20, 4 * (28 * PIXEL + 8)
    stages = [("input", [study.image], "1")]
    for name in ("conv1", "relu1", "pool1", "conv2", "relu2", "pool2"):
        maps = study.seen[name]
        limit = float(np.abs(maps).max())
        draw = pictures.diverging if name.startswith("conv") else pictures.gray
        chosen = study.strongest(name.replace("conv", "relu").replace("pool", "relu"), 4)
        stages.append((name, [draw(maps[unit], limit=limit) for unit in chosen], count(len(maps))))
    canvas = Canvas(2 * MARGIN + sum(len(maps[0]) * PIXEL + gap + 18 for _, maps, _ in stages) + 200)
    x: float = MARGIN
    for name, maps, units in stages:
        side = len(maps[0])
        x = _stage(canvas, x, room, name, maps, f"{units}×{side}×{side}") + gap
    _vectors(canvas, x, room, study)
    return canvas


def _stage(canvas: Canvas, x: float, room: float, name: str, maps: list[Picture], shape: str) -> float:  # noqa: PLR0917
    """One layer as a column, centred; returns where it ends."""
    side = len(maps[0]) * PIXEL
    width = max(side, 58)
    y = MARGIN + (room - len(maps) * (side + 8)) / 2
    for drawn in maps:
        canvas.picture(x + (width - side) / 2, y, drawn, side)
        y += side + 8
    canvas.text(x, MARGIN + room + 4, name, mono=True)
    canvas.text(x, MARGIN + room + 22, shape, color=MUTED)
    return x + width


def _vectors(canvas: Canvas, x: float, room: float, study: Study) -> None:
    """The hundred units of the dense layer, and the probabilities of the ten classes."""
    hidden = pictures.gray(study.seen["relu3"].reshape(10, 10))
    canvas.picture(x, MARGIN + (room - 60) / 2, hidden, 60)
    canvas.text(x, MARGIN + room + 4, "dense1", mono=True)
    canvas.text(x, MARGIN + room + 22, "100", color=MUTED)
    x += 90
    answers = study.model.predict(study.pixels[None])[0]
    top = MARGIN + (room - 200) / 2
    for digit, share in enumerate(answers):
        y = top + 20 * digit
        canvas.text(x, y, str(digit), mono=True)
        canvas.box(x + 14, y + 6, max(1, 60 * float(share)), 8, pictures.ACCENT)
    canvas.text(x, MARGIN + room + 4, "dense2", mono=True)
    canvas.text(x, MARGIN + room + 22, "10", color=MUTED)
