"""The number that gets the full colour: one for each unit, one for each layer, or one over all.

A picture without its scale says nothing; `sentence` is what stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import NDArray

Scale = Literal["unit", "layer", "all"]


def limits(layers: Sequence[Shaped[np.ndarray, "units ..."]], scale: Scale) -> list[NDArray[np.float64]]:
    """The limit of every unit's colour scale: the largest absolute value in the unit, in its layer, or anywhere.

    Works for signed and unsigned values alike: what is signed is drawn from -limit to limit, what is not from 0.

    Arguments:
        layers: one array of values per layer, units first.
        scale: over what the largest value is taken.

    Returns: for each layer the limits of its units, (units,); NaN and infinite values are passed over.

    Example:
        >>> limits([np.array([[1.0, -3.0], [2.0, 0.0]]), np.array([[5.0, 4.0]])], "layer")
        [array([3., 3.]), array([5.])]
    """
    per_unit = [_per_unit(layer) for layer in layers]
    if scale == "unit":
        return per_unit
    if scale == "layer":
        return [np.full_like(units, units.max(initial=0.0)) for units in per_unit]
    over_all = max((units.max(initial=0.0) for units in per_unit), default=0.0)
    return [np.full_like(units, over_all) for units in per_unit]


def sentence(scale: Scale) -> str:
    """How a caption states the scale.

    Example:
        >>> sentence("layer")
        'one scale for the whole layer'
    """
    over = {"unit": "each unit has its own scale", "layer": "one scale for the whole layer", "all": "one scale for all"}
    return over[scale]


def _per_unit(values: Shaped[np.ndarray, "units ..."]) -> Float[np.ndarray, " units"]:
    flat = np.abs(values.reshape(len(values), -1).astype(np.float64))
    return np.where(np.isfinite(flat), flat, 0.0).max(axis=1, initial=0.0)
