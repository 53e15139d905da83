"""The network as a value: names, shapes, sizes that are refused, adaptation to other data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from striate import presets
from striate.errors import NetworkError
from striate.layers.conv import Conv
from striate.layers.dense import Dense
from striate.network import MOST_PARAMETERS, Network


def test_a_network_is_a_value() -> None:
    one, other = Network.parse("input 3, dense 2"), Network((Dense(2),), (3,))
    assert one == other
    assert hash(one) == hash(other)
    assert one != Network.parse("input 4, dense 2")
    assert Network.parse("dense 2", allow_large=True) == Network.parse("dense 2")


def test_names_count_each_kind() -> None:
    network = Network.parse("conv 2 3x3, relu, maxpool 2x2, conv 2 3x3, relu, avgpool 2x2, dense 3, dense 1")
    assert network.names == ("conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "dense1", "dense2")


def test_shapes_outputs_and_parameters() -> None:
    network = Network.preset("vanilla")
    maps = [(20, 24, 24), (20, 24, 24), (20, 12, 12), (40, 8, 8), (40, 8, 8), (40, 4, 4)]
    assert list(network.shapes) == [*maps, (100,), (100,), (100,), (10,)]
    assert network.outputs == 10
    assert network.parameters == 20 * 26 + 40 * (20 * 25 + 1) + 100 * (640 + 1) + 10 * 101


def test_without_an_input_there_are_no_shapes() -> None:
    network = Network.parse("conv 20 5x5, dense 10")
    assert network.names == ("conv1", "dense1")
    for ask in (lambda: network.shapes, network.describe, network.build, lambda: network.parameters):
        with pytest.raises(NetworkError, match="start it with a line such as: input 1x28x28"):
            ask()


@pytest.mark.parametrize("input", [(28, 28), (0,), (1, -1, 3), (), (1, 2, 3, 4), (1, 28.0, 28), [1, 28, 28], "1x28x28"])
def test_inputs_that_are_none(input: Any) -> None:
    with pytest.raises(NetworkError, match="the input must be"):
        Network((Dense(2),), input)
    with pytest.raises(NetworkError, match="the input must be"):
        Network.parse("conv 2 3x3", input=input)


def test_layers_come_in_any_sequence_and_nothing_else_is_one(tmp_path: Path) -> None:
    listed = Network([Dense(2)], (3,))  # pyright: ignore[reportArgumentType]
    assert listed == Network((Dense(2),), (3,))
    assert hash(listed) == hash(Network((Dense(2),), (3,)))
    with pytest.raises(NetworkError, match="a network is made of layers, found 'dense 2'"):
        Network(("dense 2",))  # pyright: ignore[reportArgumentType]
    with pytest.raises(NetworkError, match=r"cannot read a network from .*none\.txt: No such file"):
        Network.load(tmp_path / "none.txt")


@pytest.mark.parametrize("options", [{"channels": 0}, {"channels": 1.0}, {"size": 32}, {"size": (0, 0)}])
def test_what_no_image_has_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match=r"the input must be|the size of the images must be"):
        Network.parse("input 3x32x32, conv 8 3x3, globalavgpool, dense 10").adapted(**options)


def test_no_layers_and_misfits_are_refused_in_python_too() -> None:
    with pytest.raises(NetworkError, match="at least one layer"):
        Network(())
    with pytest.raises(NetworkError, match=r"conv2 \(conv 3 9x9\) cannot take 2x4x4"):
        Network((Conv(2, (5, 5)), Conv(3, (9, 9))), (1, 8, 8))


def test_a_billion_parameters_are_refused_with_their_count_and_memory() -> None:
    text = "input 31622, dense 31622"
    assert Network.parse(text).parameters == 31622 * 31623 < MOST_PARAMETERS
    with pytest.raises(NetworkError, match=r"1,000,014,129 parameters \(4\.0 GB\).*--allow-large"):
        Network.parse("input 31622, dense 31623")
    large = Network.parse("input 31622, dense 31623", allow_large=True)
    assert large.parameters == 31623 * 31623
    assert large.adapted(classes=40_000).parameters == 31623 * 40_000
    with pytest.raises(NetworkError, match="too large"):
        Network.parse(text).adapted(classes=40_000)


def test_maps_that_fill_memory_are_refused() -> None:
    with pytest.raises(NetworkError, match=r"2,002,000,000,000 activations for one image \(8,008\.0 GB\)"):
        Network.parse("input 2x1000000x1000, relu\nconv 1998 1x1")


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_takes_other_photographs_and_classes(name: str) -> None:
    network = Network.preset(name)
    if name == "convolution-demo":  # gives maps, no classes
        assert network.adapted(channels=1, size=(9, 9)).shapes == ((2, 5, 5),)
        return
    adapted = network.adapted(channels=3, classes=7, size=(224, 224))
    assert adapted.input == (3, 224, 224)
    assert len(adapted.layers) == len(network.layers)
    assert adapted.shapes[-1] == (7,)


def test_adapting_changes_only_what_it_says() -> None:
    network = Network.parse("input 1x28x28, conv 20 5x5, dense 100, relu, dense 10, softmax")
    assert network.adapted() == network
    assert str(network.adapted(channels=3)) == str(network).replace("1x28x28", "3x28x28")
    assert str(network.adapted(size=(30, 40))) == str(network).replace("1x28x28", "1x30x40")
    assert str(network.adapted(classes=5)) == str(network).replace("dense 10\n", "dense 5\n")


def test_adapting_vectors() -> None:
    assert Network.parse("input 3, dense 2").adapted(channels=5).input == (5,)
    assert Network.preset("ann").adapted(channels=1, size=(28, 28), classes=10).shapes[-1] == (10,)
    with pytest.raises(NetworkError, match="both the channels and the size"):
        Network.parse("input 3, dense 2").adapted(size=(5, 5))


def test_adapting_what_has_no_input_yet() -> None:
    network = Network.parse("conv 20 5x5, dense 10")
    assert str(network.adapted(classes=3)) == "conv 20 5x5\ndense 3"
    assert network.adapted(channels=3, size=(9, 9)).input == (3, 9, 9)
    with pytest.raises(NetworkError, match="both the channels and the size"):
        network.adapted(channels=3)


def test_adapting_a_network_that_ends_in_a_convolution() -> None:
    network = Network.parse("input 3x9x9, conv 8 3x3, relu, conv 10 1x1, globalavgpool")
    assert str(network.adapted(classes=4)).splitlines()[3] == "conv 4 1x1"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("input 3x9x9, relu, globalavgpool", "no dense layer and no convolution"),
        ("input 3x9x9, conv 8 3x3", "cannot be given 4 outputs"),
        ("input 3x9x9, dense 8, concat(relu | tanh)", "cannot be given 4 outputs"),
    ],
)
def test_networks_that_cannot_be_given_other_outputs(text: str, match: str) -> None:
    with pytest.raises(NetworkError, match=match):
        Network.parse(text).adapted(classes=4)


@pytest.mark.parametrize("classes", [0, -1])
def test_no_outputs(classes: int) -> None:
    with pytest.raises(NetworkError, match="whole number from 1"):
        Network.parse("input 3, dense 2").adapted(classes=classes)


def test_adapting_to_images_that_are_too_small() -> None:
    with pytest.raises(NetworkError, match="cannot take"):
        Network.preset("lenet5").adapted(size=(8, 8))
