"""What goes into a module: images as it takes them, of tensors and arrays as callers have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from striate.errors import DataError, ModelError

if TYPE_CHECKING:
    from striate.model import Model, Preprocessing


def as_input(module: nn.Module, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """`images` on the module's device and in its floating-point type, usable under autograd.

    Raises:
        ModelError: if they are not floating-point: a module takes images as it was trained on, after preprocessing.
    """
    if not images.is_floating_point():
        raise ModelError(f"the images must be floating-point, preprocessed as for training; found {images.dtype}")
    like = next((p for p in (*module.parameters(), *module.buffers()) if p.is_floating_point()), images)
    moved = images.detach().to(like.device, like.dtype)
    return moved.clone() if moved.is_inference() else moved


def tensor_of(images: Tensor | np.ndarray) -> Tensor:
    """Images as a tensor; of an array a copy, which may be written into. Raises DataError for what is no numbers."""
    if isinstance(images, Tensor):
        return images
    try:
        return torch.from_numpy(np.array(images))
    except (TypeError, ValueError):
        found = type(images).__name__
        raise DataError(f"images are needed as a tensor or an array of numbers, found {found}") from None


def opened(model: Model | nn.Module, images: Tensor | np.ndarray) -> tuple[nn.Module, Float[Tensor, "batch ..."]]:
    """The module of a `Model` or a bare one, and the images as it takes them: a `Model` normalizes uint8 images.

    NumPy arrays are taken too, as data sets hold their images.

    Raises:
        DataError: they are whole numbers that a `Model` cannot normalize: of other channels, or images not of uint8.
    """
    images = tensor_of(images)
    if isinstance(model, nn.Module):
        return model, images
    if images.is_floating_point():
        return model.module, images
    return model.module, normalized(model.preprocessing, images)


def normalized(preprocessing: Preprocessing, images: Shaped[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """What is made of images before preprocessing; they may be of another size, but not of other channels: a grey one
    would be taken three times.

    Raises:
        DataError: they are of other channels, or not of uint8.
    """
    channels, *sides = preprocessing.shape
    found = tuple(images.shape[-1 - len(sides) :])
    if found[:1] != (channels,):
        what = f"images of {channels} channels" if sides else f"vectors of {channels} features"
        raise DataError(f"the model takes {what}, found the shape {'x'.join(map(str, found))}")
    if sides and images.dtype != torch.uint8:
        raise DataError(f"images before preprocessing must be of uint8 numbers from 0 to 255, found {images.dtype}")
    return preprocessing.normalize(images)
