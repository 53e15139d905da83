"""`striate filters` and `striate fields`, called as the shell would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.cli.answers import OWN_MODEL, parsed, pixels, refused
from tests.cli.conftest import Command

from striate.model import Model


def test_filters_are_drawn_and_measured(striate: Command, digits_run: Path) -> None:
    told = parsed(striate("filters", digits_run, "--json"))
    weights = dict(Model.load(digits_run / "model.safetensors").module.named_parameters())["conv1.weight"]
    assert told["shape"] == [6, 1, 5, 5]
    rms = weights.detach().double().pow(2).mean((1, 2, 3)).sqrt()
    assert [unit["rms"] for unit in told["units"]] == pytest.approx(rms.tolist())
    assert "untrained" in striate("filters", "--net", "lenet5", "--out", digits_run / "filters" / "lenet5.png").err
    assert Path(told["picture"]) == digits_run / "filters" / "conv1.png"
    assert np.ptp(pixels(told["picture"])) > 100


def test_the_first_filters_are_found_where_weights_are_made_of_others(striate: Command, here: Path) -> None:
    (here / "own_models.py").write_text(
        "from torch import nn\nfrom torch.nn.utils.parametrizations import weight_norm\n"
        "def make():\n    first, second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)\n"
        "    return nn.Sequential(weight_norm(first), nn.ReLU(), second, nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    )
    told = parsed(striate("filters", *OWN_MODEL, "--json"))
    assert (told["layer"], told["shape"]) == ("0", [4, 3, 3, 3])


def test_fields_of_networks_without_weights(striate: Command) -> None:
    told = parsed(striate("fields", "conv 4 3x3 pad=1, maxpool 2x2, conv 4 3x3", "--input", "1x12x12", "--json"))
    assert [(row["layer"], row["size"], row["stride"], row["start"]) for row in told["layers"]] == [
        ("conv1", [3, 3], [1, 1], [-1, -1]),
        ("pool1", [4, 4], [2, 2], [-1, -1]),
        ("conv2", [8, 8], [2, 2], [-1, -1]),
    ]
    said = striate("fields", "vgg16")
    assert said.code == 0
    assert "212x212" in said.out  # 196 + 16: the field of the fifth pool (every table of VGG-16's fields)


def test_fields_are_drawn_on_an_image(striate: Command, digits_run: Path, here: Path) -> None:
    for words in ((digits_run, "--image", "test:0"), (*OWN_MODEL, "--image", "flat/1.png")):
        told = parsed(striate("fields", *words, "--out", here / "fields.png", "--json"))
        assert pixels(told["picture"]).shape[1] == 2560
        assert told["layers"][0]["size"] == [5, 5]


def test_fields_take_all_that_an_atlas_takes_of_a_module(striate: Command, here: Path) -> None:
    (here / "names.txt").write_text("agave\nrose\ntulip\n")
    plain = parsed(striate("fields", *OWN_MODEL, "--json"))
    more = ("--mean", ".5,.4,.3", "--std", ".2,.2,.2", "--classes", "names.txt")
    assert parsed(striate("fields", *OWN_MODEL, *more, "--json")) == plain
    assert parsed(striate("filters", *OWN_MODEL, *more, "--json"))["units"]
    (here / "names.txt").write_text("agave\nrose\n")
    refused(striate("fields", *OWN_MODEL, *more), "2 names of classes", "gives 3")


def test_what_is_of_a_module_is_refused_beside_a_network_without_weights(striate: Command) -> None:
    refused(striate("fields", "vanilla", "--weights", "none.pt", "--mean", "0"), "leave out --weights, --mean")


def test_fields_larger_than_the_image_are_explained(striate: Command) -> None:
    said = "a unit that sees more than the image sees padding around it"
    for command in ("fields", "describe"):
        assert said in striate(command, "conv 4 3x3 pad=1, globalavgpool, dense 2", "--input", "1x12x12").out
        assert said not in striate(command, "conv 4 3x3, globalavgpool, dense 2", "--input", "1x12x12").out


@pytest.mark.parametrize(
    "words",
    [
        ("data", "digits", "--sheet"),
        ("fields", "vanilla", "--image", "x.png", "--out"),
        ("filters", "--net", "vanilla", "--out"),
        ("evolution", "runs/kept", "--out"),
    ],
)
def test_a_png_has_no_other_name(words: tuple[str, ...], striate: Command, tmp_path: Path) -> None:
    refused(striate(*words, tmp_path / "picture.jpg"), "must name a .png file", "picture.jpg")
    assert not list(tmp_path.iterdir())


def test_fields_say_what_they_are_drawn_on(striate: Command, tmp_path: Path) -> None:
    refused(striate("fields", "vanilla", "--out", tmp_path / "fields.png"), "--image")
