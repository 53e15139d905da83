"""The colours numbers are drawn in: which number is which colour, and nothing else.

Every function takes an array of numbers and gives a picture: uint8 (rows, columns, 3). One number, one pixel.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from numpy.typing import NDArray

Picture = UInt8[np.ndarray, "rows columns 3"]
Color = tuple[int, int, int]

PAPER: Color = (251, 250, 247)
PLATE: Color = (255, 255, 255)
INK: Color = (28, 31, 35)
MUTED: Color = (102, 106, 112)
LINE: Color = (222, 219, 211)
ACCENT: Color = (15, 107, 143)
ACCENT_ON_DARK: Color = (91, 182, 217)
NOT_A_NUMBER: Color = (255, 0, 255)
"""No colour map holds it, so a pixel of this colour is a value that was NaN."""

Palette = Literal["RdBu_r", "BrBG"]

# ColorBrewer's eleven anchors as in matplotlib (Brewer 2003; Apache-2.0), but with the paper's colour for zero in
# place of 247,247,247 and 245,245,245; in between both are linear.
_ANCHORS: dict[Palette, tuple[Color, ...]] = {
    "RdBu_r": (
        (5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240), PAPER,
        (253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43), (103, 0, 31),
    ),
    "BrBG": (
        (84, 48, 5), (140, 81, 10), (191, 129, 45), (223, 194, 125), (246, 232, 195), PAPER,
        (199, 234, 229), (128, 205, 193), (53, 151, 143), (1, 102, 94), (0, 60, 48),
    ),
}  # fmt: skip

# matplotlib's magma (van der Walt & Smith 2015; CC0): 256 colours of three bytes, from black to pale yellow.
_MAGMA = (
    "AAAEAQAFAQEGAQEIAgEJAgILAgINAwMPAwMSBAQUBQQWBgUYBgUaBwYcCAceCQcgCggiCwkkDAkmDQopDgsrEAstEQwvEg0xEw00FA42FQ44"
    "Fg87GA89GRA/GhBCHBBEHRFHHhFJIBFLIRFOIhFQJBJTJRJVJxJYKRFaKhFcLBFfLRFhLxFjMRFlMxBnNBBpNhBrOBBsOQ9uOw9wPQ9xPw9y"
    "QA90Qg91RA92RRB3RxB4SRB4ShB5TBF6ThF7TxJ7URJ8UhN8VBN9VhR9VxV+WRV+WhZ+XBZ/XRd/Xxh/YBiAYhmAZBqAZRqAZxuAaByBahyB"
    "ax2BbR2Bbh6BcB+Bch+BcyCBdSGBdiGBeCKBeSKCeyOCfCOCfiSCgCWCgSWBgyaBhCaBhieBiCeBiSiBiymBjCmBjiqBkCqBkSuBkyuAlCyA"
    "liyAmC2AmS2Amy5/nC5/ni9/oC9/oTB+ozB+pTF+pjF9qDJ9qjN9qzN8rTR8rjR7sDV7sjV7szZ6tTZ6tzd5uDd5ujh4vDl4vTl3vzp3wDp2"
    "wjt1xDx1xTx0xz1zyD5zyj5yzD9xzUBxz0Bw0EFv0kJv00Nu1URt1kVs2EVs2UZr20dq3Ehp3klo30po4Exn4k1m405l5E9k5VBk51Jj6FNi"
    "6VRi6lZh61dg7Fhg7Vpf7lte711e8F9e8WBd8mJd8mRc82Vc9Gdc9Glc9Wtc9mxc9m5c93Bc93Jc+HRc+HZc+Xhd+Xld+Xtd+n1e+n9e+oFf"
    "+4Nf+4Vg+4dh/Ilh/Ipi/Ixj/I5k/JBl/ZJm/ZRn/ZZo/Zhp/Zpq/Ztr/p1s/p9t/qFu/qNv/qVx/qdy/qlz/qp0/qx2/q53/rB4/rJ6/rR7"
    "/rZ8/rd+/rl//ruB/r2C/r+E/sGF/sKH/sSI/saK/siM/sqN/syP/s2Q/s+S/tGU/tOV/tWX/teZ/tia/dqc/dye/d6g/eCh/eKj/eOl/eWn"
    "/eep/emq/eus/Oyu/O6w/PCy/PK0/PS2/Pa4/Pe5/Pm7/Pu9/P2/"
)


def gray(values: Shaped[np.ndarray, "rows columns"], limit: float | None = None) -> Picture:
    """0 is black and `limit` white; what lies outside is clipped.

    Arguments:
        values: unsigned numbers; of uint8 the limit is 255, so that a photograph's pixels stay as they are.
        limit: the value of white; for other types the largest value where it is left out.

    Example:
        >>> gray(np.array([[0.0, 0.5, 1.0]]))[0, :, 0].tolist()
        [0, 128, 255]
    """
    if limit is None and values.dtype == np.uint8:
        limit = 255.0
    return _mark_nan(values, np.repeat(_levels(values, limit)[..., None], 3, axis=-1))


def heat(values: Shaped[np.ndarray, "rows columns"], limit: float | None = None) -> Picture:
    """matplotlib's magma, for unsigned maps: 0 is black, `limit` (where left out, the largest value) pale yellow."""
    return _mark_nan(values, magma()[_levels(values, limit)])


def diverging(
    values: Shaped[np.ndarray, "rows columns"], palette: Palette = "RdBu_r", limit: float | None = None
) -> Picture:
    """Signed numbers: zero is the colour of the paper, -limit and +limit the ends of the palette.

    Arguments:
        values: signed numbers; what lies outside -limit ... limit is clipped.
        palette: `RdBu_r` (blue to red) for activations, `BrBG` (brown to green) for weights.
        limit: the same on both sides; the largest absolute value where it is left out.

    Example:
        >>> diverging(np.array([[-2.0, 0.0, 2.0]]))[0].tolist()
        [[5, 48, 97], [251, 250, 247], [103, 0, 31]]
    """
    anchors = np.array(_ANCHORS[palette], float)
    places = np.linspace(-1, 1, len(anchors))
    shares = _shares(values, _largest(np.abs(values)) if limit is None else limit)
    colors = np.stack([np.interp(shares, places, channel) for channel in anchors.T], axis=-1)
    return _mark_nan(values, np.rint(colors).astype(np.uint8))


def color_weights(weights: Float[np.ndarray, "3 rows columns"], limit: float | None = None) -> Picture:
    """The weights of a unit that sees red, green and blue, in those colours: zero is mid-gray, +limit full light.

    The usual drawing of a first layer (Krizhevsky et al. 2012, figure 3), with symmetric limits.
    """
    shares = _shares(weights, _largest(np.abs(weights)) if limit is None else limit)
    picture = np.rint((shares.transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)
    picture[np.isnan(weights).any(axis=0)] = NOT_A_NUMBER
    return picture


def overlay(image: Picture, over: Picture, strength: float = 0.55) -> Picture:
    """`over` laid on `image` with `strength` from 0 (only the image) to 1 (only what lies over it)."""
    if image.shape != over.shape:
        raise ValueError(f"an overlay must have the picture's shape {image.shape}, found {over.shape}")
    return np.rint(image * (1 - strength) + over * strength).astype(np.uint8)


def photograph(planes: UInt8[np.ndarray, "channels rows columns"]) -> Picture:
    """The image that went into a network: one channel is gray, three are red, green and blue.

    Other numbers of channels have no colours of their own; their mean is drawn in gray.
    """
    if planes.shape[0] == 3:
        return np.ascontiguousarray(planes.transpose(1, 2, 0))
    if planes.shape[0] == 1:
        return gray(planes[0])
    return gray(np.rint(planes.mean(axis=0)).astype(np.uint8))


@cache
def magma() -> NDArray[np.uint8]:
    """The 256 colours of `heat`, uint8 (256, 3); do not write to it."""
    table = np.frombuffer(base64.b64decode("".join(_MAGMA)), np.uint8).reshape(256, 3)
    assert not table.flags.writeable
    return table


def _levels(values: Shaped[np.ndarray, "*shape"], limit: float | None) -> NDArray[np.uint8]:
    shares = _shares(values, _largest(values) if limit is None else limit)
    return np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)


def _shares(values: Shaped[np.ndarray, "*shape"], limit: float) -> NDArray[np.float64]:
    """The values in units of the limit, -1 to 1; all zero where the limit is zero."""
    if limit < 0 or not np.isfinite(limit):
        raise ValueError(f"the limit of a colour scale must be zero or a positive number, found {limit}")
    if limit == 0:
        return np.zeros(values.shape)
    return np.nan_to_num(np.clip(values.astype(np.float64), -limit, limit) / limit, nan=0.0)


def _largest(values: Shaped[np.ndarray, "*shape"]) -> float:
    finite = values[np.isfinite(values)]
    return max(float(finite.max()), 0.0) if finite.size else 0.0


def _mark_nan(values: Shaped[np.ndarray, "rows columns"], picture: Picture) -> Picture:
    picture[np.isnan(values)] = NOT_A_NUMBER
    return picture
