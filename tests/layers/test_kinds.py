"""Every kind of layer, all options: the module against the equation, the equation against finite differences, and what
a layer says of itself (shape, counts, text) against the module. A kind without a strategy fails here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from striate.layers import Block, Layer, Shape, kinds, sequence
from striate.layers.batchnorm import BatchNorm
from striate.layers.layer import Array, Parameters, defaults, text_fields

from . import oracle
from .strategies import CASES, Case, fits

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = sorted(kinds())
frugal = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much],
)


def draw(data: st.DataObject, word: str) -> Case:
    assert word in CASES, f"{word} has no strategy in strategies.py, so nothing tests it"
    return data.draw(CASES[word].filter(fits), label=word)


COARSER = {"hardsigmoid": 1e-7}
"""Where torch itself is not exact to 1e-9: its slope of hardsigmoid is 1/6 in single precision, even of doubles."""


def assert_equal(found: Parameters, wanted: Parameters, relative: float = 1e-9) -> None:
    """Equal to 1e-9, relatively; what is 0 but for rounding is compared absolutely, to 1e-12."""
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=relative, atol=1e-12, err_msg=name)


def test_every_kind_has_a_strategy_and_no_strategy_lacks_its_kind() -> None:
    assert CASES.keys() == kinds().keys()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("word", WORDS)
@frugal
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), coarse=st.booleans())
def test_module_computes_what_the_equation_says(
    word: str, training: bool, data: st.DataObject, seed: int, coarse: bool
) -> None:
    layer, shape = draw(data, word)
    peer = oracle.run([layer], shape, seed=seed, training=training, coarse=coarse)
    y = sequence.forward([layer], peer.x, peer.theta, training=training)[-1]
    dx, gradients = sequence.backward([layer], peer.x, peer.dy, peer.theta, training=training)
    assert y.shape[1:] == layer.output(shape)
    assert_equal({"y": y}, {"y": peer.y})
    assert_equal({"dx": dx}, {"dx": peer.dx}, COARSER.get(word, 1e-9))
    assert_equal(gradients, peer.gradients)


@pytest.mark.parametrize("word", WORDS)
@settings(frugal, max_examples=5)
@given(data=st.data())
def test_of_no_images_no_numbers_come_out(word: str, data: st.DataObject) -> None:
    layer, shape = draw(data, word)
    theta = oracle.state(oracle.drawn([layer], shape, seed=0))
    nothing = np.zeros((0, *shape))
    y = sequence.forward([layer], nothing, theta)[-1]
    assert y.shape == (0, *layer.output(shape))
    assert sequence.backward([layer], nothing, y, theta)[0].shape == nothing.shape


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("word", WORDS)
@settings(frugal, max_examples=30)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_gradient_of_the_equation_is_its_finite_difference(
    word: str, training: bool, data: st.DataObject, seed: int
) -> None:
    """Along random directions in x and all parameters at once: (L(+h) - L(-h)) / 2h, with L = Σ y·dy."""
    layer, shape = draw(data, word)
    peer = oracle.run([layer], shape, seed=seed, training=training)
    dx, gradients = sequence.backward([layer], peer.x, peer.dy, peer.theta, training=training)
    random = np.random.default_rng(seed)
    step = 1e-6
    for _ in range(3):
        way_x = random.normal(size=dx.shape)
        way = {name: random.normal(size=values.shape) for name, values in gradients.items()}
        losses = [
            loss([layer], peer.x + h * way_x, peer.dy, moved(peer.theta, way, h), training) for h in (step, -step)
        ]
        expected = np.sum(dx * way_x) + sum(np.sum(gradients[name] * way[name]) for name in way)
        scale = np.sum(np.abs(peer.dy * peer.y)) + np.sum(np.abs(dx * way_x))
        np.testing.assert_allclose((losses[0] - losses[1]) / (2 * step), expected, rtol=1e-6, atol=1e-9 * scale)


def loss(layers: Sequence[Layer], x: Array, dy: Array, theta: Parameters, training: bool) -> float:
    return float(np.sum(sequence.forward(layers, x, theta, training=training)[-1] * dy))


def moved(theta: Parameters, way: Parameters, h: float) -> Parameters:
    return theta | {name: theta[name] + h * direction for name, direction in way.items()}


@pytest.mark.parametrize("word", WORDS)
@frugal
@given(data=st.data())
def test_counts_are_the_modules(word: str, data: st.DataObject) -> None:
    layer, shape = draw(data, word)
    peer = oracle.drawn([layer], shape, seed=0)
    assert layer.parameters(shape) == sum(part.numel() for part in peer.parameters())


COUNTED = ("adaptivemaxpool", "avgpool", "concat", "conv", "dense", "gate", "maxpool", "relu", "residual", "softmax")


@pytest.mark.parametrize("word", COUNTED)
@settings(frugal, max_examples=30)
@given(data=st.data())
def test_multiply_adds_are_those_that_torch_counts(word: str, data: st.DataObject) -> None:
    """torch counts two operations for each product of a convolution or a matrix, and none for batch norm."""
    layer, shape = draw(data, word)
    module = sequence.module([layer], shape).eval()
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        module(torch.zeros(1, *shape))
    assert layer.multiply_adds(shape) - normalizations([layer], shape) == counted.get_total_flops() / 2


def normalizations(layers: Sequence[Layer], input: Shape) -> int:
    """Products in batch norms, found by going through the blocks."""
    total = 0
    for _, layer, reached in sequence.walk(layers, input):
        if isinstance(layer, BatchNorm):
            total += int(np.prod(reached))
        if isinstance(layer, Block):
            total += sum(normalizations(part, reached) for part in layer.parts(reached).values())
    return total


@pytest.mark.parametrize("word", WORDS)
@frugal
@given(data=st.data())
def test_text_form_has_every_option_that_was_chosen(word: str, data: st.DataObject) -> None:
    """Read word by word, as the parser does, the text form gives the layer again."""
    layer, _ = draw(data, word)
    kind = type(layer)
    opening, *words = str(layer).split()
    fields = text_fields(kind)
    if not fields:
        assert opening.startswith(word)
        return
    places = iter([name for name in fields if name not in defaults(kind)])
    named = [part.split("=") if "=" in part else [next(places), part] for part in words]
    assert kind(**{name: fields[name].read(spelled) for name, spelled in named}) == layer
