"""The images that activation maximization can make: a spectrum of waves, turned into a picture and a module's input.

    logits = M · IFFT( s / max(f, 1/N) )        picture = σ(logits / 4)        input = (picture - mean) / std

with s the spectrum, f the frequency in cycles per pixel, N the longer side, M the colour matrix (Olah et al. 2017,
Feature Visualization; Mordvintsev et al. 2018, Differentiable Image Parameterizations).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from striate.errors import DataError

COLORS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""Square root of the covariance of red, green and blue in ImageNet's photographs, as published with lucid
(optvis/param/color.py); used divided by the length of its longest column."""


@final
@dataclass(frozen=True)
class Canvas:
    """What an image can be: its size, and how its pixels stand to the module's input.

    Attributes:
        shape: channels, height and width; the image has exactly this size from the first step to the last.
        mean, std: of the preprocessing, one number per channel or one for all, in units of 0 to 1.
        decorrelate: whether the three channels are learned along the axes of photographs' colours.
    """

    shape: tuple[int, int, int]
    mean: Sequence[float]
    std: Sequence[float]
    decorrelate: bool

    def __post_init__(self) -> None:
        channels = self.shape[0]
        if min(self.shape) < 1:
            raise DataError(f"shape must be channels, height and width of at least 1, found {self.shape}")
        if any(len(values) not in (1, channels) for values in (self.mean, self.std)) or min(self.std) <= 0:
            raise DataError(f"mean and std must be one number or one per channel ({channels}), std above 0")
        if self.decorrelate and channels != 3:
            raise DataError(f"decorrelate needs the 3 channels red, green, blue; the image has {channels}")

    def spectrum(self, contrast: float, chance: torch.Generator) -> Float[Tensor, "channel height half 2"]:
        """A starting spectrum: real and imaginary parts, normal with this standard deviation."""
        channels, height, width = self.shape
        return contrast * torch.randn((channels, height, width // 2 + 1, 2), generator=chance)

    def picture(self, spectrum: Float[Tensor, "channel height half 2"]) -> Float[Tensor, "1 channel height width"]:
        """The image of a spectrum, 0 to 1."""
        waves = torch.view_as_complex(spectrum) / frequencies(*self.shape[1:]).to(spectrum)
        logits = torch.fft.irfft2(waves, s=self.shape[1:], norm="ortho")[None]
        if self.decorrelate:
            colors = torch.tensor(COLORS).to(spectrum)
            logits = torch.einsum("ck,nkhw->nchw", colors / colors.norm(dim=0).max(), logits)
        return (logits / 4).sigmoid()

    def input(self, picture: Float[Tensor, "1 channel height width"]) -> Float[Tensor, "1 channel height width"]:
        """The image as the module takes it."""
        mean, std = (torch.tensor(values).to(picture).reshape(1, -1, 1, 1) for values in (self.mean, self.std))
        return (picture - mean) / std


def frequencies(height: int, width: int) -> Float[Tensor, "height half"]:
    """The frequency of every wave of a real image's spectrum, cycles per pixel, not below one over the longer side.

    Example:
        >>> frequencies(4, 4)[0]
        tensor([0.2500, 0.2500, 0.5000])
    """
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    return (rows**2 + columns**2).sqrt().clamp(min=1 / max(height, width))


def moved(
    picture: Float[Tensor, "1 channel height width"], jitter: int, down: int, right: int
) -> Float[Tensor, "1 channel height width"]:
    """The picture continued by its reflection, `jitter` pixels to each side, cut to its size at (down, right).

    At (jitter, jitter) it is the picture itself; down and right run from 0 to twice the jitter.
    """
    if jitter == 0:
        return picture
    height, width = picture.shape[-2:]
    continued = F.pad(picture, (jitter, jitter, jitter, jitter), mode="reflect")
    return continued[..., down : down + height, right : right + width]
