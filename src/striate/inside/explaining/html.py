"""An explanation as a piece of a page, for notebooks: tables in the look of every other page, nothing loaded.

Everything that comes from outside is escaped; the style is scoped to the piece and follows light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from striate.inside.explaining.ends import Pixel, Stop
from striate.inside.explaining.figures import aligned, figure, letters_replaced, patch, place, signed_sum
from striate.layers.layer import shape_text
from striate.layers.terms import Formula, Pooled, Products

if TYPE_CHECKING:
    from striate.inside.explaining.explanation import Below, Explanation

CHANNELS = 16
"""Input channels, or terms, that are written out; the rest are summed and counted."""

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
.striate-explanation .row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin: 8px 0; }
.striate-explanation table { border-collapse: collapse; background: var(--plate); border: 1px solid var(--line); }
.striate-explanation caption { text-align: left; font-size: 12px; }
.striate-explanation td { padding: 0 4px; font-size: 12px; text-align: right; color: inherit;
  background: none; border: 0; }
.striate-explanation td, .striate-explanation .num
  { font-family: ui-monospace, Menlo, Consolas, monospace; font-variant-numeric: tabular-nums; }
.striate-explanation td.taken { color: var(--accent); font-weight: 600; }
.striate-explanation details { margin: 8px 0 0 8px; padding-left: 8px; border-left: 1px solid var(--line); }
.striate-explanation summary { cursor: pointer; }
.striate-explanation summary:focus-visible { outline: 2px solid var(--accent); }
"""


def page(explanation: Explanation) -> str:
    """The piece, with its style."""
    return f'<div class="striate-explanation"><style>{STYLE}</style>{"".join(_parts(explanation))}</div>'


def _parts(explanation: Explanation) -> Iterator[str]:
    terms = explanation.terms
    title = f"{explanation.layer or 'the module'}, {place(explanation.unit, explanation.position)}"
    yield _line(f"{title}: {figure(explanation.value)}", "title")
    yield _line(f"{explanation.kind} of an input of {shape_text(explanation.input)}", "muted")
    yield _line(terms.equation, "muted num")
    if isinstance(terms, Products):
        yield from _products(terms, explanation)
    elif isinstance(terms, Pooled):
        yield _row([_table("window", aligned(terms.x, 4), None if terms.mean else terms.taken)])
        what = f"the mean of {terms.x.size} numbers" if terms.mean else "the largest"
        yield _line(f"value {figure(terms.value)}, {what}", "num")
    else:
        yield from _formula(terms)
    words = f"module {figure(explanation.module_value)}, relative difference {figure(explanation.relative, 2)}"
    agrees = ": the same but for rounding" if explanation.agrees else ": more than rounding explains"
    yield _line(words + agrees, "num good" if explanation.agrees else "num bad")
    yield from map(_below, explanation.below)


def _products(terms: Products, explanation: Explanation) -> Iterator[str]:
    order = np.argsort(-np.abs(terms.sums), kind="stable")[:CHANNELS]
    rest = [c for c in range(len(terms.sums)) if c not in set(order.tolist())]
    if terms.x.ndim > 1:
        order = np.sort(order)
        yield _line(patch(terms, explanation.input))
        x, W, xW = (aligned(part[order], 4) for part in (terms.x, terms.W, terms.products))
        for k, c in enumerate(order.tolist()):
            window = _table(f"channel {terms.places[c, 0, 0, 0]}", x[k])
            weights, products = _table("filter", W[k]), _table("products", xW[k])
            total = f'<span class="num">Σ = {figure(float(terms.sums[c]))}</span>'
            yield _row([window, "·", weights, "=", products, total])
    else:
        spots = [terms.places[k].tolist() for k in order.tolist()]
        where = [place(spot[0], (spot[1], spot[2]) if len(spot) == 3 else None, "input") for spot in spots]
        columns = [aligned(part[order], 4).tolist() for part in (terms.W, terms.x, terms.products)]
        rows = [(w, "·", x, "=", xw, at) for w, x, xw, at in zip(*columns, where, strict=True)]
        yield _rows("largest products W · x", rows)
    parts = [*terms.sums[order].tolist(), *([float(terms.sums[rest].sum())] if rest else [])]
    others = f", the last of them {len(rest)} others together" if rest else ""
    yield _line(f"sum {signed_sum(parts)} = {figure(float(terms.sums.sum()))}{others}", "num")
    bias = "no bias" if terms.b is None else f"bias {figure(terms.b)}"
    yield _line(f"{bias}, value {figure(terms.value)}", "num")


def _formula(terms: Formula) -> Iterator[str]:
    yield _rows("", [[f"{letter} = {figure(value)}"] for letter, value in terms.known.items()])
    if terms.summed:
        count = len(terms.summed.x)
        yield _line(f"Σ adds {terms.summed.formula} of {count} units: {figure(terms.summed.total)}", "num")
    for step in terms.steps:
        numbers = letters_replaced(step.formula, terms.letters)
        yield _line(f"{step.letter} = {step.formula} = {numbers} = {figure(step.value)}", "num")
    if terms.remark:
        yield _line(terms.remark, "muted")


def _below(below: Below) -> str:
    x, found = figure(below.source.x), below.found
    if isinstance(found, Stop):
        return _line(f"x = {x}: {found.reason}", "muted")
    if isinstance(found, Pixel):
        raw = "" if found.raw is None else f", pixel value {found.raw} of 255"
        return _line(f"x = {x} is the image at {place(found.unit, found.position, 'channel')}{raw}")
    return f"<details><summary>where its x = {x} comes from</summary>{''.join(_parts(found))}</details>"


def _line(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>'


def _row(parts: Iterable[str]) -> str:
    return f'<div class="row">{"".join(parts)}</div>'


def _table(title: str, cells: np.ndarray, taken: np.ndarray | None = None) -> str:
    """A table of aligned numbers; those that are taken stand out."""
    marks = np.zeros(cells.shape, dtype=bool) if taken is None else taken
    rows = "".join(
        f"<tr>{''.join(_cell(str(cell), bool(mark)) for cell, mark in zip(row, mark_row, strict=True))}</tr>"
        for row, mark_row in zip(cells, marks, strict=True)
    )
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"


def _rows(title: str, rows: Iterable[Iterable[str]]) -> str:
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption>{body}</table>"


def _cell(text: str, taken: bool = False) -> str:
    mark = ' class="taken"' if taken else ""
    return f"<td{mark}>{escape(text.strip())}</td>"
