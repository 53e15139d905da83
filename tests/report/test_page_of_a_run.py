"""What the page of a run draws and counts, found a second way: from the run's lines, its answers, and its network."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from striate.data import Split
from striate.network import Network
from striate.pictures.colors import ACCENT_ON_DARK
from striate.report import evaluation_pictures, training_report
from striate.report.architecture import fields, sentences
from striate.report.mistakes import confused_pairs
from striate.report.numbers import count
from striate.train.evaluation import summarize

if TYPE_CHECKING:
    from tests.report.conftest import Trained

    from striate.train.evaluation import Evaluation

MANY = 40
"""Classes: too many for a bar each."""


def guessed(n: int, classes: int) -> tuple[Evaluation, Split]:
    """Answers drawn at random, leaning to what is right, and black images of one pixel."""
    draw = np.random.default_rng(1)
    labels = np.sort(np.arange(n) % classes)
    scores = draw.normal(size=(n, classes)) + 2 * (labels[:, None] == np.arange(classes))
    logarithms = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    found = summarize(logarithms.astype(np.float32), labels, tuple(f"class {k:02}" for k in range(classes)))
    return found, Split(np.zeros((n, 3, 12, 12), np.uint8), labels, [f"{k}.png" for k in range(n)])


def test_curves_stand_where_their_steps_and_epochs_end(trained: Trained, tmp_path: Path) -> None:
    training_report(trained.run, trained.evaluation, trained.data, tmp_path)
    training, validation = json.loads((tmp_path / "plots" / "loss.json").read_text())["lines"]
    assert training["x"] == pytest.approx([(step + 1) / 3 for step in range(6)]), "90 images, 30 a step, two epochs"
    assert validation["x"] == [1, 2]


def test_of_many_classes_the_ten_found_least_are_listed(trained: Trained, tmp_path: Path) -> None:
    evaluation, test = guessed(25 * MANY, MANY)
    data = replace(trained.data, classes=evaluation.classes, test=test)
    text = training_report(trained.run, evaluation, data, tmp_path).read_text()
    listed = re.findall(r'<tr><th scope="row">(class \d\d)</th>', text)
    found = dict.fromkeys(evaluation.classes, 0)
    for label, called in zip(test.labels, evaluation.predicted, strict=True):
        found[evaluation.classes[label]] += int(label == called)
    assert listed == sorted(found, key=lambda name: (found[name], name))[:10]


def test_the_share_of_the_largest_class_stands_beside_the_accuracy(trained: Trained, tmp_path: Path) -> None:
    evaluation, test = guessed(10, 3)
    data = replace(trained.data, classes=evaluation.classes, test=test)
    text = re.sub(r"\s+", " ", training_report(trained.run, evaluation, data, tmp_path).read_text())
    assert "naming the most frequent class would give 40%." in text, "4, 3 and 3 of 10"


def test_calibration_is_counted_as_by_hand(tmp_path: Path) -> None:
    evaluation, test = guessed(600, 3)
    evaluation_pictures(evaluation, test, evaluation.classes, tmp_path)
    told = json.loads((tmp_path / "calibration.json").read_text())["bins"]
    right = test.labels == evaluation.predicted
    counted: dict[int, list[bool]] = {}
    for probability, is_right in zip(evaluation.probability.tolist(), right.tolist(), strict=True):
        counted.setdefault(int(np.ceil(probability * 15)), []).append(is_right)
    assert [(one["images"], one["right"]) for one in told] == [
        (len(found), sum(found)) for _, found in sorted(counted.items())
    ]


def test_a_pair_is_counted_out_of_the_images_of_its_true_class() -> None:
    evaluation, test = guessed(100, 3)
    pairs = confused_pairs(evaluation, test)
    assert pairs
    for pair in pairs:
        true, called = (evaluation.classes.index(name) for name in (pair.true, pair.predicted))
        assert pair.of == sum(label == true for label in test.labels)
        taken = [k for k in range(100) if test.labels[k] == true and evaluation.predicted[k] == called]
        assert pair.count == len(taken)


def test_fields_are_drawn_where_a_disturbed_pixel_is_seen() -> None:
    network = Network.parse("input 1x24x24, conv 2 3x3 stride=2 pad=1, relu, conv 2 3x3, dense 2")
    module = network.build().double()
    for weight in module.parameters():
        nn.init.ones_(weight)
    for seen in fields(network.describe(), np.zeros((1, 24, 24), np.uint8)):
        image = torch.zeros(1, 1, 24, 24, dtype=torch.float64, requires_grad=True)
        maps = module[: [name for name, _ in module.named_children()].index(seen.layer) + 1](image)
        maps[0, 0, (maps.shape[2] - 1) // 2, (maps.shape[3] - 1) // 2].backward()  # of two the first
        assert image.grad is not None
        rows, columns = (np.flatnonzero(image.grad[0, 0].abs().sum(axis).numpy()) for axis in (1, 0))
        drawn = np.array(Image.open(io.BytesIO(base64.b64decode(seen.shown.uri.partition(",")[2]))).convert("RGB"))
        lines = np.argwhere((drawn == ACCENT_ON_DARK).all(2))
        factor = drawn.shape[0] // 24
        inside = [lines.min(0) + 2, lines.max(0) + 1 - 2]  # a line is two pixels wide, and stands around the field
        assert inside[0].tolist() == [rows[0] * factor, columns[0] * factor]
        assert inside[1].tolist() == [(rows[-1] + 1) * factor, (columns[-1] + 1) * factor]
        assert seen.line.startswith(f"{len(rows)}×{len(columns)}, ")


def test_what_is_saved_is_told_against_fully_connected_layers() -> None:
    said = " ".join(sentences(Network.parse("input 1x8x8, conv 2 5x5, dense 10").describe()))
    own, dense = 2 * 26 + 10 * (2 * 16 + 1), 2 * 16 * 65 + 10 * 33
    assert f"learn {count(own)} numbers" in said
    assert f"they would be {count(dense)}, {dense / own:.2f} times as many" in said
    assert f"Thirty hidden units that each see all 64 inputs need {count(30 * 65)}" in said
