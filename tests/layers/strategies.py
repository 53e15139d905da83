"""Hypothesis strategies: for every kind of layer, layers with all their options, and shapes that they can take."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from hypothesis import strategies as st

from striate.layers import Layer, Shape
from striate.layers.adaptivepool import AdaptiveAvgPool, AdaptiveMaxPool
from striate.layers.batchnorm import BatchNorm
from striate.layers.concat import Concat
from striate.layers.conv import Conv
from striate.layers.dense import Dense
from striate.layers.dropout import Dropout
from striate.layers.flatten import Flatten
from striate.layers.gate import Gate
from striate.layers.globalpool import GlobalAvgPool
from striate.layers.lrn import Lrn
from striate.layers.normalization import GroupNorm, LayerNorm
from striate.layers.pool import AvgPool, MaxPool, Pool
from striate.layers.rectifiers import Elu, LeakyRelu, Relu, Relu6
from striate.layers.residual import Residual
from striate.layers.selfgated import Gelu, HardSwish, Silu
from striate.layers.sigmoids import HardSigmoid, Sigmoid, Tanh
from striate.layers.softmax import LogSoftmax, Softmax


class Case(NamedTuple):
    """A layer and the shape of one image that goes in."""

    layer: Layer
    input: Shape


def sides(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


MAPS: st.SearchStrategy[Shape] = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))
VECTORS: st.SearchStrategy[Shape] = st.tuples(st.integers(1, 7))
ANY = MAPS | VECTORS


def fits(case: Case) -> bool:
    try:
        case.layer.output(case.input)
    except ValueError:
        return False
    return True


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    groups = draw(st.integers(1, 3))
    layer = Conv(
        channels=groups * draw(st.integers(1, 2)),
        kernel=draw(sides(1, 4)),
        stride=draw(sides(1, 3)),
        pad=draw(st.just("same") | sides(0, 3)),
        dilation=draw(sides(1, 2)),
        groups=groups,
        bias=draw(st.booleans()),
    )
    return Case(layer, (groups * draw(st.integers(1, 2)), *draw(sides(1, 8))))


@st.composite
def pools(draw: st.DrawFn, kind: type[Pool]) -> Case:
    kernel = draw(sides(1, 4))
    layer = kind(
        kernel=kernel,
        stride=draw(st.none() | sides(1, 4)),
        pad=(draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2))),
        ceil=draw(st.booleans()),
    )
    if isinstance(layer, MaxPool):
        layer = replace(layer, dilation=draw(sides(1, 3)))
    return Case(layer, (draw(st.integers(1, 3)), *draw(sides(1, 8))))


def of(layers: st.SearchStrategy[Layer], shapes: st.SearchStrategy[Shape]) -> st.SearchStrategy[Case]:
    return st.builds(Case, layers, shapes)


def real(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most, allow_subnormal=False)


def same_size(channels: int) -> st.SearchStrategy[tuple[Layer, ...]]:
    """Branches that keep rows and columns, and end with so many channels."""
    opening: st.SearchStrategy[tuple[Layer, ...]] = st.sampled_from(
        [
            (),
            (BatchNorm(), Tanh()),
            (Conv(3, (1, 2), pad="same"), Relu()),
            (MaxPool((3, 3), (1, 1), (1, 1)),),
            (Dropout(0.3),),
        ]
    )
    return opening.map(lambda layers: (*layers, Conv(channels, (3, 3), pad=(1, 1), bias=False)))


@st.composite
def residuals(draw: st.DrawFn) -> Case:
    channels, wanted = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    body = draw(same_size(wanted))
    stride = draw(sides(1, 2))
    # Without a bias: before batch norm its gradient is 0 but for rounding, and two roundings cannot be compared.
    body = (*body, Conv(wanted, (3, 3), stride, pad=(1, 1), bias=False), BatchNorm())
    shortcut: tuple[Layer, ...] = (AvgPool((2, 2), stride, ceil=stride != (1, 1)), Conv(wanted, (1, 1)))
    given = draw(st.booleans()) and stride == (2, 2)
    return Case(Residual(body, shortcut if given else None), (channels, *draw(sides(3, 6))))


def residuals_of_vectors() -> st.SearchStrategy[Case]:
    bodies = st.builds(Dense, st.integers(1, 5)).map(lambda last: (Dense(5), Sigmoid(), last))
    return of(bodies.map(Residual), VECTORS)


@st.composite
def concatenations(draw: st.DrawFn) -> Case:
    branches = [draw(same_size(draw(st.integers(1, 3)))) for _ in range(draw(st.integers(1, 3)))]
    if len(branches) == 1 or draw(st.booleans()):
        branches.insert(draw(st.integers(0, len(branches))), ())
    if draw(st.booleans()):
        branches.append((Residual((Conv(2, (1, 1)),)),))
    return Case(Concat(tuple(branches)), (draw(st.integers(1, 3)), *draw(sides(1, 5))))


def concatenations_to_vectors() -> st.SearchStrategy[Case]:
    return of(st.just(Concat(((GlobalAvgPool(),), (Flatten(), Dense(2)), (Dense(3),)))), MAPS)


@st.composite
def gates(draw: st.DrawFn) -> Case:
    channels = draw(st.integers(1, 4))
    bodies: list[tuple[Layer, ...]] = [
        (GlobalAvgPool(), Dense(2), Tanh(), Dense(channels), Sigmoid()),
        (AdaptiveAvgPool((1, 1)), Conv(channels, (1, 1))),
        (Conv(channels, (3, 3), pad=(1, 1)), Sigmoid()),
        (Residual((Conv(channels, (1, 1)),)), BatchNorm()),
    ]
    return Case(Gate(draw(st.sampled_from(bodies))), (channels, *draw(sides(1, 5))))


def gates_of_vectors() -> st.SearchStrategy[Case]:
    return VECTORS.map(lambda shape: Case(Gate((Dense(3), Tanh(), Dense(shape[0]), Sigmoid())), shape))


@st.composite
def group_norms(draw: st.DrawFn) -> Case:
    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.integers(1, 3))
    sides_or_none: tuple[int, ...] = draw(sides(1, 4) | st.just(()))
    return Case(GroupNorm(groups, draw(EPS)), (channels, *sides_or_none))


EPS = real(1e-3, 1)
"""Of numbers that are normalized in twos, a smaller ε leaves of the gradient no more than rounding."""

CASES: dict[str, st.SearchStrategy[Case]] = {
    "adaptiveavgpool": of(st.builds(AdaptiveAvgPool, sides(1, 6)), MAPS),
    "adaptivemaxpool": of(st.builds(AdaptiveMaxPool, sides(1, 6)), MAPS),
    "avgpool": pools(AvgPool),
    "batchnorm": of(st.builds(BatchNorm, real(1e-6, 0.1), real(0, 1)), ANY),
    "concat": concatenations() | concatenations_to_vectors(),
    "conv": convolutions(),
    "dense": of(st.builds(Dense, st.integers(1, 5), st.booleans()), ANY),
    "dropout": of(st.builds(Dropout, real(0, 0.95)), ANY),
    "elu": of(st.builds(Elu, real(0, 3)), ANY),
    "flatten": of(st.just(Flatten()), ANY),
    "gate": gates() | gates_of_vectors(),
    "gelu": of(st.just(Gelu()), ANY),
    "globalavgpool": of(st.just(GlobalAvgPool()), MAPS),
    "groupnorm": group_norms(),
    "hardsigmoid": of(st.just(HardSigmoid()), ANY),
    "hardswish": of(st.just(HardSwish()), ANY),
    "layernorm": of(st.builds(LayerNorm, EPS), ANY),
    "leakyrelu": of(st.builds(LeakyRelu, real(-3, 3)), ANY),
    "lrn": of(st.builds(Lrn, st.integers(1, 7), real(0, 2), real(0, 2), real(0.1, 3)), MAPS),
    "maxpool": pools(MaxPool),
    "relu": of(st.just(Relu()), ANY),
    "relu6": of(st.just(Relu6()), ANY),
    "residual": residuals() | residuals_of_vectors(),
    "sigmoid": of(st.just(Sigmoid()), ANY),
    "silu": of(st.just(Silu()), ANY),
    "softmax": of(st.just(Softmax()), ANY),
    "logsoftmax": of(st.just(LogSoftmax()), ANY),
    "tanh": of(st.just(Tanh()), ANY),
}
"""For every kind, by its word. A few of the shapes do not fit; filter by `fits`."""
