"""The strongest activations of every unit over a stream of images, in memory that does not grow with the stream.

Order: value descending, then data-set index ascending; the position is the first maximum of the map in row-major
order. At most one per image, as each image offers one maximum per unit.
"""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@final
class Top:
    """The `count` strongest of what has been offered so far, for each of `units`.

    Attributes:
        values: (units, count) float32, descending; −inf where fewer images have been offered.
        images: (units, count) int64, data-set indices; −1 there.
        positions: (units, count) int64, row-major; −1 there.

    Example:
        >>> top = Top(1, 2)
        >>> maps = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 5.0]]], [[[5.0, 5.0]]]])
        >>> top.offer(maps.amax((2, 3)), maps, torch.arange(3))
        >>> top.images, top.positions
        (tensor([[1, 2]]), tensor([[1, 0]]))
    """

    def __init__(self, units: int, count: int) -> None:
        self.values = torch.full((units, count), -torch.inf)
        self.images = torch.full((units, count), -1)
        self.positions = torch.full((units, count), -1)
        self._last = -1

    def offer(
        self,
        highest: Float[Tensor, "batch units"],
        activations: Float[Tensor, "batch units ..."],
        images: Int[Tensor, " batch"],
    ) -> None:
        """Takes up what is stronger than what is held.

        A later image does not displace an equal one, so strictly greater is what counts, and a stable sort is all
        the order there is to keep.

        Arguments:
            highest: the maximum of each map.
            activations: the maps, or vectors.
            images: data-set indices, ascending, also from call to call.
        """
        assert len(images) == 0 or int(images[0]) > self._last, "images must come in ascending order"
        if len(images) == 0:
            return
        self._last = int(images[-1])
        entering = highest > self.values[:, -1]
        rows = entering.any(0).nonzero().flatten()
        if len(rows) == 0:
            return
        positions = _positions(activations, entering)
        held = (self.values[rows], self.images[rows], self.positions[rows])
        new = (highest.T[rows], images.cpu().expand(len(rows), -1), positions.T[rows])
        joined = [torch.cat(pair, 1) for pair in zip(held, new, strict=True)]
        order = joined[0].sort(dim=1, descending=True, stable=True).indices[:, : self.values.shape[1]]
        self.values[rows], self.images[rows], self.positions[rows] = (part.gather(1, order) for part in joined)


def _positions(
    activations: Float[Tensor, "batch units ..."], wanted: Bool[Tensor, "batch units"]
) -> Int[Tensor, "batch units"]:
    """The first row-major position of the maximum, where `wanted` (0 elsewhere, and for vectors)."""
    positions = torch.zeros_like(wanted, dtype=torch.long)
    if activations.ndim == 2:
        return positions
    flat = activations.permute(0, 2, 3, 1).flatten(1, 2)  # no copy where the memory is channels_last
    if int(wanted.sum()) * 8 > wanted.numel():  # gathering maps one by one costs about eight times as much per map
        return flat.argmax(1).cpu()
    rows, units = wanted.nonzero(as_tuple=True)
    positions[rows, units] = flat[rows.to(flat.device), :, units.to(flat.device)].argmax(1).cpu()
    return positions
