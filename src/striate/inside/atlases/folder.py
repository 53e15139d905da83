"""An atlas as it lies on the disk, opened again: `Atlas`, and what its files hold.

    atlas.json              everything but the arrays (below)
    layers/NAME.safetensors one file per layer:
        values              float32 (unit, top), descending; 0 where a place is empty
        indices             int64 (unit, top), data-set indices of the images; -1 where a place is empty
        positions           int64 (unit, top, 2), row and column on the map; -1 where empty, and for vectors
        patches             uint8 (unit, top, channel, row, column), the image under the field; 0 outside the image
        projections         float32 or float16 (unit, top, channel, row, column), same cells, scaled to -1..1
        projection_scales   float32 (unit, top), what to multiply projections by: the gradient of the activation with
                            respect to the normalized input, under the rule
        class_means         float32 (class, unit), mean activation over the images of a class; NaN without images
    sheets/NAME.webp        patches beside projections, eight units in a row; NAME-2.webp ... where one is not enough
    images/INDEX.jpg, .png  every image that a place refers to, at most 256 pixels a side

atlas.json has the keys `format`, `version`, `model`, `data`, `images` (how many were looked at), `image` (channels,
rows, columns), `kept` (rows and columns of the files in images/: fewer where an image is larger than 256 pixels),
`top`, `rule`, `precision`, `classes`, `pictures` (how floats became pictures), and `layers`, a list of

    name, shape (units, rows, columns), activation (`after relu` or `as computed`),
    method (`windows` or `whole images`), file, sheets,
    receptive_field: size, stride, start, in pixels; null where it is the whole image
    shown: rows and columns of a patch
    units: a list of
        unit, dead, maximum, mean, zeros (share of exact zeros),
        selectivity: null, or class (number), name, index (0..1)
        top: a list of
            image (index), source, label, class (name), value,
            position (row, column; null for vectors),
            box (top, left, bottom, right of the receptive field in image pixels; may reach outside),
            clipped (the part of box inside the image), shown (top, left of the patch), picture (file)
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open

from striate.errors import DataError, ModelError

FORMAT, VERSION = "striate atlas", 1


@final
@dataclass(frozen=True)
class Atlas:
    """An atlas on the disk.

    Attributes:
        path: its folder.
        contents: what atlas.json holds.
    """

    path: Path
    contents: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: Path | str) -> Atlas:
        """Opens the atlas in a folder. Raises DataError if there is none that this version can read."""
        path = Path(path)
        try:
            contents = json.loads((path / "atlas.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"there is no atlas in {path}: no file atlas.json") from None
        except ValueError as fault:
            raise DataError(f"atlas.json in {path} cannot be read: {fault}") from None
        if not isinstance(contents, dict) or contents.get("format") != FORMAT or contents.get("version") != VERSION:
            raise DataError(f"atlas.json in {path} is not of the format {FORMAT!r}, version {VERSION}")
        return cls(path, contents)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, first to last."""
        return tuple(layer["name"] for layer in self.contents["layers"])

    def layer(self, name: str) -> dict[str, Any]:
        """What atlas.json says of a layer. Raises ModelError if it is not in the atlas."""
        for layer in self.contents["layers"]:
            if layer["name"] == name:
                return layer
        raise ModelError(f"layer {name!r} is not in the atlas: choose one of {', '.join(self.layers)}")

    def unit(self, layer: str, unit: int) -> dict[str, Any]:
        """What atlas.json says of a unit. Raises ModelError if there is none of that number."""
        units = self.layer(layer)["units"]
        if unit not in range(len(units)):
            raise ModelError(f"layer {layer} has the units 0 to {len(units) - 1}, found {unit}")
        return units[unit]

    def array(self, layer: str, name: str, unit: int | None = None) -> np.ndarray:
        """One of a layer's arrays (names above), whole or of one unit; only that is read from the disk."""
        file = self.path / self.layer(layer)["file"]
        try:
            with safe_open(file, "np") as arrays:
                return arrays.get_tensor(name) if unit is None else arrays.get_slice(name)[unit]
        except (OSError, SafetensorError) as fault:
            raise DataError(f"{name} cannot be read from {file}: {fault}") from None

    def patches(self, layer: str, unit: int) -> UInt8[np.ndarray, "top channel row column"]:
        """The patches of a unit, as many as it has."""
        return self.array(layer, "patches", unit)[: len(self.unit(layer, unit)["top"])]

    def projections(self, layer: str, unit: int) -> Float[np.ndarray, "top channel row column"]:
        """The projections of a unit, float32, as many as it has: gradients with respect to the normalized input."""
        scales = self.array(layer, "projection_scales", unit)[:, None, None, None]
        return (self.array(layer, "projections", unit) * scales)[: len(self.unit(layer, unit)["top"])]
