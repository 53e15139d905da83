"""Projections of many pairs (unit, image): on receptive-field windows where a layer's chain allows, else on whole
images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from striate.inside.atlases.steps import Cuts, Marks
from striate.inside.atlases.survey import Layer, MarkStore
from striate.inside.atlases.windows import Chain
from striate.inside.projections.rules import Rule, backward_rule, follow_back
from striate.inside.watching.calls import Reading, Trace, run

WINDOW_BYTES = 24 * 2**20
"""Memory of the largest map of one batch of windows, in bytes."""

LARGEST_BATCH = 128
"""Pairs in one batch of windows."""


@final
@dataclass(frozen=True)
class Pairs:
    """What is to be projected: unit and place in its top list, image, and position (row, column), one row each."""

    units: NDArray[np.int64]
    places: NDArray[np.int64]
    images: NDArray[np.int64]
    positions: Int[NDArray[np.int64], "pair 2"]

    def __len__(self) -> int:
        return len(self.units)

    def at(self, rows: NDArray[np.int64]) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.units[rows], self.places[rows], self.images[rows], self.positions[rows])


@final
@dataclass(frozen=True)
class Projections:
    """Projections of some pairs on image windows of one size.

    Attributes:
        rows: which pairs.
        starts: (pair, 2) first row and column of each window in its image.
        values: (pair, channel, row, column) float32.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    values: Float[Tensor, "pair channel row column"]


def project_windows(
    chain: Chain, pairs: Pairs, store: MarkStore, device: torch.device, take: Callable[[Projections], None]
) -> Iterator[Callable[[], int]]:
    """The projections of pairs on their windows, in pieces that may be done in any order, on any thread; each returns
    how many pairs it has done.

    Arguments:
        store: holds the marks of all their images.
        take: given the projections of some pairs by each piece that is done; by all together, those of all pairs.
    """
    cuts, starts = chain.cuts(pairs.positions)

    def project(rows: NDArray[np.int64]) -> int:
        cut = cuts[int(rows[0])]
        marks = [
            _cut_out(store, step.call, pairs.images[rows], starts[rows, k], cut[k]) if step.marked else None
            for k, step in enumerate(chain.steps)
        ]
        with torch.no_grad():
            values = chain.back(torch.from_numpy(pairs.units[rows]).to(device), cut, marks)
            take(Projections(rows, starts[rows, -1], values))
        return len(rows)

    yield from (partial(project, rows) for rows in _batches(chain, cuts))


def _batches(chain: Chain, cuts: Sequence[tuple[Cuts, ...]]) -> list[NDArray[np.int64]]:
    """Rows of equal cuts, as many as are projected at once."""
    found = list[NDArray[np.int64]]()
    for alike in _alike(cuts):
        count = int(np.clip(WINDOW_BYTES // chain.largest_map(cuts[int(alike[0])]), 1, LARGEST_BATCH))
        found.extend(np.split(alike, range(count, len(alike), count)))
    return found


def _alike(cuts: Sequence[tuple[Cuts, ...]]) -> list[NDArray[np.int64]]:
    """The rows of equal cuts, group by group."""
    groups: dict[tuple[Cuts, ...], list[int]] = {}
    for row, cut in enumerate(cuts):
        groups.setdefault(cut, []).append(row)
    return [np.array(rows) for rows in groups.values()]


def _cut_out(store: MarkStore, call: int, images: NDArray[np.int64], starts: NDArray[np.int64], cuts: Cuts) -> Marks:
    rows, columns = cuts[0].outputs, cuts[1].outputs
    windows = (
        store.marks[image][call][row : row + rows, column : column + columns]
        for image, (row, column) in zip(images.tolist(), starts.tolist(), strict=True)
    )
    return torch.stack(list(windows))


def project_whole(
    module: nn.Module,
    trace: Trace,
    layer: Layer,
    pairs: Pairs,
    images: Float[Tensor, "pair channel row column"],
    *,
    rule: Rule,
    others: Literal["gradient"] | None = None,
) -> Projections:
    """Projects pairs on their whole images, one backward pass for all of them.

    Arguments:
        module: as `undisturbed` lends it.
        images: of each pair, as the module takes them.

    Raises:
        ModelError: if something on the way has no such rule.
    """
    image, seen = images.detach().requires_grad_(), list[Tensor]()
    with backward_rule(rule, others):
        run(module, image, Reading(trace, {layer.call: lambda activations: seen.append(activations.clone())}))
    seed = torch.zeros_like(seen[0])
    place = (torch.arange(len(pairs)), torch.from_numpy(pairs.units))
    seed[place if seed.ndim == 2 else (*place, *torch.from_numpy(pairs.positions).unbind(1))] = 1
    values = follow_back(seen[0], seed, image, rule=rule, others=others)
    return Projections(np.arange(len(pairs)), np.zeros((len(pairs), 2), np.int64), values.float())
