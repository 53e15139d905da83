"""`striate explain` of models that were not trained here, with the options by which the other commands take them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.cli.answers import parsed, refused
from tests.cli.conftest import Command
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.data.pixels import fitted

MINE = """
import torch
from torch import nn
from own_models import Net

MEAN = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)

class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, stride=2), nn.LayerNorm(4)
        self.squeeze, self.excite = nn.Linear(4, 2), nn.Linear(2, 4)

    def forward(self, x):
        x = self.stem((x - MEAN) / 0.25)
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        s = self.excite(nn.functional.silu(self.squeeze(x.mean((2, 3))))).sigmoid()
        return x * s[:, :, None, None]

def gated():
    torch.manual_seed(5)
    return Gated()

def make():
    print("made")
    torch.manual_seed(3)
    return Net()
"""

MODEL = ("--module", "own_seeded:make", "--input", "3x16x16")
NUMBER = ("--layer", "second", "--unit", "5", "--at", "1,2")


@pytest.fixture
def own(here: Path) -> Iterator[Callable[[], nn.Module]]:
    """A module of the user's own in a file of the working folder; gives what makes it."""
    (here / "own_seeded.py").write_text(MINE)
    yield lambda: sys.modules["own_seeded"].make()  # noqa: PLW0108 - it is imported later
    sys.modules.pop("own_seeded", None)


def photo(at: int = 1) -> Tensor:
    """An image of the folder as the module takes it, on the scale 0 to 1."""
    with Image.open(Path("flat") / f"{at}.png") as image:
        return torch.from_numpy(fitted(image.convert("RGB"), (3, 16, 16), "crop"))[None].float() / 255


def pixels(held: dict[str, Any]) -> list[dict[str, Any]]:
    """The pixels that an explanation in JSON ends in."""
    found: list[dict[str, Any]] = []
    for below in held["below"]:
        found += [below["pixel"]] if "pixel" in below else pixels(below["explanation"])
    return found


def second(net: Any, x: Tensor) -> Tensor:
    return net.second(F.max_pool2d(F.relu(net.first(x)), 2))[0]


def test_a_module_of_ones_own_down_to_the_pixels(striate: Command, own: Callable[[], nn.Module]) -> None:
    words = ("explain", *MODEL, "--std", "0.5", "flat/1.png", *NUMBER)
    said = striate(*words, "--depth", "input", "--json")
    held = parsed(said)
    assert "made" in said.err  # what the user's code prints is not among the JSON
    assert held["agrees"]
    assert held["value"] == pytest.approx(float(second(own(), photo() / 0.5)[5, 1, 2].detach()), rel=1e-5)
    raw = (photo()[0] * 255).round()
    ends = pixels(held)
    assert len(ends) > 4
    for end in ends:
        row, column = end["position"]
        assert end["raw"] == raw[end["unit"], row, column]
        assert end["value"] == pytest.approx(end["raw"] / 255 / 0.5, rel=1e-6)
    shown = striate(*words)
    assert "second, unit 5 at row 1, column 2: " in shown.out
    assert "images go in on the scale" not in shown.err


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("width", ["60", "120"])
def test_a_gate_and_norms_of_ones_own_down_to_the_pixels(striate: Command, width: str) -> None:
    model = ("--module", "own_seeded:gated", "--input", "3x16x16")
    words = ("explain", *model, "flat/2.png", "--layer", "", "--unit", "3", "--at", "2,6", "--depth", "input")
    held = parsed(striate(*words, "--json"))
    net = sys.modules["own_seeded"].gated()
    with torch.no_grad():
        expected = net(photo(2))[0, 3, 2, 6]
    assert held["value"] == pytest.approx(float(expected), rel=1e-4, abs=1e-6)
    raw = (photo(2)[0] * 255).round()
    ends = pixels(held)
    assert len(ends) > 6
    assert all(end["raw"] == raw[(end["unit"], *end["position"])] for end in ends)
    said = striate(*words, "--width", width).out
    assert max(map(len, said.splitlines())) <= int(width)
    for kind in ("product", "layernorm", "sigmoid", "dense 4", "silu", "dense 2", "globalavgpool", "conv 4 3x3"):
        assert f"\n{kind} " in said
    assert "quotient with a constant of an input of 3x16x16" in said
    assert "difference from a constant of an input of 3x16x16" in said


@pytest.mark.usefixtures("here")
def test_what_is_taken_for_granted_is_said(striate: Command) -> None:
    said = striate("explain", "--net", "input 3x16x16; conv 4 3x3", "flat/1.png", "--layer", "conv1", "--unit", "0")
    assert said.code == 0
    assert "its weights are drawn with seed 0" in said.err
    assert "on the scale 0 to 1" in said.err


def test_weights_that_say_their_network_and_their_preprocessing(striate: Command, here: Path) -> None:
    conv = nn.Conv2d(3, 4, 5)
    weights = {f"conv1.{kind}": value for kind, value in conv.state_dict().items()}
    own = {"network": "input 3x16x16; conv 4 5x5; relu", "preprocessing": "mean 0.4 0.5 0.6, std 0.2 0.3 0.4"}
    save_file(weights, here / "told.safetensors", metadata=own)
    save_file(weights, here / "plain.safetensors")
    number = ("flat/1.png", "--layer", "conv1", "--unit", "2", "--at", "3,7", "--json")
    told = parsed(striate("explain", "told.safetensors", *number))
    by_options = ("--net", own["network"], "--weights", "plain.safetensors", "--mean", "0.4,0.5,0.6", "--std")
    assert parsed(striate("explain", *by_options, "0.2,0.3,0.4", *number)) == told
    x = (photo() - torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)) / torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    assert told["value"] == pytest.approx(float(conv(x)[0, 2, 3, 7].detach()), rel=1e-5)


@pytest.mark.usefixtures("hubs")
def test_models_of_hubs(striate: Command) -> None:
    number = ("flat/1.png", "--layer", "0", "--unit", "1", "--at", "0,3", "--depth", "1", "--json")
    held = parsed(striate("explain", "torchvision:resnet18", *number))
    mean, std = held["below"][0]["pixel"]["mean"], held["below"][0]["pixel"]["std"]
    assert (mean, std) in [(0.5, 0.2), (0.4, 0.2), (0.3, 0.2)]
    assert held["terms"]["b"] == 5  # its published weights
    assert parsed(striate("explain", "timm:resnet50", *number))["below"][0]["pixel"]["std"] == 0.5


def test_an_image_of_a_folder_by_its_number(striate: Command, own: Callable[[], nn.Module]) -> None:
    held = parsed(striate("explain", *MODEL, "--data", "flat", "test:3", *NUMBER, "--json"))
    assert held["image"] == "test:3"
    assert held["value"] == pytest.approx(float(second(own(), photo(3))[5, 1, 2].detach()), rel=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*MODEL, *NUMBER), ["say which number"]),
        ((), ["say which number"]),
        ((*MODEL, "flat/1.png", "flat/2.png", *NUMBER), ["--module says the model", "found 2: flat/1.png, flat/2.png"]),
        ((*MODEL, "torchvision:resnet18", "flat/1.png", *NUMBER), ["--module says the model"]),
        (("m.safetensors", "flat/1.png", "flat/2.png", *NUMBER), ["one image is explained at a time, found 2"]),
        ((*MODEL, "--net", "vanilla", "flat/1.png", *NUMBER), ["name one model"]),
        ((*MODEL[:2], "flat/1.png", *NUMBER), ["--input CxHxW"]),
        ((*MODEL, "--mean", "1,2", "flat/1.png", *NUMBER), ["--mean must be one number, or 3"]),
        ((*MODEL, "--classes", "own_seeded.py", "flat/1.png", *NUMBER), ["class"]),
        ((*MODEL, "flat", *NUMBER), ["flat is a folder"]),
        ((*MODEL, "gone.png", *NUMBER), ["gone.png"]),
        ((*MODEL, "test:0", *NUMBER), ["--data"]),
        ((*MODEL, "--data", "flat", "test:7", *NUMBER), ["test:0 to test:6"]),
        ((*MODEL, "flat/1.png", "--layer", "third", "--unit", "0"), ["no layer 'third' in Net"]),
        (("--module", "own_models:three", "--input", "3x8x8", "flat/1.png", *NUMBER), ["torch.nn.Module", "int"]),
        (("nowhere", "flat/1.png", *NUMBER), ["no run and no model at nowhere"]),
    ],
)
@pytest.mark.usefixtures("own")
def test_what_cannot_be_is_one_sentence(striate: Command, words: tuple[str, ...], said: list[str]) -> None:
    refused(striate("explain", *words), *said)


def test_options_that_a_run_would_not_heed(striate: Command, digits_run: Path) -> None:
    refused(striate("explain", digits_run, "test:0", *NUMBER, "--std", "2"), "stands for a model as it is; --std goes")


@pytest.mark.parametrize(
    "more",
    [
        ("photo.png",), ("--module", "own_seeded:make"), ("--net", "vanilla"), ("--weights", "w.pt"), ("--std", "1"),
        ("--input", "3x5x5"), ("--mean", "0"), ("--classes", "c.txt"), ("--follow", "2"), ("--terms", "3"),
        ("--data", "digits"), ("--data-root", "."), ("--layer", "conv2"), ("--depth", "input"), ("--training",),
    ],
)  # fmt: skip
def test_what_the_demo_would_not_heed(striate: Command, more: tuple[str, ...]) -> None:
    refused(striate("explain", "convolution-demo", *more), f"leave out {more[0]}")


def test_what_the_demo_heeds(striate: Command) -> None:
    words = ("--layer", "conv1", "--unit", "1", "--at", "0,0", "--seed", "3", "--width", "70")
    assert striate("explain", "convolution-demo", *words).code == 0


@pytest.mark.usefixtures("here")
def test_what_is_too_deep_for_json_is_refused_and_told_as_text(striate: Command) -> None:
    words = ("explain", "--net", "input 3x16x16, (conv 2 1x1) x400", "flat/1.png", "--layer", "conv400", "--unit", "0")
    deep = (*words, "--at", "0,0", "--depth", "input", "--follow", "1")
    refused(striate(*deep, "--json"), "400 layers within one another are too deep", "takes 200: say a smaller --depth")
    assert striate(*deep).out.count("\nmodule   ") == 400
    assert parsed(striate(*words, "--depth", "199", "--follow", "1", "--json"))["agrees"]
    refused(striate(*words, "--depth", "200", "--follow", "1", "--json"), "201 layers within one another")
