"""Evolution: a unit's strongest patch and its projection, epoch after epoch of training.

Zeiler & Fergus 2014, section 4 and figure 4: the strongest activation over all images of a unit, projected to the
pixels, at epochs 1, 2, 5, 10, 20, 30, 40, 64. A jump in appearance is a change of the image that excites the unit
most. Lower layers converge within a few epochs, upper ones late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn

from striate.errors import DataError, Failure, ModelError
from striate.inside.atlases.streams import Stream, stream
from striate.inside.atlases.topk import Top
from striate.inside.projections.projection import project_many
from striate.inside.projections.rules import Rule
from striate.inside.receptive.fields import Box, ReceptiveField, receptive_fields
from striate.inside.studies.moments import Evolution, Moment
from striate.inside.watching.calls import trace
from striate.inside.watching.watch import as_input, named_layer, undisturbed, watch
from striate.layers.values import Pair
from striate.model import Model
from striate.train.runs import Run

AT_ONCE = 32
"""Projections computed in one pass; memory holds the maps of as many images."""


def evolution(
    saved: Run | Iterable[tuple[int, Model | nn.Module]],
    data: object,
    layer: str,
    units: int | Sequence[int],
    *,
    rule: Rule = "deconvnet",
    batch: int = 64,
    progress: Callable[[int], None] | None = None,
) -> Evolution:
    """Finds the strongest patch of every unit in every saved epoch, and projects it.

    As in an atlas, a convolution's activations are read after the batch norm and the ReLU that directly follow it,
    where these are layers with a name.

    Arguments:
        saved: a run that kept epochs (its recipe's `keep_epochs`), or pairs of epoch and model or module; they are
            taken one after another, so a generator keeps one in memory.
        data: a data set (its test split), a split, images (uint8 for models, preprocessed floats for modules), or
            batches of them.
        layer, units: what to follow; a unit may come alone.
        rule: of the projections, as `project` takes it.
        batch: images computed at once.
        progress: told how many epochs are done.

    Returns:
        An `Evolution`; its `sheet()` is a picture of it.

    Raises:
        DataError: if there is no saved epoch, or the images cannot be used.
        ModelError: if there is no such layer or unit, or an activation has no such rule.

    Example:
        >>> nets = [(epoch, nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())) for epoch in (1, 2)]
        >>> found = evolution(nets, torch.rand(5, 1, 8, 8), "1", [0, 1])
        >>> found.epochs, found.of(1)[0].patch.shape, found.sheet().shape
        ((1, 2), (1, 3, 3), (134, 264, 3))
    """
    units = (units,) if isinstance(units, int) else tuple(units)
    if not units:
        raise ModelError(f"no unit of {layer} is named: say which to follow")
    rows: list[tuple[Moment, ...]] = []
    epochs: list[int] = []
    read = layer
    for epoch, model in _saved(saved):
        moment = _Epoch.of(epoch, model, data, layer)
        rows.append(moment.moments(units, rule, batch))
        epochs.append(epoch)
        read = moment.layer
        if progress is not None:
            progress(len(epochs))
    if not epochs:
        raise DataError("no epoch was saved: train with a recipe that keeps epochs (keep_epochs)")
    return Evolution(layer=layer, read=read, epochs=tuple(epochs), units=units, moments=tuple(rows))


def _saved(saved: Run | Iterable[tuple[int, Model | nn.Module]]) -> Iterator[tuple[int, Model | nn.Module]]:
    if not isinstance(saved, Run):
        yield from saved
        return
    for epoch in saved.kept_epochs():
        yield epoch, saved.model(epoch)


@final
@dataclass(frozen=True)
class _Epoch:
    """The network after one epoch, and the images as it takes them."""

    epoch: int
    module: nn.Module
    images: Stream
    layer: str

    @classmethod
    def of(cls, epoch: int, model: Model | nn.Module, data: object, layer: str) -> _Epoch:
        module = model if isinstance(model, nn.Module) else model.module
        preprocessing = None if isinstance(model, nn.Module) else model.preprocessing
        images = stream(data, preprocessing)
        return cls(epoch, module, images, _read(module, images, layer))

    def moments(self, units: tuple[int, ...], rule: Rule, batch: int) -> tuple[Moment, ...]:
        """What excites each unit most."""
        peaks = self._peaks(units, batch)
        images = self._images([peak.image for peak in peaks])
        prepared = torch.cat([self.images.normalized(image[None]) for image in images])
        projections = self._projections(peaks, prepared, rule)
        field = receptive_fields(self.module, tuple(prepared.shape[1:]))[self.layer]
        boxes = [field.box(peak.position) for peak in peaks]
        frames = [_frame(field, peak.position) for peak in peaks]
        pictures = [self.images.pictures(image[None])[0] for image in images]
        return tuple(
            Moment(self.epoch, *peak, box, frame, _cut(picture, box), _cut(projection.numpy(), box))
            for peak, box, frame, picture, projection in zip(peaks, boxes, frames, pictures, projections, strict=True)
        )

    def _peaks(self, units: tuple[int, ...], batch: int) -> list[_Peak]:
        """The strongest activation of every unit: the first of equals, by image and then by position."""
        with undisturbed(self.module) as still, torch.no_grad(), watch(still, [self.layer]) as seen:
            top, columns = Top(len(units), 1), 1  # here, where tensors are plain also within inference mode
            for block in self.images.blocks(batch):
                still(as_input(still, self.images.normalized(block.images)).clone())
                maps = seen[self.layer]
                _require_units(maps, self.layer, units)
                columns = maps.shape[3] if maps.ndim == 4 else 1
                chosen = maps[:, list(units)].float().cpu()
                top.offer(chosen.flatten(2).amax(2) if maps.ndim == 4 else chosen, chosen, block.indices)
        if bool((top.images < 0).any()):
            raise Failure(f"layer {self.layer} gives no finite activations after epoch {self.epoch}")
        found = zip(
            units, top.values[:, 0].tolist(), top.images[:, 0].tolist(), top.positions[:, 0].tolist(), strict=True
        )
        return [_Peak(unit, value, image, divmod(place, columns)) for unit, value, image, place in found]

    def _images(self, indices: Sequence[int]) -> list[Tensor]:
        """The images of these indices, as the data set holds them."""
        found: dict[int, Tensor] = {}
        for block in self.images.blocks(1, sorted(set(indices))):
            found[int(block.indices[0])] = block.images[0]
        return [found[index] for index in indices]

    def _projections(self, peaks: Sequence[_Peak], images: Tensor, rule: Rule) -> Tensor:
        """One per peak, float64 on the CPU; zero for dead units."""
        projections = torch.zeros_like(images, dtype=torch.float64, device="cpu")
        alive = torch.tensor([k for k, peak in enumerate(peaks) if peak.value > 0], dtype=torch.long)
        for some in alive.split(AT_ONCE):
            units = [peaks[int(k)].unit for k in some]
            positions = torch.tensor([peaks[int(k)].position for k in some])
            if len(some):
                found = project_many(self.module, images[some], self.layer, units, positions, rule)
                projections[some] = found.double().cpu()
        return projections


class _Peak(NamedTuple):
    unit: int
    value: float
    image: int
    position: Pair


def _read(module: nn.Module, images: Stream, layer: str) -> str:
    """The layer that gives the activations of `layer`: what directly follows it, where that has a name."""
    first = next(iter(images.blocks(1)), None)
    if first is None:
        raise DataError("there are no images: the data set is empty")
    with undisturbed(module) as still:
        named_layer(still, layer.partition("@")[0])
        traced = trace(still, as_input(still, images.normalized(first.images)).clone())
    number = traced.activation(layer) if layer in traced.layers else None
    if number is None or number == traced.layers[layer]:
        return layer  # of a layer that is not called, `watch` says so
    return next((name for name, made in traced.layers.items() if made == number), layer)


def _frame(field: ReceptiveField, position: Pair) -> Box:
    """The field there, also outside the image; the whole image where the field is as long or as wide."""
    box, (rows, columns) = field.box(position, clipped=False), field.image
    if box.bottom - box.top >= rows or box.right - box.left >= columns:
        return Box(0, 0, rows, columns)
    return box


def _cut(picture: np.ndarray, box: Box) -> np.ndarray:
    return picture[:, box.top : box.bottom, box.left : box.right]


def _require_units(output: Tensor, layer: str, units: tuple[int, ...]) -> None:
    if output.ndim not in (2, 4):
        raise ModelError(f"layer {layer} must give maps (4 dimensions) or vectors (2), found {tuple(output.shape)}")
    for unit in units:
        if not 0 <= unit < output.shape[1]:
            raise ModelError(f"layer {layer} has units 0 to {output.shape[1] - 1}, found {unit}")
