"""Statistics of several numbers of one image, as networks written by hand take them: what such a number is made of.

    sum:       y = Σ_d x_d                         mean:       y = 1/n · Σ_d x_d
    variance:  y = 1/(n − k) · Σ_d (x_d − μ)²      deviation:  y = √variance
    length:    y = √(Σ_d x_d²)                     largest:    y = max over d of x_d

d runs over the n numbers that are taken together, μ is their mean, and k is 1 where the variance of what they were
drawn from is estimated, else 0.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from striate.layers.terms import Formula, Sources, Step, Summed, single

Statistic = Literal["sum", "mean", "variance", "deviation", "length"]
"""Those that add something up."""


def taken(
    kind: Statistic, x: Float[np.ndarray, " n"], places: Int[np.ndarray, "n axes"], correction: float = 0.0
) -> Formula:
    """The terms of a statistic.

    Arguments:
        kind: which one.
        x: the numbers.
        places: where each stands.
        correction: k, of a variance or a deviation.

    Example:
        >>> taken("length", np.array([3.0, 4.0]), np.array([[0], [1]])).value
        5.0
    """
    known = {"n": float(len(x))}
    if kind in ("variance", "deviation"):
        known |= {"μ": float(x.mean()), "k": correction}
    added = {"variance": (x - x.mean()) ** 2, "deviation": (x - x.mean()) ** 2, "length": x**2}.get(kind, x)
    summed = Summed(_ADDED.get(kind, "x_d"), x, added, places)
    with np.errstate(divide="ignore", invalid="ignore"):  # of one number, n − 1 is 0
        share = float(np.float64(summed.total) / (len(x) - correction))
    value = {"sum": summed.total, "length": summed.total**0.5, "deviation": share**0.5}.get(kind, share)
    equation, formula = _WORKED[kind]
    shares = added / len(x) if kind == "mean" else added
    sources = Sources(x, shares, places)
    return Formula(equation, known, (Step("y", formula, value),), sources, summed, size=_size(kind, x, value))


def largest(x: Float[np.ndarray, " n"], places: Int[np.ndarray, "n axes"]) -> Formula:
    """The terms of the largest of several numbers; of equal ones the first.

    Arguments:
        x: the numbers.
        places: where each stands.

    Example:
        >>> largest(np.array([3.0, 4.0]), np.array([[0], [1]])).remark
        'x is the largest of 2 numbers, that of unit 1.'
    """
    first = int(x.argmax())
    unit, *position = places[first].tolist()
    where = f"unit {unit}" + (f" at row {position[0]}, column {position[1]}" if len(position) == 2 else "")
    remark = f"x is the largest of {len(x)} numbers, that of {where}."
    value = float(x[first])
    return single("y = max over d of x_d", {"x": value}, (unit, *position), Step("y", "x", value), remark=remark)


def _size(kind: Statistic, x: Float[np.ndarray, " n"], value: float) -> float:
    """The size of what is added up; of numbers that differ little, of which the mean is taken, they are that."""
    if kind in ("sum", "mean"):
        return float(np.abs(x).sum()) / (len(x) if kind == "mean" else 1)
    whole = float(np.sqrt(np.mean(x**2)))
    return {"variance": float(x.std()) * whole, "deviation": whole}.get(kind, abs(value))


_ADDED = {"variance": "(x_d − μ)^2", "deviation": "(x_d − μ)^2", "length": "x_d^2"}
"""What is done to each number before it is added."""

_WORKED: dict[Statistic, tuple[str, str]] = {
    "sum": ("y = Σ_d x_d", "Σ"),
    "mean": ("y = 1/n · Σ_d x_d", "Σ / n"),
    "variance": ("y = 1/(n − k) · Σ_d (x_d − μ)²", "Σ / (n − k)"),
    "deviation": ("y = √(1/(n − k) · Σ_d (x_d − μ)²)", "√(Σ / (n − k))"),
    "length": ("y = √(Σ_d x_d²)", "√(Σ)"),
}
"""The equation of each, and its last step."""
