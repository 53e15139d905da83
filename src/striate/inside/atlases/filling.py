"""Filling the files of an atlas: patches and projections of every top activation, chapter by chapter of images."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, final

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from torch import Tensor, nn

from striate.errors import ModelError
from striate.inside.atlases.array_files import ArrayFile
from striate.inside.atlases.cells import Cells
from striate.inside.atlases.exchange import Exchange
from striate.inside.atlases.projecting import Pairs, Projections, project_whole, project_windows
from striate.inside.atlases.streams import Block, Stream
from striate.inside.atlases.survey import Layer, MarkStore, Survey, block_size, marking, padded
from striate.inside.atlases.threads import Threads
from striate.inside.atlases.topk import Top
from striate.inside.projections.rules import Rule
from striate.inside.receptive.fields import ReceptiveField
from striate.inside.watching.calls import Reading, Trace, run
from striate.inside.watching.inputs import as_input
from striate.layers.values import Pair
from striate.layers.window import Field

WHOLE_BATCH = 16
"""Pairs projected at once where it takes whole images; half of that many images' maps stay in memory for autograd."""

PATCHES = 64
"""Patches cut out at once."""


@final
@dataclass(frozen=True)
class Look:
    """Where the units of a layer look: the part of the image that patch and projection show.

    Attributes:
        size: rows and columns shown: the receptive field's, at most the image's.
        image: rows and columns of the image.
        boxes: (positions, 4): top, left, bottom, right of the field of every position, row-major; not clipped where
            fields move in equal steps.
        frames: (positions, 2): the first row and column of what is shown of it.
        field: rows and columns, stride and start of the receptive field, in pixels; None where it is the whole image.
    """

    size: Pair
    image: Pair
    boxes: Int[NDArray[np.int64], "position 4"]
    frames: Int[NDArray[np.int64], "position 2"]
    field: Field | None

    @classmethod
    def of(cls, layer: Layer, found: ReceptiveField | None, image: Pair) -> Look:
        """From the layer's chain, else from its receptive field, else the whole image."""
        if layer.chain is not None:
            return cls._in_steps(layer.chain.field, layer.shape[1:], image)
        if found is None or len(layer.shape) != 3:
            whole = cls._in_steps(Field(image, (0, 0)), layer.shape[1:] or (1, 1), image)
            return replace(whole, field=None)
        steps = cls._in_steps(Field(found.size, found.stride, found.start), layer.shape[1:], image)
        if found.regular:
            return steps
        spans = _crossed(np.array(found.rows), np.array(found.columns))  # (position, axis, first and last)
        boxes = np.concatenate([spans[..., 0], spans[..., 1] + 1], axis=1)
        return replace(steps, boxes=boxes, frames=_crossed(*(np.array(found.frames(axis)) for axis in (0, 1))))

    @classmethod
    def _in_steps(cls, field: Field, positions: Sequence[int], image: Pair) -> Look:
        """Where fields that move in equal steps look, of so many rows and columns of positions."""
        steps = zip(field.start, field.stride, positions, strict=True)
        first = _crossed(*(start + stride * np.arange(count) for start, stride, count in steps))
        shown = min(field.size[0], image[0]), min(field.size[1], image[1])
        return cls(shown, image, np.concatenate([first, first + field.size], axis=1), first, field)

    def starts(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """(pair, 2) first row and column shown: of the field, or of the image along an axis where the field is
        larger."""
        larger = np.array(self.size) >= np.array(self.image)
        return np.where(larger, 0, self.frames[positions])


@final
@dataclass(frozen=True)
class Filling:
    """What all layers of one atlas share while it is filled.

    Attributes:
        module: as `undisturbed` lends it.
        trace: its calls.
        images: the data.
        exchange: between the processes.
        looks: layer name -> where its units look.
        files, cells: layer name -> its open file, and the pictures of its sheets.
        rule, others: of the projections.
        take: given the index, the picture (channel, row, column) and the label of every image used.
    """

    module: nn.Module
    trace: Trace
    images: Stream
    exchange: Exchange
    looks: Mapping[str, Look]
    files: Mapping[str, ArrayFile]
    cells: Mapping[str, Cells]
    rule: Rule
    others: Literal["gradient"] | None
    take: Callable[[int, NDArray[np.uint8], int | None], None]

    def fill(
        self,
        layers: Sequence[Layer],
        found: Survey,
        store: MarkStore,
        threads: Threads,
        progress: Callable[[int], None],
    ) -> None:
        """Patches and projections of all that `found` holds, of which each process makes its share.

        Chapter by chapter, so that the marks of a chapter's images fit into the store's limit, and all pairs of a layer
        that are in it are at hand together. The processes share its blocks of images; when each has the marks of all,
        they share its pieces of projections.

        Arguments:
            progress: told how many places are projected, by all processes.
        """
        ranks = self.exchange.ranks
        ranks.begin()
        hands, device = self.exchange.hands, next(self.module.parameters()).device
        for images in np.split(found.images(), range(store.capacity, len(found.images()), store.capacity)):
            store.keep_only(images.tolist())
            blocks = self.images.blocks(block_size(self.trace), images, hands)
            computed = (self._compute(layers, found, store, block) for block in blocks)
            for done in threads.each(lambda block: self._show(layers, found, block), computed):
                progress(ranks.done(done))
            for tensors in self.exchange.others(store.tensors):
                store.take(tensors, device)
            pieces = (piece for layer in layers for piece in self._pieces(layer, found, store, images))
            for done in threads.each(operator.call, itertools.islice(pieces, hands.start, hands.stop, hands.step)):
                progress(ranks.done(done))

    def _pieces(
        self, layer: Layer, found: Survey, store: MarkStore, images: NDArray[np.int64]
    ) -> Iterator[Callable[[], int]]:
        """The projections of a layer's pairs on their windows; none where it has no chain."""
        pairs = pairs_of(layer, found.tops[layer.name], images)
        if layer.chain is None or not len(pairs):
            return iter(())
        device = next(self.module.parameters()).device
        return project_windows(layer.chain, pairs, store, device, partial(self._write_projections, layer, pairs))

    def _compute(self, layers: Sequence[Layer], found: Survey, store: MarkStore, block: Block) -> Block:
        """What takes the module itself: marks that are not there yet, and projections on whole images."""
        indices = block.indices.numpy()
        missing = store.lacks(indices.tolist())
        whole = [layer for layer in layers if layer.chain is None]
        if missing or whole:
            x = as_input(self.module, self.images.normalized(block.images))
            if missing:
                self._mark(layers, store, block, x)
            for layer in whole:
                self._project_whole(layer, pairs_of(layer, found.tops[layer.name], indices), x, indices)
        return block

    def _mark(self, layers: Sequence[Layer], store: MarkStore, block: Block, x: Tensor) -> None:
        kept = dict[int, Tensor]()
        replace = marking(layers, kept)
        if replace:
            filled, count = padded(x, block_size(self.trace))
            with torch.no_grad():
                run(self.module, filled, Reading(self.trace, {}, replace))
            store.add(block.indices.tolist(), {number: mark[:count] for number, mark in kept.items()})

    def _project_whole(self, layer: Layer, pairs: Pairs, x: Tensor, indices: NDArray[np.int64]) -> None:
        for some in _split(pairs, WHOLE_BATCH):
            taken = x[torch.from_numpy(np.searchsorted(indices, some.images))]
            done = project_whole(self.module, self.trace, layer, some, taken, rule=self.rule, others=self.others)
            self._write_projections(layer, some, done)

    def _show(self, layers: Sequence[Layer], found: Survey, block: Block) -> int:
        """Keeps the images of a block as pictures, and the patches cut out of them; returns how many of these have been
        projected too."""
        pictures, indices = self.images.pictures(block.images), block.indices.numpy()
        labels = [None] * len(indices) if block.labels is None else block.labels.tolist()
        for image, picture, label in zip(indices.tolist(), pictures, labels, strict=True):
            self.take(image, picture, label)
        projected = 0
        for layer in layers:
            pairs = pairs_of(layer, found.tops[layer.name], indices)
            projected += 0 if layer.chain else len(pairs)
            for some in _split(pairs, PATCHES):
                self._write_patches(layer, some, pictures[np.searchsorted(indices, some.images)])
        return projected

    def _write_patches(
        self, layer: Layer, pairs: Pairs, pictures: UInt8[NDArray[np.uint8], "pair channel row column"]
    ) -> None:
        look = self.looks[layer.name]
        patches = np.zeros((*pictures.shape[:2], *look.size), np.uint8)
        for patch, picture, start in zip(patches, pictures, look.starts(_flat(pairs, layer)), strict=True):
            source, target = _overlap((0, 0), picture.shape[1:], start, look.size)
            patch[:, *target] = picture[:, *source]
        self._write(layer, "patches", pairs, patches)
        self.cells[layer.name].put_patches(pairs.units, pairs.places, torch.from_numpy(patches))

    def _write_projections(self, layer: Layer, pairs: Pairs, done: Projections) -> None:
        """Writes projections of some of the pairs, each divided by its largest absolute value."""
        look, some, values = self.looks[layer.name], pairs.at(done.rows), done.values
        full = torch.zeros(*values.shape[:2], *look.size)
        for k, start in enumerate(look.starts(_flat(some, layer))):
            source, target = _overlap(done.starts[k], values.shape[2:], start, look.size)
            full[k, :, *target] = values[k, :, *source]
        lowest, highest = full.flatten(1).aminmax(dim=1)
        largest = torch.maximum(highest, -lowest)
        full /= torch.where(largest > 0, largest, 1)[:, None, None, None]
        file = self.files[layer.name]
        file["projection_scales"][some.units, some.places] = largest.numpy()
        stored = full.half() if file["projections"].dtype == np.float16 else full  # PyTorch's is faster than NumPy's
        self._write(layer, "projections", some, stored.numpy())
        self.cells[layer.name].put_projections(some.units, some.places, full)

    def _write(self, layer: Layer, name: str, pairs: Pairs, values: NDArray[Any]) -> None:
        for unit, place, value in zip(pairs.units.tolist(), pairs.places.tolist(), values, strict=True):
            self.files[layer.name].put(name, (unit, place), value)


def pairs_of(layer: Layer, top: Top, images: NDArray[np.int64]) -> Pairs:
    """The places of a layer's units that one of these images holds, and that have something to show."""
    held = np.isin(top.images.numpy(), images) & shown(layer, top)
    units, places = held.nonzero()
    positions = top.positions.numpy()[units, places]
    columns = layer.shape[2] if len(layer.shape) == 3 else 1
    return Pairs(units, places, top.images.numpy()[units, places], np.stack(np.divmod(positions, columns), axis=1))


def shown(layer: Layer, top: Top) -> NDArray[np.bool_]:
    """(units, top): places that are taken, and above 0 where the layer ends in a ReLU: nothing is shown of silence."""
    values = top.values.numpy()
    return (top.images.numpy() >= 0) & ((values > 0) if layer.rectified else np.isfinite(values))


def _crossed(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """For every position, row-major: what is said of its row and what of its column, side by side."""
    return np.stack([rows.repeat(len(columns), axis=0), np.tile(columns, (len(rows), *[1] * (columns.ndim - 1)))], 1)


def _flat(pairs: Pairs, layer: Layer) -> NDArray[np.int64]:
    columns = layer.shape[2] if len(layer.shape) == 3 else 1
    return pairs.positions[:, 0] * columns + pairs.positions[:, 1]


def _split(pairs: Pairs, count: int) -> Iterator[Pairs]:
    """So many pairs at a time."""
    for first in range(0, len(pairs), count):
        yield pairs.at(np.arange(first, min(first + count, len(pairs))))


def _overlap(
    start: Sequence[int] | NDArray[np.int64], size: Sequence[int], other_start: NDArray[np.int64], other_size: Pair
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where two windows of an image overlap: as seen from the first, and as seen from the other."""
    source, target = list[slice](), list[slice]()
    for first, length, other, other_length in zip(start, size, other_start, other_size, strict=True):
        inside = max(int(first), int(other))
        until = max(min(int(first) + length, int(other) + other_length), inside)
        source.append(slice(inside - int(first), until - int(first)))
        target.append(slice(inside - int(other), until - int(other)))
    return (source[0], source[1]), (target[0], target[1])


def check_rule(filling: Filling, layer: Layer, x: Tensor) -> None:
    """Raises ModelError at once, before any pass, if the layer cannot be projected by the rule asked for."""
    zero = np.zeros(1, np.int64)
    one = Pairs(zero, zero, zero, np.zeros((1, 2), np.int64))
    try:
        project_whole(filling.module, filling.trace, layer, one, x[:1], rule=filling.rule, others=filling.others)
    except ModelError as fault:
        raise ModelError(f"layer {layer.name} cannot be projected: {fault}") from None
