"""Regression: rows of numbers as a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from striate.data import cache
from striate.data.dataset import DataSet, Split
from striate.data.findings import Findings
from striate.data.splits import UNDIVIDED, divided
from striate.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def table(x: ArrayLike, y: ArrayLike, *, seed: int = 0, name: str = "table") -> DataSet:
    """A regression data set: inputs (N, features) and targets (N, outputs), as float32; one axis means one column.

    A tenth of the rows is taken for validation and a tenth for test, by `seed`; equal rows of inputs stay together.

    Raises:
        DataError: the shapes do not agree, there are fewer than three rows or no column, a value is no real number, or
            not finite in float32; or the seed is below 0.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).uniform(size=(100, 3))
        >>> data = table(x, x.sum(1))
        >>> data.shape, data.train.labels.shape, len(data.test)
        ((3,), (80, 1), 10)
    """
    inputs, targets = _columns(x, "x"), _columns(y, "y")
    if len(inputs) != len(targets) or len(inputs) < 3:
        raise DataError(
            f"x and y must have the same number of rows, at least 3, found {len(inputs)} and {len(targets)}"
        )
    if not isinstance(seed, int) or seed < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DataError(f"seed must be a whole number from 0, found {seed}")
    rows = [row.tobytes().hex() for row in inputs + np.float32(0)]  # of the two zeros, only one
    one_class = np.zeros(len(rows), np.int64)
    split = divided(one_class, np.full(len(rows), UNDIVIDED), rows, seed)
    parts = [np.flatnonzero(split == place) for place in range(3)]
    train, validation, test = (Split(inputs[p], targets[p], tuple(f"{name}[{i}]" for i in p)) for p in parts)
    mark = cache.key(inputs.tobytes(), targets.tobytes(), split.tobytes())
    return DataSet(name, (), train, validation, test, Findings(images=len(rows)), mark)


def _columns(values: ArrayLike, name: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    try:
        if np.iscomplexobj(values):
            raise TypeError
        with np.errstate(over="ignore"):
            found = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        raise DataError(f"{name} must hold real numbers, one row per example") from None
    if found.ndim not in (1, 2) or 0 in found.shape:
        raise DataError(f"{name} must be of shape (rows,) or (rows, columns), found {found.shape}")
    if not np.isfinite(found).all():
        raise DataError(f"{name} must hold finite numbers, in size up to {np.finfo(np.float32).max:.1e}")
    return found.reshape(len(found), -1)
