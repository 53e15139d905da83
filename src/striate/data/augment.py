"""Augmentation: whole batches changed at random on the device they are on, before they are normalized.

An `Augmentation` says how far each change may go. `drawn` draws, for every image of a batch, how far it goes; `changed`
carries that out. What comes into an image from beyond its border is zero (black), and so is what is erased.
Where only whole-pixel shifts and flips are asked for nothing is interpolated, and the values stay exactly what they
are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple, final

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import torch
    from jaxtyping import Bool, Float, Int64, Shaped
    from torch import Tensor


@final
class Augmentation(BaseModel):
    """How far each image of a batch may be changed; everything at its default leaves the images as they are.

    The order is: flip, then scale and rotate about the centre, then shift, then contrast, brightness, erase.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    shift: Annotated[int, Field(ge=0, le=1024, description="whole pixels, up or down and left or right")] = 0
    rotate: Annotated[float, Field(ge=0, le=180, description="degrees, either way")] = 0.0
    scale: Annotated[float, Field(ge=0, le=0.9, description="fraction: the factor lies in 1 - scale to 1 + scale")] = (
        0.0
    )
    flip: Annotated[bool, Field(description="left and right exchanged, for every other image")] = False
    brightness: Annotated[float, Field(ge=0, le=1, description="fraction of the full range, added or taken away")] = 0.0
    contrast: Annotated[
        float, Field(ge=0, le=1, description="fraction: distances from the image's mean change by it")
    ] = 0.0
    erase: Annotated[
        float,
        Field(
            ge=0,
            le=0.9,
            description="largest share of the area that a black rectangle covers, before its sides become whole pixels",
        ),
    ] = 0.0

    @property
    def interpolates(self) -> bool:
        """Whether values between pixels are needed."""
        return self.rotate > 0 or self.scale > 0

    def __bool__(self) -> bool:
        """Whether anything changes at all."""
        return self != Augmentation()


class Draw(NamedTuple):
    """What happens to each of n images.

    Attributes:
        down, right: pixels by which the image moves.
        angle: degrees by which it turns, counterclockwise as seen.
        factor: by how much it grows.
        flip: whether left and right are exchanged.
        brightness: what is added, as a fraction of the full range.
        contrast: the factor of the distances from the image's mean.
        box: top, left, rows, columns of the erased rectangle, as fractions of the room there is: (n, 4).
    """

    down: Int64[Tensor, " n"]
    right: Int64[Tensor, " n"]
    angle: Float[Tensor, " n"]
    factor: Float[Tensor, " n"]
    flip: Bool[Tensor, " n"]
    brightness: Float[Tensor, " n"]
    contrast: Float[Tensor, " n"]
    box: Float[Tensor, "n 4"]


def augment(
    images: Shaped[Tensor, "n c h w"], augmentation: Augmentation, generator: torch.Generator
) -> Shaped[Tensor, "n c h w"]:
    """A changed copy of a batch (or the batch itself where nothing is to change), of the same type and shape.

    Arguments:
        images: uint8 with full range 0 to 255, or floating point with full range 0 to 1, on any device.
        augmentation: how far the changes may go.
        generator: where all randomness comes from; the same state gives the same result on the same device.

    Example:
        >>> import torch
        >>> images = torch.arange(9, dtype=torch.uint8).reshape(1, 1, 3, 3)
        >>> augment(images, Augmentation(), torch.Generator()) is images
        True
        >>> augment(images, Augmentation(shift=1), torch.Generator().manual_seed(3)).shape
        torch.Size([1, 1, 3, 3])
    """
    if not augmentation:
        return images
    return changed(images, augmentation, drawn(len(images), augmentation, generator))


def drawn(n: int, augmentation: Augmentation, generator: torch.Generator) -> Draw:
    """Draws for n images. Every image takes ten numbers whatever is asked for, so that switching one change on or off
    leaves the draws of the others as they are."""
    import torch

    u = torch.rand((10, n), generator=generator, device=generator.device)
    reach = 2 * augmentation.shift + 1
    down, right = ((u[:2] * reach).floor().long().clamp(max=reach - 1) - augmentation.shift).unbind()
    either = 2 * u - 1
    side = (u[7] * augmentation.erase).sqrt()
    return Draw(
        down=down,
        right=right,
        angle=either[2] * augmentation.rotate,
        factor=1 + either[3] * augmentation.scale,
        flip=(u[4] < 0.5) & augmentation.flip,
        brightness=either[5] * augmentation.brightness,
        contrast=1 + either[6] * augmentation.contrast,
        box=torch.stack([u[8], u[9], side, side], dim=1),
    )


def changed(images: Shaped[Tensor, "n c h w"], augmentation: Augmentation, draw: Draw) -> Shaped[Tensor, "n c h w"]:
    """Carries out a draw, in the order that `Augmentation` states."""
    from striate.data import tones, warps

    draw = Draw(*(values.to(images.device) for values in draw))
    result = warps.flipped(images, draw.flip) if augmentation.flip else images
    if augmentation.interpolates:
        result = warps.warped(result, warps.Motion(draw.angle, draw.factor, draw.down, draw.right))
    elif augmentation.shift:
        result = warps.shifted(result, draw.down, draw.right, augmentation.shift)
    if augmentation.contrast or augmentation.brightness:
        result = tones.toned(result, draw.contrast, draw.brightness)
    return tones.erased(result, draw.box) if augmentation.erase else result
