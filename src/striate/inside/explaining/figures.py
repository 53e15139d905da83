"""Numbers of an explanation as text: enough figures to be followed by hand, aligned in columns, a true minus."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from striate.inside.explaining.ends import Pixel
from striate.layers.layer import Array, Shape, shape_text
from striate.layers.terms import Dot, Formula, Pooled, Products, Source, Step, Summed, Terms
from striate.layers.values import Pair

if TYPE_CHECKING:
    from striate.inside.explaining.explanation import Explanation

MINUS = "−"


def figure(value: float, figures: int = 6) -> str:
    """One number to so many significant figures.

    Example:
        >>> figure(-0.12345678), figure(3.0), figure(1.5e-9, 2)
        ('−0.123457', '3', '1.5e−09')
    """
    return f"{value + 0.0:.{figures}g}".replace("-", MINUS)


def aligned(values: Array, figures: int) -> np.ndarray:
    """Numbers of one table: the same decimals and the same width, so that the largest has `figures` figures.

    Whole numbers have no decimals. Very large and very small ones are in powers of ten.

    Example:
        >>> aligned(np.array([[0.5, -12.25]]), 3).tolist(), aligned(np.array([2.0, -1.0]), 3).tolist()
        ([['  0.5', '−12.2']], [' 2', '−1'])
    """
    texts = [_text(value, values, figures) for value in values.ravel().tolist()]
    width = max(map(len, texts), default=0)
    return np.array([text.rjust(width) for text in texts], dtype=object).reshape(values.shape)


def _text(value: float, beside: Array, figures: int) -> str:
    largest = float(np.abs(beside[np.isfinite(beside)]).max(initial=0))
    if bool(np.all(beside == np.round(beside))) and largest < 1e6:
        return _signed(f"{value:.0f}")
    exponent = math.floor(math.log10(largest)) if largest else 0
    if not -5 <= exponent < 6:
        return _signed(f"{value:.{figures - 1}e}")
    return _signed(f"{value:.{max(figures - 1 - exponent, 0)}f}")


def _signed(text: str) -> str:
    """With a true minus; a zero that was rounded has none."""
    digits = text.partition("e")[0]
    nothing = text.startswith("-") and not digits.strip("-0.")
    return (text[1:] if nothing else text).replace("-", MINUS)


def signed_sum(parts: Sequence[float]) -> str:
    """A sum as it is written on paper.

    Example:
        >>> signed_sum([1.5, -2.0, 0.25])
        '1.5 − 2 + 0.25'
    """
    first, *rest = parts
    return figure(first) + "".join(f" {MINUS if part < 0 else '+'} {figure(abs(part))}" for part in rest)


def letters_replaced(formula: str, letters: Mapping[str, float]) -> str:
    """A formula with the numbers in place of its letters, negative ones in parentheses but where they stand first.

    Example:
        >>> letters_replaced("γ · x̂ + β", {"γ": 2.0, "x̂": -0.5, "β": 1.0})
        '2 · (−0.5) + 1'
        >>> letters_replaced("max(0, x)", {"x": -0.5})
        'max(0, −0.5)'
        >>> letters_replaced("x^c", {"x": -0.5, "c": 2.0}), letters_replaced("x − c", {"x": -0.5, "c": -2.0})
        ('(−0.5)^2', '−0.5 − (−2)')
    """
    names = "|".join(re.escape(letter) for letter in sorted(letters, key=len, reverse=True))

    def number(found: re.Match[str]) -> str:
        text = figure(letters[found[0]])
        before, after = formula[: found.start()].rstrip()[-1:], formula[found.end() :].lstrip()[:1]
        alone = before in ("", "(", ",") and after != "^"
        return f"({text})" if text.startswith(MINUS) and not alone else text

    # Not within a word such as max, and not the x of x̂ or of x_d.
    return re.sub(rf"(?<![a-z])(?:{names})(?![\w\u0302])", number, formula)


def worked(step: Step, letters: Mapping[str, float]) -> str:
    """A step of a formula as it is written on paper: its letters, the numbers in their place, and what that gives.

    Example:
        >>> worked(Step("y", "max(0, x)", 0.0), {"x": -2.0}), worked(Step("y", "x", 3.0), {"x": 3.0})
        ('y = max(0, x) = max(0, −2) = 0', 'y = x = 3')
    """
    numbers, value = letters_replaced(step.formula, letters), figure(step.value)
    return " = ".join(dict.fromkeys([step.letter, step.formula, numbers, value]))


def agreement(found: Explanation) -> str:
    """The module's number, how far it is from the value, by what that is measured, and whether rounding explains it."""
    if found.difference == 0:
        return f"{figure(found.module_value)}, the same"
    of, tolerance = found.rounding.dtype, figure(found.rounding.tolerance, 2)
    share = f"relative{_measure(found)} {figure(found.relative, 2)}"
    explained = f"≤ {tolerance}, rounding in {of}" if found.agrees else f"more than rounding in {of}, {tolerance}"
    joint = " " if found.agrees else ", "
    return f"{figure(found.module_value)}, differs by {figure(found.difference, 2)}, {share}{joint}{explained}"


def _measure(found: Explanation) -> str:
    """What a difference is relative to, where it is not the value itself."""
    terms, scale = found.terms, figure(found.scale)
    if found.scale == found.rounding.underflow:
        return f" to {scale}, below which {found.rounding.dtype} loses figures:"
    if found.scale != terms.scale:
        return ""
    if isinstance(terms, Products) and terms.scale != terms.size:
        return f" to Σ|W·x|{'' if terms.b is None else ' + |b|'} = {scale}:"
    if isinstance(terms, Dot):
        return f" to Σ|a·b| = {scale}:"
    if figure(abs(terms.value)) == scale:
        return ""
    return f" to Σ|x| / {terms.x.size} = {scale}:" if isinstance(terms, Pooled) else f" to what is added up, {scale}:"


def letters(terms: Terms, sources: Sequence[Source]) -> list[str]:
    """What the formula calls each source: x, F or S; x_d for one of those that a sum in it runs over.

    Example:
        >>> from striate.layers.residual import added
        >>> terms = added({"body": 2.0, "shortcut": 0.5}, (0,))
        >>> letters(terms, terms.sources)
        ['F', 'S']
    """
    if isinstance(terms, Dot):
        return ["a" if source.branch == terms.branches[0] else "b" for source in sources]
    known = terms.known if isinstance(terms, Formula) else {}
    left = [letter for letter in ("x", "F", "S", "s", "a", "b", "c") if letter in known]
    found: list[str] = []
    for source in sources:
        same = [letter for letter in left if known[letter] == source.x]
        found.append(same[0] if same else "x_d" if isinstance(terms, Formula) and terms.summed else "x")
        left = [letter for letter in left if letter not in same[:1]]
    return found


def place(unit: int, position: Pair | None, word: str = "unit") -> str:
    """Where a number stands, in words.

    Example:
        >>> place(3, (4, 5)), place(7, None, "input")
        ('unit 3 at row 4, column 5', 'input 7')
    """
    return f"{word} {unit}" + (f" at row {position[0]}, column {position[1]}" if position else "")


def standing(spot: Sequence[int]) -> tuple[int, Pair | None]:
    """Unit and position of a spot: a vector has no positions, a matrix is one unit.

    Example:
        >>> standing((7,)), standing((3, 4, 5)), standing((4, 5))
        ((7, None), (3, (4, 5)), (0, (4, 5)))
    """
    if len(spot) == 1:
        return spot[0], None
    unit, row, column = (0, *spot)[-3:]
    return unit, (row, column)


def source_of(terms: Products, k: int) -> str:
    """Which number the k-th of products comes from, in words: an input of a dense layer, or a channel."""
    if terms.x.ndim > 1:
        return f"channel {int(terms.places[k, 0, 0, 0])}"
    return place(*standing(terms.places[k].tolist()), "input")


def pair_of(terms: Dot, k: int) -> str:
    """Where the two factors of the k-th product stand, in words."""
    return " · ".join(place(*standing(places[k].tolist())) for places in (terms.places_a, terms.places_b))


def factors(terms: Dot, shown: int) -> str:
    """What is multiplied with what in a dot product of which so many terms are shown, in words."""
    first, second = terms.branches
    return f"largest {shown} of {len(terms.a)} products a · b, a of what {first} gives, b of what {second} gives"


def without_bias(terms: Products) -> str:
    """What stands behind a value to which no bias is added, where one could be."""
    return " (no bias)" if terms.b is None and terms.called == "filter" else ""


def whereabouts(summed: Summed, shown: Sequence[int]) -> list[str]:
    """Where numbers of a sum stand, in words; the position only where those of the sum have more than one.

    Example:
        >>> x = np.array([3.0, 4.0])
        >>> whereabouts(Summed("x_d^2", x, x**2, np.array([[0, 5, 5], [1, 5, 5]])), [0, 1])
        ['unit 0', 'unit 1']
        >>> whereabouts(Summed("x_d^2", x, x**2, np.array([[0, 5, 5], [0, 5, 6]])), [1])
        ['unit 0 at row 5, column 6']
    """
    differ = np.any(summed.places != summed.places[0], axis=0)[-3:]  # along which axes, as `standing` has them
    one_unit = len(differ) == 2 or not differ[0]
    apart = one_unit or bool(np.any(differ[1:]))
    spots = [standing(spot) for spot in summed.places[shown].tolist()]
    return [place(unit, position if apart else None) for unit, position in spots]


def note(terms: Terms) -> str:
    """What a reader must know of the tables; "" where all numbers of a sum of products are whole."""
    if isinstance(terms, Products):
        parts = terms.x, terms.W, np.array(terms.b or 0.0)
        if all(bool(np.all(part == np.round(part))) for part in parts):
            return ""
    return "Tables are rounded; sums and values are worked out from the unrounded numbers."


def pixel(found: Pixel) -> str:
    """Which number of the image a pixel is, in words.

    Example:
        >>> pixel(Pixel(0, (2, 3), 0.5)), pixel(Pixel(4, None, 0.5))
        ('the image at channel 0 at row 2, column 3', 'feature 4 of what went in')
    """
    if found.position is None:
        return f"feature {found.unit} of what went in"
    return f"the image at {place(found.unit, found.position, 'channel')}"


def preprocessed(found: Pixel) -> str:
    """How a pixel's number is made of what it was before; "" where that is not known.

    Example:
        >>> preprocessed(Pixel(0, (0, 0), -0.5, 51, 0.3, 0.2))
        '(pixel / 255 − mean) / std = (51 / 255 − 0.3) / 0.2 = −0.5'
        >>> preprocessed(Pixel(0, (0, 0), -0.498, 51, 0.3, 0.2))
        '(pixel / 255 − mean) / std = (51 / 255 − 0.3) / 0.2 = −0.5, rounded to −0.498 as the module takes it'
    """
    if found.raw is None:
        return ""
    value = (found.raw / 255 - found.mean) / found.std
    # float32 keeps seven figures of what is subtracted, in units of std.
    exact = abs(value - found.value) <= 1e-6 * max(abs(value), abs(found.mean / found.std), 1 / found.std)
    worked = f"({found.raw} / 255 − {found.mean:.6g}) / {found.std:.6g} = {figure(found.value if exact else value)}"
    rounded = "" if exact else f", rounded to {figure(found.value)} as the module takes it"
    return f"(pixel / 255 − mean) / std = {worked}{rounded}"


def window(terms: Pooled) -> str:
    """Which rows and columns of its map a pooling window covers, in words."""
    unit, rows, columns = terms.places[0, 0, 0], terms.places[:, 0, 1].tolist(), terms.places[0, :, 2].tolist()
    return f"window: rows {span(rows)} and columns {span(columns)} of unit {unit}"


def span(numbers: Sequence[int]) -> str:
    """Rows or columns in words: the first and the last of neighbours, else each of them.

    Example:
        >>> span([-1, 0, 1]), span([0, 2, 4])
        ('−1 to 1', '0, 2, 4')
    """
    if len(numbers) > 2 and numbers[1] - numbers[0] == 1:
        return f"{figure(numbers[0])} to {figure(numbers[-1])}"
    return ", ".join(map(figure, numbers))


def patch(terms: Products, input: Shape) -> str:
    """Which rows and columns of its input, of this shape, a convolution's window covers, in words."""
    rows, columns = terms.places[0, :, 0, 1].tolist(), terms.places[0, 0, :, 2].tolist()
    if len(rows) == len(columns) == 1:
        return f"pixel: row {figure(rows[0])} and column {figure(columns[0])} of {shape_text(input[1:])}"
    outside = "" if terms.inside.all() else "; what lies outside is padding, 0"
    return f"patch: rows {span(rows)} and columns {span(columns)} of {shape_text(input[1:])}{outside}"
