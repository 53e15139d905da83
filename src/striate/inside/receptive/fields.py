"""Receptive fields: which part of the image a unit looks at, at every position, exactly.

A module is run once and its operations are followed (`tracing`). Where an operation is met whose dependencies are not
known, the layers after it are measured instead (`perturbation`): the image is disturbed row by row and column by
column, and what moves at a layer depends on what was disturbed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple, final

import torch
from torch import Tensor, nn

from striate.errors import ModelError
from striate.inside.receptive.footprints import Quad, Untraceable
from striate.inside.receptive.perturbation import spans_measured
from striate.inside.receptive.tracing import Known, Tracer
from striate.inside.watching.arguments import numbers_of, place
from striate.inside.watching.inputs import as_input
from striate.inside.watching.watch import layer_names, undisturbed, watch
from striate.layers.values import Pair
from striate.layers.window import Field
from striate.model import Model

if TYPE_CHECKING:
    from striate.layers.layer import Shape
    from striate.network import Network

Spans = tuple[Pair, ...]
"""(first, last) row or column of the image for each position along one axis; last < first where it looks at nothing."""


class Box(NamedTuple):
    """A rectangle of image pixels: rows top ... bottom-1, columns left ... right-1."""

    top: int
    left: int
    bottom: int
    right: int


@final
@dataclass(frozen=True)
class ReceptiveField:
    """What the units of one layer look at.

    Attributes:
        size: rows and columns of the field of one position, in image pixels, not clipped; the whole image where every
            position looks at all of it.
        stride: pixels between the fields of neighbouring positions; 0 where there is one position only, or where
            all positions look at the same pixels.
        start: first row and column of the field of position (0, 0); negative where it reaches into the padding.
        rows, columns: for each position along the axis the first and last pixel that it really looks at.
        image: rows and columns of the image.
        how: `traced`, or `perturbed` where an operation could not be traced. Then, and where `regular` is False, size,
            stride and start are read off `rows` and `columns`: size is the largest seen.
        regular: whether size, stride and start hold at every position.
    """

    size: Pair
    stride: Pair
    start: Pair
    rows: Spans
    columns: Spans
    image: Pair
    how: Literal["traced", "perturbed"]
    regular: bool

    def box(self, position: Pair = (0, 0), *, clipped: bool = True) -> Box:
        """The field of one position.

        Arguments:
            position: row and column on the feature map; (0, 0) for a layer of vectors.
            clipped: only pixels that exist and count; otherwise also the part that lies in the padding.

        Raises:
            ModelError: if there is no such position.

        Example:
            >>> field = receptive_fields(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1)), (1, 5, 5))["0"]
            >>> field.box((0, 2)), field.box((0, 2), clipped=False)
            (Box(top=0, left=1, bottom=2, right=4), Box(top=-1, left=1, bottom=2, right=4))
        """
        row, column = place(position)
        if row not in range(len(self.rows)) or column not in range(len(self.columns)):
            raise ModelError(
                f"no position {position}: the layer has {len(self.rows)} rows, {len(self.columns)} columns"
            )
        if clipped or not self.regular:
            (top, bottom), (left, right) = self.rows[row], self.columns[column]
            return Box(top, left, bottom + 1, right + 1)
        return self.frame(position)

    def line(self, axis: int) -> tuple[float, float]:
        """Where in the image the fields of positions lie along an axis: the middle of the first, and the step to the
        next, in pixels; a line through their middles where these are not equal steps.

        Example:
            >>> net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Upsample(scale_factor=2))
            >>> receptive_fields(net, (1, 8, 8))["1"].line(0)
            (0.75, 0.5)
        """
        if self.regular:
            return self.start[axis] + (self.size[axis] - 1) / 2, float(self.stride[axis])
        spans = (self.rows, self.columns)[axis]
        middles = [(p, sum(spans[p]) / 2) for p in _free(spans, self.image[axis])]
        step = _step(middles)
        return sum(middle - p * step for p, middle in middles) / len(middles), step

    def frame(self, position: Pair = (0, 0)) -> Box:
        """A box of `size`, the same at every position, that holds the field of one: the whole of it, not clipped, where
        `regular`; it may reach outside the image.

        Example:
            >>> net = nn.Sequential(nn.Conv2d(1, 1, 2, 2), nn.Upsample(scale_factor=2, mode="bilinear"))
            >>> field = receptive_fields(net, (1, 8, 8))["1"]
            >>> field.box((1, 7)), field.frame((1, 7))
            (Box(top=0, left=6, bottom=4, right=8), Box(top=0, left=4, bottom=4, right=8))
        """
        (top, left), (rows, columns) = (self.frames(axis)[p] for axis, p in enumerate(position)), self.size
        return Box(top, left, top + rows, left + columns)

    def frames(self, axis: int) -> tuple[int, ...]:
        """Where the `frame` of each position along an axis begins: in equal steps where it then holds the field."""
        size, spans = self.size[axis], (self.rows, self.columns)[axis]
        even = (self.start[axis] + p * self.stride[axis] for p in range(len(spans)))
        if self.regular:
            return tuple(even)
        return tuple(min(max(step, last - size + 1), first) for step, (first, last) in zip(even, spans, strict=True))


def receptive_fields(
    module: Model | nn.Module | Network, input_shape: Shape | None = None
) -> dict[str, ReceptiveField]:
    """The receptive field of every layer, in the order of the forward pass.

    Arguments:
        module: a `Model`, any module, or a `Network`, of which nothing is built: only shapes are followed.
        input_shape: of one image, (channels, rows, columns), or (features,). A `Model` brings its own, and a `Network`
            may.

    Returns:
        Name of layer -> `ReceptiveField`. A layer of vectors has one position, that looks at what all its features see.

    Raises:
        ModelError: if the module cannot be run on an image of this shape.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 5), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1))
        >>> [(name, field.size, field.stride) for name, field in receptive_fields(net, (3, 32, 32)).items()]
        [('0', (5, 5), (1, 1)), ('1', (6, 6), (2, 2)), ('2', (10, 10), (2, 2))]
    """
    if isinstance(module, Model):
        module, input_shape = module.module, input_shape or module.preprocessing.shape
    if not isinstance(module, nn.Module):
        module, input_shape = _shapes_only(module, input_shape)
    if input_shape is None:
        raise ModelError("input_shape must be given with a module: (channels, rows, columns), or (features,)")
    shape = numbers_of(input_shape, "input_shape").flatten().tolist()
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise ModelError(f"input_shape must be (channels, rows, columns), or (features,); found {input_shape}")
    with undisturbed(module) as still, torch.no_grad():
        device = next((p.device for p in still.parameters()), torch.device("cpu"))
        image = as_input(still, torch.zeros(1, *shape, device=device))
        fields, complete = _traced(still, image)
        if not complete:
            measured = spans_measured(still, image)
            fields = {name: fields.get(name) or _of_spans(*spans, _sides(image)) for name, spans in measured.items()}
    return fields


def _shapes_only(network: Network, input_shape: Shape | None) -> tuple[nn.Module, Shape | None]:
    """The network's module without its numbers."""
    from striate.layers import sequence

    shape = input_shape or network.input
    if shape is None:
        return nn.Sequential(), None
    with torch.device("meta"):
        return sequence.module(network.layers, shape), shape


def _traced(module: nn.Module, image: Tensor) -> tuple[dict[str, ReceptiveField], bool]:
    """The fields of all layers up to the first operation that cannot be traced, and whether there was none."""
    found: list[tuple[Tensor, Known]] = []

    def take(output: Tensor) -> int:
        known = tracer.of(output)
        if known is not None and output.dim() in (2, 4):
            found.append((output, known))
            return len(found) - 1
        return -1

    tracer = Tracer(image)
    complete = True
    with watch(module, layer_names(module), take) as seen:
        try:
            with tracer:
                module(image)
        except Untraceable:
            complete = False
        except ModelError:
            raise
        except (RuntimeError, ValueError, TypeError) as fault:
            shape = "x".join(map(str, image.shape[1:]))
            raise ModelError(f"the module cannot be run on an input of {shape}: {fault}") from None
    order = sorted((number, name) for name, number in seen.layers() if number >= 0)
    return {name: _of_known(found[number][1], _sides(image)) for number, name in order}, complete


def _sides(image: Tensor) -> Pair:
    return (image.shape[-2], image.shape[-1]) if image.dim() > 2 else (1, image.shape[-1])


def _of_known(known: Known, image: Pair) -> ReceptiveField:
    rows, columns = _spans(known.quad, 0), _spans(known.quad, 1)
    if known.field is None or known.channels_last or not _within(known.field, rows, columns):
        return _of_spans(rows, columns, image, how="traced")
    field = _at_one_position(known.field, rows, columns)
    return ReceptiveField(field.size, field.stride, field.start, rows, columns, image, "traced", regular=True)


def _within(field: Field, *spans: Spans) -> bool:
    """Whether every position looks at nothing outside the field that is said to be its own."""
    axes = zip(spans, field.start, field.stride, field.size, strict=True)
    return all(
        start + p * stride <= first and last < start + p * stride + size
        for along, start, stride, size in axes
        for p, (first, last) in enumerate(along)
        if first <= last
    )


def _at_one_position(field: Field, rows: Spans, columns: Spans) -> Field:
    """Where an axis has one position, there is no next one to be a stride away."""
    stride = tuple(0 if len(spans) == 1 else j for spans, j in zip((rows, columns), field.stride, strict=True))
    return Field(field.size, (stride[0], stride[1]), field.start)


def _spans(quad: Quad, axis: Literal[0, 1]) -> Spans:
    """First and last pixel along one axis for each position along it, over all channels and positions across."""
    negative_first, last = (part[:, :1] if part.stride(1) == 0 else part for part in quad[2 * axis : 2 * axis + 2])
    if negative_first.dim() != 4:
        return _pairs([negative_first.amax()], [last.amax()])
    across = (0, 1, 3 - axis)
    return _pairs(negative_first.amax(across), last.amax(across))


def _pairs(negative_first: Iterable[Tensor], last: Iterable[Tensor]) -> Spans:
    return tuple(
        (int(-float(a)), int(float(b))) if float(b) >= 0 else (0, -1) for a, b in zip(negative_first, last, strict=True)
    )


def _of_spans(
    rows: Spans, columns: Spans, image: Pair, how: Literal["traced", "perturbed"] = "perturbed"
) -> ReceptiveField:
    """Size, stride and start read off where the field moves freely: away from the borders."""
    (size, stride, start), (width, step, left) = _read(rows, image[0]), _read(columns, image[1])
    return ReceptiveField((size, width), (stride, step), (start, left), rows, columns, image, how, regular=False)


def _read(spans: Spans, side: int) -> tuple[int, int, int]:
    """The largest size, the stride between positions that the border does not clip, and the start these give."""
    size = max(last - first + 1 for first, last in spans)
    free = _free(spans, side)
    stride, p = round(_step([(p, spans[p][0]) for p in free])), free[0]
    return size, stride, spans[p][0] - p * stride


def _free(spans: Spans, side: int) -> list[int]:
    """The positions that the border does not clip; where there are none to compare, all."""
    free = [p for p, (first, last) in enumerate(spans) if first > 0 and last < side - 1]
    return free if len(free) > 1 else list(range(len(spans)))


def _step(places: Sequence[tuple[int, float]]) -> float:
    """From position to position, the median over all pairs: after an upsampling, steps are of 0 and 2 by turns."""
    slopes = sorted((b - a) / (q - p) for (p, a), (q, b) in combinations(places, 2))
    return slopes[len(slopes) // 2] if slopes else 0.0
