"""Where a tensor inside a network has its channels: in dimension 1, unless the module has moved them.

Networks such as ConvNeXt and Swin carry (batch, rows, columns, channels) between some of their layers. That cannot be
seen from a shape, so the calls are followed: the image has its channels in dimension 1; a permutation moves them, a
view keeps them where they stay whole, a linear layer puts them last, a convolution in dimension 1 again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from striate.inside.watching.each_call import EachCall, tensors_in, unwatched
from striate.inside.watching.spellings import spelling

_PERMUTING = ("permute", "transpose", "movedim", "moveaxis", "swapaxes", "swapdims", "mT", "T", "mH", "H", "adjoint")
_VIEWING = ("view", "reshape", "flatten", "unflatten", "view_as", "reshape_as", "unsafe_view", "squeeze", "unsqueeze")
_MOVING = frozenset((*_PERMUTING, *_VIEWING, "linear"))

_LOST = 0
"""Where a view has taken the channels apart, as into the heads of an attention; dimension 1 stands for them then."""

_RESETTING = ("conv1d", "conv2d", "conv3d", "convolution", "conv_transpose2d", "max_pool2d", "avg_pool2d", "batch_norm")


@final
class Channels:
    """Follows the channels of tensors from call to call."""

    def __init__(self) -> None:
        self._moved = WeakTensorKeyDictionary()
        """Tensors whose channels are not in dimension 1 -> the dimension that they are in, or _LOST."""

    def of(self, tensor: Tensor) -> int:
        """The dimension of the channels; 1 for what is no batch of maps."""
        return (self._known(tensor) or 1) if tensor.dim() == 4 else 1

    def first(self, tensor: Tensor) -> Tensor:
        """The tensor with its channels in dimension 1, as a view, where it is a batch of maps."""
        return tensor.movedim(self.of(tensor), 1) if self.of(tensor) != 1 else tensor

    def _known(self, tensor: Tensor) -> int:
        return int(self._moved[tensor]) if tensor in self._moved else 1

    def follow(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: object) -> None:
        """Notes where the result of a call has its channels."""
        name = spelling(func)[0]
        if name == "get":  # a property of the tensor
            name = str(getattr(getattr(func, "__self__", None), "__name__", ""))
        if name in _RESETTING or not (len(self._moved) or name in _MOVING):
            return
        given = list(tensors_in((args, kwargs)))
        for made in tensors_in(result):
            if name in _PERMUTING and given:
                self._put(made, _permuted(func, given[0], self._known(given[0]), args[1:], kwargs))
            elif name in _VIEWING and given:
                self._put(made, _viewed(given[0].shape, self._known(given[0]), made.shape))
            elif name == "linear":
                self._put(made, made.dim() - 1)
            else:
                alike = (self._moved[x] for x in given if x.dim() == made.dim() and x in self._moved)
                self._put(made, next(alike, 1))

    def _put(self, tensor: Tensor, dimension: int) -> None:
        if dimension == 1:
            self._moved.pop(tensor, None)
        else:
            self._moved[tensor] = dimension


@final
class Followed(EachCall):
    """Inside the block, the channels of all tensors are followed.

    Example:
        >>> channels = Channels()
        >>> with Followed(channels):
        ...     y = torch.zeros(1, 3, 8, 9).permute(0, 2, 3, 1) + 1
        >>> y.shape, channels.first(y).shape
        (torch.Size([1, 8, 9, 3]), torch.Size([1, 3, 8, 9]))
    """

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self._channels = channels

    def called(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        result = func(*args, **kwargs)
        with unwatched():
            self._channels.follow(func, args, kwargs, result)
        return result


def _permuted(
    func: Callable[..., Any], tensor: Tensor, channels: int, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> int:
    """Where the call puts the channels: tried on a tensor without numbers whose channels are two, all else one."""
    if channels == _LOST or channels >= tensor.dim():
        return channels
    sizes = [1 + (k == channels) for k in range(tensor.dim())]
    others = {name: value for name, value in kwargs.items() if not isinstance(value, Tensor)}
    return list(func(torch.empty(sizes, device="meta"), *args, **others).shape).index(2)


def _viewed(before: Sequence[int], channels: int, after: Sequence[int]) -> int:
    """Where the channels are found again: as many, after as many elements."""
    if channels == _LOST or channels >= len(before):
        return _LOST
    sought = math.prod(before[:channels]), before[channels]
    found = [k for k, size in enumerate(after) if (math.prod(after[:k]), size) == sought]
    return found[0] if found else _LOST
