"""The network's part of a report: its counts beside those of a fully connected one, what its units see, its filters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Float, UInt8

from striate import pictures
from striate.report import numbers
from striate.report.page import Bar, Shown, shown, signed_bar
from striate.report.plates import middle

if TYPE_CHECKING:
    from torch import nn

    from striate.summary import Description, Row

ROOM_FOR_FIELD = 144
"""CSS pixels for an image with a receptive field on it."""

MOST_FIELDS = 4
"""Layers whose receptive fields are drawn."""

ROOM_FOR_FILTER = 60
"""CSS pixels for one unit's filter: 5x5 weights become 60 x 60."""

MOST_FILTERS = 256
"""Units whose filters are drawn; the caption says where there are more."""


@final
@dataclass(frozen=True)
class SeenBy:
    """The receptive field of one layer's unit in the middle, drawn on an image."""

    layer: str
    shown: Shown
    line: str


@final
@dataclass(frozen=True)
class Filters:
    """The first convolution's weights, a picture for each unit."""

    shown: tuple[Shown, ...]
    bar: Bar | None
    caption: str


def sentences(description: Description) -> list[str]:
    """What a lecture would say of this network's numbers."""
    said = [_sharing(row) for row in description.rows if _is_convolution(row)][:1]
    dense, own = description.dense_parameters, description.parameters
    if dense > own:
        said.append(
            f"All layers together learn {numbers.count(own)} numbers; with every layer of weighted sums fully connected"
            f" they would be {numbers.count(dense)}, {numbers.number(dense / own)} times as many."
        )
    seen = _deepest_local(description)
    if seen is not None:
        said.append(_sight(seen, description))
    return said


def fields(description: Description, image: UInt8[np.ndarray, "channels rows columns"]) -> list[SeenBy]:
    """The receptive fields of at most `MOST_FIELDS` layers, evenly chosen, of the unit in the middle, on one image."""
    local = [row for row in description.layers if row.field is not None and len(row.output) == 3]
    grown = [row for before, row in zip([None, *local], local, strict=False) if _grows(before, row)]
    chosen = sorted({round(place) for place in np.linspace(0, len(grown) - 1, MOST_FIELDS)}) if grown else []
    return [_seen(grown[place], image) for place in chosen]


def first_filters(module: nn.Module) -> Filters | None:
    """The weights of the first convolution, one plate; None where there is none.

    Units that see one channel are drawn in BrBG, those that see three in red, green and blue, others channel by
    channel, a row for each unit.
    """
    found = next(((name, p) for name, p in module.named_parameters() if p.ndim == 4), None)
    if found is None:
        return None
    layer, weights = found[0].rpartition(".")[0], found[1].detach().float().cpu().numpy()
    units, channels, rows, columns = weights.shape
    size = f"{rows}×{columns}" if channels == 1 else f"{channels}×{rows}×{columns}"
    more = "" if units <= MOST_FILTERS else f", the first {MOST_FILTERS} of them"
    limit = float(np.abs(weights).max())
    drawn = tuple(
        shown(_drawn(unit, limit), f"{layer}, unit {place}", ROOM_FOR_FILTER)
        for place, unit in enumerate(weights[:MOST_FILTERS])
    )
    biased = any(name == f"{layer}.bias" for name, _ in module.named_parameters())
    caption = f"The {units} filters of {layer}{more}, {size} weights each{', without their biases' if biased else ''}. "
    if channels == 3:
        said = (
            f"In the input's colours: mid-gray is 0, full light {numbers.number(limit)}; one scale for the whole layer."
        )
        return Filters(drawn, None, caption + said)
    said = "" if channels == 1 else f"Each picture holds one unit's {channels} kernels, a cell for each input channel. "
    return Filters(drawn, signed_bar("BrBG", limit, pictures.sentence("layer")), caption + said)


def _drawn(unit: Float[np.ndarray, "channels rows columns"], limit: float) -> pictures.Picture:
    if len(unit) == 3:
        return pictures.color_weights(unit, limit)
    kernels = [pictures.diverging(kernel, "BrBG", limit) for kernel in unit]
    return pictures.grid(kernels, columns=math.isqrt(len(kernels) - 1) + 1, gutter=1)


def _seen(row: Row, image: UInt8[np.ndarray, "channels rows columns"]) -> SeenBy:
    assert row.field is not None
    at = middle(*row.output[1:])
    top, left = (start + place * step for start, place, step in zip(row.field.start, at, row.field.stride, strict=True))
    box = (top, left, top + row.field.size[0], left + row.field.size[1])
    rows, columns = image.shape[1:]
    factor = pictures.whole_factor((rows, columns), (ROOM_FOR_FIELD, ROOM_FOR_FIELD))
    photo = pictures.photograph(image)
    drawn, other = (pictures.receptive_field(photo, box, factor, background=c) for c in (pictures.PAPER, pictures.LINE))
    outside = (drawn != other).any(axis=2)  # the page is light or dark
    size = "×".join(map(str, row.field.size))
    alt = f"A unit of {row.name} sees {size} pixels of the image"
    return SeenBy(row.name, shown(drawn, alt, room=1, clear=outside), f"{size}, every {_step(row)}")


def _step(row: Row) -> str:
    assert row.field is not None
    rows, columns = row.field.stride
    if rows != columns:
        return f"{rows}×{columns} pixels"
    return "pixel" if rows == 1 else f"{rows} pixels"


def _grows(before: Row | None, row: Row) -> bool:
    assert row.field is not None
    earlier = (1, 1) if before is None or before.field is None else before.field.size
    return row.field.size != earlier


def _is_convolution(row: Row) -> bool:
    return len(row.input) == 3 and len(row.output) == 3 and row.dense_parameters is not None


def _sharing(row: Row) -> str:
    assert row.dense_parameters is not None
    inputs, outputs, dense = math.prod(row.input), math.prod(row.output), row.dense_parameters
    return (
        f"{row.name} shares its weights: {numbers.count(row.parameters)} parameters give its {numbers.count(outputs)}"
        f" outputs. Thirty hidden units that each see all {numbers.count(inputs)} inputs need"
        f" {numbers.count(30 * (inputs + 1))}; as many fully connected outputs need {numbers.count(dense)}."
    )


def _deepest_local(description: Description) -> Row | None:
    local = [row for row in description.layers if row.field is not None and len(row.output) == 3]
    return local[-1] if local and math.prod(local[-1].output[1:]) > 1 else None


def _sight(row: Row, description: Description) -> str:
    assert row.field is not None
    size = "×".join(map(str, row.field.size))
    whole = "×".join(map(str, description.input[1:]))
    return f"A unit of {row.name}, the last layer that is local, sees {size} of the image's {whole} pixels."
