"""Evolution: a unit's strongest patch and its projection, epoch after epoch of training.

Zeiler & Fergus 2014, section 4 and figure 4: the strongest activation over all images of a unit, projected to the
pixels, at epochs 1, 2, 5, 10, 20, 30, 40, 64. A jump in appearance is a change of the image that excites the unit
most. Lower layers converge within a few epochs, upper ones late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn

from striate.errors import DataError, Failure, ModelError
from striate.inside.atlases.streams import Stream, stream
from striate.inside.projections.projection import project_many
from striate.inside.projections.rules import Rule
from striate.inside.receptive.fields import Box, ReceptiveField, receptive_fields
from striate.inside.studies.moments import Evolution, Moment
from striate.inside.studies.peaks import Peak, peaks
from striate.inside.watching.calls import Trace, trace
from striate.inside.watching.inputs import as_input
from striate.inside.watching.watch import named_layer, undisturbed
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
    return evolutions(saved, data, {layer: units}, rule=rule, batch=batch, progress=progress)[0]


def evolutions(
    saved: Run | Iterable[tuple[int, Model | nn.Module]],
    data: object,
    units: Mapping[str, int | Sequence[int]],
    *,
    rule: Rule = "deconvnet",
    batch: int = 64,
    progress: Callable[[int], None] | None = None,
) -> tuple[Evolution, ...]:
    """The `evolution` of several layers, which shares the work: each epoch goes through the images once for all.

    Arguments:
        units: layer -> what to follow of it; a unit may come alone. The rest as in `evolution`.

    Returns:
        One for each layer, in their order.

    Example:
        >>> nets = [(epoch, nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 4, 3))) for epoch in (1, 2)]
        >>> [found.read for found in evolutions(nets, torch.rand(5, 1, 8, 8), {"0": 1, "2": [0, 3]})]
        ['1', '2']
    """
    chosen = {layer: (some,) if isinstance(some, int) else tuple(some) for layer, some in units.items()}
    _require_named(chosen)
    rows: list[list[tuple[Moment, ...]]] = []
    epochs: list[int] = []
    reads: list[str] = []
    for epoch, model in _saved(saved):
        after = _Epoch.of(epoch, model, data, chosen)
        rows.append(after.moments(rule, batch))
        epochs.append(epoch)
        reads = [followed.read for followed in after.layers]
        if progress is not None:
            progress(len(epochs))
    if not epochs:
        raise DataError("no epoch was saved: train with a recipe that keeps epochs (keep_epochs)")
    return tuple(
        Evolution(layer=layer, read=read, epochs=tuple(epochs), units=some, moments=moments)
        for (layer, some), read, moments in zip(chosen.items(), reads, zip(*rows, strict=True), strict=True)
    )


def _require_named(chosen: Mapping[str, Sequence[int]]) -> None:
    """Raises ModelError unless there is a layer, and a unit of each."""
    if not chosen:
        raise ModelError("no layer is named: say which to follow")
    for layer, units in chosen.items():
        if not units:
            raise ModelError(f"no unit of {layer} is named: say which to follow")


def _saved(saved: Run | Iterable[tuple[int, Model | nn.Module]]) -> Iterator[tuple[int, Model | nn.Module]]:
    if not isinstance(saved, Run):
        yield from saved
        return
    for epoch in saved.kept_epochs():
        yield epoch, saved.model(epoch)


class _Followed(NamedTuple):
    """Units of a layer, and the layer that gives their activations."""

    read: str
    units: tuple[int, ...]


@final
@dataclass(frozen=True)
class _Epoch:
    """The network after one epoch, and the images as it takes them."""

    epoch: int
    module: nn.Module
    images: Stream
    layers: tuple[_Followed, ...]

    @classmethod
    def of(cls, epoch: int, model: Model | nn.Module, data: object, chosen: Mapping[str, tuple[int, ...]]) -> _Epoch:
        module = model if isinstance(model, nn.Module) else model.module
        images = stream(data, None if isinstance(model, nn.Module) else model.preprocessing)
        reads = _reads(module, images, list(chosen))
        return cls(epoch, module, images, tuple(map(_Followed, reads, chosen.values())))

    def moments(self, rule: Rule, batch: int) -> list[tuple[Moment, ...]]:
        """What excites each unit of each layer most."""
        try:
            found = peaks(self.module, self.images, self.layers, batch)
        except Failure as fault:
            raise Failure(f"after epoch {self.epoch}, {fault}") from None
        images = self._images({peak.image for some in found for peak in some})
        sides = tuple(self.images.normalized(next(iter(images.values()))[None]).shape[1:])
        fields = receptive_fields(self.module, sides)
        return [
            tuple(self._moments(followed.read, some, images, fields[followed.read], rule))
            for followed, some in zip(self.layers, found, strict=True)
        ]

    def _moments(
        self, layer: str, found: Sequence[Peak], images: Mapping[int, Tensor], field: ReceptiveField, rule: Rule
    ) -> Iterator[Moment]:
        prepared = torch.cat([self.images.normalized(images[peak.image][None]) for peak in found])
        for peak, projection in zip(found, self._projections(layer, found, prepared, rule), strict=True):
            box, picture = field.box(peak.position), self.images.pictures(images[peak.image][None])[0]
            shown = _cut(picture, box), _cut(projection.numpy(), box)
            yield Moment(self.epoch, *peak, box, _frame(field, peak.position), *shown)

    def _images(self, indices: Iterable[int]) -> dict[int, Tensor]:
        """The images of these indices, as the data set holds them."""
        return {int(block.indices[0]): block.images[0] for block in self.images.blocks(1, sorted(indices))}

    def _projections(self, layer: str, found: Sequence[Peak], images: Tensor, rule: Rule) -> Tensor:
        """One per peak, float64 on the CPU; zero for dead units."""
        projections = torch.zeros_like(images, dtype=torch.float64, device="cpu")
        alive = torch.tensor([k for k, peak in enumerate(found) if peak.value > 0], dtype=torch.long)
        for some in alive.split(AT_ONCE):
            units = [found[int(k)].unit for k in some]
            positions = torch.tensor([found[int(k)].position for k in some])
            if len(some):
                made = project_many(self.module, images[some], layer, units, positions, rule)
                projections[some] = made.double().cpu()
        return projections


def _reads(module: nn.Module, images: Stream, layers: Sequence[str]) -> list[str]:
    """The layers that give the activations of `layers`: what directly follows each, where that has a name."""
    first = next(iter(images.blocks(1)), None)
    if first is None:
        raise DataError("there are no images: the data set is empty")
    with undisturbed(module) as still:
        for layer in layers:
            named_layer(still, layer.partition("@")[0])
        traced = trace(still, as_input(still, images.normalized(first.images)).clone())
    return [_read(traced, layer) for layer in layers]


def _read(traced: Trace, layer: str) -> str:
    number = traced.activation(layer) if layer in traced.layers else None
    if number is None or number == traced.layers[layer]:
        return layer  # of a layer that is not called, `watch` says so
    return next((name for name, made in traced.layers.items() if made == number), layer)


def _frame(field: ReceptiveField, position: Pair) -> Box:
    """The field there, also outside the image; the whole image where the field is as long or as wide."""
    box, (rows, columns) = field.frame(position), field.image
    if box.bottom - box.top >= rows or box.right - box.left >= columns:
        return Box(0, 0, rows, columns)
    return box


def _cut(picture: np.ndarray, box: Box) -> np.ndarray:
    return picture[:, box.top : box.bottom, box.left : box.right]
