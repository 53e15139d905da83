"""Changing the values of a batch: contrast, brightness, and erased rectangles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped
    from torch import Tensor


def toned(
    images: Shaped[Tensor, "n c h w"], contrast: Float[Tensor, " n"], brightness: Float[Tensor, " n"]
) -> Shaped[Tensor, "n c h w"]:
    """y = m + contrast (x - m) + brightness * full range, with m the mean of the image, kept within the full range."""
    full = 1.0 if images.is_floating_point() else 255.0
    x = images if images.is_floating_point() else images.float()
    mean = x.mean((1, 2, 3), keepdim=True)
    y = mean + contrast[:, None, None, None] * (x - mean) + brightness[:, None, None, None] * full
    y = y.clamp(0, full)
    return y.to(images.dtype) if images.is_floating_point() else y.round().to(images.dtype)


def erased(images: Shaped[Tensor, "n c h w"], box: Float[Tensor, "n 4"]) -> Shaped[Tensor, "n c h w"]:
    """A rectangle of each image set to zero. `box`: its place (down, right) as fractions of the room that is left,
    and its rows and columns as fractions of the image's."""
    rows, columns = images.shape[2:]
    inside_rows = _inside(box[:, 0], box[:, 2], rows)
    inside_columns = _inside(box[:, 1], box[:, 3], columns)
    inside = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
    return images.masked_fill(inside, 0)


def _inside(place: Float[Tensor, " n"], share: Float[Tensor, " n"], length: int) -> Shaped[Tensor, "n length"]:
    """Which of `length` positions lie in a stretch of `share` of them, at `place` (0 to 1) of the room."""
    extent = (share * length).round()
    start = (place * (length - extent + 1)).floor()
    positions = torch.arange(length, device=place.device)
    return (positions >= start[:, None]) & (positions < (start + extent)[:, None])
