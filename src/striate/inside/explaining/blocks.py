"""Pieces of text with their roles: lines, sentences folded into them, and tables of numbers side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

GAP = 4
"""Columns between two channels that stand side by side."""

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
