"""A sheet to lay pictures and words on, at twice the size it is meant to be seen at; coordinates are CSS pixels.

Pictures keep their pixels hard: each is enlarged by the largest whole factor that fits its cell, or reduced by the
mean of whole blocks where it is larger than the cell.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from striate import pictures
from striate.pictures.colors import INK, LINE, MUTED, PAPER, Color
from striate.pictures.words import SIZE, font, shortened, wrapped

DENSITY = 2
"""Pixels of the file per CSS pixel."""

LEADING = 1.45
"""Height of a line in sizes of its type."""


class Scale(NamedTuple):
    """A colour bar: one row of colours, and what stands at its ends."""

    colors: pictures.Picture
    low: str
    high: str


@final
class Canvas:
    """A sheet of a given width that grows as long as what is laid on it.

    Arguments:
        width: in CSS pixels.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._image = Image.new("RGB", (width * DENSITY, 64), PAPER)
        self._used = 0

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = SIZE,
        color: Color = INK,
        mono: bool = False,
        room: float | None = None,
        right: bool = False,
    ) -> float:
        """Writes one line whose top is at y; returns where the next line starts.

        Arguments:
            room: the width the line may take; longer words are shortened in the middle.
            right: whether x is where the line ends.
        """
        face = font(size * DENSITY, mono=mono)
        said = words if room is None else shortened(words, int(room * DENSITY), partial(_width, face))
        height = size * LEADING
        self._grow(y + height)
        place = (x * DENSITY, (y + height * 0.74) * DENSITY)
        ImageDraw.Draw(self._image).text(place, said, fill=color, font=face, anchor="rs" if right else "ls")
        return y + height

    def paragraph(
        self,
        x: float,
        y: float,
        words: str,
        room: float,
        *,
        color: Color = MUTED,
        mono: bool = False,
    ) -> float:
        """Writes words on as many lines as they need, all of them; returns where the next line starts."""
        face = font(SIZE * DENSITY, mono=mono)
        for line in wrapped(words, int(room * DENSITY), partial(_width, face)):
            y = self.text(x, y, line, color=color, mono=mono)
        return y

    def picture(self, x: float, y: float, picture: pictures.Picture, room: float) -> tuple[float, float]:
        """Lays a picture into the top left of a square cell; returns its width and height as it is seen."""
        drawn = cell_picture(picture, int(room * DENSITY))
        self._grow(y + drawn.shape[0] / DENSITY)
        self._image.paste(Image.fromarray(drawn), (round(x * DENSITY), round(y * DENSITY)))
        return drawn.shape[1] / DENSITY, drawn.shape[0] / DENSITY

    def box(self, x: float, y: float, width: float, height: float, color: Color) -> None:
        """Fills a rectangle."""
        self._grow(y + height)
        corners = (x * DENSITY, y * DENSITY, (x + width) * DENSITY - 1, (y + height) * DENSITY - 1)
        ImageDraw.Draw(self._image).rectangle(corners, fill=color)

    def rule(self, x: float, y: float, width: float) -> None:
        """A hairline."""
        self.box(x, y, width, 1, LINE)

    def bar(self, x: float, y: float, width: float, scale: Scale) -> float:
        """A colour bar with its ends under it; returns where the next line starts."""
        size = (round(width * DENSITY), 6 * DENSITY)
        stretched = Image.fromarray(scale.colors).resize(size, Image.Resampling.NEAREST)
        self._grow(y + 6)
        self._image.paste(stretched, (round(x * DENSITY), round(y * DENSITY)))
        self.text(x, y + 8, scale.low, mono=True, color=MUTED)
        return self.text(x + width, y + 8, scale.high, mono=True, color=MUTED, right=True)

    def drawn(self, margin: int) -> pictures.Picture:
        """The sheet, cut `margin` below the last thing on it."""
        self._grow(self._used + margin)
        return np.array(self._image.crop((0, 0, self._image.width, int(self._used * DENSITY))))

    def save(self, path: Path, margin: int) -> None:
        """Writes the sheet as PNG."""
        pictures.write_png(path, self.drawn(margin))

    def _grow(self, bottom: float) -> None:
        self._used = max(self._used, bottom)
        needed = int(np.ceil(bottom * DENSITY))
        if needed > self._image.height:
            longer = Image.new("RGB", (self._image.width, max(needed, 2 * self._image.height)), PAPER)
            longer.paste(self._image, (0, 0))
            self._image = longer


def _width(face: ImageFont.FreeTypeFont, words: str) -> int:
    return int(np.ceil(face.getlength(words)))


def cell_picture(picture: pictures.Picture, room: int) -> pictures.Picture:
    """The picture as large as whole multiples, or whole fractions, let it be in `room` x `room` pixels.

    Example:
        >>> cell_picture(pictures.blank(28, 28), 100).shape, cell_picture(pictures.blank(250, 200), 100).shape
        ((84, 84, 3), (83, 66, 3))
    """
    side = max(picture.shape[:2])
    if side > room:
        return pictures.reduced(picture, -(-side // room))
    return pictures.enlarge(picture, room // side)
