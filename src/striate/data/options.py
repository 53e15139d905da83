"""What a user may ask of a data set, checked once; and the shape that images get when nothing was asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final, get_args

import numpy as np

from striate.data import cache
from striate.data.pixels import Fit
from striate.data.workers import Progress, silent
from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SMALL = 64
"""Images that nearly all share a size of at most this many pixels a side keep it; others become 64x64."""
NEARLY_ALL = 0.9
LARGEST = 4096


@final
@dataclass(frozen=True)
class Options:
    """See `striate.data.load`. `size` is (rows, columns). Raises DataError, all faults together."""

    size: tuple[int, int] | None = None
    channels: int | None = None
    fit: Fit = "crop"
    seed: int = 0
    max_bad: float = 0.1
    cache: Path = field(default_factory=cache.folder)
    progress: Progress = silent

    def __post_init__(self) -> None:
        checks = {
            f"size must be rows and columns from 1 to {LARGEST}, found {self.size}": _is_size(self.size),
            f"channels must be 1 or 3, found {self.channels}": _is_channels(self.channels),
            f"fit must be one of {', '.join(get_args(Fit))}, found {self.fit}": self.fit in get_args(Fit),
            f"seed must be a whole number from 0, found {self.seed}": _is_whole(self.seed) and self.seed >= 0,
            f"max_bad must be a share from 0 to 1, found {self.max_bad}": _is_share(self.max_bad),
        }
        faults = [words for words, holds in checks.items() if not holds]
        if faults:
            raise DataError("; ".join(faults))

    def shape(self, sizes: Sequence[tuple[int, int]], grey: Sequence[bool]) -> tuple[int, int, int]:
        """The shape (C, H, W) for images of these (width, height), some of them grey.

        What was asked; otherwise the size that at least nine images in ten share, if no side exceeds 64, else 64x64;
        and one channel if every image is grey, else three.
        """
        (width, height), often = Counter(sizes).most_common(1)[0]
        shared = often >= NEARLY_ALL * len(sizes) and max(width, height) <= SMALL
        rows, columns = self.size or ((height, width) if shared else (SMALL, SMALL))
        return self.channels or (1 if all(grey) else 3), rows, columns


def _is_size(size: object) -> bool:
    """Whether it is rows and columns, or None."""
    if size is None:
        return True
    sides: list[Any] = list(size) if isinstance(size, (tuple, list)) else []
    return len(sides) == 2 and all(_is_whole(side) and 1 <= side <= LARGEST for side in sides)


def _is_channels(channels: object) -> bool:
    return channels is None or (_is_whole(channels) and channels in (1, 3))


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and bool(0 <= value <= 1)


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
