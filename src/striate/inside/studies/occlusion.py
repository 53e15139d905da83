"""Occlusion: a grey square slides over the image; where it changes the answer, the network was looking.

Zeiler & Fergus 2014, section 4.2 and figure 7: (b) the summed activity of the strongest feature map, (d) the
probability of the true class, (e) the most probable label, as functions of where the square is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.errors import DataError, ModelError
from striate.inside.receptive.fields import Box
from striate.inside.watching.answers import (
    known_probabilities,
    one_image,
    probabilities,
    require_classes,
    require_finite,
)
from striate.inside.watching.arguments import place, whole
from striate.inside.watching.inputs import as_input, opened
from striate.inside.watching.plain import plain
from striate.inside.watching.watch import Seen, undisturbed, watch

if TYPE_CHECKING:
    from striate.layers.values import Pair
    from striate.model import Model

PLACES = 15
"""Places of the square along the longer side where no stride is given, at most: 225 passes of the network."""


@final
@dataclass(frozen=True, eq=False)
class Occlusion:
    """What the network answers for every place of the square. Each value is the true one for that one place.

    Attributes:
        layer, unit: the feature map that was watched.
        true_class: the class whose probability was recorded.
        rows, columns: the pixel on which the square was centred, for each row and column of the maps.
        size: rows and columns of the square; at the border it is clipped, see `box`.
        activity: (b) the sum of the unit's map.
        probability: (d) of the true class, 0 to 1.
        label: (e) the most probable class.
        activity_before, probability_before, label_before: the same without a square.
    """

    layer: str
    unit: int
    true_class: int
    rows: Int[np.ndarray, " r"]
    columns: Int[np.ndarray, " c"]
    size: Pair
    image_size: Pair
    activity: Float[np.ndarray, "r c"]
    probability: Float[np.ndarray, "r c"]
    label: Int[np.ndarray, "r c"]
    activity_before: float
    probability_before: float
    label_before: int

    def box(self, i: int, j: int) -> Box:
        """The pixels covered at place (i, j) of the maps."""
        top, bottom = _span(int(self.rows[i]), self.size[0], self.image_size[0])
        left, right = _span(int(self.columns[j]), self.size[1], self.image_size[1])
        return Box(top, left, bottom, right)

    def as_json(self) -> dict[str, Any]:
        """The attributes under their names; maps as lists of rows."""
        return plain(self)


def occlude(
    model: Model | nn.Module,
    image: Float[Tensor, "channel height width"] | np.ndarray,
    layer: str,
    true_class: int,
    *,
    size: int | Pair | None = None,
    stride: int | Pair | None = None,
    value: float | Sequence[float] = 0.0,
    unit: int | None = None,
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> Occlusion:
    """Slides a square of one value over the image and records activity, probability and label at every place.

    The places are pixels `stride` apart, the first at ((side - 1) mod stride) // 2, so that they lie evenly in the
    image. A square of odd side covers (side - 1)/2 pixels around its place, one of even side one pixel more above and
    to the left than below and to the right. What lies outside the image is cut off; nothing is averaged over
    overlapping squares.

    Arguments:
        model: a `Model`, or any module that gives class scores (batch, classes).
        image: preprocessed as the module takes it; for a `Model` also uint8, before preprocessing.
        layer: the layer whose strongest map is watched: the unit whose sum is largest without a square (the lowest of
            equals).
        true_class: the class whose probability is recorded, from 0.
        size: pixels of the square, or (rows, columns); the odd number nearest to a fifth of the shorter side, at least
            3, unless given.
        stride: pixels between neighbouring places, or (down, across); the fewest that make no more than 15 places
            along the longer side unless given.
        value: what the square is filled with, in the units of the preprocessed image, or one value per channel; 0 is
            the mean colour of the training data, a grey.
        unit: the unit to watch instead of the strongest.
        batch: how many places are computed at once; does not change the result but for rounding.
        progress: told how many places are done, and of how many.

    Raises:
        DataError: if size, stride, value, class or unit are out of range.
        ModelError: if there is no such layer, or the module gives no class scores: several outputs, or maps of them,
            have to be wrapped, as it says.
        Failure: if activity or answer is not finite, with the square or without.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
        >>> occlude(net, torch.ones(1, 8, 8), "1", true_class=0).probability.shape
        (8, 8)
        >>> found = occlude(net, torch.ones(1, 8, 8), "1", true_class=0, size=3, stride=2)
        >>> found.probability.shape, found.rows.tolist()
        ((4, 4), [0, 2, 4, 6])
    """
    module, images = opened(model, one_image(image))
    height, width = images.shape[-2:]
    size = _pair(square((height, width)) if size is None else size, "size")
    stride = _pair(-(-max(height, width) // PLACES) if stride is None else stride, "stride")
    rows, columns = _places(height, stride[0]), _places(width, stride[1])
    batch = whole(batch, "batch", least=1)
    with undisturbed(module) as still, torch.no_grad(), watch(still, [layer], _sums) as seen:
        image_1chw = as_input(still, images)
        given = known_probabilities(model, still, image_1chw)
        before, activity = _answer(still, seen, layer, image_1chw, given=given)
        require_classes([true_class], before.shape[1])
        unit = _strongest(activity[0], unit, layer)
        require_finite(layer, activity[:, unit : unit + 1])
        filling = _filling(value, image_1chw)
        places = [(int(row), int(column)) for row in rows for column in columns]
        found: list[Tensor] = []
        for k in range(0, len(places), batch):
            covered = _covered(places[k : k + batch], size, (height, width)).to(image_1chw.device)
            answer, activities = _answer(still, seen, layer, torch.where(covered, filling, image_1chw), given=given)
            require_finite(layer, activities[:, unit : unit + 1])
            found.append(torch.stack([activities[:, unit], answer[:, true_class].double(), answer.argmax(1)], 1).cpu())
            if progress is not None:
                progress(min(k + batch, len(places)), len(places))
    maps = torch.cat(found).numpy().reshape(len(rows), len(columns), 3)
    return Occlusion(
        layer=layer,
        unit=unit,
        true_class=true_class,
        rows=rows,
        columns=columns,
        size=size,
        image_size=(height, width),
        activity=maps[..., 0],
        probability=maps[..., 1],
        label=maps[..., 2].astype(np.int64),
        activity_before=float(activity[0, unit]),
        probability_before=float(before[0, true_class]),
        label_before=int(before[0].argmax()),
    )


def square(image_size: Pair) -> int:
    """The side of the square where none is given: the odd number nearest to a fifth of the shorter side, at least 3.

    An odd side lies evenly around its place.

    Example:
        >>> square((8, 8)), square((28, 28)), square((224, 224)), square((100, 60))
        (3, 5, 45, 13)
    """
    return max(3, 2 * (min(image_size) // 10) + 1)


def _answer(module: nn.Module, seen: Seen[Tensor], layer: str, images: Tensor, *, given: bool) -> tuple[Tensor, Tensor]:
    answer = probabilities(module(images.clone()), given=given)  # a copy, as a module may overwrite what it is given
    return answer, seen[layer]


def _sums(output: Tensor) -> Tensor:
    """The summed activity of every unit, (batch, units), added up in float64."""
    if output.ndim < 2:
        raise ModelError(
            f"the layer gives shape {tuple(output.shape)}, which has no units: name one that gives maps or vectors"
        )
    return output.double().flatten(2).sum(2) if output.ndim > 2 else output.double()


def _strongest(activity: Tensor, unit: int | None, layer: str) -> int:
    if unit is None:
        return int(activity.argmax())  # the first of equals
    if not 0 <= whole(unit, "unit") < len(activity):
        raise DataError(f"layer {layer} has units 0 to {len(activity) - 1}, found {unit}")
    return int(unit)


def _pair(value: int | Pair, name: str) -> Pair:
    pair = place(value, name) if isinstance(value, Sequence) else (whole(value, name), whole(value, name))
    if min(pair) < 1:
        raise DataError(f"{name} must be at least 1 pixel, found {value}")
    return pair


def _filling(value: float | Sequence[float], image: Tensor) -> Tensor:
    """What covers the image, broadcast over a batch of images: (1, 1 or channel, 1, 1)."""
    try:
        values = torch.as_tensor(value, dtype=image.dtype, device=image.device).flatten()
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"value must be one number or one per channel, found {value!r}") from None
    if len(values) not in (1, image.shape[1]):
        raise DataError(f"value must be one number or one per channel ({image.shape[1]}), found {len(values)}")
    return values.reshape(1, -1, 1, 1)


def _places(side: int, stride: int) -> Int[np.ndarray, " n"]:
    return np.arange((side - 1) % stride // 2, side, stride)


def _span(centre: int, size: int, side: int) -> tuple[int, int]:
    start = centre - size // 2
    return max(0, start), min(side, start + size)


def _covered(places: Sequence[Pair], size: Pair, image_size: Pair) -> Tensor:
    """Which pixels the square covers at each place: bool (places, 1, height, width)."""
    covered = torch.zeros(len(places), 1, *image_size, dtype=torch.bool)
    for mask, (row, column) in zip(covered, places, strict=True):
        top, bottom = _span(row, size[0], image_size[0])
        left, right = _span(column, size[1], image_size[1])
        mask[:, top:bottom, left:right] = True
    return covered
