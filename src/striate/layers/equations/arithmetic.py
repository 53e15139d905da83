"""Arithmetic that stands between layers where a network is written by hand: what one number of it is made of.

    y = a + α · b,   y = a − α · b,   y = a / b,   y = a^b,   y = −a,   y = √a,   y = a + α · b · c

An operand is a number of the network, which comes from a layer or from the image, or a constant, which the network
holds: the mean and the deviation by which a module normalizes its own input, a bias added by hand. Products are those
of `layers/gate.py`, and the plain sum of two numbers that of `layers/residual.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from striate.layers.gate import constant
from striate.layers.terms import Formula, Source, Spot, Step, single

Sign = Literal["+", "−", "/", "^"]


@final
@dataclass(frozen=True)
class Operand:
    """One of the two numbers that are combined.

    Attributes:
        value: the number.
        branch: the name of what gave it, "" where that goes without saying; None where it is a constant.
        name: of a constant, what the network calls it; "" where it has no name.
    """

    value: float
    branch: str | None = None
    name: str = ""


def combined(sign: Sign, left: Operand, right: Operand, at: Spot, factor: float = 1.0) -> Formula:
    """The terms of two numbers combined, at least one of which is no constant.

    Arguments:
        sign: what is done with them.
        left, right: the numbers: in the formula x and the constant c, or F and S where neither is a constant.
        at: the place, the same in both and in what they make.
        factor: α, of a sum or a difference: what the right one is multiplied by first.

    Example:
        >>> combined("−", Operand(1.0), Operand(0.25, "conv1"), (0,)).equation
        'y = c − x'
        >>> combined("+", Operand(1.0, "conv1"), Operand(3.0), (0,), factor=2.0).value
        7.0
    """
    a, b = _letters(left, right)
    scaled = f"α · {b}" if factor != 1 else b
    formula = f"{a}^{b}" if sign == "^" else f"{a} {sign} {scaled}"
    value = _worked(sign, left.value, factor * right.value)
    known = {a: left.value, b: right.value} | ({"α": factor} if factor != 1 else {})
    added = sign in ("+", "−")
    return Formula(
        f"y = {formula}",
        known,
        (Step("y", formula, value),),
        _sources(sign, left, right, at, factor),
        remark=_remark({a: left, b: right}),
        size=max(abs(left.value), abs(factor * right.value)) if added else 0.0,
    )


def product_added(a: Operand, b: Operand, c: Operand, at: Spot, factor: float = 1.0) -> Formula:
    """The terms of y = a + α · b · c, of which at least one comes from the image.

    Example:
        >>> product_added(Operand(1.0), Operand(2.0, "norm"), Operand(3.0), (0,)).value
        7.0
    """
    operands = {"a": a, "b": b, "c": c}
    product = factor * b.value * c.value
    formula = "a + b · c" if factor == 1 else "a + α · b · c"
    known = {letter: each.value for letter, each in operands.items()} | ({"α": factor} if factor != 1 else {})
    shares = {"a": a.value, "b": product, "c": product}
    found = [Source(at, each.value, shares[x], each.branch) for x, each in operands.items() if each.branch is not None]
    return Formula(
        f"y = {formula}",
        known,
        (Step("y", formula, a.value + product),),
        tuple(sorted(found, key=lambda source: -abs(source.adds))),
        remark=_remark(operands),
        size=max(abs(a.value), abs(product)),
    )


def negative(x: float, at: Spot) -> Formula:
    """The terms of y = −x.

    Example:
        >>> negative(2.0, (0,)).value
        -2.0
    """
    return single("y = −x", {"x": x}, at, Step("y", "−x", -x))


def root(x: float, at: Spot) -> Formula:
    """The terms of y = √x.

    Example:
        >>> root(9.0, (0,)).value
        3.0
    """
    return single("y = √x", {"x": x}, at, Step("y", "√(x)", math.sqrt(x) if x >= 0 else math.nan))


def _letters(left: Operand, right: Operand) -> tuple[str, str]:
    if left.branch is None:
        return "c", "x"
    return ("F", "S") if right.branch is not None else ("x", "c")


def _worked(sign: Sign, a: float, b: float) -> float:
    """With infinities and numbers that are none where the arithmetic of computers has them."""
    x, y = np.float64(a), np.float64(b)
    with np.errstate(all="ignore"):
        worked = {"+": lambda: x + y, "−": lambda: x - y, "/": lambda: x / y, "^": lambda: x**y}
        return float(worked[sign]())


def _sources(sign: Sign, left: Operand, right: Operand, at: Spot, factor: float) -> tuple[Source, ...]:
    """The operands that are no constants; of a sum or a difference the one that adds more stands first."""
    second = {"+": factor, "−": -factor}.get(sign, 1.0) * right.value
    shares = ((left, left.value), (right, second))
    found = [Source(at, each.value, adds, each.branch) for each, adds in shares if each.branch is not None]
    return tuple(sorted(found, key=lambda source: -abs(source.adds)) if sign in ("+", "−") else found)


def _remark(operands: Mapping[str, Operand]) -> str:
    """Where the numbers come from, but for one that goes without saying."""
    said = [
        constant(letter, each.name) if each.branch is None else f"{letter} is what {each.branch} gives here"
        for letter, each in operands.items()
        if each.branch != ""
    ]
    return f"{'; '.join(said)}."
