"""An explanation as a piece of a page, for notebooks: tables in the look of every other page, nothing loaded.

Everything that comes from outside is escaped; the style is scoped to the piece and follows light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from striate.inside.explaining.ends import Pixel, Stop
from striate.inside.explaining.figures import (
    agreement,
    aligned,
    factors,
    figure,
    letters,
    note,
    pair_of,
    patch,
    pixel,
    place,
    preprocessed,
    signed_sum,
    source_of,
    whereabouts,
    window,
    without_bias,
    worked,
)
from striate.inside.explaining.nested import Nested, flat
from striate.inside.explaining.written import rest, written
from striate.layers.layer import shape_text
from striate.layers.terms import Dot, Formula, Pooled, Products, Summed

if TYPE_CHECKING:
    from striate.inside.explaining.explanation import Below, Explanation

CHANNELS = 16
"""Input channels, or terms, that are written out beside those followed; the rest are summed and counted."""

STYLE = """
.striate-explanation { --paper: light-dark(#fbfaf7, #15171a); --plate: light-dark(#ffffff, #1d2024);
  --ink: light-dark(#1c1f23, #e9e6df); --muted: light-dark(#666a70, #9aa0a6); --line: light-dark(#dedbd3, #33373c);
  --accent: light-dark(#0f6b8f, #5bb6d9); --good: light-dark(#2e7d4f, #63b98a); --bad: light-dark(#b3402a, #e07a63);
  color-scheme: light dark; background: var(--paper); color: var(--ink); font: 14px/1.45 system-ui, sans-serif;
  padding: 16px; border: 1px solid var(--line); border-radius: 4px; overflow-x: auto; }
.striate-explanation p { margin: 4px 0; }
.striate-explanation .title { font-size: 16px; font-weight: 600; }
.striate-explanation .muted, .striate-explanation caption { color: var(--muted); }
.striate-explanation .good { color: var(--good); } .striate-explanation .bad { color: var(--bad); }
.striate-explanation .row { display: flex; flex-wrap: wrap; gap: 8px; margin: 8px 0; }
.striate-explanation .signed { display: flex; gap: 8px; } .striate-explanation .sign { align-self: center; }
.striate-explanation table { border-collapse: collapse; background: var(--plate); border: 1px solid var(--line);
  margin: 4px 0; align-self: flex-start; }
.striate-explanation caption { text-align: left; font-size: 12px; white-space: nowrap; }
.striate-explanation td { padding: 0 4px; font-size: 12px; text-align: right; color: inherit; white-space: pre;
  background: none; border: 0; }
.striate-explanation tfoot td { border-top: 1px solid var(--line); }
.striate-explanation td.taken, .striate-explanation .value, .striate-explanation tfoot td { font-weight: 600; }
.striate-explanation td, .striate-explanation .num
  { font-family: ui-monospace, Menlo, Consolas, monospace; font-variant-numeric: tabular-nums; }
.striate-explanation td.taken { color: var(--accent); }
.striate-explanation details { margin: 8px 0 0 8px; padding-left: 8px; border-left: 1px solid var(--line); }
.striate-explanation summary { cursor: pointer; }
.striate-explanation summary:focus-visible { outline: 2px solid var(--accent); }
"""


def page(explanation: Explanation) -> str:
    """The piece, with its style."""
    parts, rounded = "".join(flat(_parts(explanation))), note(explanation.terms)
    below = _line(rounded, "muted") if rounded else ""
    return f'<div class="striate-explanation"><style>{STYLE}</style>{parts}{below}</div>'


def _parts(explanation: Explanation) -> Nested[str]:
    terms = explanation.terms
    title = f"{explanation.layer or 'the module'}, {place(explanation.unit, explanation.position)}"
    yield _line(f"{title}: {figure(explanation.value)}", "title")
    yield _line(f"{explanation.kind} of an input of {shape_text(explanation.input)}", "muted")
    yield _line(terms.equation, "muted num")
    followed = [below.source for below in explanation.below]
    shown = written(terms, followed, CHANNELS)
    if isinstance(terms, Products):
        yield from _products(terms, explanation, shown)
    elif isinstance(terms, Dot):
        yield from _dot(terms, shown)
    elif isinstance(terms, Pooled):
        yield from _pooled(terms)
    else:
        yield from _formula(terms, shown)
    yield _line(f"module {agreement(explanation)}", "num good" if explanation.agrees else "num bad")
    yield from map(_below, explanation.below, letters(terms, followed))


def _products(terms: Products, explanation: Explanation, shown: list[int]) -> Iterator[str]:
    order = np.array(shown)
    others, left = rest(terms.sums, shown)
    if terms.x.ndim > 1:
        yield _line(patch(terms, explanation.input))
    if terms.x[0].size > 1:
        x, W, xW = (aligned(part[order], 4) for part in (terms.x, terms.W, terms.products))
        for k, c in enumerate(shown):
            window = _table(f"channel {terms.places[c, 0, 0, 0]}", x[k])
            products = _table("products", xW[k], total=f"Σ = {figure(float(terms.sums[c]))}")
            yield _row([window, _signed("·", _table(terms.called, W[k])), _signed("=", products)])
    else:
        where = [source_of(terms, k) for k in shown]
        flat = [part.reshape(len(terms.x))[order] for part in (terms.W, terms.x, terms.products)]
        columns = [aligned(part, 4).tolist() for part in flat]
        rows = [(w, "·", x, "=", xw, at) for w, x, xw, at in zip(*columns, where, strict=True)]
        yield _rows(f"largest {len(shown)} of {len(terms.x)} products W · x", rows)
    parts = [*terms.sums[order].tolist(), *([left] if others else [])]
    last = f", the last of them {others} others together" if others else ""
    added = f"{signed_sum(parts)} = " if len(parts) > 1 else ""
    yield _line(f"sum {added}{figure(float(terms.sums.sum()))}{last}", "num")
    if terms.b is None:
        yield _line(f"value {figure(terms.value)}{without_bias(terms)}", "num value")
    else:
        yield _line(f"bias {figure(terms.b)}", "num")
        whole = signed_sum([float(terms.sums.sum()), terms.b])
        yield _line(f"value {whole} = {figure(terms.value)}", "num value")
    if terms.remark:
        yield _line(terms.remark, "muted")


def _dot(terms: Dot, shown: list[int]) -> Iterator[str]:
    order = np.array(shown)
    columns = [aligned(part[order], 4).tolist() for part in (terms.a, terms.b, terms.products)]
    where = [pair_of(terms, k) for k in shown]
    rows = [(a, "·", b, "=", ab, at) for a, b, ab, at in zip(*columns, where, strict=True)]
    yield _rows(factors(terms, len(shown)), rows)
    others, left = rest(terms.products, shown)
    if others:
        yield _line(f"the other {others} products together add {figure(left)}", "num")
    yield _line(f"value {figure(terms.value)}, the sum of {len(terms.a)} products", "num value")


def _pooled(terms: Pooled) -> Iterator[str]:
    mean = terms.mean and terms.x.size > 1
    yield _line(window(terms))
    yield _row([_table("x", aligned(terms.x, 4), None if mean else terms.taken)])
    if mean:
        total = f"{figure(float(terms.x.sum()))} / {terms.x.size}"
        yield _line(f"value {total} = {figure(terms.value)}, the mean of {terms.x.size} numbers", "num value")
    else:
        unit, row, column = terms.places[terms.taken][0].tolist()
        yield _line(f"value {figure(terms.value)}, the largest, {place(unit, (row, column))}", "num value")


def _formula(terms: Formula, shown: list[int]) -> Iterator[str]:
    yield _rows("", [(letter, "=", figure(value)) for letter, value in terms.known.items()])
    if terms.summed:
        yield from _summed(terms.summed, shown)
    for step in terms.steps:
        yield _line(worked(step, terms.letters), "num value" if step is terms.steps[-1] else "num")
    if terms.remark:
        yield _line(terms.remark, "muted")


def _summed(summed: Summed, shown: list[int]) -> Iterator[str]:
    """The largest of what a formula adds up, and the sum."""
    columns = whereabouts(summed, shown), aligned(summed.x[shown], 4), aligned(summed.added[shown], 4)
    rows = [(where, "x_d =", x, "adds", adds) for where, x, adds in zip(*columns, strict=True)]
    yield _rows(f"largest {len(shown)} of {len(summed.x)} numbers, each adds {summed.formula}", rows)
    others, left = rest(summed.added, shown)
    if others:
        yield _line(f"the other {others} together add {figure(left)}", "num")
    yield _line(f"Σ = {figure(summed.total)}", "num")


def _below(below: Below, letter: str) -> Nested[str]:
    x, found = f"{letter} = {figure(below.source.x)}", below.found
    if isinstance(found, Stop):
        yield _line(f"{x}: {found.reason}", "muted")
    elif isinstance(found, Pixel):
        yield _line(f"{x} is {pixel(found)}")
        if found.raw is not None:
            yield _line(preprocessed(found), "num")
    else:
        adds = "" if below.source.adds == below.source.x else f", which adds {figure(below.source.adds)},"
        yield f"<details><summary>where its {x}{adds} comes from</summary>"
        yield _parts(found)
        yield "</details>"


def _line(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>'


def _row(parts: Iterable[str]) -> str:
    return f'<div class="row">{"".join(parts)}</div>'


def _signed(sign: str, table: str) -> str:
    """A table and the sign before it, which go to the next line together."""
    return f'<div class="signed"><span class="sign">{sign}</span>{table}</div>'


def _table(title: str, cells: np.ndarray, taken: np.ndarray | None = None, total: str = "") -> str:
    """A table of aligned numbers; those that are taken stand out; `total` under it."""
    marks = np.zeros(cells.shape, dtype=bool) if taken is None else taken
    rows = "".join(
        f"<tr>{''.join(_cell(str(cell), bool(mark)) for cell, mark in zip(row, mark_row, strict=True))}</tr>"
        for row, mark_row in zip(cells, marks, strict=True)
    )
    foot = f'<tfoot><tr><td colspan="{cells.shape[1]}">{escape(total)}</td></tr></tfoot>' if total else ""
    return f"<table><caption>{escape(title)}</caption><tbody>{rows}</tbody>{foot}</table>"


def _rows(title: str, rows: Iterable[Iterable[str]]) -> str:
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption>{body}</table>"


def _cell(text: str, taken: bool = False) -> str:
    mark = ' class="taken"' if taken else ""
    return f"<td{mark}>{escape(text)}</td>"
