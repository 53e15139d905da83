"""PyTorch's own layers in the words of this package: the layer whose equation a module computes, and its numbers.

Only what the equation says exactly is translated; everything else is refused by name, with what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from striate.errors import ModelError
from striate.layers.activation import Gelu, LeakyRelu, Relu, Sigmoid, Softmax, Tanh
from striate.layers.batchnorm import BatchNorm
from striate.layers.conv import Conv
from striate.layers.dense import Dense
from striate.layers.dropout import Dropout
from striate.layers.flatten import Flatten
from striate.layers.globalpool import GlobalAvgPool
from striate.layers.layer import Array, Layer, Parameters, Shape
from striate.layers.lrn import Lrn
from striate.layers.pool import AvgPool, MaxPool
from striate.layers.values import Pair


class Untranslatable(ModelError):  # noqa: N818 - the adjective says it
    """A module whose arithmetic no equation of ours says exactly; the message is the end of "it has ..."."""


@final
@dataclass(frozen=True, eq=False)
class Translated:
    """A module as a layer.

    Attributes:
        layer: the layer.
        held: the module's tensors, by their names in the layer's equation.
        border: zeros that the module puts around its input and counts as pixels: rows above and below, columns left
            and right.
        training: whether it computes as in training even in evaluation mode: a batch norm without running statistics.
    """

    layer: Layer
    held: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    border: Pair = (0, 0)
    training: bool = False

    @cached_property
    def theta(self) -> Parameters:
        """Its numbers in float64: made when first asked for, since most layers of a pass are never explained."""
        return {name: numbers(tensor) for name, tensor in self.held.items()}


def translated(part: nn.Module, input: Shape) -> Translated | None:
    """The layer whose equation `part` computes on inputs of this shape; None where its kind is not known.

    Raises:
        Untranslatable: the kind is known, but not with these settings.

    Example:
        >>> str(translated(nn.Conv2d(3, 8, 3, stride=2, padding=1), (3, 8, 8)).layer)
        'conv 8 3x3 stride=2x2 pad=1x1'
    """
    translate = _KINDS.get(type_before_parametrizations(part))
    if translate is None:
        return None
    try:
        found = translate(part, input)
        if found is not None:
            found.layer.output(input)
        return found
    except Untranslatable:
        raise
    except ValueError as fault:
        raise Untranslatable(str(fault)) from None


def known_kinds() -> str:
    """The kinds of modules that can be translated, for messages."""
    return ", ".join(sorted(kind.__name__ for kind in _KINDS if kind is not nn.Sequential))


def numbers(tensor: Tensor) -> Array:
    """A tensor as float64 NumPy."""
    return tensor.detach().to("cpu", torch.float64, copy=True).numpy()


def _convolution(part: nn.Conv2d, input: Shape) -> Translated:
    _require(part.padding_mode == "zeros", f"padding_mode={part.padding_mode!r}; explained is 'zeros'")
    pad = {"valid": (0, 0)}.get(part.padding, part.padding) if isinstance(part.padding, str) else part.padding
    held = _held(part)
    layer = Conv(
        part.out_channels,
        _pair(part.kernel_size),
        _pair(part.stride),
        pad if isinstance(pad, str) else _pair(pad),
        _pair(part.dilation),
        part.groups,
        "bias" in held,
    )
    return Translated(layer, held)


def _dense(part: nn.Linear, input: Shape) -> Translated:
    _require(len(input) == 1, f"an input of {len(input)} dimensions; explained is a vector of features")
    held = _held(part)
    return Translated(Dense(part.out_features, "bias" in held), held)


def _maximum(part: nn.MaxPool2d, input: Shape) -> Translated:
    _require(_pair(part.dilation) == (1, 1), f"dilation={part.dilation}; explained is 1")
    kernel, step = _pair(part.kernel_size), _pair(part.stride)
    return Translated(MaxPool(kernel, None if step == kernel else step, _pair(part.padding), part.ceil_mode))


def _mean(part: nn.AvgPool2d, input: Shape) -> Translated:
    _require(part.divisor_override is None, f"divisor_override={part.divisor_override}; explained is the mean")
    kernel, pad = _pair(part.kernel_size), _pair(part.padding)
    step = None if _pair(part.stride) == kernel else _pair(part.stride)
    if any(pad) and part.count_include_pad:
        return Translated(AvgPool(kernel, step, ceil=part.ceil_mode), border=pad)
    return Translated(AvgPool(kernel, step, pad, part.ceil_mode))


def _adaptive_mean(part: nn.AdaptiveAvgPool2d, input: Shape) -> Translated:
    wanted = part.output_size if isinstance(part.output_size, tuple) else (part.output_size,) * 2
    sides = [side if n is None else n for n, side in zip(wanted, input[-2:], strict=True)]
    fits = len(input) == 3 and all(side % n == 0 for n, side in zip(sides, input[1:], strict=True))
    _require(fits, f"windows of unequal size: {input[-2:]} to {tuple(sides)}")
    rows, columns = (side // n for n, side in zip(sides, input[1:], strict=True))
    return Translated(AvgPool((rows, columns)))


def _global_mean(part: nn.Sequential, input: Shape) -> Translated | None:
    """The two modules that our own `globalavgpool` is built of."""
    kinds = [type(child) for child in part]
    whole = kinds == [nn.AdaptiveAvgPool2d, nn.Flatten] and part[0].output_size in (1, (1, 1))
    return Translated(GlobalAvgPool()) if whole and len(input) == 3 else None


def _batch_norm(part: nn.BatchNorm1d | nn.BatchNorm2d, input: Shape) -> Translated:
    _require(len(input) in (1, 3), f"an input of {len(input)} dimensions; explained are maps and vectors")
    plain = {"weight": torch.ones(input[0]), "bias": torch.zeros(input[0])}
    return Translated(BatchNorm(part.eps), plain | _held(part), training=part.running_mean is None)


def _lrn(part: nn.LocalResponseNorm, input: Shape) -> Translated:
    return Translated(Lrn(part.size, part.alpha, part.beta, part.k))


def _softmax(part: nn.Softmax, input: Shape) -> Translated:
    over_units = part.dim == 1 or (part.dim is not None and part.dim == -len(input))
    _require(over_units, f"dim={part.dim}; explained is dim=1, over the units")
    return Translated(Softmax())


def _gelu(part: nn.GELU, input: Shape) -> Translated:
    _require(part.approximate == "none", f"approximate={part.approximate!r}; explained is the exact 'none'")
    return Translated(Gelu())


def _dropout(part: nn.Dropout | nn.Dropout2d, input: Shape) -> Translated:
    return Translated(Dropout(part.p))


def _leaky_relu(part: nn.LeakyReLU, input: Shape) -> Translated:
    return Translated(LeakyRelu(part.negative_slope))


def _flatten(part: nn.Flatten, input: Shape) -> Translated:
    whole = part.start_dim == 1 and part.end_dim in (-1, len(input))
    _require(whole, f"start_dim={part.start_dim}, end_dim={part.end_dim}; explained is a whole image")
    return Translated(Flatten())


def _always(layer: Layer) -> Callable[[nn.Module, Shape], Translated]:
    """What a kind without settings is translated to."""

    def translate(part: nn.Module, input: Shape) -> Translated:
        return Translated(layer)

    return translate


_KINDS: dict[type[nn.Module], Callable[[Any, Shape], Translated | None]] = {
    nn.AdaptiveAvgPool2d: _adaptive_mean,
    nn.AvgPool2d: _mean,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Conv2d: _convolution,
    nn.Dropout: _dropout,
    nn.Dropout2d: _dropout,
    nn.Flatten: _flatten,
    nn.GELU: _gelu,
    nn.LeakyReLU: _leaky_relu,
    nn.Linear: _dense,
    nn.LocalResponseNorm: _lrn,
    nn.MaxPool2d: _maximum,
    nn.ReLU: _always(Relu()),
    nn.Sequential: _global_mean,
    nn.Sigmoid: _always(Sigmoid()),
    nn.Softmax: _softmax,
    nn.Tanh: _always(Tanh()),
}
"""How each kind of module is translated. Exact types: a subclass may compute something else."""


def _held(part: nn.Module) -> dict[str, Tensor]:
    """The tensors of a module that equations name, whether parameters, buffers or made of others by weight norm."""
    tensors = {name: getattr(part, name, None) for name in ("weight", "bias", "running_mean", "running_var")}
    return {name: tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)}


def _pair(value: int | tuple[int, ...]) -> Pair:
    rows, columns = value if isinstance(value, tuple) else (value, value)
    return int(rows), int(columns)


def _require(holds: bool, fault: str) -> None:
    if not holds:
        raise Untranslatable(fault)
