"""Responses: what the units of a network answer to one image, and what in it excited the strongest of them.

The same activations as in the atlas: those of each 2-D convolution, after the batch norm and the ReLU that directly
follow it (`Trace.activation`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from striate.errors import ModelError
from striate.inside.atlases.projecting import Pairs, project_whole
from striate.inside.atlases.survey import Layer
from striate.inside.projections.rules import Rule
from striate.inside.receptive.fields import Box, ReceptiveField, receptive_fields
from striate.inside.watching.answers import one_image, require_finite
from striate.inside.watching.calls import Reading, Trace, run, trace
from striate.inside.watching.inputs import as_input, opened
from striate.inside.watching.watch import layer_shapes, undisturbed
from striate.layers.values import Pair

if TYPE_CHECKING:
    from striate.model import Model


@final
@dataclass(frozen=True, eq=False)
class Response:
    """What one layer answers to one image.

    Attributes:
        layer: its name.
        maps: the activations of every unit.
        rectified: whether they come out of a ReLU, so that 0 is silence.
        field: where its units look; None where that is not known.
    """

    layer: str
    maps: Float[np.ndarray, "units rows columns"]
    rectified: bool
    field: ReceptiveField | None

    @property
    def maxima(self) -> Float[np.ndarray, " units"]:
        """The greatest activation of every unit."""
        return self.maps.max((1, 2))

    def strongest(self, count: int) -> list[int]:
        """The units with the greatest maxima, descending, the lower number first among equals; silent ones left out."""
        order = np.argsort(-self.maxima, kind="stable")[:count].tolist()
        return [unit for unit in order if not self.rectified or self.maxima[unit] > 0]

    def position(self, unit: int) -> Pair:
        """Row and column of a unit's maximum, the first in reading order among equals."""
        row, column = divmod(int(self.maps[unit].argmax()), self.maps.shape[2])
        return row, column

    def box(self, unit: int) -> Box | None:
        """The receptive field at a unit's maximum; it may reach outside the image."""
        return None if self.field is None else self.field.box(self.position(unit), clipped=False)


def responses(
    model: Model | nn.Module,
    image: Shaped[Tensor, "channel height width"],
    layers: Sequence[str] | None = None,
) -> dict[str, Response]:
    """The answers of layers to one image, first to last.

    Arguments:
        model: a `Model`, or any module; it is left as it was.
        image: preprocessed as the module takes it; for a `Model` also uint8.
        layers: names of layers that give maps; every 2-D convolution by default.

    Raises:
        ModelError: if there is no such layer, or it gives no maps.
        Failure: if an activation is not finite.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())
        >>> found = responses(net, torch.rand(1, 8, 8))["0"]
        >>> found.maps.shape, bool((found.maps >= 0).all()), found.field.size
        ((4, 6, 6), True, (3, 3))
    """
    module, images = opened(model, one_image(image))
    read: dict[int, Tensor] = {}
    with undisturbed(module) as still:
        x = as_input(still, images)
        traced = trace(still, x.clone())
        chosen = _layers(traced, layers)
        reading = Reading(traced, {layer.call: _keeping(read, layer.call) for layer in chosen})
        with torch.no_grad():
            run(still, x.clone(), reading)
        for layer in chosen:
            require_finite(layer.name, read[layer.call])
        fields = receptive_fields(module, tuple(images.shape[1:]))
    return {
        layer.name: Response(layer.name, _maps(read[layer.call]), layer.rectified, fields.get(layer.name))
        for layer in chosen
    }


def project_strongest(
    model: Model | nn.Module,
    image: Shaped[Tensor, "channel height width"],
    response: Response,
    units: Sequence[int],
    rule: Rule = "deconvnet",
    *,
    others: Literal["gradient"] | None = None,
) -> Float[np.ndarray, "unit channel height width"]:
    """The projections of units at their maxima in `response`, each started from 1; otherwise as `project_many`.

    Raises:
        ModelError: if an activation on the way has no such rule.
    """
    module, images = opened(model, one_image(image))
    places = np.array([response.position(unit) for unit in units], np.int64).reshape(-1, 2)
    if not len(places):
        return np.zeros((0, *images.shape[1:]), np.float32)
    with undisturbed(module) as still:
        x = as_input(still, images)
        traced = trace(still, x.clone())
        layer = _layers(traced, [response.layer])[0]
        numbers = np.arange(len(places))
        pairs = Pairs(np.array(units, np.int64), numbers, np.zeros_like(numbers), places)
        found = project_whole(still, traced, layer, pairs, x.repeat(len(places), 1, 1, 1), rule=rule, others=others)
    return found.values.cpu().numpy()


def last_maps(model: Model | nn.Module, image: Shaped[Tensor, "channel height width"]) -> str | None:
    """The last layer whose maps are as fine as those of the last convolution: where classes are still in places.

    After its batch norm and ReLU, and after the sum of its residual block, before any pooling; None where there is no
    convolution with more than one position.

    Example:
        >>> last_maps(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)), torch.zeros(1, 6, 6))
        '1'
    """
    module, images = opened(model, one_image(image))
    with undisturbed(module) as still:
        convolutions = trace(still, as_input(still, images).clone()).convolutions()
    maps = {name: shape for name, shape in layer_shapes(module, images).items() if len(shape) == 3}
    fine = [maps[name][1:] for name in convolutions if name in maps and max(maps[name][1:]) > 1]
    return next((name for name in reversed(maps) if fine and maps[name][1:] == fine[-1]), None)


def _layers(traced: Trace, names: Sequence[str] | None) -> list[Layer]:
    chosen = traced.convolutions() if names is None else tuple(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in traced.layers]
    if unknown:
        raise ModelError(f"no layer {unknown[0]!r} is called; layers with maps: {', '.join(traced.convolutions())}")
    found = [Layer(n, k, traced.calls[k].shape[1:], traced.calls[k].is_relu, None) for n, k in _calls(traced, chosen)]
    flat = [layer.name for layer in found if len(layer.shape) != 3]
    if flat:
        raise ModelError(f"layer {flat[0]} gives no maps; layers with maps: {', '.join(traced.convolutions())}")
    return found


def _calls(traced: Trace, names: Sequence[str]) -> list[tuple[str, int]]:
    return [(name, traced.activation(name)) for name in names]


def _keeping(read: dict[int, Tensor], number: int) -> Callable[[Tensor], None]:
    def keep(activations: Tensor) -> None:
        read[number] = activations.detach().clone()

    return keep


def _maps(activations: Tensor) -> Float[np.ndarray, "units rows columns"]:
    return activations[0].float().cpu().numpy()
