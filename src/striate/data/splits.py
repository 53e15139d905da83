"""Dividing images into train, validation and test: stratified, seeded, and never one image on both sides.

The rule: a tenth of each class goes to validation, a tenth to test, the rest to train; fractions are settled so that a
tenth of the whole is met (largest remainders). A class with three or more different images is in all three; with two,
in train and validation; with one, in train. Images of the same content stay together, whatever their labels. What the
source has divided already stays as it is; a missing validation or test split is taken from the source's train split, a
tenth of it but at most 5,000 images each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64

from striate.data.dataset import SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNDIVIDED = -1
"""The split of an image that the source has not put into one."""

TENTH = {"validation": 0.1, "test": 0.1}
LARGEST_TAKEN = 5_000
"""The most images that are taken from a source's own train split for a split it lacks."""


def divided(
    labels: Int64[np.ndarray, " n"],
    given: Int64[np.ndarray, " n"],
    contents: Sequence[str],
    seed: int,
    shares: Mapping[str, float] = TENTH,
) -> Int64[np.ndarray, " n"]:
    """The split of every image, as a place in SPLITS.

    Arguments:
        labels: the class of every image.
        given: the split that the source gave it, or UNDIVIDED.
        contents: equal for images of equal content.
        seed: decides which images go where; the same seed, the same split.
        shares: how much of each class goes to validation and to test.
    """
    if (given == UNDIVIDED).all():
        return _drawn(labels, contents, seed, shares)
    split = np.where(given == UNDIVIDED, 0, given).astype(np.int64)
    lacking = [name for name in SPLITS[1:] if not (given == SPLITS.index(name)).any()]
    taken = np.flatnonzero(split == 0)
    if lacking and len(taken):
        most = {name: min(shares[name], LARGEST_TAKEN / len(taken)) for name in lacking}
        split[taken] = _drawn(labels[taken], [contents[i] for i in taken.tolist()], seed, most)
    return split


def _drawn(
    labels: Int64[np.ndarray, " n"], contents: Sequence[str], seed: int, shares: Mapping[str, float]
) -> Int64[np.ndarray, " n"]:
    split = np.zeros(len(labels), np.int64)
    classes = _groups(labels, contents)
    sizes = {label: sum(map(len, groups)) for label, groups in classes.items()}
    wanted = {name: _apportioned(sizes, share) for name, share in shares.items()}
    for label, groups in classes.items():
        order: list[int] = np.random.default_rng((seed, label)).permutation(len(groups)).tolist()
        shuffled = sorted((groups[i] for i in order), key=len, reverse=True)
        for name, members in _dealt(shuffled, {name: counts[label] for name, counts in wanted.items()}):
            split[members] = SPLITS.index(name)
    return split


def _apportioned(sizes: Mapping[int, int], share: float) -> dict[int, int]:
    """How many images of each class go to a split, at least one: rounded down, the rest to the largest remainders."""
    exact = {label: size * share for label, size in sizes.items()}
    counts = {label: int(value) for label, value in exact.items()}
    rest = round(sum(exact.values())) - sum(counts.values())
    for label in sorted(exact, key=lambda label: counts[label] - exact[label])[:rest]:
        counts[label] += 1
    return {label: max(1, count) for label, count in counts.items()}


def _groups(labels: Int64[np.ndarray, " n"], contents: Sequence[str]) -> dict[int, list[list[int]]]:
    """Images of equal content together, each group under the class of its first image."""
    members: dict[str, list[int]] = {}
    for i, content in enumerate(contents):
        members.setdefault(content, []).append(i)
    classes: dict[int, list[list[int]]] = {}
    for group in members.values():
        classes.setdefault(int(labels[group[0]]), []).append(group)
    return classes


def _dealt(groups: list[list[int]], wanted: Mapping[str, int]) -> list[tuple[str, list[int]]]:
    """One class's groups, largest first, dealt to train until it has its share, then to validation, then to test.

    While there are groups enough, every split gets at least one.
    """
    shares = {"train": sum(map(len, groups)) - sum(wanted.values()), **wanted}
    names = list(shares)[: len(groups)]
    dealt: list[tuple[str, list[int]]] = []
    for k, name in enumerate(names):
        for_others, filled = len(names) - 1 - k, 0
        while len(dealt) < len(groups) - for_others and (not for_others or filled < max(shares[name], 1)):
            group = groups[len(dealt)]
            dealt.append((name, group))
            filled += len(group)
    return dealt
