"""`striate look`, called as the shell would."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.cli.answers import OWN_MODEL, parsed, pixels
from tests.cli.conftest import Command

from striate.model import Model
from striate.pictures import shortened


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
    from striate.inside.studies.looking import look

    told: list[tuple[str, int, int | None]] = []
    model, image = Model.load(digits_run / "model.safetensors"), data.load("digits").test.images[0]
    looked = look(model, image, progress=lambda stage, done, of: told.append((stage, done, of)))
    assert looked.occlusion is not None
    places = looked.occlusion.probability.size
    assert told[:2] == [("projecting", 0, 1), ("projecting", 1, 1)]
    assert {stage for stage, _, _ in told[2:]} == {"occluding"}
    assert [done for _, done, _ in told[2:]] == sorted({done for _, done, _ in told[2:]})
    assert told[-1] == ("occluding", places, places)


def test_names_of_classes_are_written_whole_under_the_labels(digits_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from striate import data
    from striate.inside.studies.looking import look
    from striate.report import canvas
    from striate.report.look_sheet import sheet

    written: list[str] = []

    def kept(text: str, room: int, measure: Callable[[str], int]) -> str:
        written.append(shortened(text, room, measure))
        return written[-1]

    model = Model.load(digits_run / "model.safetensors")
    model = replace(model, classes=tuple(f"Rosen, Röschen {digit}" for digit in range(10)))
    monkeypatch.setattr(canvas, "shortened", kept)
    sheet(look(model, data.load("digits").test.images[0]))
    named = [text for text in written if text.startswith("Rosen")]
    assert named.count("Rosen, Röschen 0") == 2, "under the prediction and under the labels"
    assert not [text for text in named if "…" in text]


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


def test_no_sheet_takes_the_place_of_another(striate: Command, here: Path) -> None:
    words = ["flat/1.png", "flat/deeper/5.png"]
    for name, source in (("one/a.png", words[0]), ("two/a.png", words[1]), ("a-2.png", words[0])):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_bytes((here / source).read_bytes())
    told = parsed(striate("look", *OWN_MODEL, "one/a.png", "two/a.png", "a-2.png", "--layers", "first", "--json"))
    assert len({one["sheet"] for one in told}) == 3
    for one in told:
        assert json.loads(Path(one["numbers"]).read_text())["image"] == one["image"]


def test_what_has_no_rule_is_left_out_and_said(striate: Command, here: Path) -> None:
    words = ("look", "--module", "own_models:gelu", "--input", "3x16x16", "flat/1.png", "--json")
    left = json.loads(Path(parsed(striate(*words))[0]["numbers"]).read_text())["left_out"]
    assert any("gelu" in sentence for sentence in left)
    assert any("no class scores" in sentence for sentence in left)
    told = parsed(striate(*words, "--others", "gradient"))
    assert not any("gelu" in said for said in json.loads(Path(told[0]["numbers"]).read_text())["left_out"])
