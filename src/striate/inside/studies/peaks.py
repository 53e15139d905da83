"""The strongest activation of units of several layers, in one pass over the images that keeps no maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.errors import ModelError
from striate.inside.atlases.streams import Block, Stream
from striate.inside.watching.answers import require_finite
from striate.inside.watching.arguments import whole
from striate.inside.watching.inputs import as_input
from striate.inside.watching.watch import undisturbed, watch
from striate.layers.values import Pair


class Peak(NamedTuple):
    """A unit's strongest activation over images.

    Attributes:
        unit, value: which unit, and how strong; float32.
        image: the index of the image; of equals the first.
        position: row and column on the feature map; of equals the first in reading order. (0, 0) for vectors.
    """

    unit: int
    value: float
    image: int
    position: Pair


def peaks(
    module: nn.Module, images: Stream, layers: Sequence[tuple[str, Sequence[int]]], batch: int
) -> list[list[Peak]]:
    """The peak of every unit of every layer, in their order.

    Arguments:
        layers: pairs of a layer and its units; a layer may come again with other units.
        batch: images computed at once.

    Raises:
        ModelError: if there is no such layer or unit.
        Failure: if an activation is not a finite number.

    Example:
        >>> from striate.inside.atlases.streams import stream
        >>> net = nn.Sequential(nn.Identity(), nn.Flatten())
        >>> images = stream(torch.tensor([[[[1.0, 2.0]]], [[[2.0, 0.0]]]]))
        >>> peaks(net, images, [("0", [0]), ("1", [0])], batch=2)
        [[Peak(unit=0, value=2.0, image=0, position=(0, 1))], [Peak(unit=0, value=2.0, image=1, position=(0, 0))]]
    """
    every = sorted({whole(unit, "unit") for _, units in layers for unit in units})
    batch = whole(batch, "batch", least=1)
    with undisturbed(module) as still, torch.no_grad():
        best = [_Best(layer, units, every) for layer, units in layers]
        with watch(still, [layer for layer, _ in layers], partial(_maxima, units=every)) as seen:
            for block in images.blocks(batch):
                still(as_input(still, images.normalized(block.images)).clone())
                for one in best:
                    one.offer(seen[one.layer], block)
    return [one.peaks() for one in best]


class _Maxima(NamedTuple):
    """The maxima of some maps, or vectors.

    Attributes:
        values, places: of each image and each of the units that the layer has; places in reading order.
        shape: of the layer's output.
    """

    values: Float[Tensor, "batch unit"]
    places: Int[Tensor, "batch unit"]
    shape: tuple[int, ...]


def _maxima(output: Tensor, units: Sequence[int]) -> _Maxima:
    shape = tuple(output.shape)
    if len(shape) not in (2, 4):
        return _Maxima(output, output, shape)  # refused by `_Best`, which knows the layer's name
    chosen = output[:, [unit for unit in units if 0 <= unit < shape[1]]].float()
    flat = chosen.flatten(2) if len(shape) == 4 else chosen[:, :, None]
    places = flat.argmax(2)  # the first of equals
    return _Maxima(flat.gather(2, places[:, :, None])[:, :, 0].cpu(), places.cpu(), shape)


@final
class _Best:
    """The strongest of what has been offered so far, for some units of a layer."""

    def __init__(self, layer: str, units: Sequence[int], every: Sequence[int]) -> None:
        self.layer, self.units = layer, tuple(units)
        self._columns, self._width = [every.index(unit) for unit in units], 1
        self._values = torch.full((len(units),), -torch.inf)
        self._images = torch.full((len(units),), -1)
        self._places = torch.full((len(units),), -1)

    def offer(self, found: _Maxima, block: Block) -> None:
        """Takes up what is stronger than what is held; images come in ascending order, so that equals stay out."""
        self._require_units(found.shape)
        self._width = found.shape[3] if len(found.shape) == 4 else 1
        values, places = found.values[:, self._columns], found.places[:, self._columns]
        require_finite(self.layer, values, block.indices)
        rows = values.argmax(0)[None]  # the first of equals
        strongest = values.gather(0, rows)[0]
        better = strongest > self._values
        self._values = torch.where(better, strongest, self._values)
        self._images = torch.where(better, block.indices[rows[0]], self._images)
        self._places = torch.where(better, places.gather(0, rows)[0], self._places)

    def peaks(self) -> list[Peak]:
        found = zip(self.units, self._values.tolist(), self._images.tolist(), self._places.tolist(), strict=True)
        return [Peak(unit, value, image, divmod(place, self._width)) for unit, value, image, place in found]

    def _require_units(self, shape: tuple[int, ...]) -> None:
        if len(shape) not in (2, 4):
            raise ModelError(f"layer {self.layer} must give maps (4 dimensions) or vectors (2), found {shape}")
        for unit in self.units:
            if not 0 <= unit < shape[1]:
                raise ModelError(f"layer {self.layer} has units 0 to {shape[1] - 1}, found {unit}")
