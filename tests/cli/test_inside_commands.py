"""The commands that look inside: what they print, write and refuse, called as the shell would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.cli.conftest import Command, Said
from torch import nn

from striate.model import Model

OWN = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 4, 5), nn.Conv2d(4, 6, 3), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(F.relu(self.second(F.max_pool2d(F.relu(self.first(x)), 2))).mean((2, 3)))

def make():
    print("made")
    return Net()

def gelu():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.GELU(), nn.Conv2d(2, 2, 3))

def broken():
    raise KeyError("weights")

def quits():
    raise SystemExit(7)

three, number = (lambda: 3), 4
"""

HUB = """
from torch import nn

def resnet(pretrained):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 3))
    nn.init.constant_(net[0].bias, 5.0 if pretrained else 0.0)
    return net
"""

TORCHVISION = """
from types import SimpleNamespace
from hub_models import resnet

class _Wants:
    crop_size, mean, std = [16], [0.5, 0.4, 0.3], [0.2, 0.2, 0.2]

DEFAULT = SimpleNamespace(transforms=_Wants, meta={"categories": ["rose", "tulip", "agave"]})
list_models = lambda: ["resnet18"]
get_model_weights = lambda name: SimpleNamespace(DEFAULT=DEFAULT)

def get_model(name, weights=None):
    return resnet(weights is DEFAULT)
"""

TIMM = """
from hub_models import resnet

def list_models():
    return ["resnet50", "offline"]

def create_model(name, pretrained=False):
    if name == "offline":
        raise OSError("no route to host")
    net = resnet(pretrained)
    net.pretrained_cfg = {"input_size": (3, 16, 16), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    return net
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a module of the user's own, and photographs without class folders."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_models.py").write_text(OWN)
    (tmp_path / "flat" / "deeper").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for at in range(7):
        place = tmp_path / "flat" / ("deeper" if at > 4 else "") / f"{at}.png"
        Image.fromarray(draw.integers(0, 255, (20, 24, 3), np.uint8)).save(place)
    yield tmp_path
    import sys

    for name in [
        name for name in sys.modules if name.split(".")[0] in ("own_models", "hub_models", "torchvision", "timm")
    ]:
        del sys.modules[name]


@pytest.fixture
def hubs(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for torchvision and timm where Python finds packages."""
    place = here / "packages"
    (place / "torchvision").mkdir(parents=True)
    (place / "hub_models.py").write_text(HUB)
    (place / "torchvision" / "__init__.py").write_text("")
    (place / "torchvision" / "models.py").write_text(TORCHVISION)
    (place / "timm.py").write_text(TIMM)
    monkeypatch.syspath_prepend(str(place))
    return here


OWN_MODEL = ("--module", "own_models:make", "--input", "3x16x16")


def parsed(said: Said) -> Any:
    assert said.code == 0, said.err
    return json.loads(said.out)


def refused(said: Said, *words: str) -> None:
    """Exit code 2, one sentence that holds these words, nothing on standard output, no traceback."""
    assert said.code == 2, said
    last = said.err.strip().splitlines()[-1]
    assert "Traceback" not in said.err
    assert said.out == ""
    for word in words:
        assert word in last, (word, said.err)


def pixels(path: Path | str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_the_atlas_of_a_run_lies_in_it_and_names_the_strongest_images(striate: Command, digits_run: Path) -> None:
    told = parsed(striate("atlas", digits_run, "--top", "2", "--json"))
    assert Path(told["atlas"]) == digits_run / "atlas"
    assert "conv1" in Path(told["page"]).read_text(encoding="utf-8")
    assert told["images"] == 1000
    assert [(layer["name"], layer["units"]) for layer in told["layers"]] == [("conv1", 6)]
    kept = json.loads((digits_run / "atlas" / "atlas.json").read_text())
    strongest = kept["layers"][0]["units"][0]["top"]
    assert len(strongest) <= 2
    from striate import data

    model, images = Model.load(digits_run / "model.safetensors"), torch.from_numpy(data.load("digits").test.images)
    with torch.no_grad():  # by brute force: every activation of the first unit
        maps = model.module[:2](model.preprocessing.normalize(images))[:, 0].amax((1, 2))  # pyright: ignore[reportIndexIssue]
    assert strongest[0]["image"] == int(maps.argmax())
    assert strongest[0]["value"] == pytest.approx(float(maps.max()), rel=1e-5)


def test_an_atlas_says_what_it_made(striate: Command, digits_run: Path, tmp_path: Path) -> None:
    said = striate("atlas", digits_run, "--split", "validation", "--layers", "conv1", "--out", tmp_path / "mine")
    assert said.code == 0
    assert "500 images" in said.out
    assert "conv1" in said.out
    assert (tmp_path / "mine" / "index.html").resolve().as_uri() in said.out


def test_an_atlas_of_all_splits(striate: Command, here: Path, photos: Path) -> None:
    from striate import data

    told = parsed(striate("atlas", *OWN_MODEL, "--data", photos, "--split", "all", "--out", here / "a", "--json"))
    loaded = data.load(photos, size=(16, 16), channels=3)
    splits = (loaded.train, loaded.validation, loaded.test)
    assert told["images"] == sum(map(len, splits))
    kept = json.loads((here / "a" / "atlas.json").read_text())
    labels = [int(label) for split in splits for label in split.labels]
    sources = [source for split in splits for source in split.sources]
    places = [place for layer in kept["layers"] for unit in layer["units"] for place in unit["top"]]
    assert max(place["image"] for place in places) >= len(loaded.train)
    assert all(place["label"] == labels[place["image"]] for place in places)
    assert all(place["source"] == sources[place["image"]] for place in places)
    assert parsed(striate("atlas", *OWN_MODEL, "--data", "flat", "--split", "all", "--json"))["images"] == 7


def test_a_folder_without_classes_can_be_looked_at(striate: Command, here: Path) -> None:
    said = striate("atlas", *OWN_MODEL, "--data", "flat", "--json")
    told = parsed(said)
    assert "flat has no classes" in said.err
    assert told["images"] == 7
    kept = json.loads((here / told["atlas"] / "atlas.json").read_text())
    assert kept["classes"] == []
    units = [unit for layer in kept["layers"] for unit in layer["units"]]
    assert {unit["selectivity"] for unit in units} == {None}
    assert {Path(place["source"]).parent.name for unit in units for place in unit["top"]} == {"flat", "deeper"}


def test_class_folders_give_classes_to_a_model_that_has_none(striate: Command, here: Path, photos: Path) -> None:
    told = parsed(striate("atlas", *OWN_MODEL, "--data", photos, "--split", "train", "--out", here / "a", "--json"))
    kept = json.loads((here / "a" / "atlas.json").read_text())
    assert kept["classes"] == ["rose", "tulip", "ágave"]
    assert told["data"] == "my photos, train"


def test_a_sheet_holds_the_answers_that_the_model_gives(striate: Command, digits_run: Path, tmp_path: Path) -> None:
    told = parsed(striate("look", digits_run, "test:17", "test:3", "--out", tmp_path, "--json"))
    assert [Path(one["sheet"]).name for one in told] == ["test-17.png", "test-3.png"]
    numbers = json.loads((tmp_path / "test-17.json").read_text())
    from striate import data

    images = data.load("digits").test
    model = Model.load(digits_run / "model.safetensors")
    shares = [share["probability"] for share in numbers["prediction"]]
    assert shares == pytest.approx(model.predict(images.images[17:18])[0].tolist(), abs=1e-5)
    assert numbers["true_class"] == numbers["target"] == str(images.labels[17])
    occlusion, cam, layer = numbers["occlusion"], numbers["grad_cam"], numbers["layers"][0]
    assert np.shape(occlusion["probability"]) == (28, 28)
    assert np.shape(cam["map"]) == tuple(layer["shape"][1:]) == (24, 24)
    maxima = [unit["maximum"] for unit in layer["units"]]
    assert layer["strongest"] == [u for u in np.argsort(maxima)[::-1].tolist() if maxima[u] > 0]
    assert pixels(told[0]["sheet"]).shape[1] == 2560


def test_looking_tells_how_far_it_is(digits_run: Path) -> None:
    from striate import data
    from striate.report.look import look

    told: list[tuple[str, int, int | None]] = []
    model, image = Model.load(digits_run / "model.safetensors"), data.load("digits").test.images[0]
    looked = look(model, image, progress=lambda stage, done, of: told.append((stage, done, of)))
    assert looked.occlusion is not None
    places = looked.occlusion.probability.size
    assert told[:2] == [("projecting", 0, 1), ("projecting", 1, 1)]
    assert {stage for stage, _, _ in told[2:]} == {"occluding"}
    assert [done for _, done, _ in told[2:]] == sorted({done for _, done, _ in told[2:]})
    assert told[-1] == ("occluding", places, places)


def test_a_square_over_the_middle_hides_what_the_map_says(striate: Command, digits_run: Path, tmp_path: Path) -> None:
    parsed(striate("look", digits_run, "test:5", "--square", "7", "--out", tmp_path, "--json"))
    occlusion = json.loads((tmp_path / "test-5.json").read_text())["occlusion"]
    from striate import data

    model, images = Model.load(digits_run / "model.safetensors"), data.load("digits").test.images[5:6]
    x = model.preprocessing.normalize(torch.from_numpy(np.array(images)))
    x[..., 11:18, 7:14] = 0  # the square of 7 pixels around row 14, column 10
    with torch.no_grad():
        expected = model.module(x).softmax(1)[0, occlusion["true_class"]]
    at = occlusion["probability"][occlusion["rows"].index(14)][occlusion["columns"].index(10)]
    assert at == pytest.approx(float(expected), abs=1e-5)


def test_files_can_be_looked_at_with_a_model_of_ones_own(striate: Command, here: Path) -> None:
    said = striate("look", *OWN_MODEL, "flat/1.png", "flat/deeper/5.png", "--json")
    told = parsed(said)  # what the user's code printed is not in it
    assert "made" in said.err
    assert "on the scale 0 to 1" in said.err
    assert [one["class"][:6] for one in told] == ["output", "output"]
    numbers = json.loads(Path(told[0]["numbers"]).read_text())
    assert [layer["name"] for layer in numbers["layers"]] == ["first", "second"]
    assert numbers["layers"][0]["activation"] == "after relu"


def test_what_has_no_rule_is_left_out_and_said(striate: Command, here: Path) -> None:
    words = ("look", "--module", "own_models:gelu", "--input", "3x16x16", "flat/1.png", "--json")
    left = json.loads(Path(parsed(striate(*words))[0]["numbers"]).read_text())["left_out"]
    assert any("gelu" in sentence for sentence in left)
    assert any("no class scores" in sentence for sentence in left)
    told = parsed(striate(*words, "--others", "gradient"))
    assert not any("gelu" in said for said in json.loads(Path(told[0]["numbers"]).read_text())["left_out"])


def test_filters_are_drawn_and_measured(striate: Command, digits_run: Path) -> None:
    told = parsed(striate("filters", digits_run, "--json"))
    weights = dict(Model.load(digits_run / "model.safetensors").module.named_parameters())["conv1.weight"]
    assert told["shape"] == [6, 1, 5, 5]
    rms = weights.detach().double().pow(2).mean((1, 2, 3)).sqrt()
    assert [unit["rms"] for unit in told["units"]] == pytest.approx(rms.tolist())
    assert "untrained" in striate("filters", "--net", "lenet5", "--out", digits_run / "filters" / "lenet5.png").err
    assert Path(told["picture"]) == digits_run / "filters" / "conv1.png"
    assert np.ptp(pixels(told["picture"])) > 100


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
        (("--module", "own_models:gone", "--input", "3x8x8"), ["has no gone"]),
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
    refused(striate("look", digits_run, "test:0", "--layers", "dense1"), "no maps")
    refused(striate("fields", "conv 3 3x3"), "--input")
    refused(striate("fields", "vanilla", "--image", "gone.png"), "gone.png")


def test_unreadable_images_of_a_plain_folder_are_told(striate: Command, here: Path) -> None:
    for at in range(7, 30):
        Image.fromarray(np.full((20, 20, 3), at, np.uint8)).save(here / "flat" / f"{at}.png")
    (here / "flat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    whole = (here / "flat" / "0.png").read_bytes()
    (here / "flat" / "cut.png").write_bytes(whole[: len(whole) // 2])  # its header is right
    said = striate("atlas", *OWN_MODEL, "--data", "flat", "--json")
    assert parsed(said)["images"] == 30
    assert "2 unreadable images" in said.err
