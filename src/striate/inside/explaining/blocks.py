"""Pieces of text with their roles: lines, sentences folded into them, and tables of numbers side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

GAP = 4
"""Columns between two channels that stand side by side."""

FIGURES = 4, 3
"""With how many figures numbers of tables are written: with as many as fit. With fewer they cannot be followed."""

APART = ",  "
"""What stands between an equation and those of the letters in it."""

SIGNS = "=+−·/"
"""Signs before which an equation may go on in the next line, as in books."""

TIED = "\N{NO-BREAK SPACE}"

Role = Literal["", "title", "muted", "strong", "good", "bad"]


class Span(NamedTuple):
    """A piece of a line, and what it is."""

    text: str
    role: Role = ""


Line = tuple[Span, ...]

Block = list[Line]
"""Lines of one width."""


def wrapped(text: str, width: int, role: Role = "", indent: int = 2) -> Iterator[Line]:
    """A sentence in lines of at most `width`."""
    folded: Iterable[str] = textwrap.wrap(
        text, width, subsequent_indent=" " * indent, break_on_hyphens=False, drop_whitespace=True
    )
    yield from (((Span(line, role)),) for line in folded)


def equation(text: str, width: int, role: Role = "", indent: int = 2) -> Iterator[Line]:
    """An equation in lines of at most `width`. Where it is wider, those of the letters in it stand below it, as many in
    a line as fit; what is wider still breaks before a sign, within brackets only where these alone are too wide.

    Example:
        >>> [line[0].text for line in equation("y = W[u] · x[h],  u = i + p − h · s", 30)]
        ['y = W[u] · x[h],', '  u = i + p − h · s']
        >>> [line[0].text for line in equation("y[i] = b + Σ_u W[u] · x[i − p + u]", 30)]
        ['y[i] = b + Σ_u W[u]', '  · x[i − p + u]']
    """
    for line in [text] if len(text) <= width else _letters_below(text, width, " " * indent):
        folded = wrapped(_tied(line, width), width, indent=indent)
        yield from ((Span(span.text.replace(TIED, " "), role),) for (span,) in folded)


def _letters_below(text: str, width: int, indent: str) -> list[str]:
    """An equation, and below it lines with those of its letters."""
    first, *letters = text.split(APART)
    found = [first]
    for part in letters:
        found[-1] += APART.rstrip()
        beside = f"{found[-1]}  {part}"
        if len(found) > 1 and len(beside) < width:  # with room for a comma behind
            found[-1] = beside
        else:
            found.append(indent + part)
    return found


def _tied(text: str, width: int) -> str:
    """An equation whose spaces within brackets and behind signs are no places to break; as it is if it is then too
    wide for any line."""
    tied, depth = "", 0
    for before, letter in zip(" " + text, text, strict=False):
        depth += (letter in "([") - (letter in ")]")
        tied += TIED if letter == " " and (depth or before in SIGNS) else letter
    return tied if max(map(len, tied.split(" "))) <= width - 4 else text


def grid(title: str, cells: np.ndarray, muted: np.ndarray | None = None) -> Block:
    """A title, and under it aligned cells."""
    rows = [
        tuple(
            Span(("  " if j == 0 else " ") + str(cell), "muted" if muted is not None and muted[i, j] else "")
            for j, cell in enumerate(row)
        )
        for i, row in enumerate(cells)
    ]
    return padded([(Span(f"  {title}", "muted"),), *rows])


class Table(NamedTuple):
    """What `grid` draws."""

    title: str
    cells: np.ndarray
    muted: np.ndarray | None = None


def in_pieces(tables: Sequence[Table], width: int) -> Block:
    """Tables of the same columns that are wider than the width: a few columns of each, below them the next few.

    Example:
        >>> cells = np.array([["0.125", "1.500", "2.000", "0.375", "1.625"]], dtype=object)
        >>> ["".join(span.text for span in line).rstrip() for line in in_pieces([Table("x", cells)], 28)]
        ['  x, first 4 columns of 5', '  0.125 1.500 2.000 0.375', '', '  x, last column', '  1.625']
    """
    columns = tables[0].cells.shape[1]
    few = max((width - 1) // (1 + max(len(str(table.cells[0, 0])) for table in tables)), 1)
    block: Block = []
    for start in range(0, columns, few):
        piece = slice(start, start + few)
        block += [()] * (start > 0)
        names = [f", {_which(start, min(few, columns - start), columns)}", *[""] * (len(tables) - 1)]
        for (title, cells, muted), name in zip(tables, names, strict=True):
            block += wrapped(f"  {title}{name}", width, "muted", indent=4)
            block += grid("", cells[:, piece], None if muted is None else muted[:, piece])[1:]
    return padded(block)


def _which(start: int, count: int, columns: int) -> str:
    """Which of its columns a piece of a table is, in words."""
    some = "column" if count == 1 else f"{count} columns"
    if start == 0:
        return f"first {some} of {columns}"
    return f"{'last' if start + count == columns else 'next'} {some}"


def sum_below(block: Block, total: str) -> Block:
    """A grid, and under it, at its right, its sum."""
    words = f"Σ = {total}"
    width = max(across(block), len(words) + 2)
    return padded([*block, (Span(words.rjust(width), "strong"),)])


def with_signs(patch: Block, weights: Block, products: Block) -> Block:
    """patch · filter = products, side by side, the signs in the middle row."""
    height, middle = len(products), 1 + (len(patch) - 2) // 2
    return _joined([patch, _sign("·", middle, height), weights, _sign("=", middle, height), products])


def _sign(sign: str, at: int, height: int) -> Block:
    return [(Span(f"  {sign}" if k == at else "   "),) for k in range(height)]


def beside(blocks: Sequence[Block]) -> Iterator[Line]:
    """Blocks side by side, with a gap between."""
    gap: Block = [(Span(" " * GAP),)] * max(map(len, blocks))
    spaced = [part for block in blocks for part in (gap, block)][1:]
    yield from _joined(spaced)


def _joined(blocks: Sequence[Block]) -> Block:
    """Blocks put side by side, the shorter ones filled with blank lines."""
    height = max(map(len, blocks))
    filled = [[*block, *[(Span(" " * across(block)),)] * (height - len(block))] for block in blocks]
    return [tuple(span for line in row for span in line) for row in zip(*filled, strict=True)]


def with_place(line: Line, where: str, width: int) -> Iterator[Line]:
    """A number and where it stands, or what it is made of, which goes below it where both are too wide."""
    if length(line) + 3 + len(where) <= width:
        yield (*line, Span(f"   {where}", "muted"))
    else:
        yield line
        yield from wrapped(f"    {where}", width, "muted", indent=4)


def padded(block: Block) -> Block:
    """Lines filled with spaces to one width."""
    width = across(block)
    return [(*line, Span(" " * (width - length(line)))) for line in block]


def across(block: Block) -> int:
    """Columns of the widest line."""
    return max(map(length, block))


def length(line: Line) -> int:
    """Columns of a line."""
    return sum(len(span.text) for span in line)
