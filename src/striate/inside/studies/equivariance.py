"""Equivariance: when the image is shifted, is the feature map the same, shifted? And when it is rotated, or scaled?

The third reason for convolution (Goodfellow et al. 2016, Deep Learning, section 9.2): f is equivariant to T where
f(T x) = T f(x). For a convolution and a shift by whole strides this is exact, away from the border; for rotation and
scale it is not. Measured per layer, T moving the map in its own positions as the image is moved in pixels:

    error = |f(T x) - T f(x)| / |T f(x)|

T brings zeros (or `outside`) in from beyond the border; nothing wraps around. Near the border f(T x) sees those and
the padding of every layer below where T f(x) has what was moved, so two regions are measured: the **whole** map (all
positions that T takes from within the map), and its **interior**: positions that see, in both, real pixels only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from striate.errors import ModelError
from striate.inside.receptive.fields import ReceptiveField, receptive_fields
from striate.inside.studies.regions import Region, region
from striate.inside.studies.spread import Spread
from striate.inside.studies.transforms import Kind, Motion, motions, sampled, transformed
from striate.inside.watching.answers import listed, require_finite, some_images
from striate.inside.watching.arguments import whole
from striate.inside.watching.inputs import as_input, opened
from striate.inside.watching.plain import plain
from striate.inside.watching.watch import Seen, layer_shapes, undisturbed, watch

if TYPE_CHECKING:
    from striate.layers.values import Pair
    from striate.model import Model

AXIS: dict[Kind, int] = {"shift": 0, "shift_columns": 1}
"""The axis along which a shift moves: 0 for rows, 1 for columns."""


@final
@dataclass(frozen=True, eq=False)
class Equivariance:
    """How far f(T x) is from T f(x).

    Attributes:
        transform, amounts: what T is, units as `transforms.Kind` says.
        layers: the layers; `strides` says how many pixels their positions are apart, (down, across); of maps that
            were enlarged perhaps half a pixel.
        interior: the error where only real pixels are seen; NaN where there is no such position, or T f(x) is zero and
            f(T x) is not.
        whole: the error over all positions that T takes from within the map.
        positions: how many positions are interior.
        matched: whether T takes every position from a position, as a shift by a multiple of the stride does;
            otherwise T f(x) is interpolated (bilinear) and no error of 0 can be expected.
    """

    transform: Kind
    amounts: tuple[float, ...]
    layers: tuple[str, ...]
    strides: tuple[tuple[float, float], ...]
    interior: Float[np.ndarray, "layers amounts images"]
    whole: Float[np.ndarray, "layers amounts images"]
    positions: Int[np.ndarray, "layers amounts"]
    matched: Bool[np.ndarray, "layers amounts"]

    def as_json(self) -> dict[str, Any]:
        """The attributes under their names, and under `over_images` mean, deviation and n of both errors."""
        spreads = {"interior": Spread.of(self.interior), "whole": Spread.of(self.whole)}
        return plain(self) | {"over_images": plain(spreads)}


def equivariance(
    model: Model | nn.Module,
    layers: str | Sequence[str] | None,
    images: Float[Tensor, "batch channel height width"] | np.ndarray,
    *,
    transform: Kind = "shift",
    amounts: Sequence[float] | None = None,
    outside: float = 0.0,
    batch: int = 8,
) -> Equivariance:
    """Measures, per layer and amount, how far f(T x) is from T f(x).

    Arguments:
        model: a `Model`, or any module.
        layers: one layer or several that give maps; None for all of them. A layer with one position along an axis
            cannot move along it: there equivariance means invariance.
        images: preprocessed as the module takes them; for a `Model` also uint8, before preprocessing.
        transform, amounts: the motion, units as `transforms.Kind` says. Amounts that are not named are
            `transforms.USUAL`, and for a shift also the stride of every layer, as far as the image is large: only a
            shift by a multiple of its stride can be exact.
        outside: what comes in from beyond the border, in the units of the preprocessed images.
        batch: images computed at once; memory holds two sets of their maps.

    Returns:
        An `Equivariance`; its errors of matched interior positions of a layer that is equivariant are 0 up to the
        rounding of the module's own number type.

    Raises:
        DataError: if an amount cannot be.
        ModelError: if there is no such layer or it gives no maps.
        Failure: if an activation is not finite.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)).double()
        >>> images = torch.rand((1, 1, 12, 12), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> equivariance(net, "2", images).amounts
        (1.0, 2.0, 4.0)
        >>> found = equivariance(net, ["0", "2"], images, amounts=[1, 2])
        >>> (found.interior[..., 0] < 1e-12).tolist()
        [[True, True], [False, True]]
    """
    module, images = opened(model, some_images(images))
    shapes = {name: shape for name, shape in layer_shapes(module, images[:1].clone()).items() if len(shape) == 3}
    names = tuple(shapes) if layers is None else listed(layers)
    fields = receptive_fields(module, tuple(images.shape[1:]))
    looks = [_field(fields, shapes, name) for name in names]
    moved = _usual(transform, looks) if amounts is None else motions(transform, amounts)
    regions = [
        [region(look, _size(shapes[name]), motion) for motion in moved] for name, look in zip(names, looks, strict=True)
    ]
    errors = _errors(module, images, names, moved, regions, outside=outside, batch=batch)
    return Equivariance(
        transform=transform,
        amounts=tuple(float(motion.amount) for motion in moved),
        layers=names,
        strides=tuple(look.stride if look.regular else (look.line(0)[1], look.line(1)[1]) for look in looks),
        interior=errors[0],
        whole=errors[1],
        positions=np.array([[int(region.interior.sum()) for region in row] for row in regions]),
        matched=np.array([[region.matched for region in row] for row in regions]),
    )


def _usual(transform: Kind, looks: Sequence[ReceptiveField]) -> tuple[Motion, ...]:
    """The usual motions; of shifts also those by the strides of layers that look so, short of the image's side."""
    usual = motions(transform, None)
    if transform not in AXIS:
        return usual
    axis = AXIS[transform]
    strides = {look.stride[axis] for look in looks if 0 < look.stride[axis] < look.image[axis]}
    return motions(transform, sorted({*strides, *(motion.amount for motion in usual)}))


def _field(fields: dict[str, ReceptiveField], shapes: dict[str, tuple[int, ...]], name: str) -> ReceptiveField:
    if name not in shapes or name not in fields:
        raise ModelError(f"layer {name!r} gives no maps, so nothing in it can move; those that do: {', '.join(shapes)}")
    return fields[name]


def _size(shape: tuple[int, ...]) -> Pair:
    return shape[1], shape[2]


def _errors(
    module: nn.Module,
    images: Tensor,
    names: tuple[str, ...],
    motions: Sequence[Motion],
    regions: Sequence[Sequence[Region]],
    *,
    outside: float,
    batch: int,
) -> np.ndarray:
    """(interior and whole) x layers x amounts x images."""
    found: list[Tensor] = []
    with undisturbed(module) as still, torch.no_grad(), watch(still, names) as seen:
        for k in range(0, len(images), whole(batch, "batch", least=1)):
            x = as_input(still, images[k : k + batch])
            still(x.clone())  # a copy, as a module may overwrite what it is given
            before = _maps(seen, names)
            columns: list[Tensor] = []
            for a, motion in enumerate(motions):
                still(transformed(x, motion.kind, motion.amount, outside=outside).clone())
                rows = [_error(g, f, row[a]) for g, f, row in zip(_maps(seen, names), before, regions, strict=True)]
                columns.append(torch.stack(rows, 1))
            found.append(torch.stack(columns, 2).cpu())
    return torch.cat(found, 3).numpy()


def _maps(seen: Seen[Tensor], names: Sequence[str]) -> list[Tensor]:
    """What the latest pass has shown of every layer."""
    for name in names:
        require_finite(name, seen[name])
    return [seen[name] for name in names]


def _error(f_of_moved: Tensor, f: Tensor, region: Region) -> Float[Tensor, "2 images"]:
    """The relative errors in the interior and in the whole map, per image."""
    device = f.device
    moved_f = sampled(f.double(), region.rows.to(device), region.columns.to(device))
    squares = (f_of_moved.double() - moved_f).square().sum(1), moved_f.square().sum(1)
    return torch.stack([_relative(*squares, mask.to(device)) for mask in (region.interior, region.whole)])


def _relative(difference: Tensor, size: Tensor, mask: Tensor) -> Tensor:
    if not bool(mask.any()):
        return torch.full((len(size),), torch.nan, dtype=torch.float64, device=size.device)
    off, norm = (values[:, mask].sum(1).sqrt() for values in (difference, size))
    return torch.where((off == 0) & (norm == 0), 0.0, off / norm).nan_to_num(nan=torch.nan, posinf=torch.nan)
