"""Plates of receptive fields, and sheets of filters: what stands beside them is read off what is written, and off the
picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from striate import Network, pictures
from striate.inside import receptive_fields
from striate.inside.receptive.fields import ReceptiveField
from striate.inside.studies.filters import Filters
from striate.pictures.colors import PAPER
from striate.report.canvas import DENSITY, LEADING, Canvas
from striate.report.plates import DIGIT, DIGITS, GAP, MARGIN, PLATE, PLATES, alike, field_sheet, filter_sheet

Line = tuple[float, float, str]
"""x, y and the words, as they are drawn."""


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """Every line that a canvas writes."""
    seen: list[Line] = []
    written = Canvas.text

    def text(canvas: Canvas, x: float, y: float, words: str, **how: object) -> float:
        seen.append((x, y, words))
        assert how.get("room") is None, "only a line with a `room` can be shortened"
        return written(canvas, x, y, words, **how)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Canvas, "text", text)
    return seen


def captions(lines: list[Line]) -> list[str]:
    """The names under each plate, without the spaces that lines are broken at."""
    found: list[str] = []
    names = ""
    for _, _, words in lines[2:]:  # after the title and the sentence
        if "×" in words:
            found.append(names.replace(" ", ""))
            names = ""
        else:
            names += words
    return found


def drawn(fields: Mapping[str, ReceptiveField], sides: tuple[int, int]) -> pictures.Picture:
    return field_sheet(pictures.blank(*sides, (90, 120, 90)), fields).drawn(24)


@pytest.mark.parametrize("preset", ["vanilla", "alexnet", "keras-mnist", "vgg16"])
def test_every_layer_is_named_in_full_under_its_plate(preset: str, lines: list[Line]) -> None:
    network = Network.preset(preset)
    assert network.input is not None
    found = receptive_fields(network)
    drawn(found, (network.input[1], network.input[2]))
    assert captions(lines) == [",".join(names) for names, _ in alike(found)]
    assert not any("…" in words for _, _, words in lines)


def test_long_names_take_more_lines_and_leave_the_space_between_the_plates_free(lines: list[Line]) -> None:
    fields = list(receptive_fields(Network.preset("vanilla")).values())
    long = {f"features.denseblock{k}.denselayer16.{'long' * 20}.{k}": field for k, field in enumerate(fields)}
    twice = long | {f"again.{name}": field for name, field in long.items()}
    picture = drawn(twice, (28, 28))
    assert captions(lines) == [",".join(names) for names, _ in alike(twice)]
    for column in range(PLATES):
        right = (MARGIN + column * (PLATE + GAP) + PLATE) * DENSITY
        below = picture[round(lines[2][1]) * DENSITY :, right + 8 * DENSITY : right + GAP * DENSITY]
        assert (below == PAPER).all()


def test_a_row_of_plates_starts_below_the_longest_caption_of_the_row_before(lines: list[Line]) -> None:
    found = receptive_fields(Network.preset("alexnet"))
    first, *others = found
    drawn({first + "_long" * 40: found[first]} | {name: found[name] for name in others}, (224, 224))
    second_row = min(y for _, y, words in lines if words.startswith("conv4"))
    assert second_row > max(y for _, y, words in lines if words.startswith("11×11")) + PLATE + GAP


def test_captions_stand_right_under_images_that_do_not_fill_their_plates(lines: list[Line]) -> None:
    """64x64 pixels are drawn three times as large, 192 of the 224 that a plate has."""
    picture = drawn({"conv1": receptive_fields(Network.parse("input 1x64x64, conv 4 3x3"))["conv1"]}, (64, 64))
    bottom = np.argwhere((picture == (90, 120, 90)).all(-1))[:, 0].max()
    assert 0 < lines[2][1] * DENSITY - bottom <= 6 * DENSITY


def test_many_layers_that_see_the_same_are_named_by_the_first_and_the_last(lines: list[Line]) -> None:
    field = receptive_fields(Network.preset("vanilla"))["conv1"]
    picture = drawn({f"blocks.{k}": field for k in range(300)}, (28, 28))
    assert captions(lines) == ["300layers:blocks.0toblocks.299"]
    assert np.ptp(picture) > 0


def sheet(found: Filters, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Line], pictures.Picture]:
    """Every line of a sheet of filters with where it starts, or, of a number before a row, ends; and the sheet."""
    seen: list[Line] = []
    written = Canvas.text

    def text(canvas: Canvas, x: float, y: float, words: str, **how: object) -> float:
        seen.append((x, y, words))
        return written(canvas, x, y, words, **how)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Canvas, "text", text)
    picture = filter_sheet(found, "layer").drawn(24)
    return seen, picture


def numbers(lines: list[Line], picture: pictures.Picture) -> tuple[dict[int, float], dict[int, float]]:
    """Of filters of ones: the numbers before the rows, and the middle of each; those above, and where each starts."""
    (top, left), *_ = edges = np.argwhere((picture == pictures.diverging(np.ones((1, 1)), "BrBG", 1)[0, 0]).all(-1))
    bottom = edges[:, 0].max()
    digits = [(x * DENSITY, y * DENSITY, int(words)) for x, y, words in lines if words.isdecimal()]
    rows = {k: y + LEADING * DIGITS for x, y, k in digits if x < left and top < y + LEADING * DIGITS < bottom}
    columns = {k: x for x, y, k in digits if x >= left and y < top}
    assert len(rows) + len(columns) == len(digits)
    return rows, columns


def test_rows_of_filters_have_the_numbers_of_their_units_and_blocks_of_their_channels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines, picture = sheet(Filters("conv2", np.ones((12, 7, 3, 3)), colors=False), monkeypatch)
    rows, columns = numbers(lines, picture)
    assert (list(rows), list(columns)) == (list(range(12)), list(range(7)))
    full = (picture == pictures.diverging(np.ones((1, 1)), "BrBG", 1)[0, 0]).all(-1)
    tops = np.flatnonzero(np.diff(full.any(1).astype(int)) == 1)[:12] + 1
    lefts = np.flatnonzero(np.diff(full[tops[0]].astype(int)) == 1) + 1
    high = int(full[:, lefts[0]].sum()) // 12
    assert list(rows.values()) == pytest.approx([top + high / 2 for top in tops], abs=1)
    assert list(columns.values()) == lefts.tolist()


def test_rows_too_narrow_for_numbers_have_them_at_equal_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, picture = sheet(Filters("conv3", np.ones((90, 300, 3, 3)), colors=False), monkeypatch)
    for found, count, room in zip(numbers(lines, picture), (90, 300), (DIGITS, 3 * DIGIT), strict=True):
        step = list(found)[1]
        assert list(found) == list(range(0, count, step))
        assert 1 < step < count
        assert min(np.diff(list(found.values()))) >= room * DENSITY


@pytest.mark.parametrize(
    ("shape", "groups", "said"),
    [
        ((4, 3, 3, 3), 1, "a row for each unit, a block for each input channel, numbered from 0; brown"),
        ((4, 3, 3, 3), 2, "a row for each unit, a block for each input channel of its group, numbered from 0; brown"),
        ((4, 1, 3, 3), 4, "3×3: brown below 0"),
    ],
)
def test_what_a_sheet_of_filters_says(
    shape: tuple[int, ...], groups: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, _ = sheet(Filters("conv2", np.ones(shape), colors=False, groups=groups), monkeypatch)
    assert said in " ".join(words for _, _, words in lines)
