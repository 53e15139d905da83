"""Arrays drawn as pictures, exactly: colours, scales, sheets, PNG. No network, no page, no plot.

A picture is uint8 (rows, columns, 3). Importing this needs NumPy and Pillow only.
"""

from __future__ import annotations

from striate.pictures.colors import (
    ACCENT,
    LINE,
    PAPER,
    Palette,
    Picture,
    color_weights,
    diverging,
    gray,
    heat,
    overlay,
    photograph,
)
from striate.pictures.png import data_uri, to_png, write_png
from striate.pictures.projections import PERCENTILE, projection, projection_limit
from striate.pictures.scales import Scale, limits, sentence
from striate.pictures.sheets import (
    Box,
    blank,
    centred,
    color_bar,
    contact_sheet,
    dead_plate,
    enlarge,
    grid,
    plate,
    receptive_field,
    reduced,
    whole_factor,
)
from striate.pictures.words import shortened

__all__ = [
    "ACCENT",
    "LINE",
    "PAPER",
    "PERCENTILE",
    "Box",
    "Palette",
    "Picture",
    "Scale",
    "blank",
    "centred",
    "color_bar",
    "color_weights",
    "contact_sheet",
    "data_uri",
    "dead_plate",
    "diverging",
    "enlarge",
    "gray",
    "grid",
    "heat",
    "limits",
    "overlay",
    "photograph",
    "plate",
    "projection",
    "projection_limit",
    "receptive_field",
    "reduced",
    "sentence",
    "shortened",
    "to_png",
    "whole_factor",
    "write_png",
]
