"""Pictures made of pictures: enlargements, grids, nine-patch plates, contact sheets, receptive-field boxes.

Pixels stay hard: a picture is enlarged by a whole number, and never interpolated. Sizes are (rows, columns) in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from striate.pictures.colors import ACCENT, ACCENT_ON_DARK, INK, LINE, MUTED, PAPER, Color, Picture
from striate.pictures.words import LINE_HEIGHT, shortened, written

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels, bottom and right excluded; may reach outside the image."""

BORDER = 2
"""Pixels of a receptive-field box's line."""


def blank(rows: int, columns: int, color: Color = PAPER) -> Picture:
    """A picture of one colour."""
    return np.full((rows, columns, 3), color, np.uint8)


def enlarge(image: Picture, factor: int) -> Picture:
    """Every pixel becomes `factor` x `factor` pixels.

    Example:
        >>> enlarge(blank(2, 3), 4).shape
        (8, 12, 3)
    """
    if factor < 1:
        raise ValueError(f"a picture is enlarged by a whole number from 1, found {factor}")
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def reduced(image: Picture, divisor: int) -> Picture:
    """Every `divisor` x `divisor` pixels become their mean; what is left over below and to the right is cut off.

    Example:
        >>> reduced(blank(257, 300), 2).shape
        (128, 150, 3)
    """
    if divisor < 1:
        raise ValueError(f"a picture is reduced by a whole number from 1, found {divisor}")
    if divisor == 1:
        return image
    rows, columns = max(1, image.shape[0] // divisor), max(1, image.shape[1] // divisor)
    whole = image[: rows * divisor, : columns * divisor].astype(np.float64)
    high, wide = min(divisor, image.shape[0]), min(divisor, image.shape[1])
    return np.rint(whole.reshape(rows, high, columns, wide, 3).mean(axis=(1, 3))).astype(np.uint8)


def whole_factor(size: tuple[int, int], room: tuple[int, int]) -> int:
    """The largest whole factor at which a picture of `size` fits into `room`; 1 where it does not fit at all.

    Example:
        >>> whole_factor((28, 28), (96, 96))
        3
    """
    return max(1, min(space // side for side, space in zip(size, room, strict=True)))


def centred(image: Picture, rows: int, columns: int) -> Picture:
    """The picture in the middle of a cell of at least its own size; an odd pixel is left below and to the right."""
    if image.shape[0] > rows or image.shape[1] > columns:
        raise ValueError(f"a picture of {image.shape[0]}x{image.shape[1]} does not fit into a cell of {rows}x{columns}")
    cell = blank(rows, columns)
    top, left = (rows - image.shape[0]) // 2, (columns - image.shape[1]) // 2
    cell[top : top + image.shape[0], left : left + image.shape[1]] = image
    return cell


def grid(images: Sequence[Picture], columns: int, *, gutter: int = 2, rows: int | None = None) -> Picture:
    """Pictures of one size side by side, row after row, `gutter` pixels apart; cells without one are paper.

    Arguments:
        images: at least one; all of one size.
        columns: cells in a row.
        rows: how many rows; as many as are needed where left out.

    Example:
        >>> grid([blank(5, 5)] * 20, columns=5).shape
        (26, 33, 3)
    """
    if not images or columns < 1:
        raise ValueError("a grid needs at least one picture and one column")
    if len({image.shape for image in images}) > 1:
        raise ValueError(f"pictures of a grid must be of one size, found {sorted({i.shape[:2] for i in images})}")
    height, width = images[0].shape[:2]
    rows = rows or -(-len(images) // columns)
    sheet = blank(rows * (height + gutter) - gutter, columns * (width + gutter) - gutter)
    for place, image in enumerate(images):
        top, left = (place // columns) * (height + gutter), (place % columns) * (width + gutter)
        sheet[top : top + height, left : left + width] = image
    return sheet


def plate(images: Sequence[Picture]) -> Picture:
    """The nine-patch plate of a unit: 3 x 3 cells with gutters of 2 pixels; fewer pictures leave cells empty."""
    if len(images) > 9:
        raise ValueError(f"a plate holds nine pictures, found {len(images)}")
    return grid(images, columns=3, gutter=2, rows=3)


def dead_plate(rows: int, columns: int) -> Picture:
    """The plate of a unit that was never active, for cells of this size: empty, with the word "dead"."""
    empty = blank(3 * rows + 4, 3 * columns + 4)
    empty[[0, -1]] = LINE
    empty[:, [0, -1]] = LINE
    word = written("dead", MUTED)
    if word.shape[0] + 2 > empty.shape[0] or word.shape[1] + 2 > empty.shape[1]:
        return empty
    top, left = (empty.shape[0] - word.shape[0]) // 2, (empty.shape[1] - word.shape[1]) // 2
    empty[top : top + word.shape[0], left : left + word.shape[1]] = word
    return empty


def contact_sheet(
    images: Sequence[Picture],
    captions: Sequence[str],
    *,
    cell: tuple[int, int] = (112, 112),
    columns: int = 8,
    gutter: int = 8,
) -> Picture:
    """Cells of one size with a caption in one line under each, shortened in the middle where it is too long.

    Arguments:
        images: each is enlarged by the whole factor that fits the cell, and stands on its caption, at the left.
        captions: one for each picture.
        cell: rows and columns of the picture's part; it grows to the largest picture where that is larger.
        gutter: pixels between cells; twice as many are left around all of them.

    Example:
        >>> contact_sheet([blank(28, 28)] * 3, ["7", "1", "3"], cell=(84, 84), columns=3).shape
        (134, 300, 3)
    """
    if len(images) != len(captions):
        raise ValueError(f"every picture needs one caption, found {len(images)} pictures and {len(captions)} captions")
    height = max([cell[0], *(image.shape[0] for image in images)])
    width = max([cell[1], *(image.shape[1] for image in images)])
    cells = [
        np.concatenate((_fitted(image, height, width), _caption(caption, width)))
        for image, caption in zip(images, captions, strict=True)
    ]
    sheet = grid(cells, min(columns, len(cells)), gutter=gutter)
    return centred(sheet, sheet.shape[0] + 4 * gutter, sheet.shape[1] + 4 * gutter)


def receptive_field(
    image: Picture, box: Box, factor: int = 1, color: Color | None = None, background: Color = PAPER
) -> Picture:
    """The image with a receptive field marked on it: a line of 2 pixels around it, its part outside the image hatched.

    Arguments:
        image: the whole image.
        box: the field in pixels of the image, not clipped.
        factor: every image pixel becomes factor x factor; the line is drawn around the field and hides none of it.
        color: of the line; where left out the accent, that of the dark theme on an image that is dark on average.
        background: of what lies outside the image.

    Returns: a picture that holds the image, the field and the line; it is larger than the image, with background
        around, only where field or line reach outside.
    """
    rows, columns = image.shape[:2]
    top, left, bottom, right = box
    if top >= bottom or left >= right:
        raise ValueError(f"a box is (top, left, bottom, right) with top < bottom and left < right, found {box}")
    color = color or (ACCENT_ON_DARK if image.mean() < 128 else ACCENT)
    above, before = max(0, BORDER - top * factor), max(0, BORDER - left * factor)
    height = above + max(rows * factor, bottom * factor + BORDER)
    width = before + max(columns * factor, right * factor + BORDER)
    sheet = blank(height, width, background)
    field = (above + top * factor, before + left * factor, above + bottom * factor, before + right * factor)
    _hatch(sheet, field, color)
    sheet[above : above + rows * factor, before : before + columns * factor] = enlarge(image, factor)
    _frame(sheet, field, color)
    return sheet


def color_bar(colors: Picture, height: int = 8) -> Picture:
    """One row of colours, as a bar of `height` pixels; its limits are written beside it by whoever shows it."""
    if colors.shape[0] != 1:
        raise ValueError(f"a colour bar is made from one row of colours, found {colors.shape[0]}")
    return colors.repeat(height, axis=0)


def _fitted(image: Picture, rows: int, columns: int) -> Picture:
    larger = enlarge(image, whole_factor((image.shape[0], image.shape[1]), (rows, columns)))
    cell = blank(rows, columns)
    cell[rows - larger.shape[0] :, : larger.shape[1]] = larger
    return cell


def _caption(text: str, width: int) -> Picture:
    line = blank(LINE_HEIGHT, width)
    word = written(shortened(text, width), INK)[:, :width]
    line[: word.shape[0], : word.shape[1]] = word
    return line


def _hatch(sheet: Picture, box: Box, color: Color) -> None:
    """Diagonal lines, one pixel wide and four apart, over the whole box."""
    top, left, bottom, right = box
    rows, columns = np.ogrid[top:bottom, left:right]
    sheet[top:bottom, left:right][(rows + columns) % 4 == 0] = color


def _frame(sheet: Picture, box: Box, color: Color) -> None:
    """A line of BORDER pixels just outside the box."""
    top, left, bottom, right = box
    outer = (slice(top - BORDER, bottom + BORDER), slice(left - BORDER, right + BORDER))
    inside = sheet[top:bottom, left:right].copy()
    sheet[outer] = color
    sheet[top:bottom, left:right] = inside
