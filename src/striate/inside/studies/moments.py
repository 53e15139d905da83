"""What `evolution` finds: one unit after one epoch, and units over the epochs; as numbers and as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, UInt8

from striate import pictures
from striate.inside.receptive.fields import Box
from striate.inside.watching.plain import plain
from striate.layers.values import Pair
from striate.pictures import Picture
from striate.pictures.colors import LINE


@final
@dataclass(frozen=True, eq=False)
class Moment:
    """One unit after one epoch.

    Attributes:
        epoch, unit: which.
        value: its strongest activation over the images; 0 or less: the unit is dead, and nothing is shown.
        image: the index of the image.
        position: row and column on the feature map.
        box: the receptive field there, clipped to the image.
        frame: what a picture shows: the receptive field with what of it lies outside the image, or the whole image
            where the field is as long or as wide.
        patch: the image within the box.
        projection: the projection of an activation of 1, within the box; zero for a dead unit.
    """

    epoch: int
    unit: int
    value: float
    image: int
    position: Pair
    box: Box
    frame: Box
    patch: UInt8[np.ndarray, "channel rows columns"]
    projection: Float[np.ndarray, "channel rows columns"]

    @property
    def dead(self) -> bool:
        """Whether no image excites the unit."""
        return self.value <= 0

    def pictures(self) -> tuple[Picture, Picture]:
        """The patch and the projection, both as large as the frame; light gray is outside the image.

        In the projection 0 is mid-gray; black and white are the 99.5th percentile of its absolute values. Both are
        empty for a dead unit.
        """
        if self.dead:
            return self._framed(None), self._framed(None)
        drawn = pictures.projection(self.projection)
        return self._framed(pictures.photograph(self.patch)), self._framed(drawn)

    def _framed(self, seen: Picture | None) -> Picture:
        frame = self.frame
        if seen is None:
            return pictures.blank(frame.bottom - frame.top, frame.right - frame.left)
        whole = pictures.blank(frame.bottom - frame.top, frame.right - frame.left, LINE)
        top, left = self.box.top - frame.top, self.box.left - frame.left
        whole[top : top + seen.shape[0], left : left + seen.shape[1]] = seen
        return whole

    def as_json(self) -> dict[str, Any]:
        """The attributes under their names, and `dead`, without patch and projection, which are for picture files."""
        kept = {key: value for key, value in vars(self).items() if key not in ("patch", "projection")}
        return plain(kept) | {"dead": self.dead}


@final
@dataclass(frozen=True, eq=False)
class Evolution:
    """Units of one layer over the epochs.

    Attributes:
        layer: whose units they are.
        read: the layer whose output was read: the batch norm or ReLU that directly follows `layer`, or itself.
        epochs: the saved epochs, in order.
        units: the units.
        moments: one row per epoch, one column per unit.
    """

    layer: str
    read: str
    epochs: tuple[int, ...]
    units: tuple[int, ...]
    moments: tuple[tuple[Moment, ...], ...]

    def of(self, unit: int) -> tuple[Moment, ...]:
        """One unit, epoch after epoch."""
        return tuple(row[self.units.index(unit)] for row in self.moments)

    def sheet(self, cell: int = 64) -> Picture:
        """Zeiler & Fergus's figure 4: a row for each unit, a column for each epoch, patch beside projection.

        Arguments:
            cell: pixels of the side that a picture is enlarged to by a whole factor, hard-edged; larger ones stay.
        """
        pairs = [moment.pictures() for unit in self.units for moment in self.of(unit)]
        factor = pictures.whole_factor(pairs[0][0].shape[:2], (cell, cell))
        cells = [pictures.grid([pictures.enlarge(one, factor) for one in pair], 2) for pair in pairs]
        return pictures.grid(cells, len(self.epochs), gutter=8)

    def as_json(self) -> dict[str, Any]:
        """The attributes under their names."""
        kept = {"layer": self.layer, "read": self.read, "epochs": self.epochs, "units": self.units}
        return plain(kept) | {"moments": [[moment.as_json() for moment in row] for row in self.moments]}
