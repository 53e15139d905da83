"""What a unit does over a whole data set: how strong, how often, and for which classes; in one pass, in little
memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from striate.inside.atlases.sums import Sum

CACHED = 2**20
"""Activations looked at together; 4 MB in float32, some of an L2 and all of an L3 cache. Three times faster than a
whole batch at once, which allocates pages anew for every comparison."""


@final
class Statistics:
    """Running statistics of `units` over images as they come; which order they come in changes nothing.

    Attributes:
        positions: how many positions of each unit have been seen.
        sums, nonzero: (units,) sum of the activations, and how many are not 0.
        largest, smallest: (units,); smallest is not followed where it is known to be 0, after a ReLU.
        class_sums: (classes, units) sums over images of the image's mean activation; a row more for every class whose
            number is met and that nobody named.
        class_counts: (classes,) images.
    """

    def __init__(self, units: int, classes: int, *, rectified: bool) -> None:
        self.rectified = rectified
        self.positions = 0
        self.sums, self.nonzero = Sum(units), torch.zeros(units, dtype=torch.float64)
        self.largest, self.smallest = torch.full((units,), -torch.inf), torch.full((units,), torch.inf)
        self.class_sums = Sum(classes, units)
        self.class_counts = torch.zeros(classes, dtype=torch.int64)

    def add(
        self, activations: Float[Tensor, "batch units ..."], labels: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch units"]:
        """Takes up a batch of maps or vectors, and returns the maximum of each map."""
        maps = activations.permute(0, 2, 3, 1).flatten(1, 2) if activations.ndim == 4 else activations[:, None]
        sums, nonzero, highest = _reduced(maps)
        self.positions += maps.shape[0] * maps.shape[1]
        self.sums.add(sums.sum(0))
        self.nonzero += nonzero.sum(0)
        self.largest = torch.maximum(self.largest, highest.amax(0))
        if not self.rectified:
            self.smallest = torch.minimum(self.smallest, maps.amin((0, 1)).float().cpu())
        if labels is not None:
            self._add_classes(labels.cpu(), sums / maps.shape[1])
        return highest

    def _add_classes(self, labels: Int[Tensor, " batch"], means: Float[Tensor, "batch units"]) -> None:
        """Takes up the mean activations of images; a label below 0 says that the class is not known."""
        labels, means = labels[labels >= 0], means[labels >= 0]
        self._count(torch.bincount(labels))
        rows, row = labels.unique(return_inverse=True)
        self.class_sums.add(means.new_zeros(len(rows), means.shape[1]).index_add_(0, row, means), rows)

    def _count(self, images: Int[Tensor, " classes"]) -> None:
        """Takes up how many images each class has, of which there may be more than were known of."""
        known = max(len(images), len(self.class_counts))
        self.class_sums.grow(known)
        counts = (functional.pad(some, (0, known - len(some))) for some in (self.class_counts, images))
        self.class_counts = torch.add(*counts)

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, for `take`."""
        return {
            "positions": torch.tensor(self.positions), "sums": self.sums.parts, "nonzero": self.nonzero,
            "largest": self.largest, "smallest": self.smallest,
            "class_sums": self.class_sums.parts, "class_counts": self.class_counts,
        }  # fmt: skip

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes up the `tensors` of statistics of other images."""
        self.positions += int(tensors["positions"])
        self.sums.take(tensors["sums"])
        self.nonzero += tensors["nonzero"]
        self.largest = torch.maximum(self.largest, tensors["largest"])
        self.smallest = torch.minimum(self.smallest, tensors["smallest"])
        self._count(tensors["class_counts"])
        self.class_sums.take(tensors["class_sums"])

    @property
    def mean(self) -> NDArray[np.float64]:
        """(units,) mean over all images and positions."""
        return (self.sums.value / max(self.positions, 1)).numpy()

    @property
    def zeros(self) -> NDArray[np.float64]:
        """(units,) share of activations that are exactly 0."""
        return (1 - self.nonzero / max(self.positions, 1)).numpy()

    @property
    def dead(self) -> NDArray[np.bool_]:
        """(units,) whether a unit says nothing about any image: after a ReLU, never above 0; else, the same
        everywhere."""
        return (self.largest <= 0 if self.rectified else self.largest == self.smallest).numpy()

    @property
    def class_means(self) -> Float[NDArray[np.float64], "classes units"]:
        """Mean activation over the images of each class; NaN for a class without images."""
        counts = self.class_counts[:, None].double()
        return torch.where(counts > 0, self.class_sums.value / counts.clamp(min=1), torch.nan).numpy()


def _reduced(maps: Float[Tensor, "batch position unit"]) -> tuple[Tensor, Tensor, Tensor]:
    """Over the positions of each map: sum and count of what is not 0, float64, and maximum; each (batch, unit).

    A few images at a time, so that the three look at what is still in the processor's cache.
    """
    step = max(1, CACHED // max(maps[0].numel(), 1))
    flags = torch.empty_like(maps[:step], dtype=torch.float32)
    parts = [
        (few.sum(1, dtype=torch.float32), torch.ne(few, 0, out=flags[: len(few)]).sum(1), few.amax(1))
        for few in maps.split(step)
    ]
    sums, nonzero, highest = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    return sums.double(), nonzero.double(), highest.float()


def selectivity(
    class_means: Float[NDArray[np.float64], "classes units"],
) -> tuple[Int[NDArray[np.int64], " units"], Float[NDArray[np.float64], " units"]]:
    """The class that each unit's mean activation favours, and how much: (μ_best − μ_rest) / (μ_best + μ_rest).

    μ_best is the highest class mean, μ_rest the mean of the other class means: 0 where all classes are alike, 1 where
    only one class drives the unit (Morcos et al. 2018, On the Importance of Single Directions for Generalization, eq.
    1).

    Returns:
        The class of each unit (−1 where there are fewer than two classes with images), and the index in 0..1;
        NaN where it says nothing: fewer than two classes, a class mean below 0, or no activation at all.

    Example:
        >>> selectivity(np.array([[3.0, 1.0], [1.0, 1.0]]))
        (array([0, 0]), array([0.5, 0. ]))
    """
    seen = class_means[~np.isnan(class_means).any(1)]
    units = class_means.shape[1]
    if len(seen) < 2:
        return np.full(units, -1), np.full(units, np.nan)
    best = np.nanargmax(class_means, axis=0)
    highest = seen.max(0)
    rest = (seen.sum(0) - highest) / (len(seen) - 1)
    total = highest + rest
    sound = (seen.min(0) >= 0) & (total > 0)
    index = np.where(sound, (highest - rest) / np.where(sound, total, 1), np.nan)
    return best, index
