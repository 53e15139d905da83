"""Models that were not trained here, and wishes that cannot be: what the commands that look inside make of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.cli.answers import OWN_MODEL, parsed, refused
from tests.cli.conftest import Command
from torch import nn


def test_weights_find_their_network_in_a_text_or_in_their_own_metadata(striate: Command, here: Path) -> None:
    text = "input 3x16x16; conv 4 5x5; relu; maxpool 2x2; conv 6 3x3; relu"
    net = nn.Sequential(nn.Conv2d(3, 4, 5), nn.Conv2d(4, 6, 3))
    weights = {f"conv{k + 1}.{kind}": value for k in (0, 1) for kind, value in net[k].state_dict().items()}
    save_file(weights, here / "plain.safetensors")
    own = {"network": text, "preprocessing": "RGB/255, mean 0.485 0.456 0.406, std 0.229 0.224 0.225"}
    save_file(weights, here / "told.safetensors", metadata=own)
    torch.save(weights, here / "plain.pt")
    by_text = ("--net", text, "--mean", "0.485,0.456,0.406", "--std", "0.229 0.224 0.225", "--weights")
    answers = [
        parsed(striate("look", *words, "flat/1.png", "--out", here / str(at), "--json"))[0]["numbers"]
        for at, words in enumerate(((*by_text, "plain.safetensors"), (*by_text, "plain.pt"), ("told.safetensors",)))
    ]
    layers = [json.loads(Path(answer).read_text())["layers"] for answer in answers]
    assert layers[0] == layers[1] == layers[2]
    with Image.open(here / "flat" / "1.png") as image:
        from striate.data.pixels import fitted

        x = torch.from_numpy(fitted(image.convert("RGB"), (3, 16, 16), "crop"))[None].float() / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    expected = net[0](x).relu().amax((0, 2, 3)).tolist()
    assert [unit["maximum"] for unit in layers[0][0]["units"]] == pytest.approx(expected, rel=1e-4)


def test_models_of_hubs_come_with_their_preprocessing_and_classes(striate: Command, hubs: Path) -> None:
    told = parsed(striate("look", "torchvision:resnet18", "flat/1.png", "--json"))
    assert told[0]["class"] in ("rose", "tulip", "agave")
    assert parsed(striate("atlas", "timm:resnet50", "--data", "flat", "--json"))["layers"][0]["units"] == 4
    weights = {"0.weight": torch.ones(4, 3, 3, 3), "0.bias": torch.zeros(4)}
    save_file({**weights, "3.weight": torch.zeros(3, 784), "3.bias": torch.zeros(3)}, hubs / "own.safetensors")
    drawn = parsed(striate("filters", "torchvision:resnet18", "--weights", "own.safetensors", "--json"))
    assert [unit["rms"] for unit in drawn["units"]] == [1, 1, 1, 1]


def test_a_hub_is_not_imported_unless_it_is_named(striate: Command, hubs: Path, digits_run: Path) -> None:
    import sys

    assert striate("filters", digits_run, "--out", hubs / "f.png").code == 0
    assert not {"torchvision", "timm"} & set(sys.modules)


def test_what_a_hub_lacks_is_said(striate: Command, hubs: Path) -> None:
    refused(striate("filters", "torchvision:resnet19"), "no model resnet19", "resnet18")
    said = striate("filters", "timm:offline")
    assert said.code == 1
    assert "no route to host" in said.err


def test_a_hub_that_is_not_installed_is_said(striate: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torchvision", None)
    refused(striate("filters", "torchvision:resnet18"), "torchvision")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--module", "no_such_package.models:make"), ["no_such_package"]),
        (("--module", "own_models"), ["PACKAGE.MODULE:FACTORY"]),
        (("--module", "own_models.py:make"), ["not a file: say --module own_models:make"]),
        (("--module", "nets/own_models.py:make"), ["say --module nets.own_models:make"]),
        (("--module", "../own_models.py:make"), ["say --module own_models:make in the folder .."]),
        (("--module", "own_models:gone", "--input", "3x8x8"), ["no gone in the module own_models"]),
        (("--module", "own_models:broken", "--input", "3x8x8"), ["KeyError", "weights"]),
        (("--module", "own_models:quits", "--input", "3x8x8"), ["SystemExit"]),
        (("--module", "own_models:three", "--input", "3x8x8"), ["torch.nn.Module", "int"]),
        (("--module", "own_models:number", "--input", "3x8x8"), ["int"]),
        (("--module", "own_models:make"), ["--input"]),
        (("--module", "own_models:make", "--input", "16"), ["3x224x224"]),
        (("--module", "own_models:make", "--input", "1x16x16"), ["1x16x16", "channels"]),
        ((*OWN_MODEL, "--mean", "1,2"), ["--mean", "3"]),
        ((*OWN_MODEL, "--std", "0"), ["std"]),
        ((*OWN_MODEL, "--weights", "none.pt"), ["none.pt"]),
        ((*OWN_MODEL, "--weights", "own_models.py"), [".safetensors"]),
        ((*OWN_MODEL, "--classes", "own_models.py"), ["class"]),
        ((*OWN_MODEL, "--net", "vanilla"), ["one model"]),
        (("--net", "conv 3 3x3, relu"), ["--input"]),
        (("--net", "convolution"), ["convolution"]),
        ((), ["one model"]),
        (("nowhere",), ["nowhere"]),
        (("own_models.py", "--module", "own_models:make"), ["name one model: own_models.py, or --module"]),
        (("own_models.py", "--net", "vanilla"), ["name one model: own_models.py, or --net"]),
        (("own_models.py", "--mean", "0.5"), ["--mean goes with --module, with --net"]),
    ],
)
def test_what_is_no_model_is_refused_in_one_sentence(
    striate: Command, here: Path, words: tuple[str, ...], said: list[str]
) -> None:
    del here
    refused(striate("filters", *words), *said)


def test_absurd_wishes_are_refused_in_one_sentence(striate: Command, digits_run: Path, here: Path) -> None:
    refused(striate("filters", digits_run, "--layer", "relu1"), "conv1")
    refused(striate("filters", digits_run, "--weights", "x.pt"), "--weights")
    refused(striate("atlas", digits_run, "--layers", "conv7"), "conv7")
    refused(striate("atlas", digits_run, "--layers", ","), "--layers")
    refused(striate("atlas", *OWN_MODEL), "--data")
    refused(striate("atlas", *OWN_MODEL, "--data", "flat", "--split", "test"), "--split")
    refused(striate("atlas", *OWN_MODEL, "--data", "nowhere"), "nowhere")
    (here / "empty").mkdir()
    refused(striate("atlas", *OWN_MODEL, "--data", "empty"), "no images")
    (here / "flat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").write_text("")
    refused(striate("atlas", digits_run, "--out", here / "mine"), "not an atlas")
    refused(striate("look", digits_run), "image")
    refused(striate("look", digits_run, "test:1000"), "test:999")
    refused(striate("look", digits_run, "flat/broken.png"), "broken.png")
    refused(striate("look", digits_run, "gone.png"), "gone.png")
    refused(striate("look", digits_run, "flat"), "flat is a folder", "--data flat")
    refused(striate("look", digits_run, "test:0", "--layers", "dense1"), "no maps")
    refused(striate("fields"), "name a run", "preset")
    refused(striate("fields", "conv 3 3x3"), "--input")
    refused(striate("fields", "vanilla", "--image", "gone.png"), "gone.png")
