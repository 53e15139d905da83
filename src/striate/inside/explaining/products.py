"""Sums of products as lines of text: a window channel by channel, a vector's largest terms; what they add up to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from striate.inside.explaining.blocks import (
    FIGURES,
    GAP,
    Block,
    Line,
    Span,
    Table,
    across,
    beside,
    grid,
    in_pieces,
    padded,
    sum_below,
    with_place,
    with_signs,
    wrapped,
)
from striate.inside.explaining.figures import (
    aligned,
    factors,
    figure,
    pair_of,
    patch,
    signed_sum,
    source_of,
    without_bias,
)
from striate.inside.explaining.written import rest
from striate.layers.layer import Shape
from striate.layers.terms import Dot, Products


def products(terms: Products, input: Shape, width: int, shown: Sequence[int]) -> Iterator[Line]:
    """The lines between the heading and what the module gave, of an input of this shape.

    `shown`: the channels, or products, that are written out (`written.py`); the rest are summed and counted.
    """
    yield from (_window if terms.x[0].size > 1 else _vector)(terms, input, width, shown)


def _window(terms: Products, input: Shape, width: int, shown: Sequence[int]) -> Iterator[Line]:
    """A convolution: patch, filter and products of each input channel, then their sums, the bias, the value."""
    yield from _where(terms, input, width)
    channels = terms.places[:, 0, 0, 0].tolist()
    blocks = _blocks(terms, shown, channels, width)
    whole = sum(map(across, blocks)) + GAP * (len(blocks) - 1)
    for row in [blocks] if whole <= width else [[block] for block in blocks]:
        yield from beside(row)
        yield ()
    yield from _total(terms, shown, width)


def _where(terms: Products, input: Shape, width: int) -> Iterator[Line]:
    """Which rows and columns of the input the patch is."""
    yield from wrapped(patch(terms, input), width)
    yield ()


def _blocks(terms: Products, shown: Sequence[int], channels: Sequence[int], width: int) -> list[Block]:
    """For each channel shown: patch · filter = products and their sum; one below the other where that is too wide, and
    where each is, a few columns at a time."""
    for figures in FIGURES:
        tables = _tables(terms, shown, channels, figures)
        sums = [figure(float(terms.sums[c])) for c in shown]
        grids = [
            (grid(*x), grid(*W), sum_below(grid(*xW), total)) for (x, W, xW), total in zip(tables, sums, strict=True)
        ]
        rows = [with_signs(patch, weights, result) for patch, weights, result in grids]
        if max(map(across, rows)) <= width:
            return rows
        stacked = [[*patch, *weights, *result] for patch, weights, result in grids]
        if max(map(across, stacked)) <= width:
            return [padded(block) for block in stacked]
    whole = _tables(terms, shown, channels, FIGURES[0])
    return [_with_sum(in_pieces(three, width), terms, c, width) for three, c in zip(whole, shown, strict=True)]


def _tables(terms: Products, shown: Sequence[int], channels: Sequence[int], figures: int) -> list[list[Table]]:
    """Of each channel shown: its patch, its filter and their products."""
    x, W, xW = (aligned(part[shown], figures) for part in (terms.x, terms.W, terms.products))
    outside = ~terms.inside
    return [
        [
            Table(f"channel {channels[c]}", x[k], outside[c]),
            Table(terms.called, W[k]),
            Table("products", xW[k], outside[c]),
        ]
        for k, c in enumerate(shown)
    ]


def _with_sum(block: Block, terms: Products, channel: int, width: int) -> Block:
    """Pieces of a channel's tables, and under them the sum of all its products."""
    total = f"Σ = {figure(float(terms.sums[channel]))} of {terms.x[channel].size} products"
    return padded([*block, *wrapped(f"  {total}", width, "strong", indent=4)])


def _total(terms: Products, shown: Sequence[int], width: int) -> Iterator[Line]:
    """The sums of the channels, the rest of them together, the bias, the value."""
    others, left = rest(terms.sums, shown)
    parts = [float(terms.sums[c]) for c in shown]
    window = terms.x[0].size > 1
    what = "sum" if window else "products"
    if others:
        kind = ("channel" if window else "term") + "s" * (others > 1)
        parts.append(left)
        yield from wrapped(f"rest     {figure(left)}, the other {others} {kind} together", width)
    whole = float(terms.sums.sum())
    written = f"{signed_sum(parts)} = " if len(parts) > 1 else ""
    yield from wrapped(f"{what:<8} {written}{figure(whole)}", width, indent=9)
    if terms.b is not None:
        yield from wrapped(f"bias     {figure(terms.b)}", width)
        yield from wrapped(f"value    {signed_sum([whole, terms.b])} = {figure(terms.value)}", width, "strong")
    else:
        yield from wrapped(f"value    {figure(terms.value)}{without_bias(terms)}", width, "strong")
    if terms.remark:
        yield from wrapped(terms.remark, width, "muted")


def _vector(terms: Products, input: Shape, width: int, shown: Sequence[int]) -> Iterator[Line]:
    """A dense layer, or a window of one pixel: the largest products, the rest summed and counted."""
    if terms.x.ndim > 1:
        yield from _where(terms, input, width)
    yield from wrapped(f"largest {len(shown)} of {len(terms.x)} products W · x:", width)
    flat = [part.reshape(len(terms.x)) for part in (terms.W, terms.x, terms.products)]
    columns = [aligned(part[np.array(shown)], 4) for part in flat]
    for k, (weight, x, product) in zip(shown, zip(*columns, strict=True), strict=True):
        where = source_of(terms, k)
        yield from with_place((Span(f"  {weight} · {x} = "), Span(product, "strong")), where, width)
    yield ()
    yield from _total(terms, shown, width)


def dot(terms: Dot, width: int, shown: Sequence[int]) -> Iterator[Line]:
    """A dot product: its largest products, those shown, the rest summed and counted, and what they add up to."""
    order = np.array(shown)
    yield from wrapped(f"{factors(terms, len(order))}:", width)
    columns = [aligned(part[order], 4) for part in (terms.a, terms.b, terms.products)]
    for k, (a, b, product) in zip(order.tolist(), zip(*columns, strict=True), strict=True):
        yield from with_place((Span(f"  {a} · {b} = "), Span(product, "strong")), pair_of(terms, k), width)
    yield ()
    others, left = rest(terms.products, shown)
    if others:
        yield from wrapped(f"rest     {figure(left)}, the other {others} products together", width)
    yield from wrapped(f"value    {figure(terms.value)}, the sum of {len(terms.a)} products", width, "strong")
