"""Activations: what every unit answers to an image, as numbers and as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate import pictures
from striate.errors import ModelError
from striate.inside.watching.inputs import as_input, opened
from striate.inside.watching.watch import layer_names, undisturbed, watch
from striate.pictures import Picture, Scale

if TYPE_CHECKING:
    from striate.model import Model


def activations(
    model: Model | nn.Module,
    images: Float[Tensor, "batch channel height width"] | np.ndarray,
    layers: Sequence[str] | None = None,
) -> dict[str, Tensor]:
    """The outputs of layers, from one forward pass in evaluation mode.

    Arguments:
        model: a `Model`, or any module; it is left as it was.
        images: a batch as the module takes it; for a `Model` also uint8. The caller's batch is one batch here: memory
            grows with it and with the layers asked for.
        layers: names of submodules (`name@k` for the k-th call of one that is called several times); None for all
            whose outputs are maps or vectors of units.

    Returns:
        Name of layer -> (batch, unit, rows, columns) or (batch, unit), in the module's floating-point type, apart from
        the module's own memory; in the order of `layers`, or of the module's definition.

    Raises:
        ModelError: if there is no such layer, or it was not reached.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten())
        >>> {name: tuple(a.shape) for name, a in activations(net, torch.zeros(2, 1, 5, 5)).items()}
        {'0': (2, 4, 3, 3), '1': (2, 4, 3, 3), '2': (2, 36)}
    """
    module, images = opened(model, images)
    with undisturbed(module) as still, torch.no_grad():
        wanted = layer_names(still) if layers is None else layers
        with watch(still, wanted, lambda output: output.detach().clone()) as seen:
            still(as_input(still, images).clone())
    if layers is not None:
        return {name: seen[name] for name in layers}
    return {name: output for name, output in seen.layers() if output.dim() in (2, 4)}


@final
@dataclass(frozen=True)
class FeatureMaps:
    """The activations of one layer for one image, ready to be drawn.

    Attributes:
        layer: its name.
        values: (units, rows, columns); a vector's units are maps of one position.
        limits: (units,): the absolute value that gets the full colour.
        scale: over what the limits are taken: `unit`, `layer` or `all`.
        signed: whether any value of the layer is below 0. Then zero is the colour of the paper, negative values blue
            and positive ones red; otherwise zero is black and the limit white.
    """

    layer: str
    values: Float[np.ndarray, "units rows columns"]
    limits: Float[np.ndarray, " units"]
    scale: Scale
    signed: bool

    @property
    def caption(self) -> str:
        """The scale in words, for beside the picture."""
        bounds = f", {'±' if self.signed else '0 to '}{self.limits.max(initial=0):.3g}" if self.scale != "unit" else ""
        return f"{self.layer}: {pictures.sentence(self.scale)}{bounds}"

    def picture(self, unit: int) -> Picture:
        """One unit's map, a pixel for each position."""
        draw = pictures.diverging if self.signed else pictures.gray
        return draw(self.values[unit], limit=float(self.limits[unit]))

    def sheet(self, columns: int | None = None, cell: int = 48) -> Picture:
        """All maps side by side in reading order.

        Arguments:
            columns: maps in a row; about as many as rows where left out.
            cell: pixels of the side that a map is enlarged to by a whole factor, hard-edged; larger ones stay as they
                are.
        """
        return tiled([self.picture(unit) for unit in range(len(self.values))], columns, cell)


def feature_maps(
    model: Model | nn.Module,
    image: Float[Tensor, "channel height width"] | np.ndarray,
    layers: Sequence[str] | None = None,
    scale: Scale = "layer",
) -> dict[str, FeatureMaps]:
    """The feature maps of one image, layer by layer; `image`, `layers` and errors as for `activations`.

    Arguments:
        scale: whether each `unit` has its own colour scale, each `layer` one, or `all` layers one.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        >>> maps = feature_maps(net, torch.rand(1, 8, 8), scale="unit")
        >>> maps["1"].values.shape, maps["1"].signed, maps["1"].sheet().shape
        ((4, 6, 6), False, (98, 98, 3))
    """
    if scale not in ("unit", "layer", "all"):
        raise ModelError(f"scale must be unit, layer or all; found {scale!r}")
    found = {
        name: output[0].float().cpu().numpy().reshape(output.shape[1], *(output.shape[2:] or (1, 1)))
        for name, output in activations(model, image[None], layers).items()
    }
    limits = pictures.limits(list(found.values()), scale)
    return {
        name: FeatureMaps(name, values, limit, scale, signed=bool((values < 0).any()))
        for (name, values), limit in zip(found.items(), limits, strict=True)
    }


def tiled(images: Sequence[Picture], columns: int | None = None, cell: int = 48) -> Picture:
    """Pictures of one size in a grid, each enlarged by the whole factor that fits into `cell` pixels."""
    factor = pictures.whole_factor(images[0].shape[:2], (cell, cell))
    columns = columns or math.ceil(math.sqrt(len(images)))
    return pictures.grid([pictures.enlarge(image, factor) for image in images], columns)
