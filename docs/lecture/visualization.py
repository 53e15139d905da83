"""What units look for: the patches that excite them most beside their projections, from the run's atlas."""

from __future__ import annotations

import numpy as np

from lecture.studies import Study, command
from striate import pictures
from striate.inside.atlases.folder import Atlas
from striate.pictures.colors import MUTED
from striate.report.canvas import Canvas

MARGIN, CELL, GAP = 16, 138, 12
UNITS = 6


def atlas(study: Study) -> Canvas:
    """Nine patches and their nine projections for the units of conv2 that favour one class the most."""
    command("striate atlas runs/lecture", study.place)
    found = Atlas.open(study.place / "runs" / "lecture" / "atlas")
    canvas = Canvas(2 * MARGIN + 4 * CELL + 3 * GAP)
    for place, unit in enumerate(_chosen(found)):
        row, side = divmod(place, 2)
        x, y = MARGIN + side * 2 * (CELL + GAP), MARGIN + row * (CELL + 30)
        canvas.picture(x, y, _plate(found.patches("conv2", unit)), CELL)
        canvas.picture(x + CELL + GAP, y, _projections(found.projections("conv2", unit)), CELL)
        favoured = found.unit("conv2", unit)["selectivity"]["name"]
        canvas.text(x, y + CELL, f"conv2, unit {unit}: strongest for {favoured}", color=MUTED)
    return canvas


def _chosen(found: Atlas) -> list[int]:
    """The most selective living units with nine patches, in their order, each for another class."""
    units = [one for one in found.layer("conv2")["units"] if one["selectivity"] and len(one["top"]) == 9]
    units.sort(key=lambda one: -one["selectivity"]["index"])
    first = {one["selectivity"]["name"]: one["unit"] for one in reversed(units)}
    return sorted(list(reversed(first.values()))[:UNITS])


def _plate(patches: np.ndarray) -> pictures.Picture:
    factor = 276 // (3 * patches.shape[-1] + 4) or 1
    return pictures.plate([pictures.enlarge(pictures.photograph(patch), factor) for patch in patches])


def _projections(values: np.ndarray) -> pictures.Picture:
    factor = 276 // (3 * values.shape[-1] + 4) or 1
    limit = float(np.abs(values).max())
    drawn = [pictures.color_weights(np.repeat(one, 3 // len(one), axis=0), limit) for one in values]
    return pictures.plate([pictures.enlarge(one, factor) for one in drawn])
