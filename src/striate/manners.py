"""How a module from elsewhere answers, found out in one pass: with probabilities, and to each image for itself?

Its outputs are probabilities where the last thing computed is a softmax or a sigmoid: as a module, as a function, in
TorchScript alike. What is computed by other means, such as a softmax written with `exp`, is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_PROBABILITIES = ("_softmax", "_safe_softmax", "sigmoid")
"""torch's operations that give numbers from 0 to 1 which are meant as probabilities."""

_KEEP = (
    "_reshape_alias", "_to_copy", "_unsafe_view", "alias", "cat", "clamp", "clamp_max", "clamp_min", "clone", "detach",
    "expand", "flip", "index", "index_select", "mean", "permute", "select", "slice", "squeeze", "stack", "t",
    "transpose", "unsqueeze", "view",
)  # fmt: skip
"""Operations that make probabilities of probabilities: in another place, shape or type, clipped, or their mean."""


@final
@dataclass(frozen=True)
class Manner:
    """How a module answers.

    Attributes:
        probabilities: whether its outputs are known to be probabilities: of classes that exclude each other, which sum
            to 1 (softmax), or of each class for itself (sigmoid).
        by_batch: whether a batch norm takes its statistics from the batch, so that the answer to an image depends on
            the images beside it.
        never_alone: whether such a norm has one number of each channel from an image, so that an image alone has no
            statistics and no answer.
    """

    probabilities: bool = False
    by_batch: bool = False
    never_alone: bool = False


def manner(module: nn.Module, images: Tensor) -> Manner:
    """How `module`, in the mode it is in, answers to two images or more, given as it takes them.

    A batch norm over the numbers of one image, as an instance norm is computed, does not go by its batch.

    Example:
        >>> manner(nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()), torch.zeros(2, 3))
        Manner(probabilities=True, by_batch=False, never_alone=False)
        >>> manner(nn.BatchNorm2d(3, track_running_stats=False), torch.zeros(2, 3, 4, 4))
        Manner(probabilities=False, by_batch=True, never_alone=False)
    """
    with torch.no_grad(), _Watched(len(images)) as watched:
        outputs = module(images)
    return Manner(watched.probable(outputs), watched.by_batch, watched.never_alone)


@final
class _Watched(TorchDispatchMode):
    """Inside, tensors of probabilities are known, and whether a batch norm went by its batch."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.by_batch = self.never_alone = False
        self._images = images
        self._probable: dict[int, Tensor] = {}  # kept, so that no other tensor gets the number of one of them

    def probable(self, output: object) -> bool:
        return id(output) in self._probable

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | dict(
            kwargs or {}
        )
        name = func.overloadpacket.__name__
        result = func(*args, **(kwargs or {}))
        if "batch_norm" in name and given.get("training", "no_training" not in name):
            self._normalized(given["input"])
        if name.rstrip("_") in _PROBABILITIES or (name in _KEEP and self._all_probable(args[0])):
            self._probable[id(result)] = result
        else:
            self._probable.pop(id(result), None)  # overwritten
        return result

    def _all_probable(self, taken: Any) -> bool:
        return all(map(self.probable, taken if isinstance(taken, list | tuple) else [taken]))

    def _normalized(self, x: Tensor) -> None:
        if len(x) < self._images:  # the channels of all images side by side: an instance norm
            return
        self.by_batch = True
        self.never_alone |= x.numel() == self._images * x.shape[1]
