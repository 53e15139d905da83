"""The words and numbers on the sheet of one image, against the module's own answers; the image is no square."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from striate.inside.studies.looking import Looked, look
from striate.model import Model
from striate.report.canvas import Canvas
from striate.report.look_sheet import sheet
from striate.report.numbers import number, percent

CLASSES = ("agave", "rose", "tulip")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, 12, 20), np.uint8)


@pytest.fixture(scope="module")
def model(image: np.ndarray) -> Model:
    """One that is torn between its classes, so that a square over the image decides."""
    torch.manual_seed(0)
    last = nn.Linear(4 * 10 * 18, 3)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), last)
    with torch.no_grad():
        last.bias += torch.tensor([0.01, 0.0, 0.02]) - module(torch.from_numpy(image[None] / np.float32(255)))[0]
    return Model.foreign(module, (1, 12, 20), classes=CLASSES)


@pytest.fixture(scope="module")
def looked(model: Model, image: np.ndarray) -> Looked:
    return look(model, image)


@pytest.fixture
def written(looked: Looked, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every line of the sheet, in the order of writing."""
    lines: list[str] = []
    write = Canvas.text

    def kept(canvas: Canvas, x: float, y: float, words: str, **how: object) -> float:
        lines.append(words)
        return write(canvas, x, y, words, **how)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Canvas, "text", kept)
    sheet(looked)
    return lines


def test_classes_stand_with_their_probabilities_the_most_probable_first(
    model: Model, image: np.ndarray, written: list[str]
) -> None:
    shares = dict(zip(CLASSES, model.predict(image[None])[0].tolist(), strict=True))
    begin = written.index("Prediction") + 1
    expected = [
        word for name in sorted(CLASSES, key=lambda name: -shares[name]) for word in (name, percent(shares[name]))
    ]
    assert written[begin : begin + 6] == expected


def test_each_label_stands_with_its_share_of_the_places(looked: Looked, written: list[str]) -> None:
    assert looked.occlusion is not None
    labels = looked.occlusion.label.ravel().tolist()
    begin = written.index("Most probable class") + 1
    told = dict(zip(written[begin + 1 :: 2], written[begin::2], strict=False))
    assert len(set(labels)) > 1
    for label in set(labels):
        assert told[CLASSES[label]] == percent(labels.count(label) / len(labels))


def test_the_strongest_units_stand_with_their_maxima_and_where_these_are(
    model: Model, image: np.ndarray, looked: Looked, written: list[str]
) -> None:
    with torch.no_grad():
        first = next(model.module.children())
        maps = first(torch.from_numpy(image[None] / np.float32(255)))[0].relu().numpy()
    order = [unit for unit in sorted(range(4), key=lambda unit: -maps[unit].max()) if maps[unit].max() > 0]
    captions = [line for line in written if " at (" in line]
    assert len(captions) > 1
    for unit, caption in zip(order, captions, strict=True):
        row, column = np.unravel_index(maps[unit].argmax(), maps[unit].shape)
        assert caption == f"{unit}: {number(float(maps[unit].max()))} at ({row}, {column})"
        assert looked.responses["0"].box(unit) == (row, column, row + 3, column + 3)
