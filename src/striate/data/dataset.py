"""A data set is values, not behaviour: arrays of images and labels in three splits, class names, and what was odd.

Whatever computes with a data set is a function elsewhere; the few here only count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from striate.data.findings import Findings

SPLITS = ("train", "validation", "test")
"""The names of the three splits, in order: train learns, validation decides, test reports once."""

BLOCK = 4096
"""Images that are read together where all are gone through."""


@final
@dataclass(frozen=True, eq=False)
class Split:
    """One of the three parts of a data set.

    Attributes:
        images: uint8 (N, C, H, W), memory-mapped where it comes from the cache; float32 (N, features) for regression.
        labels: int64 (N,), places in the data set's `classes`; float32 (N, outputs) for regression.
        sources: where each image came from: a path, or a name and an index such as `mnist train[17]`.
    """

    images: UInt8[np.ndarray, "n channels height width"] | Float32[np.ndarray, "n features"]
    labels: Int64[np.ndarray, " n"] | Float32[np.ndarray, "n outputs"]
    sources: Sequence[str]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        """How many of what shape: a session that shows a data set is not to show every pixel and path of it."""
        return f"Split({len(self)} of {'x'.join(map(str, self.images.shape[1:]))})"


@final
@dataclass(frozen=True, eq=False)
class DataSet:
    """Images, labels, class names and splits.

    Attributes:
        name: what the user calls it.
        classes: the names of the classes, in the order of the labels; () for regression.
        train, validation, test: the splits; none of them shares an image with another unless `findings` says so.
        findings: what was skipped or odd.
        fingerprint: sha256 (hex) of the content, the labels, the split and the size: equal data, equal fingerprint.
        source: the arguments of `load` that give this data again, as JSON has them; None where it was made otherwise.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    findings: Findings = field(repr=False)
    fingerprint: str
    source: Mapping[str, object] | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image, (C, H, W); (features,) for regression."""
        return self.train.images.shape[1:]


@final
@dataclass(frozen=True)
class SummaryRow:
    """How many images one class has in each split."""

    name: str
    train: int
    validation: int
    test: int


def summary(data: DataSet) -> list[SummaryRow]:
    """Counts per class and split, and a last row `all` with the sums. For regression only that row.

    Example:
        >>> from striate import data
        >>> summary(data.load("digits"))[-1]
        SummaryRow(name='all', train=3500, validation=500, test=1000)
    """
    splits = (data.train, data.validation, data.test)
    counts = [np.bincount(s.labels, minlength=len(data.classes)) if data.classes else () for s in splits]
    rows = [SummaryRow(name, *map(int, row)) for name, *row in zip(data.classes, *counts, strict=True)]
    return [*rows, SummaryRow("all", *map(len, splits))]


def examples(split: Split, label: int, count: int) -> Int64[np.ndarray, " k"]:
    """Indices of up to `count` images of one class, evenly spread over the split: what a contact sheet shows."""
    found = np.flatnonzero(split.labels == label)
    places = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(np.int64)
    return found[places].astype(np.int64)


def statistics(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel over all pixels, on the scale 0 to 1 (uint8 / 255).

    Exact: from the histogram of each channel's 256 values. For regression: of every feature, as it stands.

    Raises:
        DataError: the split is empty.
    """
    if not len(split):
        raise DataError("statistics need at least one image, and this split has none")
    if split.images.dtype != np.uint8:
        values = split.images.astype(np.float64)  # sums of many float32 lose the small differences
        return tuple(map(float, values.mean(0))), tuple(map(float, values.std(0)))
    values = np.arange(256) / 255
    shares = _histograms(split.images)
    mean = shares @ values
    std = np.sqrt((shares * (values - mean[:, None]) ** 2).sum(1))
    return tuple(map(float, mean)), tuple(map(float, std))


def _histograms(images: UInt8[np.ndarray, "n c h w"]) -> Float64[np.ndarray, "c 256"]:
    """The share of every value in each channel; read in blocks, so that a memory map is never in memory at once."""
    channels = images.shape[1]
    counts = np.zeros((channels, 256))
    for start in range(0, len(images), BLOCK):
        taken = images[start : start + BLOCK]
        for c in range(channels):
            counts[c] += np.bincount(taken[:, c].reshape(-1), minlength=256)
    return counts / counts.sum(1, keepdims=True)
