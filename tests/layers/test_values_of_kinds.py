"""What the generic test cannot know: known values, extremes, bounds, and the text form as it is meant to look."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.errors import ShapeError
from striate.layers import Layer, Shape, Window, sequence
from striate.layers.activation import Activation
from striate.layers.adaptivepool import AdaptiveAvgPool, AdaptiveMaxPool
from striate.layers.batchnorm import BatchNorm
from striate.layers.conv import Conv
from striate.layers.dense import Dense
from striate.layers.dropout import Dropout
from striate.layers.globalpool import GlobalAvgPool
from striate.layers.lrn import Lrn
from striate.layers.normalization import GroupNorm, LayerNorm
from striate.layers.pool import AvgPool, MaxPool
from striate.layers.rectifiers import Elu, LeakyRelu, Relu6
from striate.layers.selfgated import Gelu, HardSwish, Silu
from striate.layers.sigmoids import HardSigmoid, Sigmoid, Tanh
from striate.layers.softmax import LogSoftmax, Softmax

from . import oracle

X = np.concatenate([np.linspace(-30, 30, 241), [-1000.0, -700.0, 0.0, 700.0, 1000.0]])


def test_sigmoid_tanh_and_softmax_never_overflow() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_allclose(Sigmoid().f(X), scipy.special.expit(X), rtol=1e-14, atol=0)
        np.testing.assert_allclose(Tanh().f(X), np.tanh(X), rtol=1e-13, atol=1e-15)
        assert Sigmoid().f(np.array([-1000.0, 1000.0])).tolist() == [0, 1]
        assert Tanh().f(np.array([-1000.0, 1000.0])).tolist() == [-1, 1]
        assert np.all(Sigmoid().derivative(X) >= 0)
        assert np.all(np.isfinite(Tanh().derivative(X)))
        assert np.isfinite(Softmax().forward(X[None], {})).all()
        np.testing.assert_allclose(Softmax().forward(X[None, :50], {})[0], scipy.special.softmax(X[:50]), rtol=1e-12)
        assert np.isfinite(LogSoftmax().forward(X[None], {})).all()
        logs = LogSoftmax().forward(X[None, :50], {})[0]
        np.testing.assert_allclose(logs, scipy.special.log_softmax(X[:50]), rtol=1e-12, atol=1e-12)


def test_gelu_is_x_times_the_normal_distribution() -> None:
    np.testing.assert_allclose(Gelu().f(X), X * scipy.stats.norm.cdf(X), rtol=1e-12, atol=0)


def test_silu_is_x_times_the_sigmoid_and_elu_ends_at_minus_alpha() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_allclose(Silu().f(X), X * scipy.special.expit(X), rtol=1e-14, atol=0)
        np.testing.assert_allclose(Elu(2.0).f(X), np.where(X > 0, X, 2 * scipy.special.expm1(X)), rtol=1e-14, atol=0)
        assert Elu(0.25).f(np.array([-1000.0])).tolist() == [-0.25]


@pytest.mark.parametrize("layer", [LeakyRelu(), Relu6(), Elu(2.0), HardSigmoid(), HardSwish(), Silu()], ids=str)
def test_activations_and_their_slopes_are_torchs_everywhere(layer: Activation) -> None:
    """Beyond all bends, and in them: -3, 0, 3 and 6 are among the numbers."""
    x = torch.tensor(X, requires_grad=True)
    y = layer.module((len(X),))(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(layer.f(X), y.detach().numpy(), rtol=1e-12, atol=0)
    # torch's slope of hardsigmoid is 1/6 in single precision, even of doubles.
    exact = 1e-7 if isinstance(layer, HardSigmoid) else 1e-9
    np.testing.assert_allclose(layer.derivative(X), slope.numpy(), rtol=exact, atol=1e-300)


@pytest.mark.parametrize("layer", [Relu6(), Elu(0.5), HardSigmoid(), HardSwish(), Silu()], ids=str)
@pytest.mark.parametrize("x", [-1000.0, -4.0, -3.0, -0.5, 0.0, 2.0, 3.0, 5.0, 6.0, 7.0])
def test_steps_of_activations_beyond_their_bends(layer: Activation, x: float) -> None:
    assert layer.terms(np.array([[x]]), {}, (0,)).value == layer.f(np.array(x))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    sides=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
)
def test_same_padding_gives_every_stride_th_position(
    sides: tuple[int, int], kernel: tuple[int, int], stride: int, dilation: int
) -> None:
    conv = Conv(1, kernel, (stride, stride), "same", (dilation, dilation))
    assert conv.output((1, *sides)) == (1, *(-(-side // stride) for side in sides))


@pytest.mark.parametrize("input", [(3,), (2, 4, 5)])
def test_running_statistics_move_as_torch_moves_them(input: Shape) -> None:
    layer = BatchNorm(momentum=0.3)
    peer = oracle.run([layer], input, seed=3, training=True)
    moved = layer.running(peer.x, sequence.below(peer.theta, "batchnorm1"))
    for name, values in moved.items():
        np.testing.assert_allclose(values, peer.after[f"batchnorm1.{name}"], rtol=1e-9)


def test_mean_counts_only_pixels_that_exist() -> None:
    x = np.ones((1, 1, 5, 5))
    assert np.all(AvgPool((3, 3), (2, 2), (1, 1), ceil=True).forward(x, {}) == 1)


def test_as_many_groups_as_channels_are_an_instance_norm() -> None:
    x = np.random.default_rng(4).normal(size=(2, 6, 3, 5))
    plain = {"weight": np.ones(6), "bias": np.zeros(6)}
    expected = torch.nn.functional.instance_norm(torch.tensor(x))
    np.testing.assert_allclose(GroupNorm(6).forward(x, plain), expected.numpy(), rtol=1e-10)


def test_one_group_is_a_layer_norm_over_the_whole_image() -> None:
    x = np.random.default_rng(5).normal(size=(2, 6, 3, 5))
    plain = {"weight": np.ones(6), "bias": np.zeros(6)}
    expected = torch.nn.functional.layer_norm(torch.tensor(x), (6, 3, 5))
    np.testing.assert_allclose(GroupNorm(1).forward(x, plain), expected.numpy(), rtol=1e-10)


def test_terms_of_a_norm_say_what_is_normalized_together() -> None:
    x = np.arange(48.0).reshape(1, 4, 3, 4)
    plain = {"weight": np.ones(4), "bias": np.zeros(4)}
    over_group = GroupNorm(2).terms(x, plain, (2, 1, 1))
    assert over_group.remark == "μ is the mean of the n numbers x_d: units 2 to 3, at all positions."
    assert (over_group.known["n"], over_group.known["μ"]) == (24, 35.5)
    assert [source.at for source in over_group.sources[:3]] == [(2, 1, 1), (2, 0, 0), (3, 2, 3)]
    over_channels = LayerNorm().terms(x, plain, (2, 1, 1))
    assert over_channels.remark == "μ is the mean of the n numbers x_d: the 4 channels at this position."
    assert {source.at for source in over_channels.sources} == {(c, 1, 1) for c in range(4)}


def test_adaptive_windows_of_alexnet_overlap_by_a_row() -> None:
    """13 rows into 6, as in the AlexNet that torchvision has on larger images."""
    pool = AdaptiveAvgPool((6, 6))
    spans = [pool.under(position, 0, 13) for position in range(6)]
    assert [(span.start, span.stop) for span in spans] == [(0, 3), (2, 5), (4, 7), (6, 9), (8, 11), (10, 13)]
    assert pool.window((256, 13, 13)) == Window((3, 3), (2, 2))


def test_maximum_of_negative_numbers_ignores_padding() -> None:
    x = -np.ones((1, 1, 4, 4))
    assert np.all(MaxPool((3, 3), (2, 2), (1, 1)).forward(x, {}) == -1)


def test_a_window_without_any_pixel_is_refused() -> None:
    assert MaxPool((2, 2), pad=(1, 1), dilation=(2, 2)).output((1, 2, 2)) == (1, 1, 1)
    with pytest.raises(ShapeError, match="a window of 2x2 with dilation=3x3 has no pixel of 2x2 under it"):
        MaxPool((2, 2), pad=(1, 1), dilation=(3, 3)).output((1, 2, 2))


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (Conv(64, (3, 3), (2, 2), "same", groups=2, bias=False), "conv 64 3x3 stride=2x2 pad=same groups=2 bias=no"),
        (MaxPool((2, 2)), "maxpool 2x2"),
        (MaxPool((3, 3), (2, 2), (1, 1), ceil=True), "maxpool 3x3 stride=2x2 pad=1x1 ceil=yes"),
        (MaxPool((2, 2), (1, 1), dilation=(2, 3)), "maxpool 2x2 stride=1x1 dilation=2x3"),
        (AvgPool((2, 3)), "avgpool 2x3"),
        (GlobalAvgPool(), "globalavgpool"),
        (AdaptiveAvgPool((6, 6)), "adaptiveavgpool 6x6"),
        (AdaptiveMaxPool((2, 1)), "adaptivemaxpool 2x1"),
        (Dense(10, bias=False), "dense 10 bias=no"),
        (Dropout(0.5), "dropout 0.5"),
        (BatchNorm(eps=0.001), "batchnorm eps=0.001"),
        (Lrn(5, k=2), "lrn 5 k=2"),
        (LayerNorm(), "layernorm"),
        (LayerNorm(eps=1e-6), "layernorm eps=1e-06"),
        (GroupNorm(8, eps=0.001), "groupnorm 8 eps=0.001"),
        (LeakyRelu(0.2), "leakyrelu slope=0.2"),
        (Sigmoid(), "sigmoid"),
        (Elu(), "elu"),
        (Elu(0.5), "elu alpha=0.5"),
    ],
)
def test_text_form(layer: Layer, text: str) -> None:
    assert str(layer) == text


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Conv(0, (3, 3)), ["channels of conv", "from 1", "found 0"]),
        (lambda: Conv(4, (0, 3), stride=(0, 1)), ["kernel of conv", "stride of conv"]),
        (lambda: Conv(4, None), ["kernel of conv", "found None"]),  # pyright: ignore[reportArgumentType]
        (lambda: MaxPool((3, 3), pad=(2, 2)), ["pad of maxpool", "half", "3x3", "found 2x2"]),
        (lambda: AvgPool((1, 4), pad=(1, 2)), ["pad of avgpool", "half"]),
        (lambda: MaxPool((2, 2), stride=(0, 2)), ["stride of maxpool"]),
        (lambda: MaxPool((2, 2), pad=5), ["pad of maxpool", "found 5"]),  # pyright: ignore[reportArgumentType]
        (lambda: AdaptiveAvgPool((0, 2)), ["size of adaptiveavgpool", "from 1"]),
        (lambda: Dense(0), ["outputs of dense"]),
        (lambda: Dropout(1.0), ["probability of dropout", "below 1"]),
        (lambda: Dropout(-0.1), ["probability of dropout"]),
        (lambda: BatchNorm(eps=0), ["eps of batchnorm", "above 0"]),
        (lambda: BatchNorm(momentum=2), ["momentum of batchnorm"]),
        (lambda: LayerNorm(eps=0), ["eps of layernorm", "above 0"]),
        (lambda: GroupNorm(0), ["groups of groupnorm", "from 1"]),
        (lambda: Lrn(0), ["size of lrn"]),
        (lambda: Lrn(5, k=0), ["k of lrn", "above 0"]),
        (lambda: Lrn(5, alpha=float("nan")), ["alpha of lrn"]),
        (lambda: LeakyRelu(-2e6), ["slope of leakyrelu"]),
        (lambda: LeakyRelu(float("inf")), ["slope of leakyrelu"]),
        (lambda: Elu(-1), ["alpha of elu"]),
    ],
)
def test_bounds(make: Callable[[], Layer], words: list[str]) -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        make()
    assert all(word in str(refused.value) for word in words), str(refused.value)


@pytest.mark.parametrize(
    ("layer", "input", "words"),
    [
        (Conv(4, (5, 5)), (1, 4, 8), "a window of 5x5 does not fit into 4x8"),
        (Conv(4, (3, 3), groups=2), (3, 8, 8), "groups=2 must divide"),
        (MaxPool((5, 5)), (1, 4, 8), "a window of 5x5 does not fit into 4x8"),
        (Conv(4, (5, 5)), (9,), "conv takes maps"),
        (AvgPool((2, 2)), (9,), "avgpool takes maps"),
        (AdaptiveMaxPool((2, 2)), (9,), "adaptivemaxpool takes maps"),
        (GlobalAvgPool(), (9,), "globalavgpool takes maps"),
        (Lrn(5), (9,), "lrn takes maps"),
        (GroupNorm(3), (8, 4, 4), "3 does not divide 8"),
        (GroupNorm(8), (8, 1, 1), "each number alone"),
        (GroupNorm(8), (8,), "each number alone"),
        (LayerNorm(), (1, 4, 4), "each number alone"),
    ],
)
def test_shapes_that_cannot_go_in_are_refused(layer: Layer, input: Shape, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        layer.output(input)


def test_counts_of_the_lecture() -> None:
    assert Conv(20, (5, 5)).parameters((1, 28, 28)) == 520
    assert Dense(30).parameters((1, 28, 28)) == 23_550
    assert Conv(20, (5, 5)).multiply_adds((1, 28, 28)) == 20 * 24 * 24 * 25
    assert BatchNorm().multiply_adds((8, 3, 3)) == 72
    assert GroupNorm(2).multiply_adds((8, 3, 3)) == LayerNorm().multiply_adds((8, 3, 3)) == 72


def test_a_shape_fault_in_a_sequence_names_the_layer() -> None:
    with pytest.raises(ShapeError, match=r"pool1 \(maxpool 9x9\) cannot take 4x6x6: a window of 9x9"):
        sequence.shapes([Conv(4, (3, 3)), MaxPool((9, 9))], (1, 8, 8))
