"""What is asked of `explain`, checked before anything runs: which number of which image, and how far down."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from striate.errors import DataError, ModelError
from striate.layers.values import Pair

ALL = -1
"""A depth: down to the pixels."""


@final
@dataclass(frozen=True)
class Wanted:
    """The number that is to be explained.

    Attributes:
        layer: name of its layer.
        unit: its feature map, or its feature.
        position: its row and column; None for the maximum, and in a vector.
        depth: how many layers down the largest terms are followed, or `ALL`.
        follow: how many terms of each number are followed.
        seed: which numbers dropout draws.
    """

    layer: str
    unit: int
    position: Pair | None
    depth: int
    follow: int
    seed: int

    @property
    def called(self) -> str:
        """The layer in words: the module itself has no name."""
        return self.layer or "the module"

    @classmethod
    def checked(
        cls, layer: object, unit: object, position: object, *, depth: object, follow: object, seed: object
    ) -> Wanted:
        """What the arguments of `explain` say.

        Raises:
            ModelError: some are not of the type, or not within the bounds, that they must have; names all of them.

        Example:
            >>> Wanted.checked("conv1", np.int64(2), [0, 3], depth="input", follow=3, seed=0)
            Wanted(layer='conv1', unit=2, position=(0, 3), depth=-1, follow=3, seed=0)
        """
        faults = list[str]()

        def whole(name: str, value: object, allowed: str, least: float = -math.inf, most: float = math.inf) -> int:
            number = _whole(value)
            if number is None or not least <= number <= most:
                faults.append(f"{name} must be {allowed}, found {value!r}")
            return number or 0

        if not isinstance(layer, str):
            faults.append(f"layer must be a name, found {layer!r}")
        place = _pair(position)
        if place is None and position is not None:
            faults.append(f"position must be a row and a column, found {position!r}")
        down = ALL if isinstance(depth, str) and depth == "input" else whole("depth", depth, _DEPTHS, 0)
        asked = cls(
            str(layer),
            whole("unit", unit, "a whole number"),
            place,
            down,
            whole("follow", follow, "1 term or more", 1),
            whole("seed", seed, "a whole number of 64 bits", -(2**63), 2**64 - 1),
        )
        if faults:
            raise ModelError("; ".join(faults))
        return asked


def one_image(image: object) -> Tensor:
    """The image as a batch of one.

    Raises:
        DataError: it is none, or several.

    Example:
        >>> one_image(np.zeros((3, 8, 8))).shape
        torch.Size([1, 3, 8, 8])
    """
    found = _tensor(image)
    if found.dim() in (1, 3):
        return found[None]
    if found.dim() in (2, 4) and len(found) == 1:
        return found
    raise DataError(f"one image is needed, (channels, rows, columns) or (features,); found shape {tuple(found.shape)}")


def _tensor(image: object) -> Tensor:
    if isinstance(image, Tensor):
        return image
    try:
        # Copied, since an array may be one that torch cannot take as it is: read-only, of negative strides.
        return torch.from_numpy(np.array(image))
    except (TypeError, ValueError):
        raise DataError(f"an image is needed, a tensor or an array of numbers; found {type(image).__name__}") from None


def _whole(value: object) -> int | None:
    """A whole number of Python, NumPy or PyTorch; None where it is none."""
    try:
        return None if isinstance(value, bool) else operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        return None


def _pair(value: object) -> Pair | None:
    """Two whole numbers; None where they are none."""
    sides = [_whole(side) for side in value] if isinstance(value, Iterable) else []
    if len(sides) != 2 or sides[0] is None or sides[1] is None:
        return None
    return sides[0], sides[1]


_DEPTHS = "0 or more layers, or 'input'"
