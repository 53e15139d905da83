"""Any number of a network, taken apart: the terms of its layer's equation, and those of the numbers they are made of.

The module is run once and what reached each layer is kept. The layer's own equation (`striate.layers`) says, in
float64, what the number is made of; its value is set beside the one that the module gave. Nothing is computed here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from striate.errors import ModelError
from striate.inside.explaining.descent import Descent
from striate.inside.explaining.explanation import Explanation
from striate.inside.explaining.wanted import Wanted, one_image
from striate.inside.following.origins import Origin, spot
from striate.inside.following.passage import Passage, passage
from striate.inside.watching.calls import CONVOLUTIONS
from striate.inside.watching.inputs import as_input, opened
from striate.inside.watching.watch import named_layer, undisturbed
from striate.layers.terms import Array, Spot
from striate.layers.values import Pair

if TYPE_CHECKING:
    from striate.model import Model
    from striate.network import Network


def explain(
    subject: Model | nn.Module | Network,
    image: Tensor | np.ndarray,
    layer: str,
    unit: int,
    position: Pair | None = None,
    *,
    depth: int | Literal["input"] = 0,
    follow: int = 3,
    training: bool = False,
    seed: int = 0,
) -> Explanation:
    """What one number of a network is made of.

    Arguments:
        subject: a `Model`, any module, or a `Network` (built with the seed 0). Explained are 1-D and 2-D convolution,
            transposed too, linear layers, pooling, interpolation, batch, layer, group, instance and local response
            norm, dropout, activations, softmax, concatenation, matrix products and attention, and arithmetic, with
            constants or of two ways, as layers of PyTorch or as functions. What attention in one call does not show is
            made beside it by the calls that PyTorch defines it by.
        image: one image (channels, rows, columns), or a vector (features,), as the module takes it; for a `Model` also
            uint8, before preprocessing.
        layer: name of a submodule; `name@k` for the k-th call of one that is called several times; `conv2d@k` for the
            k-th of all convolutions, as an atlas names those that no submodule stands for.
        unit: number of the feature map, also where a layer has its channels last, or of the feature of a vector; 0 of
            a matrix, such as the weights of an attention of one head.
        position: row and column on the feature map; None for its maximum, the first in reading order among equals.
        depth: how many layers down the largest terms are followed; `input`: to the pixels.
        follow: how many terms of each number are followed, at least 1; below the first 60 numbers or so, where the way
            down would branch into thousands, only the largest of each.
        training: whether the module is run as in training, on a batch of this one image: dropout leaves out, batch
            norm takes the mean and variance of the image. Nothing is learned; running statistics stay as they are.
        seed: which numbers dropout draws.

    Returns:
        An `Explanation`. What only moves numbers about is passed through: a dense layer's terms go on to the maps
        before flattening; and of a layer that moves them, the layer's number is explained that was moved there.

    Raises:
        ModelError: there is no such layer, unit or position, the layer is of a kind that is not explained, the module
            cannot be run on one image, or an argument is not of the type or within the bounds above.
        DataError: the image is not one image, or has not the channels that a `Model` takes.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        >>> found = explain(net, torch.rand(1, 6, 6), "2", unit=1, position=(0, 2), depth="input")
        >>> found.kind, found.below[0].found.kind, found.agrees
        ('maxpool 2x2', 'relu', True)
    """
    wanted = Wanted.checked(layer, unit, position, depth=depth, follow=follow, seed=seed)
    shown = one_image(image)
    module, images = _opened(subject, shown)
    require_layer(module, layer)
    with undisturbed(module) as still:
        passed = _passed(still, images, training, wanted.seed)
    origin = passed.of(layer).with_channels_first.one_image
    step, at = origin.step, origin.place(_place(origin, wanted))
    if step is None or at is None:
        raise ModelError(f"this number of {wanted.called} is a 0 that was put around maps: no layer makes it")
    raw = shown[0].cpu().numpy() if shown.dtype == torch.uint8 else None
    descent = Descent(raw, getattr(subject, "preprocessing", None), wanted.follow)
    name = layer if origin.index is None else step.name
    return descent.explanation(step, name, at, wanted.depth)


def require_layer(module: nn.Module, layer: str) -> None:
    """Raises ModelError, which lists the nearest, where the module has no layer of this name as `explain` takes it."""
    if not re.fullmatch(rf"{CONVOLUTIONS}@[1-9][0-9]{{0,8}}", layer):
        named_layer(module, layer)


def _passed(module: nn.Module, images: Tensor, training: bool, seed: int) -> Passage:
    """The pass of the image through a module that `undisturbed` has lent."""
    images = as_input(module, images).clone()  # a module may overwrite what it is given
    if not training:
        return passage(module, images)
    for part in module.modules():
        part.training = True
    torch.manual_seed(seed)
    try:
        return passage(module, images)
    except ValueError as fault:  # torch's batch norm, of one vector
        raise ModelError(f"the module cannot be run as in training on one image: {fault}") from None


def _opened(subject: object, images: Tensor) -> tuple[nn.Module, Tensor]:
    from striate.model import Model
    from striate.network import Network

    if not isinstance(subject, Model | nn.Module | Network):
        raise ModelError(f"explained is a Model, a module or a Network, found {type(subject).__name__}")
    return opened(subject.build(seed=0) if isinstance(subject, Network) else subject, images)


def _place(origin: Origin, wanted: Wanted) -> Spot:
    """Where the number stands in the layer's output. Raises ModelError where it stands nowhere."""
    output, layer, unit = origin.moved, wanted.called, wanted.unit
    if output.ndim not in (1, 2, 3):
        raise ModelError(f"{layer} gives {output.ndim}-D outputs, not maps, a matrix, or a vector of units")
    if output.ndim == 2:
        if unit != 0:
            size = f"{output.shape[0]} rows, {output.shape[1]} columns"
            raise ModelError(f"no unit {unit} in {layer}: it gives a matrix of {size}, which is unit 0")
        return _position(output, wanted)
    if not 0 <= unit < len(output):
        raise ModelError(f"no unit {unit} in {layer}: it has {len(output)} units, 0 to {len(output) - 1}")
    if output.ndim == 3:
        return (unit, *_position(output[unit], wanted))
    if wanted.position is not None:
        raise ModelError(f"{layer} gives a vector of {len(output)} units, which have no position; leave it out")
    return (unit,)


def _position(map: Array, wanted: Wanted) -> Spot:
    """Row and column on one unit's map. Raises ModelError where they stand outside of it."""
    if wanted.position is None:
        return spot(int(map.argmax()), map.shape)
    (rows, columns), (row, column) = map.shape, wanted.position
    if not (0 <= row < rows and 0 <= column < columns):
        raise ModelError(
            f"no position {row},{column} in {wanted.called}: its maps have"
            f" rows 0 to {rows - 1} and columns 0 to {columns - 1}"
        )
    return row, column
