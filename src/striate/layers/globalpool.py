"""Global average pooling: each map becomes one number, its mean (Lin et al. 2014, Network In Network, section 3.2).

    y[n,c] = 1/(H·W) · Σ_h Σ_w x[n,c,h,w]     with H rows and W columns

Letters as in `layer.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from striate.layers.layer import Array, Layer, Parameters, Shape, maps
from striate.layers.terms import Pooled, grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from striate.layers.terms import Spot


@final
@dataclass(frozen=True)
class GlobalAvgPool(Layer):
    """`globalavgpool`: the mean of each map; a vector with one feature for each channel comes out.

    Example:
        >>> GlobalAvgPool().output((512, 7, 7))
        (512,)
    """

    word: ClassVar[str] = "globalavgpool"
    label: ClassVar[str] = "globalpool"

    def output(self, input: Shape) -> Shape:
        channels, _, _ = maps(input, self.word)
        return (channels,)

    def window(self, input: Shape) -> None:
        return None

    def module(self, input: Shape) -> nn.Module:
        from torch import nn

        return nn.Sequential(OrderedDict(mean=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()))

    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        return x.mean((2, 3))

    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        pixels = x.shape[2] * x.shape[3]
        return np.ones_like(x) * dy[:, :, None, None] / pixels, {}

    def terms(
        self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False
    ) -> Pooled:
        (c,) = at
        patch = x[image, c]
        places = grid(range(c, c + 1), *map(range, patch.shape))[0]
        return Pooled("y[c] = 1/(H·W) · Σ_h Σ_w x[c,h,w]", patch, np.full_like(patch, 1 / patch.size), places)
