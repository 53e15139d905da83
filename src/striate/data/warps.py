"""Moving the pixels of a batch: flips, whole-pixel shifts, and rotation with scaling by one sampling of a grid.

Legend: n image, c channel, h row, w column.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64, Shaped
    from torch import Tensor


def flipped(images: Shaped[Tensor, "n c h w"], flip: Bool[Tensor, " n"]) -> Shaped[Tensor, "n c h w"]:
    """Left and right exchanged where `flip` says so."""
    return torch.where(flip[:, None, None, None], images.flip(3), images)


def shifted(
    images: Shaped[Tensor, "n c h w"], down: Int64[Tensor, " n"], right: Int64[Tensor, " n"], most: int
) -> Shaped[Tensor, "n c h w"]:
    """Each image moved by whole pixels, |down| and |right| at most `most`; zeros come in. No value is changed.

    Every image is cut out of the zero-padded batch at its own place: y[n,c,i,j] = x[n, c, i - down[n], j - right[n]].
    """
    n, _, rows, columns = images.shape
    padded = functional.pad(images, (most, most, most, most))
    windows = padded.unfold(2, rows, 1).unfold(3, columns, 1)
    return windows[torch.arange(n, device=images.device), :, most - down, most - right]


class Motion(NamedTuple):
    """How each of n images moves.

    Attributes:
        angle: degrees by which it turns, counterclockwise as seen.
        factor: by how much it grows.
        down, right: pixels by which it moves.
    """

    angle: Float[Tensor, " n"]
    factor: Float[Tensor, " n"]
    down: Int64[Tensor, " n"]
    right: Int64[Tensor, " n"]


def warped(images: Shaped[Tensor, "n c h w"], motion: Motion) -> Shaped[Tensor, "n c h w"]:
    """Each image scaled and turned about its centre, then moved; bilinear, zeros outside; uint8 is rounded.

    The output pixel at p (from the centre, in pixels) shows the input at q = R(angle)^-1 (p - t) / factor.
    """
    rows, columns = images.shape[2:]
    grid = functional.affine_grid(_theta(motion, rows, columns), list(images.shape), align_corners=False)
    sampled = functional.grid_sample(_real(images), grid.to(_real(images).dtype), align_corners=False)
    return _like(sampled, images)


def _theta(motion: Motion, rows: int, columns: int) -> Float[Tensor, "n 2 3"]:
    """The matrices for `affine_grid`, whose coordinates run from -1 to 1 over the columns and over the rows.

    Rows of the image run downwards: a turn that is counterclockwise as seen takes (x, y) to (x cos + y sin, y cos - x
    sin).
    """
    radians = motion.angle * (math.pi / 180)
    cos, sin = radians.cos() / motion.factor, radians.sin() / motion.factor
    right, down = motion.right * (2 / columns), motion.down * (2 / rows)
    across, along = rows / columns, columns / rows
    first = torch.stack([cos, -sin * across, -cos * right + sin * across * down], dim=1)
    second = torch.stack([sin * along, cos, -sin * along * right - cos * down], dim=1)
    return torch.stack([first, second], dim=1)


def _real(images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    return images if images.is_floating_point() else images.float()


def _like(values: Float[Tensor, "n c h w"], images: Shaped[Tensor, "n c h w"]) -> Shaped[Tensor, "n c h w"]:
    return values if images.is_floating_point() else values.round().clamp(0, 255).to(images.dtype)
