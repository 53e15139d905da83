"""From the recipe to what is minimized and by whom: the loss, the optimizer, and the average of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import get_ema_multi_avg_fn

from striate.errors import RecipeError
from striate.model import EPSILON

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from striate.data import DataSet, Split
    from striate.train.recipe import Recipe


def optimizer(recipe: Recipe, module: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimizer over the module's parameters; what has one axis (biases, scales) does not decay.

    The learning rate is set before every step by the schedule.
    """
    learned = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learned if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learned if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, recipe.learning_rate, betas=(recipe.momentum, 0.999), fused=True)
    return torch.optim.SGD(groups, recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=True)


def training_loss(
    recipe: Recipe, data: DataSet, *, probabilities: bool, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """The function that is minimized: (float32 outputs (n, outputs), labels) -> mean loss over the batch.

    Arguments:
        recipe: gives `loss`, `label_smoothing` and `class_weights`.
        data: for the balance of its training labels, and whether it is a regression.
        probabilities: whether the network ends in softmax, so that its outputs are no logits.
        device: where the outputs will lie.

    Raises:
        RecipeError: the loss does not suit the data.
    """
    if data.classes and recipe.loss != "cross-entropy":
        raise RecipeError(
            f"loss must be cross-entropy for the {len(data.classes)} classes of {data.name}, found {recipe.loss}"
        )
    if not data.classes:
        if recipe.loss != "mean-squared-error":
            raise RecipeError(
                f"loss must be mean-squared-error, as {data.name} has numbers to predict; found {recipe.loss}"
            )
        return functional.mse_loss
    balanced = recipe.class_weights == "balanced"
    weight = torch.tensor(balance(data.train, len(data.classes)), device=device) if balanced else None

    def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
        logits = outputs.clamp_min(EPSILON).log() if probabilities else outputs
        return functional.cross_entropy(logits, labels, weight, label_smoothing=recipe.label_smoothing)

    return cross_entropy


def balance(split: Split, classes: int) -> np.ndarray:
    """How much each class counts so that all count alike: images / (classes * images of the class); float32 (classes,).

    King & Zeng 2001, Logistic Regression in Rare Events Data, section 4. A class without images counts 0.

    Example:
        >>> import numpy as np
        >>> from striate.data import Split
        >>> balance(Split(np.zeros((4, 1, 1, 1), np.uint8), np.array([0, 0, 0, 1]), ("",) * 4), 2).tolist()[1]
        2.0
    """
    counts = np.bincount(split.labels.astype(np.int64), minlength=classes)
    shares = len(split) / (classes * np.maximum(counts, 1))
    return np.where(counts > 0, shares, 0).astype(np.float32)


def average_into(averaged: nn.Module, module: nn.Module, decay: float, step: int) -> None:
    """One step of the exponential moving average of the weights, in place: a <- d a + (1 - d) w.

    d rises to `decay` as (1 + step) / (10 + step), so that the first, random weights are soon forgotten (Abadi et al.,
    TensorFlow's ExponentialMovingAverage, `num_updates`). `step` counts from 0 over the whole run.
    """
    update = get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))
    update(list(averaged.parameters()), list(module.parameters()), 0)
