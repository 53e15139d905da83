"""Words in pictures: one line, DejaVu Sans, which comes with matplotlib and so is the same on every machine.

Characters it lacks (Chinese, emoji) come out as boxes; pages write such names as text instead.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from striate.pictures.colors import PAPER, Color, Picture

SIZE = 12
"""Pixels, the smallest size of the type scale."""

LINE_HEIGHT = 18
"""Pixels from one line to the next: 12 x 1.45, rounded up."""


def written(text: str, color: Color, background: Color = PAPER) -> Picture:
    """One line of text as a picture, LINE_HEIGHT rows high and as wide as the text."""
    line = Image.new("RGB", (max(1, width(text)), LINE_HEIGHT), background)
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


@cache
def font(size: int = SIZE, *, mono: bool = False) -> ImageFont.FreeTypeFont:
    """The face at a size in pixels; `mono` for numbers that stand under one another."""
    matplotlib = importlib.util.find_spec("matplotlib")  # found, not imported: that takes half a second
    assert matplotlib is not None
    assert matplotlib.origin is not None
    path = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / f"DejaVuSans{'Mono' if mono else ''}.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
