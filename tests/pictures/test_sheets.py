"""Where every pixel goes, found again by counting; captions by measuring; files by decoding."""

from __future__ import annotations

import base64
import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate import pictures
from striate.pictures.colors import ACCENT, ACCENT_ON_DARK, INK, PAPER
from striate.pictures.words import LINE_HEIGHT, width, wrapped, written

RED, BLUE = (200, 0, 0), (0, 0, 200)


def noise(rows: int, columns: int, seed: int = 0) -> pictures.Picture:
    return np.random.default_rng(seed).integers(0, 200, (rows, columns, 3), np.uint8)


def test_enlarging_repeats_pixels() -> None:
    small = noise(3, 5)
    large = pictures.enlarge(small, 4)
    for row in range(12):
        for column in range(20):
            assert large[row, column].tolist() == small[row // 4, column // 4].tolist()
    np.testing.assert_array_equal(large, np.array(Image.fromarray(small).resize((20, 12), Image.Resampling.NEAREST)))
    with pytest.raises(ValueError, match="whole number"):
        pictures.enlarge(small, 0)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), st.integers(1, 300))
def test_the_whole_factor_is_the_largest_that_fits(rows: int, columns: int, high: int, wide: int) -> None:
    factor = pictures.whole_factor((rows, columns), (high, wide))
    assert factor == 1 or (rows * factor <= high and columns * factor <= wide)
    assert rows * (factor + 1) > high or columns * (factor + 1) > wide


@pytest.mark.parametrize(("count", "columns", "gutter"), [(1, 1, 2), (5, 3, 2), (6, 3, 0), (7, 10, 5)])
def test_grid_cells_are_where_they_belong(count: int, columns: int, gutter: int) -> None:
    images = [noise(4, 6, seed) for seed in range(count)]
    sheet = pictures.grid(images, columns, gutter=gutter)
    expected = np.full_like(sheet, 0)
    expected[:] = PAPER
    for i, image in enumerate(images):
        for r in range(4):
            for c in range(6):
                expected[(i // columns) * (4 + gutter) + r, (i % columns) * (6 + gutter) + c] = image[r, c]
    np.testing.assert_array_equal(sheet, expected)


def test_plates_have_nine_cells_and_gutters_of_two() -> None:
    sheet = pictures.plate([pictures.blank(10, 12, RED)] * 9)
    assert sheet.shape == (34, 40, 3)
    gutter_rows = [r for r in range(34) if (sheet[r] == PAPER).all()]
    gutter_columns = [c for c in range(40) if (sheet[:, c] == PAPER).all()]
    assert gutter_rows == [10, 11, 22, 23]
    assert gutter_columns == [12, 13, 26, 27]
    five = pictures.plate([pictures.blank(10, 12, RED)] * 5)
    assert five.shape == sheet.shape
    assert (five[24:] == PAPER).all()
    with pytest.raises(ValueError, match="nine"):
        pictures.plate([pictures.blank(1, 1)] * 10)


def test_a_dead_plate_is_as_large_and_says_so() -> None:
    plate = pictures.dead_plate(20, 30)
    assert plate.shape == pictures.plate([pictures.blank(20, 30)] * 9).shape
    assert (plate[1:-1, 1:-1] != PAPER).any(), "the word stands in it"
    assert (pictures.dead_plate(2, 2)[1:-1, 1:-1] == PAPER).all(), "too small for a word: empty"


def test_grids_refuse_what_has_no_cell() -> None:
    with pytest.raises(ValueError, match="of one size"):
        pictures.grid([noise(2, 2), noise(2, 3)], 2)
    with pytest.raises(ValueError, match="at least one"):
        pictures.grid([], 2)
    with pytest.raises(ValueError, match="does not fit"):
        pictures.centred(noise(5, 5), 4, 9)


def test_contact_sheets_have_one_caption_line_under_each_cell() -> None:
    sheet = pictures.contact_sheet(
        [pictures.blank(10, 10, RED), pictures.blank(7, 3, BLUE)], ["a", "b"], cell=(30, 40), columns=2, gutter=4
    )
    assert sheet.shape == (30 + LINE_HEIGHT + 16, 84 + 16, 3)
    assert (sheet[[0, 7, -8, -1]] == PAPER).all(), "a margin of twice the gutter"
    assert (sheet[:, [0, 7, -8, -1]] == PAPER).all()
    red = np.argwhere((sheet == RED).all(-1))
    assert red.min(0).tolist() == [8, 8], "the picture begins where its caption begins"
    assert red.max(0).tolist() == [37, 37]
    blue = np.argwhere((sheet == BLUE).all(-1))
    assert blue.max(0).tolist() == [37, 8 + 44 + 11], "and stands on it"
    assert (blue.max(0) - blue.min(0) + 1).tolist() == [28, 12], "four times 7x3 is the largest that fits 30x40"
    ink = np.argwhere((sheet.astype(int).sum(-1) < 300) & (sheet != RED).any(-1) & (sheet != BLUE).any(-1))
    assert ink[:, 0].min() >= 38, "captions stand under the cells only"
    with pytest.raises(ValueError, match="one caption"):
        pictures.contact_sheet([noise(2, 2)], [])


@given(st.text(min_size=1, max_size=60), st.integers(1, 60))
def test_captions_are_cut_in_the_middle(text: str, room: int) -> None:
    words = " ".join(text.split())
    short = pictures.shortened(text, room, measure=len)
    assert len(short) <= room
    if short != words:
        assert len(short) == room, "no more is cut than must be"
        begin, end = short[: -(-(room - 1) // 2)], short[-((room - 1) // 2) :] if room > 2 else ""
        assert words.startswith(begin)
        assert words.endswith(end)
        assert short == f"{begin}…{end}"


def test_a_caption_fits_its_pixels() -> None:
    name = "sunflowers/5951665793_8ae4807cbd_n.jpg"
    short = pictures.shortened(name, 100)
    assert width(short) <= 100 < width(name)
    assert written(short, INK).shape == (LINE_HEIGHT, width(short), 3)
    assert (written("Ag", INK) != PAPER).any()


@pytest.mark.parametrize("box", [(2, 3, 5, 9), (-2, -1, 3, 3), (6, 8, 12, 14), (-3, -3, 12, 14)])
@pytest.mark.parametrize("factor", [1, 3])
def test_receptive_field_boxes(box: pictures.Box, factor: int) -> None:
    image = noise(8, 10)
    sheet = pictures.receptive_field(image, box, factor, ACCENT)
    top, left, bottom, right = box
    above, before = max(0, 2 - top * factor), max(0, 2 - left * factor)
    for row in range(sheet.shape[0]):
        for column in range(sheet.shape[1]):
            y, x = row - above, column - before
            in_field = y in range(top * factor, bottom * factor) and x in range(left * factor, right * factor)
            near = y in range(top * factor - 2, bottom * factor + 2) and x in range(
                left * factor - 2, right * factor + 2
            )
            in_image = y in range(8 * factor) and x in range(10 * factor)
            found = tuple(sheet[row, column].tolist())
            if near and not in_field:
                assert found == ACCENT
            elif in_image:
                assert found == tuple(image[y // factor, x // factor].tolist())
            elif in_field:
                assert found in {ACCENT, PAPER}
            else:
                assert found == PAPER
    assert sheet.shape[0] == above + max(8 * factor, bottom * factor + 2), "no more paper than is needed"
    assert sheet.shape[1] == before + max(10 * factor, right * factor + 2)


def test_the_box_can_be_seen_on_dark_and_on_light_images() -> None:
    for level, color in ((20, ACCENT_ON_DARK), (230, ACCENT)):
        sheet = pictures.receptive_field(pictures.blank(8, 8, (level, level, level)), (0, 0, 5, 5))
        assert {tuple(c) for c in sheet.reshape(-1, 3).tolist()} == {(level, level, level), color, PAPER}


@pytest.mark.parametrize(("rows", "columns", "divisor"), [(6, 9, 3), (7, 10, 3), (1, 9, 2), (4, 4, 1)])
def test_reducing_takes_means(rows: int, columns: int, divisor: int) -> None:
    image = noise(rows, columns)
    small = pictures.reduced(image, divisor)
    assert small.shape == (max(1, rows // divisor), max(1, columns // divisor), 3)
    for r in range(small.shape[0]):
        for c in range(small.shape[1]):
            block = image[r * divisor : (r + 1) * divisor, c * divisor : (c + 1) * divisor].astype(float)
            assert np.abs(small[r, c] - block.mean((0, 1))).max() <= 0.5
    with pytest.raises(ValueError, match="whole number"):
        pictures.reduced(image, 0)


def test_png_holds_exactly_these_pixels_and_is_the_same_every_time() -> None:
    for image in (noise(7, 9), pictures.gray(np.arange(63, dtype=np.uint8).reshape(7, 9))):
        encoded = pictures.to_png(image)
        assert encoded == pictures.to_png(image.copy())
        np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(encoded)).convert("RGB")), image)
        kind, payload = pictures.data_uri(image).split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(payload) == encoded


def test_color_bars_are_made_of_one_row() -> None:
    row = pictures.diverging(np.linspace(-1, 1, 9)[None])
    bar = pictures.color_bar(row, 5)
    assert bar.shape == (5, 9, 3)
    assert (bar == row).all()
    with pytest.raises(ValueError, match="one row"):
        pictures.color_bar(bar)


@given(st.text("ab_./ -", max_size=60), st.integers(1, 20))
def test_wrapped_lines_hold_everything_and_are_as_long_as_they_can_be(text: str, room: int) -> None:
    lines = wrapped(text, room, measure=len)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(len(line) <= room for line in lines)
    words = text.split()
    if all(len(word) <= room for word in words):
        assert " ".join(lines) == " ".join(words)
        for line, after in itertools.pairwise(lines):
            assert len(f"{line} {after.split()[0]}") > room
