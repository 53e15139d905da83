"""The same network in fewer steps: exact rewritings of a module that is about to be trained.

Both leave names, weights and the function as they are, so that nobody who reads a checkpoint can tell.

- **Pool, then rectify.** max(relu(a), relu(b)) = relu(max(a, b)): ReLU does not change order, so it may come after the
  max pool, on a quarter of the numbers. The gradient takes the same path: it goes to the largest value if that is
  above zero, and nowhere otherwise. 1.1 times more images/s on the network of two convolutions in `benchmarks/`.
- **Dropout from whole words.** PyTorch draws a CPU mask number by number on one core: 2 ms for 205,000 numbers, a
  quarter of a step of that network; 64-bit words cut into sixteen bits each take 0.15 ms. The probability is rounded to
  a multiple of 2^-16, and what is kept is scaled by exactly the inverse of its probability, so that the mean stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from striate.train.sharing import Sharing

LEVELS = 2**16


def make_faster(module: nn.Module) -> None:
    """Rewrites every nn.Sequential and every nn.Dropout of `module` in place. What it cannot improve it leaves alone.

    Example:
        >>> from collections import OrderedDict
        >>> module = nn.Sequential(OrderedDict(conv1=nn.Conv2d(1, 2, 3), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2)))
        >>> make_faster(module)
        >>> [name for name, _ in module.named_children()]
        ['conv1', 'pool1', 'relu1']
    """
    for part in list(module.modules()):
        if isinstance(part, nn.Sequential):
            _pool_first(part)
        for name, child in part.named_children():
            if type(child) is nn.Dropout and 0 < child.p < 1:
                setattr(part, name, WordDropout(child.p))


@final
class WordDropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014) whose mask comes from sixteen bits a number; on the CPU, where it is faster.

    Elsewhere, and in evaluation mode, it does what nn.Dropout does. Where processes share the batch it draws for the
    whole of it in each of them.
    """

    sharing: Sharing | None = None

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.kept = min(max(round((1 - p) * LEVELS), 1), LEVELS - 1)

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return input
        if self.sharing is not None:
            return input * self._scales(input.new_empty((self.sharing.images, *input.shape[1:])))[self.sharing.rows]
        if input.device.type != "cpu":
            return nn.functional.dropout(input, self.p)
        return input * self._scales(input)

    def _scales(self, like: Tensor) -> Tensor:
        """For each number what it is multiplied by: 0, or the inverse of the probability of being kept."""
        if like.device.type != "cpu":
            return nn.functional.dropout(torch.ones_like(like), self.p)
        words = torch.empty(-(-like.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: like.numel()].view(like.shape)
        mask = bits < self.kept - LEVELS // 2  # int16 runs from -2^15: `kept` of its 2^16 values lie below
        return mask.to(like.dtype).mul_(LEVELS / self.kept)


def _pool_first(sequence: nn.Sequential) -> None:
    """Swaps every ReLU with a max pool that follows it at once, each under its own name."""
    children = list(sequence.named_children())
    for at in range(len(children) - 1):
        (_, first), (_, second) = children[at], children[at + 1]
        if type(first) is nn.ReLU and type(second) is nn.MaxPool2d and not second.return_indices:
            children[at], children[at + 1] = children[at + 1], children[at]
    for name, _ in children:
        delattr(sequence, name)
    for name, child in children:
        sequence.add_module(name, child)
