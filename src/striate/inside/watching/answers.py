"""What a classifier answers: the probabilities of its classes, from whatever its module gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.errors import DataError, Failure, ModelError
from striate.inside.watching.arguments import whole
from striate.inside.watching.inputs import tensor_of
from striate.manners import manner, sum_to_one

if TYPE_CHECKING:
    from striate.model import Model

MOST_PARTS = 5
"""Tensors among a module's outputs that are named where they are refused."""

_TWO_CLASSES = "torch.cat([1 - p, p], 1), with p = net(x) where that is a probability, else net(x).sigmoid()"
"""How one number becomes a row of two probabilities."""

_TO_ROWS = {2: "", 4: ".mean((2, 3))"}
"""Dimensions of a tensor -> how it becomes a row of scores per image."""


def probabilities(outputs: object, *, given: bool = False) -> Float[Tensor, "batch classes"]:
    """The softmax of a classifier's outputs; outputs that are probabilities already are taken as they are.

    They are, where every row is non-negative and sums to 1 within the rounding of its type, or where `given` says so: a
    softmax taken twice, or of a sigmoid, would be wrong unnoticed.

    Arguments:
        outputs: what the module gave, (batch, classes), logits, log-probabilities or probabilities.
        given: whether they are known to be probabilities, as `known_probabilities` says.

    Returns:
        float32, or float64 where the outputs are.

    Raises:
        ModelError: if the outputs are not one row of numbers per image, or a row is one number, whose softmax is 1
            whatever it is.
        Failure: if the answer is not finite.

    Example:
        >>> probabilities(torch.tensor([[0.0, 0.0]])), probabilities(torch.tensor([[0.25, 0.75]]))
        (tensor([[0.5000, 0.5000]]), tensor([[0.2500, 0.7500]]))
    """
    found = scores(outputs)
    if found.shape[1] < 2:
        raise ModelError(
            "the module gives one number per image, which has no classes to choose from: wrap it in one whose forward "
            f"returns {_TWO_CLASSES}"
        )
    values = found if found.dtype == torch.float64 else found.float()
    shares = values if given or sum_to_one(found) else values.softmax(1)
    if not bool(shares.isfinite().all()):
        raise Failure("the module's class scores are not finite numbers for this image, so they give no probabilities")
    return shares


def known_probabilities(model: Model | nn.Module, module: nn.Module, images: Float[Tensor, "batch ..."]) -> bool:
    """Whether a module from elsewhere gives probabilities (`manners.manner`); passes of the first image find it out.

    Of a network of ours False: where it ends in a softmax its rows sum to 1, which `probabilities` sees; its sigmoids
    are scores, of which the loss took the softmax.

    Arguments:
        model: what the user named.
        module: its module, as it is run here.
        images: as the module takes them.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 2), nn.Sigmoid())
        >>> known_probabilities(net, net, torch.zeros(1, 3))
        True
    """
    if not isinstance(model, nn.Module) and model.network is not None:
        return False
    return manner(module, images[:1].clone()).probabilities


def scores(outputs: object) -> Float[Tensor, "batch classes"]:
    """The outputs themselves, if they are class scores.

    Raises:
        ModelError: if they are not one row of numbers per image; says what they are, and what to wrap.

    Example:
        >>> scores({"out": torch.zeros(1, 21)}["out"]).shape
        torch.Size([1, 21])
    """
    if isinstance(outputs, Tensor) and outputs.ndim == 2:
        return outputs
    tensors = [(place, part) for place, part in _parts(outputs) if isinstance(part, Tensor)][:MOST_PARTS]
    named = ", ".join(f"{place} {tuple(part.shape)}".lstrip() for place, part in tensors)
    found = named if isinstance(outputs, Tensor) else type(outputs).__name__ + (f" of {named}" if named else "")
    rows = [f"net(x){place}{_TO_ROWS[part.ndim]}" for place, part in tensors if part.ndim in _TO_ROWS]
    raise ModelError(
        f"the module must give one row of class scores per image (batch, classes), found {found}: "
        f"wrap it in one whose forward returns such a row{f', as {rows[0]}' if rows else ''}"
    )


def _parts(outputs: object) -> list[tuple[str, object]]:
    """What is in a module's outputs, each with what has to be written behind them to reach it."""
    if isinstance(outputs, Mapping):
        return [(f"[{key!r}]", part) for key, part in cast("Mapping[object, object]", outputs).items()]
    if isinstance(outputs, tuple | list):
        return [(f"[{k}]", part) for k, part in enumerate(cast("Sequence[object]", outputs))]
    return [("", outputs)]


def require_classes(wanted: Iterable[int], classes: int) -> None:
    """Raises DataError unless every wanted class is one of the module's `classes`, counted from 0."""
    for number in wanted:
        if not 0 <= whole(number, "a class") < classes:
            raise DataError(f"class {number} is not one of the network's {classes}: 0 to {classes - 1}")


def require_finite(
    layer: str, values: Float[Tensor, "batch ..."], images: Sequence[int] | Int[Tensor, " batch"] | None = None
) -> None:
    """Raises Failure unless every value of a layer is a finite number; names the first image of which one is not.

    Arguments:
        images: the numbers of the images in the batch; where left out, the sentence says "this image".

    Example:
        >>> require_finite("conv1", torch.tensor([[0.5], [torch.nan]]), [7, 9])
        Traceback (most recent call last):
        striate.errors.Failure: layer conv1 gives a value that is not a finite number for image 9
    """
    wrong = (~values.flatten(1).isfinite()).any(1).nonzero()
    if len(wrong):
        which = "this image" if images is None else f"image {int(images[int(wrong[0])])}"
        raise Failure(f"layer {layer} gives a value that is not a finite number for {which}")


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
    if isinstance(layers, str):
        return (layers,)
    try:
        return tuple(layers)
    except TypeError:
        raise ModelError(f"layers are named by strings, found a {type(layers).__name__}") from None
