"""An explanation as lines of text to follow by hand, in any width; what each part of a line is, for colours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from striate.inside.explaining.blocks import (
    FIGURES,
    Block,
    Line,
    Role,
    Span,
    Table,
    across,
    equation,
    grid,
    in_pieces,
    with_place,
    wrapped,
)
from striate.inside.explaining.ends import Pixel, Stop
from striate.inside.explaining.figures import (
    agreement,
    aligned,
    figure,
    letters,
    note,
    pixel,
    place,
    preprocessed,
    whereabouts,
    window,
    worked,
)
from striate.inside.explaining.nested import Nested, flat
from striate.inside.explaining.products import dot, products
from striate.inside.explaining.written import rest, written
from striate.layers.layer import Array, shape_text
from striate.layers.terms import Dot, Formula, Pooled, Products

if TYPE_CHECKING:
    from striate.inside.explaining.explanation import Below, Explanation

MANY = 1024
"""Numbers of a pooling window that are written out though not all of its columns fit: 32x32 are some 200 lines."""


def lines(explanation: Explanation, width: int, most: int) -> list[Line]:
    """The lines of `Explanation.text`."""
    found = list(flat(_all(explanation, "", max(width, 20), max(most, 1))))
    return [*found, *wrapped(note(explanation.terms), width, "muted")]


def _all(explanation: Explanation, number: str, width: int, most: int) -> Nested[Line]:
    """An explanation and those below it, which are numbered 1, 1.1, 1.2, 2, ..."""
    yield from _heading(explanation, width)
    terms = explanation.terms
    followed = [below.source for below in explanation.below]
    shown = written(terms, followed, most)
    if isinstance(terms, Products):
        yield from products(terms, explanation.input, width, shown)
    elif isinstance(terms, Dot):
        yield from dot(terms, width, shown)
    elif isinstance(terms, Pooled):
        yield from _pooled(terms, width)
    else:
        yield from _formula(terms, width, shown)
    yield from _agreement(explanation, width)
    called = letters(terms, followed)
    for k, (below, letter) in enumerate(zip(explanation.below, called, strict=True), 1):
        own = f"{number}.{k}" if number else str(k)
        yield ()
        yield _below(below, letter, own, width, most)


def _heading(explanation: Explanation, width: int) -> Iterator[Line]:
    title = f"{explanation.layer or 'the module'}, {place(explanation.unit, explanation.position)}"
    yield from wrapped(f"{title}: {figure(explanation.value)}", width, "title")
    yield from wrapped(f"{explanation.kind} of an input of {shape_text(explanation.input)}", width, "muted")
    yield from equation(explanation.terms.equation, width, "muted")
    yield ()


def _agreement(explanation: Explanation, width: int) -> Iterator[Line]:
    role: Role = "good" if explanation.agrees else "bad"
    yield from wrapped(f"module   {agreement(explanation)}", width, role, indent=9)


def _below(below: Below, letter: str, number: str, width: int, most: int) -> Nested[Line]:
    x, found = f"{letter} = {figure(below.source.x)}", below.found
    if isinstance(found, Stop):
        yield from wrapped(f"{number}  {x}: {found.reason}", width)
    elif isinstance(found, Pixel):
        yield from wrapped(f"{number}  {x} is {pixel(found)}", width)
        yield from wrapped(f"   {preprocessed(found)}".rstrip(), width)
    else:
        adds = "" if below.source.adds == below.source.x else f", which adds {figure(below.source.adds)},"
        yield from wrapped(f"{number}  where {x}{adds} comes from", width, "title")
        yield _all(found, number, width, most)


# --- pooling and formulas --------------------------------------------------------------------------------------


def _pooled(terms: Pooled, width: int) -> Iterator[Line]:
    """A window, and which pixel is the largest, or their mean."""
    yield from wrapped(window(terms), width)
    yield ()
    yield from _fitting(terms.x, width, terms)
    yield ()
    if terms.mean and terms.x.size > 1:
        total = float(terms.x.sum())
        yield from wrapped(f"sum      {figure(total)} of {terms.x.size} numbers", width)
        yield from wrapped(f"value    {figure(total)} / {terms.x.size} = {figure(terms.value)}", width, "strong")
        return
    _, row, column = terms.places[terms.taken][0].tolist()
    yield from wrapped(f"value    {figure(terms.value)}, the largest, at row {row}, column {column}", width, "strong")


def _fitting(x: Array, width: int, terms: Pooled) -> Block:
    """A grid with as many figures as fit, else a few columns at a time; of a map of very many, its size alone."""
    left_out = None if terms.mean else ~terms.taken
    for figures in FIGURES:
        block = grid("x", aligned(x, figures), left_out)
        if across(block) <= width:
            return block
    if x.size <= MANY:
        return in_pieces([Table("x", aligned(x, FIGURES[0]), left_out)], width)
    return [(Span(f"  {shape_text(x.shape)} numbers, too many for the width"),)]


def _formula(terms: Formula, width: int, shown: list[int]) -> Iterator[Line]:
    """The known numbers, the sum if there is one, and each step with its numbers put in."""
    for letter, value in terms.known.items():
        yield from wrapped(f"  {letter} = {figure(value)}", width)
    if terms.summed:
        summed = terms.summed
        yield from wrapped(f"Σ adds {summed.formula} of {len(summed.x)} numbers; largest {len(shown)}:", width)
        columns = aligned(summed.x[shown], 4), aligned(summed.added[shown], 4), whereabouts(summed, shown)
        for x, adds, where in zip(*columns, strict=True):
            yield from with_place((Span(f"  x_d = {x}  adds {adds}"),), where, width)
        others, left = rest(summed.added, shown)
        if others:
            yield from wrapped(f"  the other {others} together add {figure(left)}", width)
        yield from wrapped(f"  Σ = {figure(summed.total)}", width)
    for step in terms.steps:
        role: Role = "strong" if step is terms.steps[-1] else ""
        yield from equation(f"  {worked(step, terms.letters)}", width, role, indent=4)
    if terms.remark:
        yield from wrapped(terms.remark, width, "muted")
