"""Projections: one activation followed back to the pixels, in a picture of what in this image excited it.

All other activations of the layer are set to 0, and the one is sent down through the layers: unpooled to where the
maxima were, rectified, filtered with the transposed filters (Zeiler & Fergus 2014, section 2.1). Biases play no part.
The projection of an activation of 1 is given; that of the activation itself is as many times that (for `gradient` it
is the derivative).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.errors import DataError, ModelError
from striate.inside.projections.rules import Rule, backward_rule, follow_back
from striate.inside.watching.answers import require_finite
from striate.inside.watching.arguments import numbers_of, place, whole
from striate.inside.watching.inputs import as_input, opened, tensor_of
from striate.inside.watching.watch import undisturbed, watch
from striate.layers.values import Pair

if TYPE_CHECKING:
    from striate.model import Model


def project(  # noqa: PLR0917
    model: Model | nn.Module,
    image: Float[Tensor, "channel height width"] | np.ndarray,
    layer: str,
    unit: int,
    position: Pair | None = None,
    rule: Rule = "deconvnet",
    *,
    others: Literal["gradient"] | None = None,
) -> Float[Tensor, "channel height width"]:
    """The projection of one activation of one unit.

    Arguments:
        model: a `Model`, or any module; it is left as it was.
        image: as the module takes it, preprocessed; for a `Model` also uint8, as it is.
        layer: name of a submodule; `name@k` for the k-th call of one that is called several times.
        unit: number of the feature map, or of the feature of a vector.
        position: row and column on the feature map; None for its maximum, the first in reading order among equals.
        rule: `deconvnet`, `guided` or `gradient`, as `striate.inside.projections.rules` defines them.
        others: `gradient` to let what has no deconvnet rule (GELU, sigmoid, products of activations as in attention
            and squeeze-and-excitation, ...) pass by its gradient.

    Returns:
        An image in the units of the module's input per unit of activation; float32, or float64 for such a module.

    Raises:
        ModelError: if there is no such layer, unit or position, if the layer cannot be followed back to the image, or
            if something on the way has no rule, by name: everything has none that is not known to be linear, a max
            pool, a normalization or a ReLU, with a ceiling (ReLU6) or without.
        DataError: if image, unit or position are no such things.
        Failure: if the activation or its projection is not finite.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
        >>> project(net, torch.rand(1, 8, 8), "2", unit=1, position=(0, 0)).nonzero()[:, 1:].amax(0)
        tensor([4, 4])
    """
    image = tensor_of(image)
    if image.dim() not in (1, 3):
        raise DataError(f"one image is wanted, (channels, rows, columns); found the shape {tuple(image.shape)}")
    positions = None if position is None else [place(position)]
    return project_many(model, image[None], layer, [whole(unit, "unit")], positions, rule, others=others)[0]


def project_many(  # noqa: PLR0917
    model: Model | nn.Module,
    images: Float[Tensor, "batch channel height width"] | np.ndarray,
    layer: str,
    units: Int[Tensor, " batch"] | Sequence[int],
    positions: Int[Tensor, "batch 2"] | Sequence[Pair] | None = None,
    rule: Rule = "deconvnet",
    *,
    others: Literal["gradient"] | None = None,
) -> Float[Tensor, "batch channel height width"]:
    """The projections of one activation in each image, in one pass; otherwise as `project`.

    Arguments:
        images: one for each unit; repeat an image to project several of its activations.
        units: the unit in each image.
        positions: row and column in each image; None for the maximum of each.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        >>> project_many(net, torch.rand(2, 1, 8, 8), "1", [0, 3]).shape
        torch.Size([2, 1, 8, 8])
    """
    module, images = opened(model, images)
    with undisturbed(module) as still:
        batch = as_input(still, images).requires_grad_()
        with watch(still, [layer]) as seen, backward_rule(rule, others):
            still(batch.clone())  # a copy, so that the module may overwrite what it is given
            activations = seen[layer]
            seed = seed_at(activations, units, positions)
            projections = follow_back(activations, seed, batch, rule=rule, others=others)
            numbers = range(len(batch)) if len(batch) > 1 else None
            require_finite(layer, activations.detach()[seed > 0][:, None], numbers)
            require_finite(f"{layer}, followed back,", projections, numbers)
    return projections.detach().to(torch.promote_types(batch.dtype, torch.float32))


def seed_at(
    activations: Float[Tensor, "batch ..."],
    units: Int[Tensor, " batch"] | Sequence[int],
    positions: Int[Tensor, "batch 2"] | Sequence[Pair] | None,
) -> Float[Tensor, "batch ..."]:
    """1 at one activation of each image and 0 elsewhere.

    Arguments:
        activations: maps (batch, unit, rows, columns) or vectors (batch, unit).
        units: one for each image.
        positions: row and column for each image; None for each maximum, the first in reading order among equals.

    Raises:
        ModelError: naming the first unit or position that does not exist.
        DataError: where these are not whole numbers, one unit and two of a position for each image.
    """
    if activations.dim() not in (2, 4):
        raise ModelError(f"the layer gives {activations.dim()}-D outputs, not maps or vectors of units")
    maps = activations.detach().flatten(2) if activations.dim() == 4 else activations.detach()[:, :, None]
    units = numbers_of(units, "units").to(maps.device)
    if units.shape != (len(maps),):
        raise DataError(f"one unit for each image is wanted, {len(maps)} in all; found {units.tolist()}")
    wrong = units[(units < 0) | (units >= maps.shape[1])]
    if len(wrong):
        raise ModelError(f"no unit {int(wrong[0])}: the layer has {maps.shape[1]} units, from 0")
    images = torch.arange(len(maps), device=maps.device)
    places = maps[images, units].argmax(1) if positions is None else _places(positions, activations)
    seed = torch.zeros_like(maps)
    seed[images, units, places] = 1
    return seed.view(activations.shape)


def _places(given: Int[Tensor, "batch 2"] | Sequence[Pair], activations: Tensor) -> Int[Tensor, " batch"]:
    """Positions as places in reading order."""
    positions = numbers_of(given, "positions").to(activations.device)
    if positions.shape != (len(activations), 2):
        raise DataError(f"one row and one column for each image are wanted, found positions {positions.tolist()}")
    rows, columns = activations.shape[2:] if activations.dim() == 4 else (1, 1)
    limits = torch.tensor([rows, columns], device=positions.device)
    wrong = positions[((positions < 0) | (positions >= limits)).any(1)]
    if len(wrong):
        found = tuple(wrong[0].tolist())
        raise ModelError(f"no position {found}: the layer's maps have {rows} rows and {columns} columns, from 0")
    return positions[:, 0] * columns + positions[:, 1]
