"""Pages: templates filled with values, the stylesheet inside, so that one file opens anywhere without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, final

import jinja2
import numpy as np
from jaxtyping import Bool
from markupsafe import Markup

from striate import pictures
from striate.report import numbers

FOLDER = Path(__file__).parent


@final
@dataclass(frozen=True)
class Shown:
    """A picture on a page.

    Attributes:
        uri: its pixels, as a data address.
        width, height: the size it is shown at, in CSS pixels: a whole multiple of its own.
        alt: what it shows, in words.
        hard: whether its pixels are drawn as squares.
    """

    uri: str
    width: int
    height: int
    alt: str
    hard: bool


@final
@dataclass(frozen=True)
class Bar:
    """A colour bar: its colours, what stands at its ends, and over what the scale was taken."""

    uri: str
    low: str
    high: str
    scale: str


@final
@dataclass(frozen=True)
class Cell:
    """One picture of a sheet on a page: a title, a second line, and where the image came from (shown on hover)."""

    shown: Shown
    title: str
    line: str
    source: str


def render(template: str, **values: object) -> str:
    """The page that `template` gives with these values; what is not marked safe is escaped."""
    return _environment().get_template(template).render(style=_style(), theme=_theme(), **values)


def shown(
    picture: pictures.Picture, alt: str, room: int = 96, clear: Bool[np.ndarray, "rows columns"] | None = None
) -> Shown:
    """A picture for a page, enlarged on the page by the whole factor that fits into `room` x `room` CSS pixels.

    Arguments:
        clear: pixels through which the page is seen; none where left out.

    Example:
        >>> digit = shown(pictures.blank(28, 28), alt="a digit", room=96)
        >>> digit.width, digit.height, digit.hard
        (84, 84, True)
    """
    rows, columns = picture.shape[:2]
    factor = pictures.whole_factor((rows, columns), (room, room))
    return Shown(pictures.data_uri(picture, clear), columns * factor, rows * factor, alt, hard=factor > 1)


def signed_bar(palette: pictures.Palette, limit: float, scale: str) -> Bar:
    """The colour bar of a diverging picture."""
    colors = pictures.diverging(np.linspace(-1, 1, 161)[None], palette, 1)
    return Bar(pictures.data_uri(pictures.color_bar(colors)), numbers.number(-limit), numbers.number(limit), scale)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _thin(numbers.number),
        "count": _thin(numbers.count),
        "percent": numbers.percent,
        "seconds": numbers.seconds,
    }
    return environment


def _thin(write: Callable[[Any], str]) -> Callable[[Any], Markup]:
    """The same text, its thin spaces in an element of their own, because they are not thin in a monospaced face."""
    thin = Markup('<span class="thin">{}</span>').format(numbers.THIN_SPACE)
    return lambda value: thin.join(write(value).split(numbers.THIN_SPACE))


@cache
def _style() -> Markup:
    return Markup((FOLDER / "style.css").read_text(encoding="utf-8"))


@cache
def _theme() -> Markup:
    return Markup((FOLDER / "templates" / "theme.js").read_text(encoding="utf-8"))
