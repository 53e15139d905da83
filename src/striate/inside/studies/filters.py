"""Filters: the weights of a unit, drawn as the small images they are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from striate import pictures
from striate.errors import ModelError
from striate.inside.studies.features import features_of
from striate.inside.watching.watch import layer_names, named_layer, undisturbed
from striate.layers.values import Pair
from striate.pictures import Picture, Scale
from striate.pictures.colors import LINE

if TYPE_CHECKING:
    from striate.layers.layer import Shape
    from striate.model import Model

_MAKERS = (WeightNorm, SpectralNorm, BasePruningMethod)
"""Hooks that make a weight anew before each pass: after weights have been loaded, it is still the old one."""

GUTTER = 16
"""Pixels between two blocks, at most; half a weight where that is less."""


@final
@dataclass(frozen=True)
class Filters:
    """The filters of one layer.

    Attributes:
        layer: its name.
        weights: (units, channels, rows, columns); with groups, the channels of the unit's own group.
        colors: whether the channels are those of the image, one (gray) or three (red, green, blue).
        groups: how many groups the channels are split into, of which each unit sees its own.
    """

    layer: str
    weights: Float[np.ndarray, "units channels rows columns"]
    colors: bool
    groups: int = 1

    @property
    def by_channel(self) -> bool:
        """Whether a sheet has a row for each unit and in it a block for each channel; else one block for each unit."""
        return not self.colors and self.weights.shape[1] > 1

    def pitch(self, cell: int = 40) -> Pair:
        """Pixels from one row of such a sheet to the next, and from one block in a row to the next.

        Example:
            >>> Filters("conv2", np.zeros((4, 3, 5, 5)), colors=False).pitch(cell=40)
            (48, 48)
        """
        rows, columns = self.weights.shape[2:]
        factor = pictures.whole_factor((rows, columns), (cell, cell))
        return rows * factor + max(2, factor), (columns + 1) * factor

    def picture(self, unit: int, channel: int | None = None, limit: float | None = None) -> Picture:
        """One filter, a pixel for each weight.

        Arguments:
            unit: number of the feature map.
            channel: the input channel; None for all of them: in the image's own colours, mid-gray for 0, where they
                are its channels, so that a filter is light where it wants light (Nielsen's book draws large weights
                dark); otherwise side by side, brown below 0, green above, the colour of the paper for 0.
            limit: the absolute weight that gets the full colour; the largest of what is drawn where left out.
        """
        weights = self.weights[unit] if channel is None else self.weights[unit, channel : channel + 1]
        limit = float(pictures.limits([weights[None]], "all")[0][0]) if limit is None else limit
        if self.colors and (channel is None or len(self.weights[unit]) == 1):
            return pictures.color_weights(np.repeat(weights, 3 // len(weights), axis=0), limit)
        drawn = [pictures.diverging(plane, "BrBG", limit) for plane in weights]
        return pictures.grid(drawn, len(drawn), gutter=1)

    def sheet(self, columns: int | None = None, cell: int = 40, scale: Scale = "unit") -> Picture:
        """All filters: blocks side by side where they have colours or one channel, otherwise one row for each unit.

        Arguments:
            columns: blocks in a row; about as many as rows where left out.
            cell: pixels of the side that a block is enlarged to by a whole factor, hard-edged; a hairline is around
                it, as weights may be as light as the paper.
            scale: `unit` for a colour scale of each filter's own, `layer` or `all` for one.

        Example:
            >>> from striate.network import Network
            >>> filters(Network.preset("nielsen-1conv").build(), "conv1").sheet(columns=5).shape
            (180, 226, 3)
        """
        limits = pictures.limits([self.weights], scale)[0]
        factor = pictures.whole_factor(self.weights.shape[2:], (cell, cell))
        if not self.by_channel:
            blocks = [_framed(pictures.enlarge(self.picture(k, limit=float(v)), factor)) for k, v in enumerate(limits)]
            columns = columns or math.ceil(math.sqrt(len(blocks)))
            return pictures.grid(blocks, columns, gutter=max(2, min(factor // 2, GUTTER)))
        rows = [pictures.enlarge(self.picture(unit, limit=float(limit)), factor) for unit, limit in enumerate(limits)]
        return pictures.grid(rows, 1, gutter=self.pitch(cell)[0] - len(rows[0]))


def filtering(model: Model | nn.Module) -> tuple[str, ...]:
    """The layers that have filters, in the order of their definition.

    Example:
        >>> filtering(nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)))
        ('0', '3')
    """
    with undisturbed(model if isinstance(model, nn.Module) else model.module) as still:
        return tuple(_filtering(still))


def filters(model: Model | nn.Module, layer: str, input_shape: Shape | None = None) -> Filters:
    """The filters of a convolution, or of a dense layer whose features are those of a map, in whatever order.

    Arguments:
        model: a `Model`, or any module.
        layer: name of a submodule.
        input_shape: of one image. It tells which map a dense layer looks at; not needed for convolutions, nor for a
            `Model`, which knows it.

    Raises:
        ModelError: if there is no such layer, or it has no filters; those that have are listed.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 5), nn.Conv2d(8, 4, 3))
        >>> filters(net, "0").weights.shape, filters(net, "0").colors, filters(net, "1").colors
        ((8, 3, 5, 5), True, False)
    """
    if isinstance(model, nn.Module):
        module = model
    else:
        module, input_shape = model.module, model.preprocessing.shape
    with undisturbed(module) as still:
        weight = _weight(still, layer)
        first = next(_filtering(still), None) == layer
        if weight.dim() == 4:
            groups = int(getattr(named_layer(still, layer), "groups", 1))
            return Filters(layer, _array(weight), first and weight.shape[1] in (1, 3), groups)
        seen = None if input_shape is None else features_of(still, layer, input_shape)
        if seen is None:
            return Filters(layer, _array(weight)[:, None, None], colors=False)
        on_maps = _array(weight)[:, np.argsort(seen.places)].reshape(len(weight), *seen.shape)
        return Filters(layer, on_maps, colors=seen.shape == input_shape and seen.shape[0] in (1, 3))


def _framed(block: Picture) -> Picture:
    """The block within a hairline, a pixel wide."""
    framed = pictures.blank(block.shape[0] + 2, block.shape[1] + 2, LINE)
    framed[1:-1, 1:-1] = block
    return framed


def _weight(module: nn.Module, layer: str) -> Tensor:
    """The weight of a layer as (units, channels, rows, columns), or (units, features)."""
    part = named_layer(module, layer)
    weight = _filter_weight(part)
    if weight is None:
        having = ", ".join(_filtering(module)) or "none"
        raise ModelError(f"layer {layer} ({type(part).__name__}) has no filters; layers that have: {having}")
    return weight.detach()


def _filter_weight(part: nn.Module) -> Tensor | None:
    for hook in part._forward_pre_hooks.values():  # pyright: ignore[reportPrivateUsage]
        if isinstance(hook, _MAKERS):
            hook(part, ())
    weight = getattr(part, "weight", None)
    if not isinstance(weight, Tensor) or weight.dim() not in (2, 4) or isinstance(part, nn.Embedding | nn.Bilinear):
        return None
    if isinstance(part, nn.ConvTranspose2d):
        inputs, outputs = weight.shape[:2]
        grouped = weight.unflatten(0, (part.groups, inputs // part.groups)).transpose(1, 2)
        return grouped.reshape(part.groups * outputs, inputs // part.groups, *weight.shape[2:])
    return weight


def _filtering(module: nn.Module) -> Iterator[str]:
    """The layers that have filters, in the order of their definition."""
    return (name for name in layer_names(module) if _filter_weight(named_layer(module, name)) is not None)


def _array(weight: Tensor) -> Float[np.ndarray, "units ..."]:
    return weight.to("cpu", torch.promote_types(weight.dtype, torch.float32), copy=True).numpy()
