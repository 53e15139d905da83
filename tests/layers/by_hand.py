"""The value of terms, worked out again from what they show."""

from __future__ import annotations

import math
import re

from striate.layers.terms import Dot, Formula, Pooled, Products, Terms


def by_hand(terms: Terms) -> float:
    """The value from the numbers alone, one after another, with no help of the terms' own arithmetic."""
    if isinstance(terms, Products):
        products = [w * x for w, x in zip(terms.W.ravel().tolist(), terms.x.ravel().tolist(), strict=True)]
        return math.fsum(products) + (terms.b or 0)
    if isinstance(terms, Dot):
        return math.fsum(a * b for a, b in zip(terms.a.tolist(), terms.b.tolist(), strict=True))
    if isinstance(terms, Pooled):
        pixels = terms.x.ravel().tolist()
        return math.fsum(pixels) / len(pixels) if terms.mean else max(pixels)
    return worked_out(terms)


def worked_out(formula: Formula) -> float:
    """Each step's text evaluated as it is written, with the numbers of the letters before it."""
    letters = dict(formula.known)
    if formula.summed:
        letters["Σ"] = math.fsum(
            evaluated(formula.summed.formula, {**letters, "x_d": x}) for x in formula.summed.x.tolist()
        )
    for step in formula.steps:
        letters[step.letter] = evaluated(step.formula, letters)
    return letters[formula.steps[-1].letter]


def evaluated(formula: str, letters: dict[str, float]) -> float:
    """A formula as arithmetic: every letter replaced by its number in parentheses, longest letters first."""
    signs = {"·": "*", "−": "-", "^": "**", "√": "sqrt", "e**": "exp(1)**"}
    words = "|".join(re.escape(letter) for letter in sorted(letters, key=len, reverse=True))
    text = re.sub(rf"(?<![a-z])({words})(?![\w\u0302])", lambda found: f"({letters[found[1]]!r})", formula)
    for sign, python in signs.items():
        text = text.replace(sign, python)
    names = {"sqrt": math.sqrt, "exp": math.exp, "max": max, "min": min, "ln": math.log, "Φ": normal}
    return float(eval(text, {"__builtins__": {}}, names))


def normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2
