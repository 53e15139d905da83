"""Batch normalization over a batch that several processes share: exact, forward and backward.

    mean   μ = Σ n_r μ_r / N
    var   σ² = Σ n_r (σ_r² + (μ_r - μ)²) / N          N = Σ n_r; r runs over the processes
    back  dx = γ (dy - mean(dy) - x̂ mean(dy x̂)) / √(σ² + ε)      means over all N

The first two put together what each process finds in its rows (the law of total variance); the third is Ioffe &
Szegedy 2015, section 3, collected. torch.nn.SyncBatchNorm does the same on GPUs alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, final

import torch
from torch import nn

from striate.train.faster import WordDropout

if TYPE_CHECKING:
    from torch import Tensor

    from striate.train.sharing import Sharing


def see_the_whole_batch(module: nn.Module, sharing: Sharing) -> None:
    """Makes every layer of `module` that looks beyond one image look at the whole batch. In place; names, weights and,
    where there is one process, everything else stay as they are."""
    if not sharing.together:
        return
    for part in list(module.modules()):
        if isinstance(part, WordDropout):
            part.sharing = sharing
        for name, child in part.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(part, name, WholeBatchNorm(child, sharing))


class Moments(NamedTuple):
    """Of each channel over the whole batch: mean, variance (divided by N); and N, how many numbers of it there are."""

    mean: Tensor
    variance: Tensor
    numbers: Tensor


@final
class WholeBatchNorm(nn.Module):
    """The batch normalization that it is made of, over the batch of all processes.

    Arguments:
        own: whose weights and running statistics it takes over, the same tensors.
        sharing: who else has rows of the batch.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, own: nn.BatchNorm1d | nn.BatchNorm2d, sharing: Sharing) -> None:
        super().__init__()
        for name, parameter in own.named_parameters():
            self.register_parameter(name, parameter)
        for name, buffer in own.named_buffers():
            self.register_buffer(name, buffer)
        assert own.momentum is not None
        self.eps, self.momentum, self.sharing = own.eps, own.momentum, sharing

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            known = self.running_mean, self.running_var, self.weight, self.bias
            return nn.functional.batch_norm(input, *known, training=False, eps=self.eps)
        seen = self._seen(input.detach())
        self._remember(seen)
        return _OverAll.apply(input, self.weight, self.bias, seen, self)

    def _seen(self, x: Tensor) -> Moments:
        ranks, channels = self.sharing.ranks, x.shape[1]
        found = self.weight.new_zeros((ranks.size, 2 * channels + 1))
        if len(x):
            variance, mean = torch.var_mean(x.to(found.dtype), _all_but_channels(x), correction=0)
            found[ranks.rank] = torch.cat([mean, variance, mean.new_tensor([x.numel() / channels])])
        means, variances, counts = self.sharing.add(found).split([channels, channels, 1], dim=1)
        n = counts.sum()
        mean = (counts * means).sum(0) / n
        return Moments(mean, (counts * (variances + (means - mean).square())).sum(0) / n, n)

    def _remember(self, seen: Moments) -> None:
        """The running statistics take in this batch: of its variance the unbiased estimate."""
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(seen.mean, self.momentum)
        self.running_var.lerp_(seen.variance * seen.numbers / (seen.numbers - 1), self.momentum)


class _OverAll(torch.autograd.Function):
    """y = γ · x̂ + β with the moments of all processes, and its gradients. Those of γ and β are this process's part."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Any:
        x, weight, bias, (mean, variance, n), norm = given
        ctx.save_for_backward(x, weight, mean, (variance + norm.eps).rsqrt(), n)
        ctx.sharing = norm.sharing
        return nn.functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=norm.eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, weight, mean, scale, n = ctx.saved_tensors
        axes, dy = _all_but_channels(x), gradients[0].to(weight.dtype)
        x_hat = (x - _per_channel(mean, x)) * _per_channel(scale, x)
        own = torch.stack([(dy * x_hat).sum(axes), dy.sum(axes)])
        along, level = (ctx.sharing.add(own.clone()) / n).unbind()
        dx = (dy - _per_channel(level, x) - x_hat * _per_channel(along, x)) * _per_channel(weight * scale, x)
        return dx.to(x.dtype), own[0], own[1], None, None


def _all_but_channels(x: Tensor) -> list[int]:
    return [0, *range(2, x.dim())]


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    """A number for each channel, in a shape that broadcasts with x."""
    return values.view(1, -1, *(1 for _ in x.shape[2:]))
