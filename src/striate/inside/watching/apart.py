"""Images apart: a batch norm that takes its statistics from the batch takes them from each image alone.

Some do so in evaluation mode too (`BatchNorm2d(track_running_stats=False)`, `F.batch_norm(..., training=True)`). What
their module answers to an image depends on the images beside it, so that numbers would change with the size of a batch
that nobody sees. What is looked into is one image, however many are computed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from striate.errors import ModelError
from striate.inside.watching.each_call import EachCall, unwatched
from striate.inside.watching.spellings import spelling

_TRAINING = 5
"""The place of `training` among a batch norm's arguments, in `F`, in `torch` and in TorchScript alike."""


@final
class ImagesApart(EachCall):
    """Inside the block every batch norm that goes by its batch is done image by image; nothing else is changed.

    Arguments:
        module: whose calls say how many images there are.

    Raises:
        ModelError: from inside a pass, where one image has no statistics, or its share of the batch is not known.

    Example:
        >>> net = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False)).eval()
        >>> images = torch.rand(2, 1, 4, 4)
        >>> with ImagesApart(net):
        ...     torch.equal(net(images)[:1], net(images[:1]))
        True
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._module, self._images = module, 1

    def __enter__(self) -> ImagesApart:
        self._hook = self._module.register_forward_pre_hook(self._count, prepend=True)
        super().__enter__()
        return self

    def __exit__(self, *fault: Any) -> None:
        super().__exit__(*fault)
        self._hook.remove()

    def _count(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        del module
        self._images = len(inputs[0]) if inputs and isinstance(inputs[0], Tensor) else 1

    def called(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if self._images < 2 or spelling(func)[0] != "batch_norm" or not _goes_by_batch(args, kwargs):
            return func(*args, **kwargs)
        others = dict(kwargs)
        x: Tensor = args[0] if args else others.pop("input")
        with unwatched():  # the calls within are one call
            return torch.cat([func(image, *args[1:], **others) for image in self._apart(x)])

    def _apart(self, x: Tensor) -> Sequence[Tensor]:
        """What is of each image, which may have several rows of the batch, as patches and tokens are."""
        if len(x) % self._images or x.numel() == self._images * x.shape[1]:
            raise ModelError(
                "a batch norm of this module takes its statistics from the whole batch, and an image alone has none in "
                f"the shape {'x'.join(map(str, x.shape))}: its answer to one image is not defined"
            )
        return x.chunk(self._images)


def _goes_by_batch(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call of a batch norm takes mean and variance from what it is given."""
    return bool(args[_TRAINING] if len(args) > _TRAINING else kwargs.get("training", False))
