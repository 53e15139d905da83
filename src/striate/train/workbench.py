"""The workbench: everything a training's steps touch, put together from network, data, recipe and engine."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch

from striate.data import statistics
from striate.errors import DataError, NetworkError, RecipeError
from striate.model import Preprocessing, ends_in_softmax
from striate.train.faster import make_faster
from striate.train.optimizer import optimizer, training_loss
from striate.train.pairing import refuse_other_outputs
from striate.train.randomness import Randomness
from striate.train.sharing import Sharing
from striate.train.whole_batch import see_the_whole_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from striate.data import DataSet, Fit
    from striate.network import Network
    from striate.ranks import Ranks
    from striate.train.engine import Engine
    from striate.train.recipe import Recipe


@final
@dataclass(frozen=True)
class Workbench:
    """Everything a step touches. The tensors change; which tensors they are does not.

    Attributes:
        module: in training mode, on the engine's device.
        optimizer: over the module's parameters.
        averaged: a second module that holds the moving average of the weights; None where the recipe asks for none.
        total: sum over images of the training loss since the last recorded step; one number, float64.
        loss: (float32 outputs, labels) -> mean loss.
        randomness: what dropout and augmentation draw from.
        preprocessing, engine, recipe: as chosen.
        steps: steps in one epoch.
        sharing: the processes that share each batch; one unless said otherwise.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    averaged: nn.Module | None
    total: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    randomness: Randomness
    preprocessing: Preprocessing
    engine: Engine
    recipe: Recipe
    steps: int
    sharing: Sharing

    @property
    def judged(self) -> nn.Module:
        """The module that is evaluated and kept: the averaged one, with the running statistics of the trained one."""
        if self.averaged is None:
            return self.module
        for kept, running in zip(self.averaged.buffers(), self.module.buffers(), strict=True):
            kept.copy_(running)
        return self.averaged


def set_up(
    network: Network,
    data: DataSet,
    recipe: Recipe,
    engine: Engine,
    preprocessing: Preprocessing,
    *,
    ranks: Ranks | None = None,
) -> Workbench:
    """The workbench of a training's first step. With `ranks`, all of these processes must come here.

    Raises:
        RecipeError: the loss does not suit the data, batches of one image do not suit batch normalization, or the
            warm-up never ends.
        DataError: a split that training needs is empty.
    """
    for name, split in (("train", data.train), ("validation", data.validation)):
        if not len(split):
            raise DataError(
                f"training needs images to train on and to validate on; the {name} split of {data.name} is empty"
            )
    _refuse_batches_of_one(network, len(data.train), recipe.batch_size)
    steps = steps_per_epoch(len(data.train), recipe.batch_size)
    _refuse_endless_warmup(recipe, steps * recipe.epochs)
    device = torch.device(engine.device)
    module = network.build(recipe.seed).train()
    make_faster(module)
    module = engine.place(module)
    averaged = copy.deepcopy(module).requires_grad_(False) if recipe.ema else None
    loss = training_loss(recipe, data, probabilities=ends_in_softmax(module), device=device)
    sharing = Sharing(ranks, device)
    see_the_whole_batch(module, sharing)
    return Workbench(
        module=module,
        optimizer=optimizer(recipe, module),
        averaged=averaged,
        total=torch.zeros((), dtype=torch.float32 if device.type == "mps" else torch.float64, device=device),
        loss=loss,
        randomness=Randomness(recipe.seed, device),
        preprocessing=preprocessing,
        engine=engine,
        recipe=recipe,
        steps=steps,
        sharing=sharing,
    )


def _refuse_endless_warmup(recipe: Recipe, steps: int) -> None:
    if recipe.warmup_steps >= steps:
        raise RecipeError(f"warmup_steps must be below the {steps} steps of this training, found {recipe.warmup_steps}")


def _refuse_batches_of_one(network: Network, images: int, batch_size: int) -> None:
    """Raises RecipeError where batch normalization would take the variance of a single number."""
    if min(images, batch_size) > 1:
        return
    for row in network.describe().rows:
        if row.text.startswith("batchnorm") and math.prod(row.output[1:]) == 1:
            found = f"batch_size {batch_size}" if batch_size == 1 else f"{images} training image"
            raise RecipeError(
                f"{row.name} normalizes every number over the images of a batch, so a batch needs at least 2; "
                f"found {found}"
            )


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches in an epoch. A last batch of a single image is left out (another image in every epoch), as batch
    normalization has no variance to divide by there.

    Example:
        >>> steps_per_epoch(128, 64), steps_per_epoch(129, 64), steps_per_epoch(130, 64), steps_per_epoch(1, 64)
        (2, 2, 3, 1)
    """
    lone = images % batch_size == 1 and images > batch_size > 1
    return -(-images // batch_size) - lone


def matching(network: Network, data: DataSet) -> Network:
    """The network, with the data's shape where it has no input line.

    Raises:
        NetworkError: it takes another input, or has other outputs, than the data needs.
    """
    if network.input is None:
        network = type(network)(network.layers, data.shape, network.allow_large)
    if network.input != data.shape:
        raise NetworkError(
            f"the network takes inputs of shape {network.input}; those of {data.name} have shape {data.shape}"
        )
    refuse_other_outputs(network, data)
    return network


def preprocessing(data: DataSet, fit: Fit) -> Preprocessing:
    """Every channel to mean 0 and standard deviation 1 over the training split; a constant channel to 0."""
    mean, std = statistics(data.train)
    return Preprocessing(data.shape, mean, tuple(s if s > 0 else 1.0 for s in std), fit)
