"""Plates of receptive fields: their captions are read off what is written, and off the paper around it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from striate import Network, pictures
from striate.inside import receptive_fields
from striate.inside.receptive.fields import ReceptiveField
from striate.pictures.colors import PAPER
from striate.report.canvas import DENSITY, Canvas
from striate.report.plates import GAP, MARGIN, PLATE, PLATES, alike, field_sheet

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
