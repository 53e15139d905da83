"""Where a classifier fails, as pictures: the classes it confuses most, and the images with the highest loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from striate import files, pictures
from striate.data.findings import escaped
from striate.pictures.words import width
from striate.report import numbers, plots
from striate.report.page import Cell, Shown, shown

if TYPE_CHECKING:
    from striate.data import Split
    from striate.train.evaluation import ConfusedPair, Evaluation, Hard

PAIRS, IMAGES_OF_A_PAIR, HARDEST = 8, 7, 24
"""How many pairs, images of each pair, and images with the highest loss are shown; the JSON files hold all."""

LARGEST = CELL = 128
"""Pixels: images with a longer side are shown reduced by a whole number, smaller ones enlarged by one."""

CELL_OF_A_PAIR = 72
"""CSS pixels on the page for an image of a confused pair."""


@final
@dataclass(frozen=True)
class Pair:
    """One kind of mistake: what was taken for what, how often, out of how many, and some of the images."""

    true: str
    predicted: str
    count: int
    of: int
    images: tuple[Shown, ...]


def confused_pairs(evaluation: Evaluation, split: Split) -> list[Pair]:
    """The most frequent mistakes with their images, the most certain first, for a page."""
    return [_pair(evaluation, pair, split) for pair in evaluation.confused[:PAIRS]]


def hardest(evaluation: Evaluation, split: Split) -> list[Cell]:
    """The misclassified or barely classified images with the highest loss, for a page."""
    return [_cell(evaluation, hard, split) for hard in evaluation.hardest[:HARDEST]]


def calibration_bins(evaluation: Evaluation) -> list[tuple[float, int, int]]:
    """The bins as `plots.calibration` takes them: mean confidence, images, how many of them right."""
    return [(b.confidence, b.count, round(b.accuracy * b.count)) for b in evaluation.calibration]


def evaluation_pictures(evaluation: Evaluation, split: Split, classes: Sequence[str], out: Path | str) -> list[Path]:
    """Writes confusion.png, calibration.svg, and where there are mistakes to show confused.png and losses.png, each
    with the numbers it was drawn from in a .json beside it.

    Arguments:
        evaluation: of the split.
        split: uint8 images (n, channels, rows, columns), in the evaluation's order.
        classes: names in the order of the labels.
        out: the folder.

    Returns: the pictures that were written.
    """
    folder = Path(out)
    written = [
        plots.confusion("confusion", evaluation.confusion, classes).save_png(folder),
        plots.calibration("calibration", calibration_bins(evaluation)).save_svg(folder),
    ]
    if evaluation.confused:
        data = [_as_json(evaluation, pair, split) for pair in evaluation.confused]
        written.append(_save(folder / "confused.png", _confused_sheet(evaluation, classes, split), data))
    data = [_hard_as_json(evaluation, hard, split) for hard in evaluation.hardest]
    return [*written, _save(folder / "losses.png", _hardest_sheet(evaluation, classes, split), data)]


def picture(split: Split, index: int) -> pictures.Picture:
    """One image of the split, reduced by a whole number where it is larger than LARGEST."""
    whole = pictures.photograph(np.asarray(split.images[index]))
    return pictures.reduced(whole, -(-max(whole.shape[:2]) // LARGEST))


def _pair(evaluation: Evaluation, pair: ConfusedPair, split: Split) -> Pair:
    true, predicted = evaluation.classes[pair.true], evaluation.classes[pair.predicted]
    images = tuple(
        shown(picture(split, index), f"{escaped(split.sources[index])}: {true}, taken for {predicted}", CELL_OF_A_PAIR)
        for index in pair.indices[:IMAGES_OF_A_PAIR]
    )
    return Pair(true, predicted, pair.count, int(evaluation.confusion[pair.true].sum()), images)


def _cell(evaluation: Evaluation, hard: Hard, split: Split) -> Cell:
    true, predicted = evaluation.classes[hard.true], evaluation.classes[hard.predicted]
    source, loss = escaped(split.sources[hard.index]), numbers.number(hard.loss)
    drawn = shown(picture(split, hard.index), f"{source}: {true}, called {predicted}", CELL)
    line = f"{numbers.percent(hard.probability)}, loss {loss}"
    return Cell(drawn, taken_for(true, predicted), line, f"{source}: {true}, called {predicted}")


def taken_for(true: str, predicted: str) -> str:
    """`true → predicted` in at most `CELL` pixels: where it is longer, the longer names are shortened.

    Example:
        >>> taken_for("4", "9")
        '4 → 9'
        >>> taken_for("lesser spotted woodpecker", "rose")
        'lesser…ecker → rose'
    """
    arrow = " → "
    names = CELL - width(arrow)
    left = max(names // 2, names - width(predicted))  # a name shorter than its half leaves the rest to the other
    right = max(names // 2, names - width(true))
    return f"{pictures.shortened(true, left)}{arrow}{pictures.shortened(predicted, right)}"


def _confused_sheet(evaluation: Evaluation, classes: Sequence[str], split: Split) -> pictures.Picture:
    """A row for each pair."""
    nothing = (pictures.blank(1, 1), "")
    cells = [
        (picture(split, pair.indices[place]), taken_for(classes[pair.true], classes[pair.predicted]))
        if place < len(pair.indices)
        else nothing
        for pair in evaluation.confused[:PAIRS]
        for place in range(IMAGES_OF_A_PAIR)
    ]
    return _sheet([image for image, _ in cells], [caption for _, caption in cells], IMAGES_OF_A_PAIR)


def _hardest_sheet(evaluation: Evaluation, classes: Sequence[str], split: Split) -> pictures.Picture:
    chosen = evaluation.hardest[:HARDEST]
    captions = [taken_for(classes[hard.true], classes[hard.predicted]) for hard in chosen]
    return _sheet([picture(split, hard.index) for hard in chosen], captions, 8)


def _sheet(images: Sequence[pictures.Picture], captions: Sequence[str], columns: int) -> pictures.Picture:
    return pictures.contact_sheet(images, captions, cell=(CELL, CELL), columns=columns)


def _as_json(evaluation: Evaluation, pair: ConfusedPair, split: Split) -> dict[str, object]:
    return {
        "true": evaluation.classes[pair.true],
        "predicted": evaluation.classes[pair.predicted],
        "count": pair.count,
        "indices": list(pair.indices),
        "sources": [escaped(split.sources[index]) for index in pair.indices],
    }


def _hard_as_json(evaluation: Evaluation, hard: Hard, split: Split) -> dict[str, object]:
    return {
        "index": hard.index,
        "source": escaped(split.sources[hard.index]),
        "true": evaluation.classes[hard.true],
        "predicted": evaluation.classes[hard.predicted],
        "probability": hard.probability,
        "loss": hard.loss,
    }


def _save(path: Path, drawn: pictures.Picture, data: list[dict[str, object]]) -> Path:
    pictures.write_png(path, drawn)
    files.write_json(path.with_suffix(".json"), data)
    return path
