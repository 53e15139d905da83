"""Projections as pictures: 0 is mid-gray, and a few pixels that are far stronger than all others are passed over."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from striate.pictures.colors import Picture, color_weights

PERCENTILE = 99.5
"""Of a projection's absolute values: what is drawn as black and white. A projection into many layers' depth is a few
strong pixels among weak ones, and scaled to its largest value it would be gray."""


def projection_limit(values: Float[np.ndarray, "channel row column"]) -> float:
    """The absolute value that is drawn as black and white; the largest where the percentile is 0.

    Example:
        >>> projection_limit(np.array([[[0.0, -3.0]]])), projection_limit(np.eye(40)[None])
        (2.985, 1.0)
    """
    sizes = np.abs(values)
    return float(np.percentile(sizes, PERCENTILE)) or float(sizes.max())


def projection(values: Float[np.ndarray, "channel row column"], limit: float | None = None) -> Picture:
    """A projection in the image's own colours, one channel gray, three red, green and blue; of others the mean in gray.

    Zeiler & Fergus 2014, figure 2.

    Arguments:
        limit: the absolute value of black and white, beyond which is clipped; `projection_limit` where left out.

    Example:
        >>> projection(np.array([[[-2.0, 0.0, 2.0]]]), 2.0)[0, :, 0].tolist()
        [0, 128, 255]
    """
    shown = values if len(values) in (1, 3) else values.mean(0, keepdims=True)
    limit = projection_limit(values) if limit is None else limit
    return color_weights(np.repeat(shown, 3 // len(shown), axis=0), limit)
