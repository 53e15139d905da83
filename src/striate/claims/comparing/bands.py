"""Lines of a figure: the mean over seeds of what each of them gave at every point, and its 95% interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from striate.claims.comparing.statistics import t_interval

if TYPE_CHECKING:
    from striate.claims.comparing.metrics import Record


def band(name: str, x: Sequence[float], values: Float[np.ndarray, "seed point"]) -> dict[str, Any]:
    """A line and the t interval of its mean, which is without width where there is one seed.

    Returns: name, x, y, low, high, n, as `Figure` takes them.

    Example:
        >>> band("relu", [1, 2], np.array([[0.5, 0.2], [0.5, 0.4]]))["y"]
        [0.5, 0.30000000000000004]
    """
    spans = [t_interval(column) if len(values) > 1 else (column[0], column[0]) for column in values.T]
    return {
        "name": name,
        "x": list(x),
        "y": values.mean(0).tolist(),
        "low": [float(low) for low, _ in spans],
        "high": [float(high) for _, high in spans],
        "n": len(values),
    }


def of_records(name: str, records: Sequence[Record], part: str, x: str, y: str) -> dict[str, Any]:
    """The line of a list of points that every record holds, shares all, and its interval as far as it is a share.

    Arguments:
        part: the list's name in a record.
        x, y: names in a point.
    """
    length = min(len(record[part]) for record in records)
    values = np.array([[point[y] for point in record[part][:length]] for record in records], float)
    line = band(name, [point[x] for point in records[0][part][:length]], values)
    shares = {"low": [max(low, 0.0) for low in line["low"]], "high": [min(high, 1.0) for high in line["high"]]}
    return line | shares
