"""Words in pictures: one line, DejaVu Sans, which comes with matplotlib and so is the same on every machine.

Characters it lacks (Chinese, emoji) come out as boxes; pages write such names as text instead.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from striate.pictures.colors import PAPER, Color, Picture

SIZE = 12
"""Pixels, the smallest size of the type scale."""

LINE_HEIGHT = 18
"""Pixels from one line to the next: 12 x 1.45, rounded up."""


def written(text: str, color: Color) -> Picture:
    """One line of text on paper, LINE_HEIGHT rows high and as wide as the text."""
    line = Image.new("RGB", (max(1, width(text)), LINE_HEIGHT), PAPER)
    ImageDraw.Draw(line).text((0, LINE_HEIGHT - 5), text, fill=color, font=font(), anchor="ls")
    return np.array(line)


def width(text: str) -> int:
    """Pixels that `written` needs for the text."""
    return int(np.ceil(font().getlength(text)))


def shortened(text: str, room: int, measure: Callable[[str], int] = width) -> str:
    """The text, or, where it is wider than `room`, its beginning and end with … between them.

    The beginning is never shorter than the end, and longer by one character at most.

    Example:
        >>> shortened("photographs/0017.jpg", 11, measure=len)
        'photo…7.jpg'
        >>> shortened("7", 11, measure=len)
        '7'
    """
    text = " ".join(text.split())
    if measure(text) <= room:
        return text
    for kept in range(len(text) - 1, 0, -1):
        begin, end = kept - kept // 2, kept // 2
        candidate = f"{text[:begin]}…{text[len(text) - end :]}"
        if measure(candidate) <= room:
            return candidate
    return "…"


def wrapped(text: str, room: int, measure: Callable[[str], int] = width) -> list[str]:
    """The whole text on lines no wider than `room`.

    Lines end at spaces; within a word that is wider than a line, after one of `. _ - /`, and in a part without these
    wherever the line is full.

    Example:
        >>> wrapped("conv1, relu1, features.denseblock4_norm1", 16, measure=len)
        ['conv1, relu1,', 'features.', 'denseblock4_', 'norm1']
    """
    lines = [""]
    for piece in _pieces(text, room, measure):
        longer = lines[-1] + piece
        if lines[-1] and measure(longer.rstrip()) > room:
            lines.append(piece)
        else:
            lines[-1] = longer
    return [line.rstrip() for line in lines]


def _pieces(text: str, room: int, measure: Callable[[str], int]) -> Iterator[str]:
    """What is kept together: words with the space after them, and of those that are too wide their parts."""
    for word in text.split():
        parts = [word] if measure(word) <= room else re.findall(r"[^._/-]*[._/-]|[^._/-]+", word)
        for part in parts:
            yield from [part] if measure(part) <= room else part
        yield " "


@cache
def font(size: int = SIZE, *, mono: bool = False) -> ImageFont.FreeTypeFont:
    """The face at a size in pixels; `mono` for numbers that stand under one another."""
    matplotlib = importlib.util.find_spec("matplotlib")  # found, not imported: that takes half a second
    assert matplotlib is not None
    assert matplotlib.origin is not None
    path = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / f"DejaVuSans{'Mono' if mono else ''}.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
