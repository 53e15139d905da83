"""The inner loop: one step, and nothing that is not needed at every step.

Legend: x_nchw the batch as the module takes it, y_n its labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from striate.data.augment import Draw, changed, drawn
from striate.train.optimizer import average_into
from striate.train.schedule import learning_rate

if TYPE_CHECKING:
    from torch import Tensor

    from striate.train.workbench import Workbench


def take_step(bench: Workbench, images: Tensor, y_n: Tensor, epoch: int, step: int) -> float:
    """One step on one batch; returns the learning rate it used. The loss stays on the device, added to `bench.total`.

    Arguments:
        images: as the data set holds them, on the engine's device: those of this process where processes share a batch.
        y_n: of the whole batch.
        epoch: from 0.
        step: of the epoch, from 0.
    """
    recipe, count = bench.recipe, epoch * bench.steps + step
    bench.randomness.at(epoch, step)
    bench.sharing.begin(len(y_n), of=recipe.batch_size)
    x_nchw = bench.engine.arrange(bench.preprocessing.normalize(_augmented(bench, images)))
    with bench.engine.arithmetic():
        outputs = bench.module(x_nchw)
    loss = bench.loss(bench.sharing.whole(outputs.float()), y_n)
    bench.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    bench.sharing.add_gradients(bench.module)
    if recipe.gradient_clipping:
        nn.utils.clip_grad_norm_(bench.module.parameters(), recipe.gradient_clipping)
    rate = learning_rate(recipe, count, recipe.epochs * bench.steps)
    for group in bench.optimizer.param_groups:
        group["lr"] = rate
    bench.optimizer.step()
    if bench.averaged is not None:
        average_into(bench.averaged, bench.module, recipe.ema, count)
    bench.total.add_(loss.detach(), alpha=len(y_n))
    return rate


def _augmented(bench: Workbench, images: Tensor) -> Tensor:
    """The images changed as the recipe says. What happens to each is drawn for the whole batch."""
    augmentation, sharing = bench.recipe.augmentation, bench.sharing
    if not augmentation or images.dim() != 4 or not len(images):
        return images
    draw = drawn(sharing.images, augmentation, bench.randomness.augmentation)
    return changed(images, augmentation, Draw(*(values[sharing.rows] for values in draw)))
