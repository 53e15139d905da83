"""Receptive fields and windows against perturbation: a pixel is made NaN, and the outputs that become NaN have seen it.

NaN passes through every kind of layer here (a maximum with a NaN is NaN), and float64 convolutions keep it where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from striate.errors import ShapeError
from striate.layers import Field, Layer, Shape, Window, sequence
from striate.layers.adaptivepool import AdaptiveMaxPool
from striate.layers.batchnorm import BatchNorm
from striate.layers.concat import Concat
from striate.layers.conv import Conv
from striate.layers.dense import Dense
from striate.layers.flatten import Flatten
from striate.layers.gate import Gate
from striate.layers.globalpool import GlobalAvgPool
from striate.layers.lrn import Lrn
from striate.layers.normalization import GroupNorm, LayerNorm
from striate.layers.pool import AvgPool, MaxPool
from striate.layers.rectifiers import Relu
from striate.layers.residual import Residual
from striate.layers.sigmoids import Sigmoid
from striate.layers.softmax import LogSoftmax, Softmax

from .oracle import drawn
from .strategies import CASES, Case, fits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

frugal = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.filter_too_much]
)


def seen(layers: Sequence[Layer], input: Shape) -> NDArray[np.bool_]:
    """Whether output position (i, j) has seen pixel (h, w): [i, j, h, w]. A vector counts as one position."""
    module = drawn(layers, input, seed=0).eval()
    _, height, width = input
    x = torch.zeros(height * width, *input, dtype=torch.float64)
    for pixel in range(height * width):
        x[pixel, :, pixel // width, pixel % width] = torch.nan
    with torch.no_grad():
        y = module(x).isnan()
    met = y.any(1) if y.ndim == 4 else y.any(1)[:, None, None]
    return met.permute(1, 2, 0).reshape(*met.shape[1:], height, width).numpy()


def taps(window: Window, position: int, axis: int, side: int) -> set[int]:
    """The rows (or columns) under a window that exist, from the sentence in `Window`."""
    start = position * window.stride[axis] - window.before[axis]
    return {start + k * window.dilation[axis] for k in range(window.kernel[axis])} & set(range(side))


def box(field: Field, position: int, axis: int) -> tuple[int, int]:
    """First pixel of a unit's field, and the first one after it."""
    start = field.start[axis] + position * field.stride[axis]
    return start, start + field.size[axis]


def within(span: tuple[int, int], side: int) -> bool:
    return span[0] >= 0 and span[1] <= side


WINDOWS = CASES["conv"] | CASES["maxpool"] | CASES["avgpool"]
ADAPTIVE = CASES["adaptiveavgpool"] | CASES["adaptivemaxpool"]


@frugal
@given(case=WINDOWS.filter(fits))
def test_window_holds_the_pixels_that_are_seen(case: Case) -> None:
    layer, shape = case
    window = layer.window(shape)
    assert window is not None
    met = seen([layer], shape)
    for i, j in np.ndindex(met.shape[:2]):
        rows, columns = taps(window, i, 0, shape[1]), taps(window, j, 1, shape[2])
        expected = {(h, w) for h in rows for w in columns}
        assert {(int(h), int(w)) for h, w in np.argwhere(met[i, j])} == expected


@frugal
@given(case=ADAPTIVE)
def test_window_of_adaptive_pooling_is_the_smallest_that_holds_all(case: Case) -> None:
    """Of those that move in such steps; and exact where the windows are equal."""
    layer, shape = case
    window, met = layer.window(shape), seen([layer], shape)
    if window is None:
        assert met.shape[:2] == (1, 1)
        assert met.all()
        return
    for axis, positions in enumerate(met.shape[:2]):
        # Positions and pixels along this axis alone.
        along = np.asarray(np.any(np.moveaxis(met, axis, 0), axis=(1, 3 - axis)))
        spans = [np.flatnonzero(along[p]) for p in range(positions)]
        starts = [p * window.stride[axis] - window.before[axis] for p in range(positions)]
        before = [pixels[0] - start for pixels, start in zip(spans, starts, strict=True)]
        after = [start + window.kernel[axis] - 1 - pixels[-1] for pixels, start in zip(spans, starts, strict=True)]
        assert min(before) == min(after) == 0
        if shape[1 + axis] % positions == 0:
            assert max(before) == max(after) == 0


@frugal
@given(case=(WINDOWS | ADAPTIVE | CASES["residual"] | CASES["concat"]).filter(fits))
def test_padding_on_both_sides_leads_to_the_output(case: Case) -> None:
    layer, shape = case
    output, window = layer.output(shape), layer.window(shape)
    if window is None:
        assert output[1:] in ((), (1, 1))
        return
    reached = zip(shape[1:], window.before, window.after, window.extent, window.stride, strict=True)
    assert output[1:] == tuple((side + b + a - extent) // stride + 1 for side, b, a, extent, stride in reached)


LAYERS: list[Layer] = [
    Conv(2, (3, 3)),
    Conv(2, (1, 3), pad=(0, 1)),
    Conv(2, (3, 2), stride=(2, 1), pad="same"),
    Conv(2, (2, 2), dilation=(2, 3)),
    MaxPool((2, 2)),
    MaxPool((3, 3), (2, 2), (1, 1), ceil=True),
    MaxPool((2, 3), (1, 2), (1, 1), dilation=(2, 3)),
    AvgPool((2, 3), (1, 2), (1, 0)),
    AdaptiveMaxPool((1, 1)),
    Relu(),
    BatchNorm(),
    Lrn(3),
    LayerNorm(),
    GroupNorm(1),
    Softmax(),
    LogSoftmax(),
    Residual((Conv(2, (3, 3), pad="same"), Conv(2, (3, 3), dilation=(2, 2), pad=(2, 2)))),
    Residual((Conv(2, (3, 3), pad="same"), GroupNorm(2))),
    Gate((Conv(2, (3, 3), pad="same"), Sigmoid())),
    Gate((GlobalAvgPool(), Dense(2))),
    Residual((Conv(3, (3, 3), (2, 2), pad=(1, 1)),)),
    Concat(((), (Conv(1, (5, 1), pad=(2, 0)),), (MaxPool((3, 3), (1, 1), (1, 1)),))),
    Concat(((Conv(1, (3, 3), (2, 2), (1, 1)),), (MaxPool((2, 2), ceil=True),))),
]


@frugal
@given(
    layers=st.lists(st.sampled_from(LAYERS), min_size=1, max_size=4),
    ending=st.sampled_from([(), (), (), (Dense(2),), (Flatten(), Dense(2), Relu()), (GlobalAvgPool(),)]),
    size=st.tuples(st.integers(4, 13), st.integers(4, 13)),
)
def test_field_is_the_hull_of_the_pixels_that_are_seen(
    layers: list[Layer], ending: tuple[Layer, ...], size: tuple[int, int]
) -> None:
    """No pixel outside the field is seen; where the field lies inside the image, it is no larger than needed."""
    shape = (2, *size)
    whole = [*layers, *ending]
    try:
        field = sequence.field(whole, shape, Field())
    except ShapeError:
        assume(False)
        return
    met = seen(whole, shape)
    for i, j in np.ndindex(met.shape[:2]):
        for axis, position in ((0, i), (1, j)):
            pixels = np.flatnonzero(met[i, j].any(1 - axis))
            start, end = box(field, position, axis)
            assert start <= pixels[0]
            assert pixels[-1] < end
            if within(box(field, i, 0), size[0]) and within(box(field, j, 1), size[1]):
                assert (start, end) == (pixels[0], pixels[-1] + 1)


def test_flattened_maps_are_stated_as_a_whole() -> None:
    assert sequence.field([Conv(2, (3, 3)), Flatten()], (1, 6, 8), Field()) == Field((6, 8), (0, 0), (0, 0))


FIELDS = st.builds(
    Field,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.tuples(st.integers(-4, 4), st.integers(-4, 4)),
)


@frugal
@given(one=FIELDS, other=FIELDS, positions=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_hull_is_the_smallest_field_of_its_stride(one: Field, other: Field, positions: tuple[int, int]) -> None:
    hull = one.hull(other, positions)
    for axis in (0, 1):
        margins = [
            (box(branch, p, axis)[0] - box(hull, p, axis)[0], box(hull, p, axis)[1] - box(branch, p, axis)[1])
            for p in range(positions[axis])
            for branch in (one, other)
        ]
        assert min(before for before, _ in margins) == 0
        assert min(after for _, after in margins) == 0


def test_branches_in_different_steps_are_held_at_every_position() -> None:
    block = Concat(((Conv(1, (3, 3), (2, 2)),), (Conv(1, (4, 4)),)))
    field = block.field((1, 5, 5), Field())
    met = seen([block], (1, 5, 5))
    for i in range(2):
        pixels = np.flatnonzero(met[i, 0].any(1))
        start, end = box(field, i, 0)
        assert start <= pixels[0]
        assert pixels[-1] < end
