"""The terms of every kind of layer, worked out again from what they show, give the number of equation and torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from striate.layers import Block, Layer, kinds, sequence
from striate.layers.adaptivepool import AdaptiveAvgPool
from striate.layers.conv import Conv
from striate.layers.dense import Dense
from striate.layers.gate import Gate
from striate.layers.globalpool import GlobalAvgPool
from striate.layers.layer import Array, Parameters
from striate.layers.pool import AvgPool, MaxPool
from striate.layers.residual import Residual
from striate.layers.terms import Source, Spot

from . import oracle
from .by_hand import by_hand
from .strategies import CASES, fits

WORDS = sorted(kinds())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("word", WORDS)
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much],
)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), coarse=st.booleans())
def test_terms_give_what_the_equation_and_torch_give(
    word: str, training: bool, data: st.DataObject, seed: int, coarse: bool
) -> None:
    layer, shape = data.draw(CASES[word].filter(fits), label=word)
    peer = oracle.run([layer], shape, seed=seed, training=training, coarse=coarse)
    (name,) = sequence.names([layer])
    theta = sequence.below(peer.theta, name)
    y = layer.forward(peer.x, theta, training=training)
    image = data.draw(st.integers(0, len(y) - 1), label="image")
    at: Spot = tuple(data.draw(st.integers(0, side - 1)) for side in y.shape[1:])
    terms = layer.terms(peer.x, theta, at, image=image, training=training)
    for value in (terms.value, by_hand(terms)):
        assert value == pytest.approx(y[image][at], rel=1e-9, abs=1e-12 * terms.scale)
        assert value == pytest.approx(peer.y[image][at], rel=1e-9, abs=1e-9 * terms.scale)
    assert_sources(layer, peer.x, image, terms.sources, branches(layer, peer.x, theta, training))


def branches(layer: Layer, x: Array, theta: Parameters, training: bool) -> dict[str, Array]:
    """What the sources of a layer are read from: its input, and for a block what leaves each branch."""
    if not isinstance(layer, Block):
        return {"": x}
    names = layer.parts(x.shape[1:])
    return dict(zip(names, layer.branch_values(x, theta, training=training), strict=True))


def assert_sources(layer: Layer, x: Array, image: int, sources: Sequence[Source], held: dict[str, Array]) -> None:
    """Every source is where it says, none is named twice, and they come by size but for the number itself."""
    for source in sources:
        assert held[source.branch][image][source.at] == source.x
    assert len({(source.branch, source.at) for source in sources}) == len(sources)
    sizes = [abs(source.adds) for source in sources[1:]]
    assert sizes == sorted(sizes, reverse=True)


def test_sources_are_all_inputs_that_a_number_depends_on() -> None:
    """By perturbation: what changes the number is a source, and what does not is none."""
    conv = Conv(2, (3, 3), (2, 2), (1, 1), (2, 1), groups=2)
    random = np.random.default_rng(3)
    x, theta = random.normal(size=(1, 4, 6, 5)), {"weight": random.normal(size=(2, 2, 3, 3)), "bias": np.zeros(2)}
    at = (1, 1, 2)
    moves: set[Spot] = set()
    for place in np.ndindex(4, 6, 5):
        moved = x.copy()
        moved[0][place] += 1
        if conv.forward(moved, theta)[0][at] != conv.forward(x, theta)[0][at]:
            moves.add(place)
    assert {source.at for source in conv.terms(x, theta, at).sources} == moves


def test_padding_is_shown_as_zeros_and_is_no_source() -> None:
    conv = Conv(1, (3, 3), pad=(1, 1), bias=False)
    terms = conv.terms(np.ones((1, 1, 4, 4)), {"weight": np.ones((1, 1, 3, 3))}, (0, 0, 3))
    assert terms.x[0].tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 0]]
    assert terms.inside.sum() == 4 == len(terms.sources)
    assert terms.b is None


def test_the_first_of_equal_maxima_takes_it_all() -> None:
    terms = MaxPool((2, 2)).terms(np.array([[[[1.0, 5.0], [5.0, 2.0]]]]), {}, (0, 0, 0))
    assert terms.sources == (Source((0, 0, 1), 5, 5),)
    assert not terms.mean


def test_a_mean_counts_the_pixels_that_exist() -> None:
    terms = AvgPool((3, 3), (3, 3), (1, 1)).terms(np.full((1, 1, 2, 2), 8.0), {}, (0, 0, 0))
    assert terms.x.shape == (2, 2)
    assert terms.mean
    assert {source.adds for source in terms.sources} == {2}


def test_a_dense_layer_on_maps_names_the_pixel_of_each_product() -> None:
    x = np.arange(12.0).reshape(1, 3, 2, 2)
    terms = Dense(1).terms(x, {"weight": np.ones((1, 12)), "bias": np.ones(1)}, (0,))
    assert terms.value == 67
    assert terms.sources[0] == Source((2, 1, 1), 11, 11)


def test_infinite_inputs_do_not_hide_a_maximum() -> None:
    assert MaxPool((1, 2)).terms(np.array([[[[-np.inf, 3.0]]]]), {}, (0, 0, 0)).value == 3


def test_a_gate_names_both_factors_and_where_they_stand() -> None:
    x = np.arange(8.0).reshape(1, 2, 2, 2)
    theta = {"body.dense1.weight": np.eye(2) * 0.5, "body.dense1.bias": np.zeros(2)}
    terms = Gate((GlobalAvgPool(), Dense(2))).terms(x, theta, (1, 0, 1))
    assert terms.sources == (Source((1, 0, 1), 5, 5, "identity"), Source((1,), 2.75, 2.75, "body"))
    assert terms.value == 13.75
    pooled = Gate((AdaptiveAvgPool((1, 1)),)).terms(x, {}, (1, 0, 1))
    assert pooled.sources[1] == Source((1, 0, 0), 5.5, 5.5, "body")


def test_a_residual_names_both_summands() -> None:
    x = np.full((1, 1, 2, 2), 3.0)
    terms = Residual((Conv(1, (1, 1), bias=False),)).terms(
        x, {"body.conv1.weight": np.full((1, 1, 1, 1), -2.0)}, (0, 0, 1)
    )
    assert [(s.branch, s.x) for s in terms.sources] == [("body", -6), ("shortcut", 3)]
    assert terms.value == -3
