"""The strongest activations of every unit over a stream of images, in memory that does not grow with the stream.

Order: value descending, then data-set index ascending; the position is the first maximum of the map in row-major
order. At most one per image, as each image offers one maximum per unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float, Int
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
        rows = (highest > self.values[:, -1]).any(0).nonzero().flatten()
        if len(rows) == 0:
            return
        held, count = self.values[rows], self.values.shape[1]
        values, order = torch.cat([held, highest.T[rows]], 1).sort(dim=1, descending=True, stable=True)
        order = order[:, :count]
        new = order >= count
        offered = (order - count).clamp(min=0)
        place = order.clamp(max=count - 1)
        self.values[rows] = values[:, :count]
        self.images[rows] = torch.where(new, images.cpu()[offered], self.images[rows].gather(1, place))
        positions = self.positions[rows].gather(1, place)
        positions[new] = _positions(activations, offered[new], rows[:, None].expand_as(new)[new])
        self.positions[rows] = positions

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, for `take`."""
        return {"values": self.values, "images": self.images, "positions": self.positions}

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes up the `tensors` of another list, which was offered other images."""
        held = {name: torch.cat([own, tensors[name]], 1) for name, own in self.tensors().items()}
        order = held["images"].argsort(1)
        strongest = held["values"].gather(1, order).sort(dim=1, descending=True, stable=True).indices
        order = order.gather(1, strongest[:, : self.values.shape[1]])
        self.values, self.images, self.positions = (value.gather(1, order) for value in held.values())


def _positions(
    activations: Float[Tensor, "batch units ..."], images: Int[Tensor, " map"], units: Int[Tensor, " map"]
) -> Int[Tensor, " map"]:
    """The first row-major position of the maximum of some maps; 0 for vectors."""
    if activations.ndim == 2:
        return torch.zeros_like(images)
    flat = activations.permute(0, 2, 3, 1).flatten(1, 2)  # no copy where the memory is channels_last
    if len(images) * 3 > flat.shape[0] * flat.shape[2]:  # one by one they cost about three times as much each
        return flat.argmax(1).cpu()[images, units]
    return flat[images.to(flat.device), :, units.to(flat.device)].argmax(1).cpu()
