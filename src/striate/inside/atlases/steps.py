"""The steps of a chain network, each with its way back on a window: what `windows.py` puts together.

A step follows gradients back from the outputs in a window to the inputs that they reach. Convolutions followed back
are convolutions with turned filters; a stride s becomes s² phases. What falls outside the map is cut off where it
arises, as padding has no gradient.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (as everybody calls it)

from striate.inside.projections.rules import Rule
from striate.layers.values import Pair
from striate.layers.window import Window

Marks = Tensor
"""What a step must remember of the forward pass, on the whole map (batch, rows, columns, channels): int32 or int16
offsets of the maxima for a max pool, bool for a rectification that looks at its input; cut to the window for a pair."""


class Cut(NamedTuple):
    """How the window of one step lies in its input map, along one axis: `outputs` outputs reach from `before` cut-off
    positions over `kept` ones inside the map."""

    outputs: int
    before: int
    kept: int


Cuts = tuple[Cut, Cut]
"""Of rows and of columns."""


@dataclass(frozen=True)
class Step(abc.ABC):
    """One operation of a chain, followed back on windows.

    Attributes:
        call: its number in the trace.
        size: rows and columns of its input map.
        window: which input positions one output position looks at.
    """

    call: int
    size: Pair
    window: Window

    marked: ClassVar[bool] = False
    """Whether it needs marks of the forward pass."""

    @abc.abstractmethod
    def back(
        self, g: Float[Tensor, "pair out rows columns"], cuts: Cuts, marks: Marks | None
    ) -> Float[Tensor, "pair channel rows columns"]:
        """The gradient at the kept input positions, given that at the outputs."""


@final
@dataclass(frozen=True)
class Filter(Step):
    """A convolution, without its bias.

    Attributes:
        weight: (out, in/groups, rows, columns) float32.
    """

    weight: Tensor
    groups: int

    def seed(self, units: Int[Tensor, " pair"], cuts: Cuts) -> Float[Tensor, "pair channel rows columns"]:
        """`back` of 1 at the one position of each unit: the unit's own filter, cut at the border."""
        outs, ins = self.weight.shape[0] // self.groups, self.weight.shape[1]
        taken = self.weight[units]
        if max(self.window.dilation) > 1 or self.groups > 1:
            full = torch.zeros(len(units), self.groups, ins, *self.window.extent, device=taken.device)
            rows, columns = self.window.dilation
            full[torch.arange(len(units), device=taken.device), units // outs, :, ::rows, ::columns] = taken
            taken = full.flatten(1, 2)
        return _cut(taken, cuts)

    def back(self, g: Tensor, cuts: Cuts, marks: Marks | None) -> Tensor:
        del marks
        if max(self.window.stride) == 1:
            spare = [min(cut.before, self._full(cut, axis) - cut.before - cut.kept) for axis, cut in enumerate(cuts)]
            margins = [extent - 1 for extent in self.window.extent]
            trimmed = [min(s, m) for s, m in zip(spare, margins, strict=True)]
            padding = tuple(m - t for m, t in zip(margins, trimmed, strict=True))
            full = F.conv2d(g, self._turned, None, 1, padding, self.window.dilation, self.groups)
            rows, columns = (c._replace(before=c.before - t) for c, t in zip(cuts, trimmed, strict=True))
            return _cut(full, (rows, columns))
        if self._phased:
            return _cut(_interleaved(F.conv2d(g, self._phases, None, 1, self._taps - 1), self._stride), cuts)
        full = F.conv_transpose2d(g, self.weight, None, self.window.stride, 0, 0, self.groups, self.window.dilation)
        return _cut(full, cuts)

    def _full(self, cut: Cut, axis: int) -> int:
        return (cut.outputs - 1) * self.window.stride[axis] + self.window.extent[axis]

    @property
    def _stride(self) -> int:
        return self.window.stride[0]

    @property
    def _phased(self) -> bool:
        square = self.window.stride[0] == self.window.stride[1] and self.window.kernel[0] == self.window.kernel[1]
        return square and max(self.window.dilation) == 1 and self.groups == 1

    @property
    def _taps(self) -> int:
        return -(-self.window.kernel[0] // self._stride)

    @cached_property
    def _turned(self) -> Tensor:
        """Filters of the way back: output and input channels exchanged within each group, rows and columns turned."""
        out, per_group, rows, columns = self.weight.shape
        grouped = self.weight.view(self.groups, out // self.groups, per_group, rows, columns)
        turned = grouped.transpose(1, 2).flip(3, 4).reshape(-1, out // self.groups, rows, columns)
        return turned.contiguous(memory_format=torch.channels_last)

    @cached_property
    def _phases(self) -> Tensor:
        """The way back through stride s as one convolution: s² output channels per input channel, one for each place
        within a block of s x s pixels (what `_interleaved` puts together)."""
        s, taps = self._stride, self._taps
        missing = taps * s - self.window.kernel[0]
        padded = F.pad(self.weight, (0, missing, 0, missing))
        out, channels = self.weight.shape[:2]
        split = padded.view(out, channels, taps, s, taps, s).permute(1, 3, 5, 0, 2, 4)
        turned = split.reshape(channels * s * s, out, taps, taps).flip(2, 3)
        return turned.contiguous(memory_format=torch.channels_last)


@final
@dataclass(frozen=True)
class Scale(Step):
    """Batch normalization in evaluation mode: a factor per channel, shape (channel, 1, 1)."""

    factor: Tensor

    def back(self, g: Tensor, cuts: Cuts, marks: Marks | None) -> Tensor:
        del cuts, marks
        return g * self.factor


@final
@dataclass(frozen=True)
class Rectify(Step):
    """y = max(0, x) under one of the rules of `rules.py`."""

    rule: Rule

    @property
    def marked(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.rule != "deconvnet"

    def back(self, g: Tensor, cuts: Cuts, marks: Marks | None) -> Tensor:
        del cuts
        g = g if self.rule == "gradient" else g.clamp_(min=0)
        return g if marks is None else g * marks.permute(0, 3, 1, 2)


@final
@dataclass(frozen=True)
class Pass(Step):
    """What changes no value: dropout in evaluation mode, and padding with zeros, which only shifts positions."""

    def back(self, g: Tensor, cuts: Cuts, marks: Marks | None) -> Tensor:
        del marks
        return _cut(g, cuts)


@final
@dataclass(frozen=True)
class MaxPool(Step):
    """Each value goes back to where its maximum was; where windows overlap, values add up.

    Attributes:
        ceil: whether windows may begin inside the map and end outside.
    """

    ceil: bool
    marked: ClassVar[bool] = True

    def offsets(self, indices: Int[Tensor, "batch channel rows columns"]) -> Marks:
        """The marks, from the indices that `max_pool2d` returns: row and column counted from the window's first
        position, packed into one number as row · 2^bits + column."""
        rows, columns = (
            torch.arange(n, device=indices.device) * s - p
            for n, s, p in zip(indices.shape[2:], self.window.stride, self.window.before, strict=True)
        )
        first = rows[:, None] * self.size[1] + columns
        offset = indices.int().sub_(first.int()).to(self._dtype).permute(0, 2, 3, 1)
        step = self.window.dilation[0]
        below = [offset >= row * self.size[1] for row in range(step, self.window.extent[0], step)]
        for reached in below:  # comparisons are several times cheaper than dividing by the width
            offset.add_(reached, alpha=((1 << self._bits) - self.size[1]) * step)
        return offset

    def back(self, g: Tensor, cuts: Cuts, marks: Marks | None) -> Tensor:
        assert marks is not None
        (_, top, rows), (_, left, columns) = cuts
        starts = [torch.arange(n, device=g.device) * s for n, s in zip(g.shape[2:], self.window.stride, strict=True)]
        first = ((starts[0][:, None] - top) * columns + starts[1] - left).flatten()[:, None]
        packed = marks.flatten(1, 2).int()
        places = (packed >> self._bits).mul_(columns).add_(packed & ((1 << self._bits) - 1))
        out = torch.zeros(len(g), rows * columns, g.shape[1], device=g.device)
        out.scatter_add_(1, places + first, g.permute(0, 2, 3, 1).flatten(1, 2))
        return out.view(len(g), rows, columns, -1).permute(0, 3, 1, 2)

    @property
    def _bits(self) -> int:
        return (self.window.extent[1] - 1).bit_length()

    @property
    def _dtype(self) -> torch.dtype:
        most = max(self.window.extent[0] * self.size[1], self.window.extent[0] << self._bits)
        return torch.int16 if most < torch.iinfo(torch.int16).max else torch.int32


@final
@dataclass(frozen=True)
class AvgPool(Step):
    """Each value goes back in equal parts, 1/divisor to every position of its window."""

    divisor: int

    def back(self, g: Tensor, cuts: Cuts, marks: Marks | None) -> Tensor:
        del marks
        channels = g.shape[1]
        ones = torch.full((channels, 1, *self.window.kernel), 1 / self.divisor, device=g.device)
        return _cut(F.conv_transpose2d(g, ones, stride=self.window.stride, groups=channels), cuts)


def _interleaved(phases: Tensor, stride: int) -> Tensor:
    """`pixel_shuffle`, which takes three times as long where channels come last."""
    batch, channels, rows, columns = phases.shape
    split = phases.view(batch, -1, stride, stride, rows, columns).permute(0, 1, 4, 2, 5, 3)
    return split.reshape(batch, channels // stride**2, rows * stride, columns * stride)


def _cut(full: Tensor, cuts: Cuts) -> Tensor:
    (_, top, rows), (_, left, columns) = cuts
    return full[:, :, top : top + rows, left : left + columns]
