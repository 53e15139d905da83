"""Where the way down ends: at a pixel, or before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from striate.layers.values import Pair


@final
@dataclass(frozen=True)
class Pixel:
    """Where the way down ends: a number of the image as the module takes it.

    Attributes:
        unit: its channel, or feature.
        position: its row and column; None for a feature.
        value: the number that goes into the first layer.
        raw: what it was before preprocessing, 0 to 255; None where the image came preprocessed.
        mean, std: with a raw value: value = (raw / 255 − mean) / std.
    """

    unit: int
    position: Pair | None
    value: float
    raw: int | None = None
    mean: float = 0.0
    std: float = 1.0


@final
@dataclass(frozen=True)
class Stop:
    """Where the way down ends before the pixels: `reason` says why."""

    reason: str
