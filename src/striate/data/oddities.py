"""Looking over a divided set of images for what a person should know: repeated images, odd sizes, missing classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64, UInt8

from striate.data.arrays import contents
from striate.data.dataset import SPLITS
from striate.data.findings import Duplicate, Stray

if TYPE_CHECKING:
    from collections.abc import Sequence

_FAR = 4
"""An image is a stray when its longer side is more than four times the median one, or less than a quarter of it."""


def duplicates(
    contents: Sequence[str], labels: Int64[np.ndarray, " n"], splits: Int64[np.ndarray, " n"], sources: Sequence[str]
) -> tuple[Duplicate, ...]:
    """The groups of images of equal content, in the order of their first one."""
    groups: dict[str, list[int]] = {}
    for i, content in enumerate(contents):
        groups.setdefault(content, []).append(i)
    found: list[Duplicate] = []
    for group in groups.values():
        if len(group) > 1:
            across = "classes" if len(set(labels[group])) > 1 else "none"
            across = "splits" if len(set(splits[group])) > 1 else across
            found.append(Duplicate(tuple(sources[i] for i in group), across))
    return tuple(found)


def shared(images: UInt8[np.ndarray, "n c h w"], others: UInt8[np.ndarray, "m c h w"]) -> int:
    """How many of `images` have exactly the content of one of the `others`, which are of the same shape."""
    known = set(contents(others))
    return sum(content in known for content in contents(images))


def strays(sizes: Sequence[tuple[int, int]], sources: Sequence[str]) -> tuple[Stray, ...]:
    """The images whose (width, height) is far from the usual one."""
    longer = [max(size) for size in sizes]
    usual = float(np.median(longer)) if longer else 0.0
    return tuple(
        Stray(source, *size)
        for source, size, side in zip(sources, sizes, longer, strict=True)
        if side > _FAR * usual or side * _FAR < usual
    )


def missing(
    classes: Sequence[str], labels: Int64[np.ndarray, " n"], splits: Int64[np.ndarray, " n"]
) -> tuple[str, ...]:
    """The classes that have no image in one of the splits, as `rose (test)`."""
    there = set(zip(labels.tolist(), splits.tolist(), strict=True))
    return tuple(
        f"{name} ({split})"
        for label, name in enumerate(classes)
        for place, split in enumerate(SPLITS)
        if (label, place) not in there
    )
