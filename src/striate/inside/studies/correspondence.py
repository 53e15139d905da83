"""Correspondence: whether a network represents the same part of different objects in the same way.

Zeiler & Fergus 2014, section 4.3: the same part (the left eye, say) is covered in each of several images; with x_i the
features of image i at layer l, and x'_i those with the part covered,

    ε_i = x_i - x'_i          Δ_l = Σ_{i≠j} H(sign ε_i, sign ε_j)

where sign takes the values -1, 0 and 1, and the Hamming distance H is the *share* of features whose signs differ. The
paper's table 1 ("mean feature sign change", ± over pairs) is the mean of H over the pairs, Δ_l / (n (n - 1)): between
0 and 1, whatever the layer's size and however many images, which is what makes 0.067 at layer 5 comparable to 0.069 at
layer 7. Lower than for boxes at random places means that covering the part changes the features in a consistent way.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from striate.errors import DataError
from striate.inside.studies.spread import Spread
from striate.inside.watching.answers import listed, require_finite, some_images
from striate.inside.watching.arguments import numbers_of, whole
from striate.inside.watching.inputs import as_input, opened
from striate.inside.watching.plain import plain
from striate.inside.watching.watch import Seen, undisturbed, watch

if TYPE_CHECKING:
    from striate.model import Model

Box = tuple[int, int, int, int]
"""Pixels: top, left, bottom, right; the last two are not included."""

ROUNDING = 1e-6
"""Share of a layer's greatest activation below which a difference is rounding: fast convolution algorithms let a
change leak by this much into positions that do not depend on it, and the sign of that is noise."""


@final
@dataclass(frozen=True, eq=False)
class Correspondence:
    """How alike the changes are that covering a part makes.

    Attributes:
        parts, layers: the names of the first two axes.
        pairs: the pairs of images (i < j) of the last axis.
        change: H of every pair, 0 to 1, with the part covered.
        random: the same with boxes of the same sizes at random places, drawn several times.
    """

    parts: tuple[str, ...]
    layers: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    change: Float[np.ndarray, "parts layers pairs"]
    random: Float[np.ndarray, "parts layers draws pairs"]

    @property
    def delta(self) -> Float[np.ndarray, "parts layers"]:
        """Δ_l: the sum over ordered pairs, i ≠ j."""
        return 2 * self.change.sum(-1)

    @property
    def mean(self) -> Float[np.ndarray, "parts layers"]:
        """The mean over pairs, as in the paper's table 1."""
        return self.change.mean(-1)

    @property
    def random_mean(self) -> Float[np.ndarray, "parts layers"]:
        """The mean over pairs and draws with random boxes."""
        return self.random.mean((-1, -2))

    def as_json(self) -> dict[str, Any]:
        """The attributes and properties under their names, and spreads over pairs and (for `random`) over draws."""
        over_pairs, over_draws = Spread.of(self.change), Spread.of(self.random.mean(-1))
        extra = {"delta": self.delta, "mean": self.mean, "random_mean": self.random_mean}
        return plain(self) | plain(extra) | plain({"over_pairs": over_pairs, "random_over_draws": over_draws})


def correspondence(
    model: Model | nn.Module,
    images: Float[Tensor, "batch channel height width"] | np.ndarray,
    boxes: Mapping[str, Sequence[Box]],
    layers: str | Sequence[str],
    *,
    value: float = 0.0,
    draws: int = 10,
    seed: int = 0,
) -> Correspondence:
    """Measures Δ_l for every part and layer, beside boxes of the same sizes at random places.

    Arguments:
        model: a `Model`, or any module.
        images: two or more (the paper has five), preprocessed as the module takes them; for a `Model` also uint8,
            before preprocessing. They are computed together.
        boxes: for every part, where it is in each image.
        layers: any layer or layers, maps or vectors.
        value: what covers the part, in the units of the preprocessed images; 0 is the mean colour.
        draws: how often random places are drawn, at least 1.
        seed: of the random places.

    Raises:
        DataError: if there are fewer than two images, or a box is missing, empty or not within its image.
        ModelError: if there is no such layer.
        Failure: if an activation is not finite.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        >>> images = torch.rand((2, 1, 8, 8), generator=torch.Generator().manual_seed(0))
        >>> found = correspondence(net, images, {"eye": [(0, 0, 3, 3), (4, 4, 7, 7)]}, ["1"])
        >>> found.change.shape, found.random.shape
        ((1, 1, 1), (1, 1, 10, 1))
    """
    module, images = opened(model, some_images(images))
    layers = listed(layers)
    _require_boxes(images, boxes, draws)
    chance = np.random.default_rng(seed)
    size = (images.shape[2], images.shape[3])
    with undisturbed(module) as still, torch.no_grad(), watch(still, layers, _vectors) as seen:
        covering = _Covering(still, seen, layers, as_input(still, images), value)
        before = covering.features()
        change = [covering.change(before, places) for places in boxes.values()]
        random = [
            [covering.change(before, [_elsewhere(box, size, chance) for box in places]) for _ in range(draws)]
            for places in boxes.values()
        ]
    return Correspondence(
        parts=tuple(boxes),
        layers=layers,
        pairs=tuple(itertools.combinations(range(len(images)), 2)),
        change=np.array(change),
        random=np.array(random).swapaxes(1, 2),
    )


def sign_changes(signs: Num[Tensor, "image feature"]) -> list[float]:
    """H of every pair i < j: the share of features in which the signs (-1, 0, 1) differ.

    Example:
        >>> sign_changes(torch.tensor([[1, 0, -1, 1], [1, 1, -1, -1]]))
        [0.5]
    """
    pairs = itertools.combinations(signs, 2)
    return [float((one != other).double().mean()) for one, other in pairs]


@final
@dataclass(frozen=True)
class _Covering:
    """One lent module, the images, and what covers them."""

    module: nn.Module
    seen: Seen[Tensor]
    layers: tuple[str, ...]
    images: Tensor
    value: float

    def features(self, boxes: Sequence[Box] = ()) -> list[Tensor]:
        """x_i, or x'_i where boxes are given: one (image, feature) per layer."""
        covered = self.images.clone()
        for image, (top, left, bottom, right) in zip(covered, boxes, strict=False):
            image[:, top:bottom, left:right] = self.value
        self.module(covered)
        for layer in self.layers:
            require_finite(layer, self.seen[layer])
        return [self.seen[layer] for layer in self.layers]

    def change(self, before: Sequence[Tensor], boxes: Sequence[Box]) -> list[list[float]]:
        """H of every pair, per layer."""
        after = self.features(boxes)
        return [sign_changes(_signs(x, covered)) for x, covered in zip(before, after, strict=True)]


def _vectors(output: Tensor) -> Tensor:
    return output.double().flatten(1)


def _signs(x: Tensor, covered: Tensor) -> Tensor:
    difference = x - covered
    rounding = ROUNDING * torch.maximum(x.abs().amax(1), covered.abs().amax(1))
    return torch.where(difference.abs() > rounding[:, None], difference.sign(), 0.0)


def _elsewhere(box: Box, size: tuple[int, int], chance: np.random.Generator) -> Box:
    """A box of the same size at a uniformly drawn place within the image."""
    top, left, bottom, right = box
    height, width = bottom - top, right - left
    row, column = (int(chance.integers(0, side - own + 1)) for side, own in zip(size, (height, width), strict=True))
    return row, column, row + height, column + width


def _require_boxes(images: Tensor, boxes: Mapping[str, Sequence[Box]], draws: int) -> None:
    n, (rows, columns) = len(images), images.shape[2:]
    if n < 2:
        raise DataError("correspondence compares images: two or more are needed, found 1")
    if not boxes:
        raise DataError("at least one part is needed, found none")
    whole(draws, "draws", least=1)
    for part, places in boxes.items():
        if len(places) != n:
            raise DataError(f"part {part!r} needs one box per image: {n} images, {len(places)} boxes")
        for k, box in enumerate(places):
            if numbers_of(box, "a box").shape != (4,):
                raise DataError(f"a box is (top, left, bottom, right); found {box} for part {part!r} in image {k}")
            top, left, bottom, right = box
            if not (0 <= top < bottom <= rows and 0 <= left < right <= columns):
                raise DataError(
                    f"the box of part {part!r} in image {k} must be (top, left, bottom, right) within {rows}x{columns} "
                    f"pixels, not empty; found {box}"
                )
