"""Calls that bring maps to another size, as equations; those that take the nearest pixel are moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from striate.inside.following.arguments import Given, require
from striate.inside.following.steps import Translated
from striate.layers.adaptivepool import AdaptiveAvgPool
from striate.layers.equations.interpolation import Interpolation
from striate.layers.layer import Shape
from striate.layers.values import Pair

_KINDS: dict[str, Literal["bilinear", "bicubic"]] = {"linear": "bilinear", "bilinear": "bilinear", "bicubic": "bicubic"}

Factors = tuple[float | None, float | None]


def interpolate(given: Given, input: Shape) -> Translated:
    """`F.interpolate`, but by the nearest pixel."""
    mode, maps = given["mode"], _maps(input)
    require(mode in (*_KINDS, "area"), f"mode={mode!r}; explained are nearest, linear, bilinear, bicubic and area")
    require(not given["antialias"], "antialias=True; explained is interpolation without it")
    factors = _each(given["scale_factor"], len(input) - 1)
    size = _size(given["size"], factors, maps, len(input) - 1)
    if mode == "area":
        return Translated(AdaptiveAvgPool(size), shape=maps)
    kept = (None, None) if given["recompute_scale_factor"] else factors
    return Translated(Interpolation(_KINDS[mode], size, bool(given["align_corners"]), kept), shape=maps)


def upsample(mode: str) -> Callable[[Given, Shape], Translated]:
    """What `F.interpolate` calls, as recorded programs call it: with all factors in one list, or one by one."""

    def translate(given: Given, input: Shape) -> Translated:
        maps, first = _maps(input), given["scales"]
        factors = _each([first, given["scales_w"]] if isinstance(first, float) else first, len(input) - 1)
        size = _size(given["output_size"], factors, maps, len(input) - 1)
        return Translated(Interpolation(_KINDS[mode], size, bool(given["align_corners"]), factors), shape=maps)

    return translate


def _maps(input: Shape) -> Shape:
    """The shape as that of maps; a line is a map of one row."""
    require(len(input) in (2, 3), f"an input of {len(input)} dimensions; explained are 2 and 3")
    return (input[0], 1, input[1]) if len(input) == 2 else input


def _each(factors: float | Sequence[float] | None, axes: int) -> Factors:
    """The factor of the rows and that of the columns; of a line, of which one axis is given, that of the columns."""
    if factors is None:
        return None, None
    along = list(factors) if isinstance(factors, Sequence) else [factors] * axes
    down, across = [None, *along][-2:]
    return down, across


def _size(size: int | Sequence[int] | None, factors: Factors, maps: Shape, axes: int) -> Pair:
    """Rows and columns that come out."""
    if size is None:
        rows, columns = (int(side * (factor or 1)) for side, factor in zip(maps[1:], factors, strict=True))
        return rows, columns
    sides = [size] * axes if isinstance(size, int) else list(size)
    rows, columns = [1, *sides][-2:]
    return int(rows), int(columns)
