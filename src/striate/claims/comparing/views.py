"""The same images seen otherwise: fewer of them to learn from, their pixels shuffled, their labels shuffled.

A view is a value, so that it can be part of what a training is known by. Nothing here copies more than it changes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from striate.data import DataSet, Split


@final
@dataclass(frozen=True)
class View:
    """How a data set is seen.

    Attributes:
        images: how many training images are used, as many of each class as there is room for; None for all.
        shuffled_pixels: whether one fixed permutation is applied to the pixels of all images, the same in every
            channel and every split.
        shuffled_labels: whether the labels of all images are dealt out anew at random, within each split.

    Example:
        >>> from striate import data
        >>> seen = View(images=100).of(data.load("digits"))
        >>> len(seen.train), np.bincount(seen.train.labels).tolist()
        (100, [10, 10, 10, 10, 10, 10, 10, 10, 10, 10])
    """

    images: int | None = None
    shuffled_pixels: bool = False
    shuffled_labels: bool = False

    def __str__(self) -> str:
        """In words; empty for the data as they are."""
        ways = {
            f"{self.images} training images": self.images is not None,
            "the pixels of all images shuffled alike": self.shuffled_pixels,
            "labels dealt anew at random": self.shuffled_labels,
        }
        return ", ".join(words for words, so in ways.items() if so)

    def of(self, data: DataSet) -> DataSet:
        """The data set as it is seen, with a fingerprint of its own."""
        if self == View():
            return data
        train, validation, test = data.train, data.validation, data.test
        if self.images is not None:
            train = _first_of_each_class(train, self.images)
        if self.shuffled_pixels:
            order = np.random.default_rng(0).permutation(int(np.prod(data.shape[1:])))
            train, validation, test = (_permuted(split, order) for split in (train, validation, test))
        if self.shuffled_labels:
            train, validation, test = (_dealt_anew(split, at) for at, split in enumerate((train, validation, test)))
        mark = hashlib.sha256(f"{data.fingerprint}/{self!r}".encode()).hexdigest()
        return replace(data, train=train, validation=validation, test=test, fingerprint=mark)


def without_test(data: DataSet) -> DataSet:
    """The data set with an empty test split: what tuning sees."""
    return replace(data, test=_chosen(data.test, np.arange(0)))


def _first_of_each_class(split: Split, count: int) -> Split:
    """The first images of every class in turn: the k-th of each class before the k+1-th of any."""
    seen: dict[int, int] = {}
    turn = np.empty(len(split), np.int64)
    for at, label in enumerate(split.labels.tolist()):
        turn[at] = seen.get(label, 0)
        seen[label] = turn[at] + 1
    return _chosen(split, np.sort(np.argsort(turn, kind="stable")[:count]))


def _chosen(split: Split, rows: np.ndarray) -> Split:
    return Split(split.images[rows], split.labels[rows], tuple(split.sources[int(row)] for row in rows))


def _permuted(split: Split, order: np.ndarray) -> Split:
    flat = np.asarray(split.images).reshape(*split.images.shape[:2], -1)
    return replace(split, images=np.ascontiguousarray(flat[:, :, order].reshape(split.images.shape)))


def _dealt_anew(split: Split, at: int) -> Split:
    return replace(split, labels=np.random.default_rng(at).permutation(split.labels))
