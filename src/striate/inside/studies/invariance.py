"""Invariance: how far a layer's features move, and what becomes of the answer, when the image is moved.

Zeiler & Fergus 2014, section 4.1 and figure 5: for vertical translation, scale and rotation the Euclidean distance
between the feature vectors of the original and of the moved image, at the first and at the top layer, and the
probability of the true class, over the amount of the motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import DataError
from striate.inside.studies.spread import Spread
from striate.inside.studies.transforms import Kind, Motion, motions, transformed
from striate.inside.watching.answers import (
    known_probabilities,
    listed,
    probabilities,
    require_classes,
    require_finite,
    some_images,
)
from striate.inside.watching.arguments import whole
from striate.inside.watching.inputs import as_input, opened
from striate.inside.watching.plain import plain
from striate.inside.watching.watch import Seen, undisturbed, watch

if TYPE_CHECKING:
    from striate.model import Model


@final
@dataclass(frozen=True, eq=False)
class Invariance:
    """How layers and the answer follow a motion of the image.

    Attributes:
        transform, amounts: what was done to the images, units as `transforms.Kind` says.
        layers: the layers, in the order of the first axis of the distances.
        distance: |f(moved x) - f(x)|, Euclidean, in units of the layer's activations; one per image.
        relative: the same divided by |f(x)|; 0 where both are 0, NaN where only |f(x)| is.
        probability: of the true class, 0 to 1, or None where no classes were given.
    """

    transform: Kind
    amounts: tuple[float, ...]
    layers: tuple[str, ...]
    distance: Float[np.ndarray, "layers amounts images"]
    relative: Float[np.ndarray, "layers amounts images"]
    probability: Float[np.ndarray, "amounts images"] | None

    def as_json(self) -> dict[str, Any]:
        """The attributes under their names, and under `over_images` mean, deviation and n of each measured one."""
        measured = {"distance": self.distance, "relative": self.relative, "probability": self.probability}
        spreads = {name: Spread.of(values) for name, values in measured.items() if values is not None}
        return plain(self) | {"over_images": plain(spreads)}


def invariance(
    model: Model | nn.Module,
    images: Float[Tensor, "batch channel height width"] | np.ndarray,
    layers: str | Sequence[str],
    *,
    transform: Kind = "shift",
    amounts: Sequence[float] | None = None,
    true_classes: Sequence[int] | None = None,
    outside: float = 0.0,
    batch: int = 64,
) -> Invariance:
    """Moves every image by every amount and measures how far its features went.

    Arguments:
        model: a `Model`, or any module; with `true_classes` it must give class scores (batch, classes).
        images: preprocessed as the module takes them; for a `Model` also uint8, before preprocessing.
        layers: any layer or layers, maps or vectors.
        transform, amounts: the motion, units as `transforms.Kind` says; amounts that are not named are
            `transforms.USUAL`.
        true_classes: one per image, from 0; without them only distances are measured.
        outside: what comes in from beyond the border, in the units of the preprocessed images; 0 is the mean colour.
        batch: images computed at once; memory holds the features of one batch.

    Raises:
        DataError: if an amount cannot be, or the classes do not fit images and network.
        ModelError: if there is no such layer, or the module gives no class scores where classes are given.
        Failure: if an activation or an answer is not finite.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        >>> found = invariance(net, torch.rand(4, 1, 8, 8), ["1"], transform="rotate", amounts=[0, 90])
        >>> found.distance.shape, float(found.distance[0, 0].max())
        ((1, 2, 4), 0.0)
    """
    module, images = opened(model, some_images(images))
    layers = listed(layers)
    moved = motions(transform, amounts)
    if true_classes is not None and len(true_classes) != len(images):
        raise DataError(f"one true class per image is needed: {len(images)} images, {len(true_classes)} classes")
    found: list[np.ndarray] = []
    with undisturbed(module) as still, torch.no_grad(), watch(still, layers, _vectors) as seen:
        given = true_classes is not None and known_probabilities(model, still, as_input(still, images[:1]))
        measuring = _Measuring(still, seen, layers, moved, outside, given)
        for k in range(0, len(images), whole(batch, "batch", least=1)):
            classes = None if true_classes is None else true_classes[k : k + batch]
            found.append(measuring.of(images[k : k + batch], classes))
    measured = np.concatenate(found, axis=-1)
    n = len(layers)
    return Invariance(
        transform=transform,
        amounts=tuple(float(motion.amount) for motion in moved),
        layers=layers,
        distance=measured[:n],
        relative=_relative(measured[:n], measured[n : 2 * n]),
        probability=None if true_classes is None else measured[2 * n],
    )


@final
@dataclass(frozen=True)
class _Measuring:
    """One lent module and what is to be done to its images."""

    module: nn.Module
    seen: Seen[Tensor]
    layers: tuple[str, ...]
    motions: Sequence[Motion]
    outside: float
    given: bool

    def of(self, images: Tensor, classes: Sequence[int] | None) -> np.ndarray:
        """(layers of distances, layers of |f(x)|, p(true) where there are classes) x amounts x images."""
        x = as_input(self.module, images)
        self.module(x.clone())  # a copy, as a module may overwrite what it is given
        before = self._features()
        norms = [features.norm(dim=1) for features in before]
        columns: list[Tensor] = []
        for motion in self.motions:
            outputs = self.module(transformed(x, motion.kind, motion.amount, outside=self.outside).clone())
            rows = [(g - f).norm(dim=1) for g, f in zip(self._features(), before, strict=True)] + norms
            columns.append(
                torch.stack(rows + ([] if classes is None else [_probability(outputs, classes, self.given)])).cpu()
            )
        return torch.stack(columns, 1).numpy()

    def _features(self) -> list[Tensor]:
        """What the latest pass has shown, (image, feature) per layer."""
        for layer in self.layers:
            require_finite(layer, self.seen[layer])
        return [self.seen[layer] for layer in self.layers]


def _vectors(output: Tensor) -> Tensor:
    return output.double().flatten(1)


def _probability(outputs: object, classes: Sequence[int], given: bool) -> Tensor:
    answers = probabilities(outputs, given=given)
    require_classes(classes, answers.shape[1])
    wanted = torch.tensor([int(number) for number in classes], device=answers.device)
    return answers.gather(1, wanted[:, None])[:, 0].double()


def _relative(distance: np.ndarray, norm: np.ndarray) -> np.ndarray:
    undefined = np.where(distance > 0, np.nan, 0.0)
    return np.where(norm > 0, distance / np.where(norm > 0, norm, 1), undefined)
