"""Calls that take several numbers together, as steps: sums, means, variances, lengths and maxima along some axes.

A mean or a maximum over positions alone is pooling, and stands in `pools.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from torch import Tensor

from striate.inside.following.arguments import require
from striate.inside.following.origins import LAST, Origin, Step, made
from striate.inside.following.steps import Reached, one_image
from striate.layers.equations.statistics import Statistic, largest, taken
from striate.layers.terms import Spot, Terms, grid


@final
@dataclass(frozen=True, eq=False)
class Taken:
    """A call that takes numbers together.

    Attributes:
        kind: which statistic.
        reached: what reached it, with the channels first.
        axes: along which of its axes, from 0.
        keep: whether these are kept, with one number each.
        correction: k, of a variance.
        channels_last: whether the call has its maps with the channels last.
    """

    kind: Statistic | Literal["largest"]
    reached: Reached
    axes: frozenset[int]
    keep: bool
    correction: float
    channels_last: bool

    def origin(self, output: Tensor) -> Origin:
        """Where the numbers of what it makes come from: `output`, of the one image."""
        last, x = self.channels_last and self.keep, self.reached.x
        y = np.moveaxis(one_image(output), -1, 0) if last else one_image(output)

        def terms(at: Spot) -> Terms:
            places = self._places(at)
            if self.kind == "largest":
                return largest(x[tuple(places.T)], places)
            return taken(self.kind, x[tuple(places.T)], places, self.correction)

        origins, dtype = {"": self.reached.origin}, output.dtype
        origin = made(Step(self.kind, self.kind, x.shape, y, origins, terms, function=True, dtype=dtype))
        return origin.transposed(*LAST) if last else origin

    def _places(self, at: Spot) -> np.ndarray:
        """The places of the numbers that one of the output is made of."""
        kept = iter(at)
        spans = list[range]()
        for axis, side in enumerate(self.reached.x.shape):
            place = next(kept) if self.keep or axis not in self.axes else 0
            spans.append(range(side) if axis in self.axes else range(place, place + 1))
        return grid(*spans).reshape(-1, len(spans))


def read(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], reached: Reached) -> Taken | None:
    """What a call takes together; None where it is none of these, or pooling.

    Raises:
        Untranslatable: it is one of these, but not along axes of one image, or it is another length.
    """
    if name not in _KINDS:
        return None
    kind, names = _KINDS[name]
    given = dict(zip(names, args[1:], strict=False)) | dict(kwargs)
    dims, last = given.get("dim"), reached.origin.channels_last
    if name == "max" and not isinstance(dims, int | None):
        return None  # the larger of two tensors
    order = given.get("p", given.get("ord", 2))
    require(order in (2, "fro", None), f"p={order!r}; explained is 2")
    dims = [dims] if isinstance(dims, int) else dims or []
    axes = frozenset(int(dim) % (reached.x.ndim + 1) - 1 for dim in dims)
    require(bool(axes) and -1 not in axes, f"dim={given.get('dim')}; explained are dimensions of one image, named")
    if name in ("mean", "amax") and not last and axes <= {1, 2} and reached.x.ndim in (2, 3):
        return None
    keep = bool(given.get("keepdim", False))
    left = reached.x.ndim - (0 if keep else len(axes))
    require(left in (1, 3), f"dim={given.get('dim')}, which leaves {left} dimensions; explained are maps and vectors")
    found = frozenset((axis + 1) % 3 for axis in axes) if last else axes
    first = reached.first(reached.x.shape[:2]) if last else reached
    return Taken(kind, first, found, keep, _correction(kind, given), last)


def _correction(kind: str, given: Mapping[str, Any]) -> float:
    """k: 1 unless something else is said, as in torch."""
    if kind not in ("variance", "deviation"):
        return 0.0
    return float(given.get("correction", 1.0 if given.get("unbiased", True) else 0.0))


_ALONG, _SPREAD = ("dim", "keepdim"), ("dim", "unbiased", "keepdim")

_KINDS: dict[str, tuple[Statistic | Literal["largest"], Sequence[str]]] = {
    "sum": ("sum", _ALONG),
    "mean": ("mean", _ALONG),
    "amax": ("largest", _ALONG),
    "max": ("largest", _ALONG),
    "var": ("variance", _SPREAD),
    "std": ("deviation", _SPREAD),
    "norm": ("length", ("p", *_ALONG)),
    "linalg_vector_norm": ("length", ("ord", *_ALONG)),
}
"""Each function's name: the statistic, and its arguments after the first."""
