"""The text form: what can be written, that printing undoes parsing, and that no text does anything else than err."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate import notation, presets
from striate.errors import NetworkError
from striate.layers.conv import Conv
from striate.network import Network

from .strategies import networks

VANILLA = presets.text("vanilla")


def parsed(text: str) -> list[str]:
    return [str(layer) for layer in Network.parse(text).layers]


@given(networks())
def test_parsing_undoes_printing(network: Network) -> None:
    assert Network.parse(str(network)) == network


@given(networks())
def test_commas_say_the_same_as_lines(network: Network) -> None:
    assert Network.parse(str(network).replace("\n", ", ")) == network


@pytest.mark.parametrize("name", presets.names())
def test_parsing_undoes_printing_for_presets(name: str) -> None:
    network = Network.preset(name)
    assert Network.parse(str(network)) == network


@pytest.mark.parametrize(
    "text",
    [
        "conv 20 5x5, relu, dense 10",
        "conv 20 5x5\nrelu\ndense 10",
        "conv 20 5x5;relu;dense 10",
        "conv 20 5x5\r\nrelu\r\ndense 10\r\n",
        "  conv   20\t5x5 ,\n\n, relu # rectified, (as in | the paper)\n#dense 3\n dense 10 ;",
        "conv 20 5x5 stride=1x1 pad=0, relu, dense 10",
        "conv 20 5, relu, dense 10",
        "\u2003conv\u00a020 5x5, relu, dense 10",
    ],
)
def test_ways_to_write_the_same(text: str) -> None:
    assert parsed(text) == ["conv 20 5x5", "relu", "dense 10"]


def test_options_are_read_in_any_order() -> None:
    (layer,) = Network.parse("conv 64 bias=no 3x5 dilation=2 pad=same stride=2x1 groups=4").layers
    assert layer == Conv(64, (3, 5), stride=(2, 1), pad="same", dilation=(2, 2), groups=4, bias=False)


def test_repeats_are_written_out_and_nest() -> None:
    assert parsed("(relu, (dense 2, tanh) x2) x2, dense 1") == [
        *["relu", "dense 2", "tanh", "dense 2", "tanh"] * 2,
        "dense 1",
    ]


def test_blocks_may_span_lines_and_nest() -> None:
    text = "residual(\n conv 4 3x3 pad=1 # first\n relu\n (conv 4 3x3 pad=1) x2\n | conv 4 1x1\n)"
    text += ", concat(relu | tanh | residual(relu))"
    assert parsed(text) == [
        "residual(conv 4 3x3 pad=1x1, relu, conv 4 3x3 pad=1x1, conv 4 3x3 pad=1x1 | conv 4 1x1)",
        "concat(relu | tanh | residual(relu))",
    ]


def test_the_input_line() -> None:
    assert Network.parse("input 3, dense 1").input == (3,)
    assert Network.parse("# a comment first\n\ninput 1x28x30\nrelu").input == (1, 28, 30)
    assert Network.parse("relu").input is None
    assert Network.parse("relu", input=(2, 2, 2)).input == (2, 2, 2)
    assert Network.parse("input 3, relu", input=(2, 2, 2)).input == (3,)


LAYERS = ["conv", "relu", "dense", "residual", "concat", "input", "dropout", "maxpool"]
VALUES = ["20", "5x5", "0.5", "1x8x8", "x3", "-1", "1e9", "999999999999", "stride=2", "pad=same", "bias=no", "="]
MARKS = ["(", ")", "|", ",", ";", "\n", "#", " "]
WORDS = st.sampled_from([*LAYERS, *VALUES, *MARKS])


@settings(max_examples=300)
@given(st.one_of(st.text(), st.lists(WORDS, max_size=40).map(" ".join)))
def test_any_text_gives_a_network_or_a_network_error(text: str) -> None:
    gives_network_or_error(text)


@settings(max_examples=300)
@given(st.sampled_from(presets.names()), st.randoms(use_true_random=False), st.integers(1, 6))
def test_any_mutated_preset_gives_a_network_or_a_network_error(name: str, chance: random.Random, times: int) -> None:
    text = presets.text(name)
    for _ in range(times):
        at, to = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        other = chance.choice(["", "(", ")", "|", "x", "9", "\n", "relu", text[at:to], "é\0\u2028"])
        text = text[:at] + other + text[chance.choice([at, at + 1, to]) :]
    gives_network_or_error(text)


def gives_network_or_error(text: str) -> None:
    try:
        network = Network.parse(text)
    except NetworkError as fault:
        told = str(fault)
    else:
        told = str(network)
        assert Network.parse(told) == network
    assert all(line.isprintable() for line in told.split("\n"))


@pytest.mark.parametrize(
    "text",
    [
        "(" * 500_000,
        "relu," * 200_000,
        "nonsense," * 100_000,
        "x" * 1_000_000,
        "input " + "1x" * 400_000,
        "conv " + "9" * 900_000,
        "((((((((relu) x9999) x9999) x9999) x9999) x9999) x9999) x9999) x9999",
        "(relu) x9999," * 70_000,
        "concat(" + "|".join(["(relu) x9999"] * 70_000) + ")",
        "residual(" * 8 + "(relu) x9000" + ")" * 8,
        "input 4x8x8," + "residual(" * 8 + "(conv 4 1x1) x900" + ")" * 8,
        "input 4x8x8," + "residual(" * 8 + "conv 4 1x1" + " | conv 4 1x1)" * 8,
        "input 4x8x8," + "residual(" * 7 + "(residual(conv 5 3x3 pad=1)) x2000" + ")" * 7,
        "input 4x64x64," + "residual(" * 6 + "(residual(conv 4 3x3 stride=2 pad=1)) x2" + ")" * 6,
        "input 1000000x1000000x1000000, " + "conv 1000000 1024x1024, " * 900,
        "relu " * 200_000,
        "conv 1 1x1 " + "pad=1 " * 150_000,
        ") " * 500_000,
        "|" * 1_000_000,
        "\n" * 1_000_000,
        "#" * 1_000_000,
        "relu" * 10_000_000,
    ],
    ids=lambda text: text[:20],
)
def test_hostile_texts_are_answered_quickly(text: str) -> None:
    started = time.process_time()
    gives_network_or_error(text)
    assert time.process_time() - started < 10


def test_text_is_never_executed() -> None:
    for text in ("__import__('os').system('false')", "{input.__class__}", "$(false)", "%s %n", "dense 2 bias=True"):
        with pytest.raises(NetworkError):
            Network.parse(text)


def test_every_bound_is_said() -> None:
    for text, allowed in [
        ("relu," * 10_001, "at most 10000"),
        ("(" * 9 + "relu", "at most 8"),
        ("relu" + " " * notation.MOST_CHARACTERS, "at most 1000000"),
        ("(relu) x10001", "x1 to x10000"),
        ("conv 1000001 1x1", "1 to 1000000"),
    ]:
        with pytest.raises(NetworkError) as raised:
            Network.parse(text)
        assert allowed in raised.value.allowed
