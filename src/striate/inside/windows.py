"""Projections of chain networks on receptive-field windows alone, many units at a time, exactly.

Followed back from one position, an activation reaches only its receptive field, so each pair (unit, image) needs the maps
only there. Two facts make this fast. The deconvnet needs nothing of the forward pass but the switches of the max
pools, and those are cut out of one whole-image pass that all units share; and pairs whose windows are clipped alike
by the borders of all maps (the same `Cut`s) run as one batch. What falls outside a map is cut off where it arises,
as padding has no gradient. Convolutions followed back are convolutions with turned filters; a stride s becomes s² phases.
The result equals the whole-image projection up to float32 rounding.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple, final

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from striate.inside.calls import IMAGE, Call, Trace
from striate.inside.rules import Rule
from striate.layers.values import Pair
from striate.layers.window import Field, Window

Marks = Tensor
"""What a step must remember of the forward pass, on the whole map (batch, rows, columns, channels): int32 or int16
offsets of the maxima for a max pool, bool for a rectification that looks at its input; cut to the window for a pair."""


class Cut(NamedTuple):
    """How the window of one step lies in its input map, along one axis: `count` outputs reach from `before` cut-off
    positions over `kept` ones inside the map."""

    count: int
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
            return _cut(full, tuple(c._replace(before=c.before - t) for c, t in zip(cuts, trimmed, strict=True)))  # pyright: ignore[reportArgumentType]
        if self._phased:
            return _cut(F.pixel_shuffle(F.conv2d(g, self._phases, None, 1, self._taps - 1), self._stride), cuts)
        full = F.conv_transpose2d(g, self.weight, None, self.window.stride, 0, 0, self.groups, self.window.dilation)
        return _cut(full, cuts)

    def _full(self, cut: Cut, axis: int) -> int:
        return (cut.count - 1) * self.window.stride[axis] + self.window.extent[axis]

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
        within a block of s x s pixels (what `pixel_shuffle` puts together)."""
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
        """The marks, from the indices that `max_pool2d` returns: row and column counted from the window's first position,
        packed into one number as row · 2^bits + column."""
        rows, columns = (
            torch.arange(n, device=indices.device) * s - p
            for n, s, p in zip(indices.shape[2:], self.window.stride, self.window.before, strict=True)
        )
        first = rows[:, None] * self.size[1] + columns
        offset = (indices - first).to(self._dtype).permute(0, 2, 3, 1)
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


def _cut(full: Tensor, cuts: Cuts) -> Tensor:
    (_, top, rows), (_, left, columns) = cuts
    return full[:, :, top : top + rows, left : left + columns]


@final
@dataclass(frozen=True)
class Chain:
    """The steps from the images to a layer's activations, the first one at the images.

    Attributes:
        steps: in the order of the forward pass.
        shape: of the activations of one image (unit, rows, columns).
        image: rows and columns of the image.
    """

    steps: tuple[Step, ...]
    shape: tuple[int, int, int]
    image: Pair

    @property
    def field(self) -> Field:
        """The receptive field of the activations, in pixels."""
        field = Field()
        for step in self.steps:
            field = field.through(step.window)
        return field

    def largest_map(self, cuts: Sequence[Cuts]) -> int:
        """Bytes of the largest map on the way back of one pair with these cuts, in float32."""
        channels, largest = self.shape[0], 1
        for step, (rows, columns) in zip(self.steps[::-1], list(cuts)[::-1], strict=True):
            if isinstance(step, Filter):
                channels = step.weight.shape[1] * step.groups
            largest = max(largest, 4 * channels * rows.kept * columns.kept)
        return largest

    def cuts(self, positions: Int[NDArray[np.int64], "pair 2"]) -> tuple[list[tuple[Cuts, ...]], NDArray[np.int64]]:
        """For every position (row, column): its cuts, one per step; and where the window of every step's output starts.

        Returns:
            The cuts in the order of `steps`; the first row and column of each step's *output* window, and last those of
            the image window, (pair, step + 1, 2).
        """
        per_axis = [_axis_cuts(self.steps, positions[:, axis], axis) for axis in (0, 1)]
        cuts = [tuple(zip(rows, columns, strict=True)) for rows, columns in zip(*(c for c, _ in per_axis), strict=True)]
        return cuts, np.stack([starts for _, starts in per_axis], axis=2)

    def back(
        self, units: Int[Tensor, " pair"], cuts: Sequence[Cuts], marks: Sequence[Marks | None]
    ) -> Float[Tensor, "pair channel rows columns"]:
        """The projections of pairs that are cut alike, on their windows of the image.

        Arguments:
            units: the unit of each pair; its activation, at the position the cuts were made for, is followed back from 1.
            cuts: one per step, as `cuts` gives them.
            marks: one per step, cut to the windows of the step's outputs, (pair, rows, columns, channel).
        """
        last = len(self.steps)
        while last and isinstance(self.steps[last - 1], Rectify | Pass) and self._opens(last - 1, cuts):
            last -= 1
        step = self.steps[last - 1]
        if isinstance(step, Filter):
            g = step.seed(units, cuts[last - 1])
            last -= 1
        else:
            g = F.one_hot(units, self.shape[0]).float()[:, :, None, None]
            last = len(self.steps)
        for step, cut, mark in list(zip(self.steps, cuts, marks, strict=True))[last - 1 :: -1] if last else ():
            g = step.back(g, cut, mark)
        return g

    def _opens(self, number: int, cuts: Sequence[Cuts]) -> bool:
        """Whether this step passes the 1 at a unit's own position on as it is (a unit shown is an active one)."""
        return isinstance(self.steps[number], Rectify) or cuts[number] == (Cut(1, 0, 1), Cut(1, 0, 1))


def _axis_cuts(
    steps: Sequence[Step], positions: NDArray[np.int64], axis: int
) -> tuple[list[tuple[Cut, ...]], NDArray[np.int64]]:
    first, count = positions.astype(np.int64), np.ones(len(positions), np.int64)
    cuts: list[NDArray[np.int64]] = []
    starts = [first]
    for step in reversed(steps):
        window, size = step.window, step.size[axis]
        start = first * window.stride[axis] - window.before[axis]
        end = (first + count - 1) * window.stride[axis] - window.before[axis] + window.extent[axis]
        inside, until = np.clip(start, 0, size), np.clip(end, 0, size)
        cuts.append(np.stack([count, inside - start, until - inside], axis=1))
        first, count = inside, until - inside
        starts.append(first)
    rows = np.stack(cuts[::-1], axis=1).tolist() if cuts else [[] for _ in positions]
    return [tuple(Cut(*cut) for cut in row) for row in rows], np.stack([*starts[-2::-1], starts[-1]], axis=1)


def chain(trace: Trace, number: int, rule: Rule) -> Chain | None:
    """The chain from the images to the call `number`, or None where there is none or a step cannot be cut into windows."""
    steps: list[Step] = []
    call = trace.calls[number]
    shape, image = call.shape[1:], call.shape[2:]
    while number != IMAGE:
        call = trace.calls[number]
        if len(call.inputs) != 1 or len(call.shape) != 4:
            return None
        before = call.inputs[0]
        size = trace.image[1:] if before == IMAGE else trace.calls[before].shape[2:]
        step = _step(number, call, (size[0], size[1]), rule) if len(size) == 2 else None
        if step is None:
            return None
        steps.append(step)
        number, image = before, size
    return Chain(tuple(steps[::-1]), (shape[0], shape[1], shape[2]), (image[0], image[1]))


def _step(number: int, call: Call, size: Pair, rule: Rule) -> Step | None:
    if call.convolves:
        return _filter(number, call, size)
    if call.rectifies:
        return Rectify(number, size, Window(), rule)
    make = {"batch_norm": _scale, "max_pool2d": _max_pool, "avg_pool2d": _avg_pool, "pad": _pad}.get(call.name)
    if make is not None:
        return make(number, call, size)
    if call.name in ("contiguous", "clone", "detach", "identity"):
        return Pass(number, size, Window())
    if call.name in ("dropout", "dropout2d", "feature_dropout", "alpha_dropout"):
        still = call.given("input", "p", "training", training=True)["training"] is False
        return Pass(number, size, Window()) if still else None
    return None


def _filter(number: int, call: Call, size: Pair) -> Step | None:
    names = ("input", "weight", "bias", "stride", "padding", "dilation")
    last = ("transposed", "output_padding", "groups") if call.name == "convolution" else ("groups",)
    given = call.given(*names, *last, stride=1, padding=0, dilation=1, groups=1)
    weight = given["weight"]
    if not isinstance(weight, Tensor):
        return None
    kernel, stride, dilation = _pair(weight.shape[2:]), _pair(given["stride"]), _pair(given["dilation"])
    around = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    padding = (
        {"same": [a // 2 for a in around], "valid": [0, 0]}.get(given["padding"])
        if isinstance(given["padding"], str)
        else list(_pair(given["padding"]))
    )
    if padding is None:
        return None
    before = _pair(padding)
    after = _pair([a - p for a, p in zip(around, before, strict=True)]) if given["padding"] == "same" else before
    window = Window(kernel, stride, before, after, dilation)
    return Filter(number, size, window, weight.detach().float(), int(given["groups"]))


def _scale(number: int, call: Call, size: Pair) -> Step | None:
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    if len(call.args) == 9:  # torch.batch_norm, as TorchScript calls it, has another order than F.batch_norm
        names = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps", "cudnn")
    given = call.given(*names, training=False, eps=1e-5, weight=None)
    variance, weight = given["running_var"], given["weight"]
    if given["training"] or not isinstance(variance, Tensor):
        return None
    factor = (variance.detach().float() + given["eps"]).rsqrt()
    factor = factor if weight is None else factor * weight.detach().float()
    return Scale(number, size, Window(), factor[:, None, None])


def _max_pool(number: int, call: Call, size: Pair) -> Step | None:
    given = call.given(
        *("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
        **{"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False},
    )
    kernel = _pair(given["kernel_size"])
    before, dilation = _pair(given["padding"]), _pair(given["dilation"])
    return MaxPool(
        number, size, Window(kernel, _pair(given["stride"] or kernel), before, before, dilation), given["ceil_mode"]
    )


def _avg_pool(number: int, call: Call, size: Pair) -> Step | None:
    names = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    given = call.given(*names, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None)
    kernel, before = _pair(given["kernel_size"]), _pair(given["padding"])
    if given["ceil_mode"] or (max(before) and not given["count_include_pad"]):
        return None  # the divisor would differ from position to position
    divisor = int(given["divisor_override"] or kernel[0] * kernel[1])
    return AvgPool(number, size, Window(kernel, _pair(given["stride"] or kernel), before, before), divisor)


def _pad(number: int, call: Call, size: Pair) -> Step | None:
    given = call.given("input", "pad", "mode", "value", mode="constant", value=0)
    pad = list(given["pad"])
    if given["mode"] != "constant" or given["value"] or len(pad) != 4 or min(pad) < 0:
        return None
    return Pass(number, size, Window(before=(pad[2], pad[0]), after=(pad[3], pad[1])))


def _pair(value: int | Sequence[int]) -> Pair:
    """Rows and columns of a size as PyTorch takes it: one number, a sequence of one, or of two."""
    if isinstance(value, int):
        return value, value
    return int(value[0]), int(value[-1])
