"""The small pictures of a layer's contact sheets, made while patches and projections are at hand in full."""

from __future__ import annotations

from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (as everybody calls it)

from striate.layers.values import Pair

CELL = 64
"""Rows and columns of a cell, in pixels, at most; larger patches are reduced, smaller ones enlarged by whole
multiples."""

CONTRAST = 0.995
"""Black and white stand for this quantile of a projection's absolute values, and beyond: single pixels would leave all
else gray."""


@final
class Cells:
    """Patches and projections of one layer as they stand on its sheets; on the disk, as there may be many.

    Arguments:
        path: a file that is there as long as the sheets are not drawn.
        units, top: how many units, and places of each.
        channels: of the images.
        size: rows and columns of a patch.
        make: whether the file is made anew; else it is opened.
    """

    def __init__(self, path: Path, units: int, top: int, channels: int, size: Pair, *, make: bool = True) -> None:
        self.path, self.top = path, top
        self.divisor = -(-max(size) // CELL)
        self.size = -(-size[0] // self.divisor), -(-size[1] // self.divisor)
        planes = 3 if channels == 3 else 1
        self._kept = np.memmap(path, np.uint8, "w+" if make else "r+", shape=(2, units, top, planes, *self.size))

    @property
    def shape(self) -> Pair:
        """Rows and columns of a cell."""
        factor = self._factor
        return self.size[0] * factor, self.size[1] * factor

    @property
    def exact(self) -> bool:
        """Whether the pixels of the cells are those of the images."""
        return self.divisor == 1

    def put_patches(
        self, units: NDArray[np.int64], places: NDArray[np.int64], patches: UInt8[Tensor, "pair channel row column"]
    ) -> None:
        """Keeps patches: colours where there are three channels, else the mean of the channels in gray."""
        means = patches if self.exact and patches.shape[1] in (1, 3) else self._planes(patches.float()).round_()
        self._kept[0, units, places] = means.byte().numpy()

    def put_projections(
        self, units: NDArray[np.int64], places: NDArray[np.int64], values: Float[Tensor, "pair channel row column"]
    ) -> None:
        """Keeps projections: 0 is middle gray, each one scaled by itself, after reduction."""
        means = self._planes(values)
        sizes = means.abs().flatten(1).numpy()
        limit = torch.from_numpy(np.quantile(sizes, CONTRAST, axis=1).astype(np.float32))[:, None, None, None]
        shares = (means / torch.where(limit > 0, limit, 1)).clamp_(-1, 1)
        self._kept[1, units, places] = shares.add_(1).mul_(127.5).round_().byte().numpy()

    def of(self, units: range, kind: int, place: int) -> UInt8[NDArray[np.uint8], "unit row column 3"]:
        """Of some units: the patches (kind 0) or projections (kind 1) of one place, enlarged to a cell's size."""
        small = self._kept[kind, units.start : units.stop, place].transpose(0, 2, 3, 1)
        colored = np.broadcast_to(small, (*small.shape[:3], 3))
        return colored if self._factor == 1 else colored.repeat(self._factor, 1).repeat(self._factor, 2)

    def close(self) -> None:
        """Removes the file, unless another process has removed it."""
        del self._kept
        self.path.unlink(missing_ok=True)

    @property
    def _factor(self) -> int:
        return max(CELL // max(self.size), 1)

    def _planes(self, values: Float[Tensor, "pair channel row column"]) -> Float[Tensor, "pair plane row column"]:
        """Three channels, or the mean of others; means of blocks of pixels, as many as are inside."""
        if values.shape[1] not in (1, 3):
            values = values.mean(1, keepdim=True)
        return values if self.divisor == 1 else F.avg_pool2d(values, self.divisor, ceil_mode=True)
