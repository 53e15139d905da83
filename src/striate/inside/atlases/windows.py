"""Projections of chain networks on receptive-field windows alone, many units at a time, exactly.

Followed back from one position, an activation reaches only its receptive field, so each pair (unit, image) needs the
maps only there. Two facts make this fast. The deconvnet needs nothing of the forward pass but the switches of the max
pools, and those are cut out of one whole-image pass that all units share; and pairs whose windows are clipped alike
by the borders of all maps (the same `Cut`s) run as one batch. What falls outside a map is cut off where it arises,
as padding has no gradient. Convolutions followed back are convolutions with turned filters; a stride s becomes s²
phases.
The result equals the whole-image projection up to float32 rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (as everybody calls it)

from striate.inside.atlases.step_making import step_of
from striate.inside.atlases.steps import Cut, Cuts, Filter, Marks, Pass, Rectify, Step
from striate.inside.projections.rules import Rule
from striate.inside.watching.calls import IMAGE, Trace
from striate.layers.values import Pair
from striate.layers.window import Field


@final
@dataclass(frozen=True)
class Chain:
    """The steps from the images to a layer's activations, the first one at the images.

    Attributes:
        steps: in the order of the forward pass.
        shape: of the activations of one image (unit, rows, columns).
        image: rows and columns of the image.
    """

    steps: tuple[Step, ...]
    shape: tuple[int, int, int]
    image: Pair

    @property
    def field(self) -> Field:
        """The receptive field of the activations, in pixels."""
        field = Field()
        for step in self.steps:
            field = field.through(step.window)
        return field

    def largest_map(self, cuts: Sequence[Cuts]) -> int:
        """Bytes of the largest map on the way back of one pair with these cuts, in float32."""
        channels, largest = self.shape[0], 1
        for step, (rows, columns) in zip(self.steps[::-1], list(cuts)[::-1], strict=True):
            if isinstance(step, Filter):
                channels = step.weight.shape[1] * step.groups
            largest = max(largest, 4 * channels * rows.kept * columns.kept)
        return largest

    def cuts(self, positions: Int[NDArray[np.int64], "pair 2"]) -> tuple[list[tuple[Cuts, ...]], NDArray[np.int64]]:
        """For every position (row, column): its cuts, one per step; and where the window of every step's output starts.

        Returns:
            The cuts in the order of `steps`; the first row and column of each step's *output* window, and last those of
            the image window, (pair, step + 1, 2).
        """
        per_axis = [_axis_cuts(self.steps, positions[:, axis], axis) for axis in (0, 1)]
        cuts = [tuple(zip(rows, columns, strict=True)) for rows, columns in zip(*(c for c, _ in per_axis), strict=True)]
        return cuts, np.stack([starts for _, starts in per_axis], axis=2)

    def back(
        self, units: Int[Tensor, " pair"], cuts: Sequence[Cuts], marks: Sequence[Marks | None]
    ) -> Float[Tensor, "pair channel rows columns"]:
        """The projections of pairs that are cut alike, on their windows of the image.

        Arguments:
            units: the unit of each pair; its activation, at the position the cuts were made for, is followed back
                from 1.
            cuts: one per step, as `cuts` gives them.
            marks: one per step, cut to the windows of the step's outputs, (pair, rows, columns, channel).
        """
        last = len(self.steps)
        while last and isinstance(self.steps[last - 1], Rectify | Pass) and self._opens(last - 1, cuts):
            last -= 1
        step = self.steps[last - 1]
        if isinstance(step, Filter):
            g = step.seed(units, cuts[last - 1])
            last -= 1
        else:
            g = F.one_hot(units, self.shape[0]).float()[:, :, None, None]
            last = len(self.steps)
        for step, cut, mark in list(zip(self.steps, cuts, marks, strict=True))[last - 1 :: -1] if last else ():
            g = step.back(g, cut, mark)
        return g

    def _opens(self, number: int, cuts: Sequence[Cuts]) -> bool:
        """Whether this step passes the 1 at a unit's own position on as it is (a unit shown is an active one)."""
        return isinstance(self.steps[number], Rectify) or cuts[number] == (Cut(1, 0, 1), Cut(1, 0, 1))


def _axis_cuts(
    steps: Sequence[Step], positions: NDArray[np.int64], axis: int
) -> tuple[list[tuple[Cut, ...]], NDArray[np.int64]]:
    first, count = positions.astype(np.int64), np.ones(len(positions), np.int64)
    cuts: list[NDArray[np.int64]] = []
    starts = [first]
    for step in reversed(steps):
        window, size = step.window, step.size[axis]
        start = first * window.stride[axis] - window.before[axis]
        end = (first + count - 1) * window.stride[axis] - window.before[axis] + window.extent[axis]
        inside, until = np.clip(start, 0, size), np.clip(end, 0, size)
        cuts.append(np.stack([count, inside - start, until - inside], axis=1))
        first, count = inside, until - inside
        starts.append(first)
    rows = np.stack(cuts[::-1], axis=1).tolist() if cuts else [[] for _ in positions]
    return [tuple(Cut(*cut) for cut in row) for row in rows], np.stack([*starts[-2::-1], starts[-1]], axis=1)


def chain(trace: Trace, number: int, rule: Rule) -> Chain | None:
    """The chain from the images to the call `number`, or None where there is none or a step cannot be cut into
    windows."""
    steps: list[Step] = []
    call = trace.calls[number]
    shape, image = call.shape[1:], call.shape[2:]
    while number != IMAGE:
        call = trace.calls[number]
        if len(call.inputs) != 1 or len(call.shape) != 4 or call.stale:
            return None
        before = call.inputs[0]
        size = trace.image[1:] if before == IMAGE else trace.calls[before].shape[2:]
        step = step_of(number, call, (size[0], size[1]), rule) if len(size) == 2 else None
        if step is None:
            return None
        steps.append(step)
        number, image = before, size
    return Chain(tuple(steps[::-1]), (shape[0], shape[1], shape[2]), (image[0], image[1]))
