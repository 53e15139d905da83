"""Receptive fields measured: disturb the image row by row and column by column, and see what moves at every layer.

A disturbance that is not a number passes whatever numbers pass, however small or rectified they are, so that one pass
tells what a position could ever depend on; finite ones are tried as well, for what drops it (a comparison).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from striate.inside.watching.watch import layer_names, watch
from striate.layers.values import Pair

Spans = tuple[Pair, ...]

BATCH = 32
"""Disturbed images in one pass."""


DISTURBANCES = (math.nan, 0.25, -3.0)
"""What is added to a line of the image; its pixels are otherwise drawn from 0 to 1."""


def spans_measured(module: nn.Module, image: Tensor) -> dict[str, tuple[Spans, Spans]]:
    """For every layer of units the first and last image row that each of its rows depends on, and the same for columns.

    Arguments:
        module: as `undisturbed` lends it.
        image: (1, channels, rows, columns), or (1, features); only its shape and type are used.
    """
    rows, columns = _moved(module, image, 0), _moved(module, image, 1)
    return {name: (_spans(rows[name]), _spans(columns[name])) for name in rows}


def _moved(module: nn.Module, image: Tensor, axis: int) -> dict[str, Tensor]:
    """Layer -> bool (image lines along the axis, positions along it): whether the position moves with the line."""
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(image.shape, generator=generator).to(image)
    side = image.shape[axis - 2] if image.dim() > 2 else (1, image.shape[-1])[axis]
    parts: dict[str, list[Tensor]] = {}
    for start in range(0, side, BATCH):
        for name, moves in _pass(module, base, range(start, min(start + BATCH, side)), axis).items():
            parts.setdefault(name, []).append(moves)
    return {name: torch.cat(moves) for name, moves in parts.items()}


def _pass(module: nn.Module, base: Tensor, lines: range, axis: int) -> dict[str, Tensor]:
    """`_moved` for some lines of the image."""
    found: dict[str, Tensor] = {}
    for disturbance in DISTURBANCES:
        images = base.repeat(len(lines) + 1, *[1] * (base.dim() - 1))  # the last one stays as it is
        for image, line in zip(images[:-1], lines, strict=True):
            _line(image, line, axis).add_(disturbance)
        with watch(module, layer_names(module), lambda output: _changed(output, axis)) as seen:
            module(images)
        for name, moves in seen.layers():
            if moves.numel():
                found[name] = found[name] | moves if name in found else moves
    return found


def _line(image: Tensor, line: int, axis: int) -> Tensor:
    """One row or column of an image, as a view; a vector is one row."""
    if image.dim() > 1:
        return image.select(axis + 1, line)
    return image if axis == 0 else image[line]


def _changed(output: Tensor, axis: int) -> Tensor:
    """Bool (images, positions along the axis): what differs from the last image; empty where the layer has no units."""
    if output.dim() not in (2, 4):
        return torch.empty(0)
    differs = output[:-1] != output[-1:]
    return differs.any(1).any(2 - axis) if output.dim() == 4 else differs.any(1, keepdim=True)


def _spans(moved: Tensor) -> Spans:
    """First and last line that moves each position; (0, -1) where none does."""
    lines = [torch.nonzero(position).flatten().tolist() for position in moved.T]
    return tuple((line[0], line[-1]) if line else (0, -1) for line in lines)
