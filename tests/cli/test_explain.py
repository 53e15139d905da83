"""`striate explain` as it is typed: what is printed is read back and worked out again by hand."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.model import Model, Preprocessing
from striate.network import Network

from .answers import refused
from .conftest import Command
from .printed import Printed, numbers, read

WIDTHS = ["60", "80", "140"]


def worked_out(printed: Printed, tolerance: float) -> float:
    """Follows one convolution: every product, every sum, the bias, the value; returns the value."""
    value = 0.0
    for channel in printed.channels.values():
        for patch, weights, products in zip(channel.patch, channel.weights, channel.products, strict=True):
            for x, w, product in zip(patch, weights, products, strict=True):
                assert x * w == pytest.approx(product, abs=tolerance)
        total = sum(sum(row) for row in channel.products)
        assert total == pytest.approx(channel.total, abs=tolerance * len(channel.products) ** 2)
        value += channel.total
    value += printed.number("bias") if "bias" in printed.lines else 0.0
    value += numbers(printed.lines["rest"])[0] if "rest" in printed.lines else 0.0
    assert value == pytest.approx(printed.number("value"), abs=1e-4 if tolerance else 0)
    return value


@pytest.mark.parametrize("width", WIDTHS)
def test_the_demo_followed_by_hand(striate: Command, width: str) -> None:
    """All 18 outputs, each with its 27 products; the input and the padding read off the patches agree throughout."""
    said = striate("explain", "convolution-demo", "--seed", "5", "--width", width)
    assert said.code == 0
    outputs = read(said.out)
    assert len(outputs) == 18
    for printed in outputs:
        assert sorted(printed.channels) == [0, 1, 2]
        assert sum(len(row) for channel in printed.channels.values() for row in channel.products) == 27
        value = worked_out(printed, tolerance=0)
        assert numbers(printed.title)[-1] == value == numbers(printed.lines["module"])[0]
    assert max(map(len, said.out.splitlines())) <= int(width)


@pytest.mark.parametrize("seed", ["0", "11"])
def test_the_demos_json_by_nested_loops(striate: Command, seed: str) -> None:
    held = json.loads(striate("explain", "convolution-demo", "--seed", seed, "--json").out)
    x, W, b = np.array(held["input"]), np.array(held["filters"]), held["biases"]
    assert x.shape == (3, 5, 5)
    assert W.shape == (2, 3, 3, 3)
    assert len(held["outputs"]) == 18
    for output in held["outputs"]:
        (i, j), o = output["position"], output["unit"]
        total = float(b[o])
        for c in range(3):
            for u in range(3):
                for v in range(3):
                    if 0 <= 2 * i + u - 1 < 5 and 0 <= 2 * j + v - 1 < 5:
                        total += float(W[o, c, u, v]) * float(x[c, 2 * i + u - 1, 2 * j + v - 1])
        assert output["value"] == output["module_value"] == total


@pytest.mark.parametrize("more", [("--step",), ("--width", "60")])
def test_json_of_the_demo_is_not_printed_in_a_way(striate: Command, more: tuple[str, ...]) -> None:
    refused(striate("explain", "convolution-demo", "--json", *more), f"{more[0]} is of the text")


def test_the_demos_output_stands_at_its_end(striate: Command) -> None:
    said = striate("explain", "convolution-demo")
    values = [numbers(printed.title)[-1] for printed in read(said.out)]
    ending = said.out[said.out.index("output, filter 0") :].splitlines()
    tables = [numbers(line) for line in ending if not line.startswith("output")]
    assert [value for row in tables for value in row] == values


def test_one_output_of_the_demo(striate: Command) -> None:
    said = striate("explain", "convolution-demo", "--unit", "1", "--at", "2,0", "--step")
    (printed,) = read(said.out)
    assert printed.title.startswith("conv1, unit 1 at row 2, column 0: ")
    assert "rows 3 to 5 and columns −1 to 1 of 5x5; what lies outside is padding, 0" in said.out


Cube = list[list[list[float]]]


def by_hand(x: Cube, W: Cube, i: int, j: int) -> tuple[list[float], float]:
    """The 27 products of the window whose first corner is row 2i − 1, column 2j − 1, and their sum; 0 outside of x."""
    products = [
        W[c][u][v] * x[c][2 * i + u - 1][2 * j + v - 1] if 0 <= 2 * i + u - 1 <= 4 and 0 <= 2 * j + v - 1 <= 4 else 0
        for c in range(3)
        for u in range(3)
        for v in range(3)
    ]
    return products, sum(products)


@pytest.mark.parametrize("keys", ["\n" * 17, "\n" * 40, "next\n" * 17])
def test_the_demo_step_by_step(striate: Command, monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    """Enter by Enter all 18 outputs come in order; two of them are followed from the input and the filters alone."""
    drawn = json.loads(striate("explain", "convolution-demo", "--seed", "7", "--json").out)
    monkeypatch.setattr("sys.stdin", io.StringIO(keys))
    said = striate("explain", "convolution-demo", "--seed", "7", "--step")
    outputs = read(said.out)
    places = [(o, i, j) for o in range(2) for i in range(3) for j in range(3)]
    assert [tuple(map(int, numbers(each.title)[1:4])) for each in outputs] == places
    assert [sum(map(len, each.channels[c].products)) for each in outputs for c in range(3)] == [9] * 54
    for o, i, j in ((0, 0, 2), (1, 1, 1)):
        printed = outputs[places.index((o, i, j))]
        products, total = by_hand(drawn["input"], drawn["filters"][o], i, j)
        assert [xw for c in range(3) for row in printed.channels[c].products for xw in row] == products
        assert printed.number("bias") == drawn["biases"][o]
        assert printed.number("value") == total + drawn["biases"][o]
    assert said.err.count("Enter: the next output") == 17


@pytest.mark.parametrize(
    ("keys", "shown"), [("", 1), ("q\n", 1), ("\n", 2), ("\n\nq\n\n\n", 3), ("\nQuit\n", 2), ("\n" * 9 + " q", 10)]
)
def test_q_or_the_end_of_the_input_stops_the_demo(
    striate: Command, monkeypatch: pytest.MonkeyPatch, keys: str, shown: int
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(keys))
    said = striate("explain", "convolution-demo", "--step")
    assert said.code == 0
    assert len(read(said.out)) == shown
    ending = said.out[said.out.index("output, filter 0") :]
    assert ending.count("·") == (9 - shown if shown < 9 else 18 - shown)


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_the_demo_step_by_step_at_a_terminal() -> None:
    """As a person has it: a terminal on both sides, Enter twice, then q."""
    import pty

    person, terminal = pty.openpty()
    words = [sys.executable, "-m", "striate", "explain", "convolution-demo", "--step", "--width", "80"]
    process = subprocess.Popen(
        words, stdin=terminal, stdout=terminal, stderr=terminal, env={**os.environ, "NO_COLOR": "1"}
    )
    os.close(terminal)
    os.write(person, b"\n\nq\n")
    said = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal that nobody holds any more with an error
        while piece := os.read(person, 4096):
            said += piece
    os.close(person)
    assert process.wait(30) == 0
    outputs = read(re.sub(r"\x1b\[[\d;]*m", "", said.decode()).replace("\r\n", "\n"))
    assert [numbers(each.title)[1:4] for each in outputs] == [[0, 0, 0], [0, 0, 1], [0, 0, 2]]
    for printed in outputs:
        worked_out(printed, tolerance=0)


def test_dropout_in_training_draws_by_its_seed(striate: Command, tmp_path: Path) -> None:
    network = Network.parse("input 1x6x6, conv 2 3x3, dense 40, dropout 0.5, dense 2")
    model = Model(network.build(seed=1), Preprocessing((1, 6, 6), (0.5,), (0.5,)), network=network)
    model.save(tmp_path / "model.safetensors")
    Image.fromarray(np.full((6, 6), 200, np.uint8)).save(tmp_path / "gray.png")
    words = ["explain", tmp_path / "model.safetensors", tmp_path / "gray.png", "--layer", "dropout1", "--unit"]

    def drawn(seed: int) -> list[float]:
        said = [striate(*words, str(unit), "--training", "--seed", str(seed), "--json") for unit in range(6)]
        return [json.loads(each.out)["terms"]["known"]["m"] for each in said]

    first = drawn(0)
    assert set(first) == {0.0, 1.0}
    assert drawn(1) != first
    assert "In evaluation nothing is left out" in striate(*words, "0").out


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model file and a photo, and nothing else: no run."""
    folder = tmp_path_factory.mktemp("model")
    network = Network.parse("input 3x12x12, conv 5 3x3 pad=1, relu, maxpool 2x2, conv 4 5x5 stride=2 pad=2, dense 3")
    preprocessing = Preprocessing((3, 12, 12), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    Model(network.build(seed=2), preprocessing, ("a", "b", "c"), network).save(folder / "model.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    return folder / "model.safetensors", folder / "photo.png"


@pytest.mark.parametrize("width", ["80", "140"])
@pytest.mark.parametrize("where", [("conv1", "3", "0,7"), ("conv2", "1", "1,2")])
def test_a_photo_followed_by_hand(
    striate: Command, saved: tuple[Path, Path], where: tuple[str, str, str], width: str
) -> None:
    layer, unit, at = where
    words = [*saved, "--layer", layer, "--unit", unit, "--at", at]
    (printed,) = read(striate("explain", *words, "--width", width).out)
    held = json.loads(striate("explain", *words, "--json").out)
    assert worked_out(printed, tolerance=2e-3) == pytest.approx(held["value"], abs=1e-4)
    assert held["agrees"]
    shown = np.array([printed.channels[c].patch for c in sorted(printed.channels)])
    np.testing.assert_allclose(shown, held["terms"]["x"], atol=1e-3)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--seed", "3"), "--seed draws what dropout leaves out: it needs --training"),
        (("--follow", "2"), "--follow says how many terms to follow down: it needs --depth"),
        (("--terms", "2", "--json"), "--terms is of the text; --json has every term"),
        (("--width", "60", "--json"), "--width is of the text; --json has every term"),
    ],
)
def test_an_option_that_would_not_count_is_refused(
    striate: Command, saved: tuple[Path, Path], more: tuple[str, ...], why: str
) -> None:
    words = [*map(str, saved), "--layer", "dense1", "--unit", "2"]
    refused(striate("explain", *words, *more), why)
    assert striate("explain", *words).code == 0


def test_down_to_the_pixels_of_a_photo(striate: Command, saved: tuple[Path, Path]) -> None:
    pixels = np.asarray(Image.open(saved[1]))
    said = striate("explain", *saved, "--layer", "dense1", "--unit", "2", "--depth", "input", "--follow", "2")
    found = re.findall(r"image at channel (\d) at row (\d+), column (\d+)\n.*= \((\d+) / 255", said.out)
    assert len(found) >= 4
    for channel, row, column, raw in found:
        assert pixels[int(row), int(column), int(channel)] == int(raw)
    for layer in ("dense1", "conv2", "pool1", "relu1", "conv1"):
        assert f"\n{layer}, unit" in f"\n{said.out}"


def test_an_image_of_the_runs_test_split(striate: Command, digits_run: Path) -> None:
    words = ["explain", digits_run, "test:17", "--layer", "conv1", "--unit", "3"]
    said = striate(*words, "--at", "4,5", "--depth", "1")
    assert said.code == 0
    (printed,) = read(said.out)
    worked_out(printed, tolerance=2e-3)
    assert "is the image at channel 0" in said.out
    assert json.loads(striate(*words, "--json").out)["position"] is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--layer", "conv9", "--unit", "0"], "no layer 'conv9' in Sequential: nearest are conv1"),
        (["--layer", "conv1", "--unit", "99"], "no unit 99 in conv1: it has 6 units, 0 to 5"),
        (["--layer", "conv1", "--unit", "0", "--at", "24,0"], "rows 0 to 23 and columns 0 to 23"),
        (["--layer", "dense1", "--unit", "0", "--at", "0,0"], "which have no position"),
        (["--layer", "conv1", "--unit", "0", "--at", "4"], "--at must be ROW,COLUMN such as 4,5, found '4'"),
        (["--layer", "conv1", "--unit", "0", "--depth", "all"], "whole number of layers such as 2, or input"),
        (["--layer", "conv9"], "no layer 'conv9' in Sequential: nearest are conv1"),
        (["--layer", "conv1"], "say which number"),
        (["--unit", "1"], "say which number"),
    ],
)
def test_what_does_not_exist_is_one_sentence(
    striate: Command, digits_run: Path, options: list[str], words: str
) -> None:
    said = striate("explain", digits_run, "test:0", *options)
    assert said.code == 2
    assert words in said.err
    assert "\n" not in said.err.strip()
    assert said.out == ""


def test_other_faults_are_one_sentence(striate: Command, digits_run: Path) -> None:
    number = ["--layer", "conv1", "--unit", "0"]
    for words, part in (
        (["explain", "no/run", "test:0", *number], "no run and no model at no/run"),
        (["explain", digits_run, "test:99999", *number], "test:0 to test:"),
        (["explain", digits_run, "no.png", *number], "no.png"),
        (["explain", "convolution-demo", "photo.png"], "brings its own image"),
        (["explain", "convolution-demo", "--unit", "2"], "no unit 2 in conv1"),
        (["explain", "convolution-demo", "--at", "3,0"], "no position 3,0 in conv1"),
        (["explain", digits_run, "test:0", *number, "--step"], "--step goes with convolution-demo"),
    ):
        said = striate(*words)
        assert said.code == 2
        assert "\n" not in said.err.strip()
        assert part in said.err


def test_colours_change_nothing_but_the_colours(striate: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def printed_with(**settings: str) -> str:
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        return striate("explain", "convolution-demo", "--unit", "0", "--at", "1,1").out

    plain, coloured = printed_with(COLUMNS="80"), printed_with(COLUMNS="80", FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[" not in plain
    assert "\x1b[1m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
    assert "\x1b[3" not in printed_with(COLUMNS="80", FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")
    (narrow,), (wide,) = read(plain), read(printed_with(COLUMNS="140"))
    assert narrow.channels == wide.channels


def test_in_a_process_of_its_own() -> None:
    """Through a pipe, as `striate explain convolution-demo | less` has it, in a terminal of a given width."""
    words = [sys.executable, "-m", "striate", "explain", "convolution-demo", "--unit", "1", "--at", "0,2"]
    done = subprocess.run(
        words, env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True, encoding="utf-8", check=True
    )
    (printed,) = read(done.stdout)
    worked_out(printed, tolerance=0)
    assert done.stderr == ""
