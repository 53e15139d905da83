"""Several splits as one, without copying their images: they may be larger than memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, final

import numpy as np
from jaxtyping import Int, Shaped

from striate.data.dataset import Split


def joined(splits: Sequence[Split]) -> Split:
    """The images of all splits, one split after the other; each image is read from its own when it is needed.

    Example:
        >>> one = Split(np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 1]), ("a", "b"))
        >>> whole = joined([one, one])
        >>> len(whole), whole.images[np.array([1, 3])].shape, whole.sources[3]
        (4, (2, 1, 4, 4), 'b')
    """
    images = cast("np.ndarray", Joined([split.images for split in splits if len(split)]))
    labels = np.concatenate([split.labels for split in splits])
    return Split(images, labels, [source for split in splits for source in split.sources])


@final
class Joined:
    """Arrays one after the other along their first axis, for reading by slices and by arrays of indices."""

    def __init__(self, parts: Sequence[Shaped[np.ndarray, "n ..."]]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """As if it were one array."""
        return (len(self), *self._parts[0].shape[1:])

    def __getitem__(self, where: slice | Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n ..."]:
        wanted = np.arange(len(self))[where]
        found = np.empty((len(wanted), *self.shape[1:]), self._parts[0].dtype)
        for part, start in zip(self._parts, self._starts, strict=False):
            here = (wanted >= start) & (wanted < start + len(part))
            if here.any():
                found[here] = part[wanted[here] - start]
        return found
