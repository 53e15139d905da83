"""What a classifier answers: the probabilities of its classes, from whatever its module gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.errors import DataError, ModelError
from striate.inside.watching.watch import tensor_of


def probabilities(outputs: object) -> Float[Tensor, "batch classes"]:
    """The softmax of a classifier's outputs; outputs that are probabilities already are taken as they are.

    They are, where every row is non-negative and sums to 1 within the rounding of its type: a softmax taken twice
    would be wrong unnoticed.

    Arguments:
        outputs: what the module gave, (batch, classes), logits, log-probabilities or probabilities.

    Returns:
        float32, or float64 where the outputs are.

    Raises:
        ModelError: if the outputs are not one row of numbers per image.

    Example:
        >>> probabilities(torch.tensor([[0.0, 0.0]])), probabilities(torch.tensor([[0.25, 0.75]]))
        (tensor([[0.5000, 0.5000]]), tensor([[0.2500, 0.7500]]))
    """
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ModelError(f"the module must give one row of class scores per image (batch, classes), found {found}")
    values = outputs if outputs.dtype == torch.float64 else outputs.float()
    rounding = min(16 * torch.finfo(outputs.dtype).eps, 0.01)
    if bool((values >= 0).all()) and bool(((values.sum(1) - 1).abs() <= rounding).all()):
        return values
    return values.softmax(1)


def require_classes(wanted: Iterable[int], classes: int) -> None:
    """Raises DataError unless every wanted class is one of the module's `classes`, counted from 0."""
    for number in wanted:
        if not 0 <= number < classes:
            raise DataError(f"class {number} is not one of the network's {classes}: 0 to {classes - 1}")


def one_image(image: Tensor | np.ndarray) -> Tensor:
    """An image (channels, height, width), or a batch of one, as a batch of one. Raises DataError for anything else."""
    image = tensor_of(image)
    if image.ndim == 3:
        return image[None]
    if image.ndim == 4 and len(image) == 1:
        return image
    raise DataError(f"one image is needed, (channels, height, width); found shape {tuple(image.shape)}")


def some_images(images: object) -> Tensor:
    """Images (batch, channels, height, width), or one image as a batch of one. Raises DataError for anything else."""
    if not isinstance(images, Tensor | np.ndarray):
        raise DataError(f"images are needed, a tensor (batch, channels, height, width); found {type(images).__name__}")
    images = tensor_of(images)
    batch = images[None] if images.ndim == 3 else images
    if batch.ndim != 4 or len(batch) == 0:
        raise DataError(f"images are needed, (batch, channels, height, width); found shape {tuple(images.shape)}")
    return batch


def listed(layers: str | Sequence[str]) -> tuple[str, ...]:
    """Names of layers, where one may come alone.

    Example:
        >>> listed("conv1"), listed(["conv1", "conv2"])
        (('conv1',), ('conv1', 'conv2'))
    """
    return (layers,) if isinstance(layers, str) else tuple(layers)
