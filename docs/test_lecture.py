"""The lecture's page is held to the program: its numbers, what its commands print, and its pictures."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import generate
import numpy as np
import pytest
import torch
from lecture import catalogue, studies, testing
from PIL import Image

from striate import Network, data, inside
from striate.claims.shared_weights import unshared
from striate.cli import main
from striate.layers.sigmoids import Sigmoid, Tanh
from striate.report.canvas import DENSITY
from striate.report.numbers import count
from striate.summary import Row

FOLDER = Path(generate.DOCS) / "lecture"
PAGE = (generate.DOCS / "lecture.md").read_text(encoding="utf-8")
WORDS = re.sub(r"[ \n]+", " ", re.sub(r"```.*?```", "", PAGE, flags=re.S))

SHOWN = re.findall(r'<img src="lecture/([^"]+)" alt="[^"]+" width="([0-9]+)">', PAGE)
"""Every picture of the page and the CSS pixels it is shown at."""

COLUMN = 840
"""CSS pixels that a page leaves a picture."""

LARGEST = 600_000
"""Bytes that the lecture's pictures and their numbers may take together."""

VANILLA = {row.name: row for row in Network.preset("vanilla").describe().rows}


def described(text: str) -> Network:
    return Network.parse(text)


def seen(row: Row) -> tuple[int, int]:
    """Rows and columns of the image that a unit of a layer looks at."""
    assert row.field is not None
    return row.field.size


def side(n: int, k: int, s: int) -> int:
    """How many windows of k fit into n at stride s, counted one by one."""
    return sum(start + k <= n for start in range(0, n, s))


def sentences() -> list[str]:
    conv1 = VANILLA["conv1"]
    twenty, three = described("input 1x28x28, conv 20 5x5"), described("input 1x28x28, conv 3 5x5")
    thirty, whole = described("input 784, dense 30"), described(f"input 784, dense {20 * 24 * 24}, dense 1")
    dense = whole.describe().rows[0]
    fields = [seen(VANILLA[name])[0] for name in ("conv1", "pool1", "conv2", "pool2")]
    unpooled = described(", ".join(line for line in str(Network.preset("vanilla")).splitlines() if "pool" not in line))
    return [
        f"the network 3-4-4-1: {Network.preset('ann').parameters} numbers are learned",
        f"28x28 in, a 5x5 field, stride 1: {side(28, 5, 1)}x{side(28, 5, 1)} out",
        f"With stride 2 it is {side(28, 5, 2)}x{side(28, 5, 2)}, with stride 3 it is {side(28, 5, 3)}x{side(28, 5, 3)}",
        f"have 3 · (5 · 5 + 1) = {three.parameters} parameters, twenty have {twenty.parameters}",
        f"Thirty fully connected units on the same 784 pixels have {count(thirty.parameters)}",
        f"outputs of those twenty maps would have {count(dense.parameters)}",
        "{0}x{0} pixels in conv1, {1}x{1} after pooling, {2}x{2} in conv2, {3}x{3} after the second".format(*fields),
        f"would have {count(unpooled.parameters)} parameters instead of {count(Network.preset('vanilla').parameters)}",
        f"reads {math.prod(seen(conv1))} pixels, not {28 * 28}: {count(conv1.multiply_adds)}",
        f"for the whole layer instead of {count(dense.multiply_adds)}",
        f"{conv1.parameters} parameters; with weights of its own at every position it would have "
        f"{count(unshared(conv1))}, fully connected {count(dense.parameters)}",
        f"as this network saw {count(len(data.load('digits').train))} digits four times",
    ]


@pytest.mark.parametrize("sentence", sentences())
def test_numbers_are_counted(sentence: str) -> None:
    assert sentence in WORDS


def test_the_demo_has_the_shapes_and_sums_it_is_said_to_have() -> None:
    network = Network.preset("convolution-demo")
    assert (network.input, network.shapes) == ((3, 5, 5), ((2, 3, 3),))
    assert "each of its 18 numbers is a sum of 27 products and a bias" in WORDS.lower()
    assert 2 * 3 * 3 == 18


def test_slopes_are_at_most_what_is_said() -> None:
    x = np.linspace(-20, 20, 4001)
    assert Sigmoid().derivative(x).max() == pytest.approx(0.25)
    assert Tanh().derivative(x).max() == pytest.approx(1)
    assert "sigmoid is at most 0.25, that of tanh at most 1" in WORDS


def test_gradients_differ_as_much_as_is_said() -> None:
    normalized, plain = (line["y"] for line in json.loads((FOLDER / "gradients.json").read_text())["lines"])
    assert 50 < 10 ** (normalized[0] - plain[0]) < 200
    assert "the first layer's gradient is about a hundred times as long" in WORDS
    assert normalized[-1] - normalized[-2] > 2  # powers of ten
    assert min(normalized[:-1]) > normalized[-2] - 0.1
    assert "it falls once, from the last layer to the one before, and no further" in WORDS


def test_the_claims_picture_shows_what_is_said() -> None:
    lines = {line["name"]: line for line in json.loads((FOLDER / "claim.json").read_text())["lines"]}
    cnn, ann, moved_cnn, moved_ann = (
        lines[name] for name in ("CNN", "ANN", "CNN, shuffled pixels", "ANN, shuffled pixels")
    )
    assert f"the CNN falls from {cnn['said']} to {moved_cnn['said']}" in WORDS
    assert cnn["low"] > ann["high"] > ann["low"] > moved_cnn["high"]
    assert f"the ANN has {ann['said']} and {moved_ann['said']}" in WORDS
    assert moved_ann["high"] > ann["low"], "their intervals meet"
    assert moved_ann["low"] < ann["high"], "their intervals meet"


def test_behind_a_stride_of_two_shifts_of_odd_and_even_size_differ_as_is_said() -> None:
    module = Network.preset("vanilla").build(seed=0)
    images = torch.tensor(data.load("digits").test.images[:4]) / 255
    found = inside.equivariance(module, "conv2", images, transform="shift", amounts=[1, 2, 3, 4])
    odd, even = found.interior[0][[0, 2]], found.interior[0][[1, 3]]
    assert even.max() < 1e-5
    assert odd.min() > 0.1
    assert "Behind a stride of 2 it holds for shifts by an even number of pixels." in WORDS


def test_what_commands_print_is_fresh() -> None:
    assert generate.lecture_page() == PAGE, "run `make docs`"
    assert PAGE.count("```text\n") == len(generate.SHOWN.findall(PAGE))


def test_the_pictures_are_those_of_the_page() -> None:
    shown = {name for name, _ in SHOWN}
    made = {*catalogue.COMMANDS, *catalogue.SHEETS, *(f"{plot.__name__}.png" for plot in catalogue.PLOTS), "ann.svg"}
    kept = [path for path in FOLDER.iterdir() if path.suffix in (".png", ".svg", ".json")]
    assert shown == made == {path.name for path in kept if path.suffix != ".json"}
    assert sum(path.stat().st_size for path in kept) < LARGEST


def test_pictures_are_shown_at_half_their_pixels_where_there_is_room() -> None:
    for name, width in SHOWN:
        if name.endswith(".png"):
            with Image.open(FOLDER / name) as picture:
                assert int(width) == min(picture.width // DENSITY, COLUMN), name


def test_the_page_prints_the_commands_that_made_its_pictures() -> None:
    for command in (studies.TRAIN, testing.CLAIM, *catalogue.COMMANDS.values()):
        assert f"$ {command}\n" in PAGE


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> studies.Study:
    """The page's one run, in a folder of its own."""
    return studies.Study.made(tmp_path_factory.mktemp("lecture"))


COMMANDS = [line[2:] for block in re.findall(r"```console\n(.*?)```", PAGE, re.S) for line in block.splitlines()]


@pytest.mark.parametrize("command", [words for words in COMMANDS if words.split()[1] in ("describe", "explain")])
def test_cheap_commands_of_the_page_run(command: str, study: studies.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study.place)
    assert main(shlex.split(command)[1:]) == 0


def test_dropout_keeps_and_leaves_out_the_unit_as_is_said(
    study: studies.Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study.place)
    said: list[str] = []
    for command in (words for words in COMMANDS if "--layer dropout1" in words):
        main(shlex.split(command)[1:])
        said.append(capsys.readouterr().out)
    assert ["m = 1." in each for each in said] == [False, True, False]
    assert ["m = 0." in each for each in said] == [False, False, True]
    assert "step keeps unit 39, the third's leaves it out" in WORDS


@pytest.mark.slow
@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, re.S), ids=lambda code: code.split()[1])
def test_the_pages_python_runs(code: str, study: studies.Study, tmp_path: Path) -> None:
    shutil.copytree(study.place / "runs" / "lecture", tmp_path / "runs" / "lecture")
    words = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_the_pictures_can_be_made(tmp_path: Path, study: studies.Study) -> None:
    catalogue.draw(tmp_path, study)
    names = {path.name for path in FOLDER.iterdir() if path.suffix in (".png", ".svg", ".json")}
    assert {path.name for path in tmp_path.iterdir()} == names
