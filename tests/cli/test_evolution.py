"""`striate evolution`, called as the shell would."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.cli.answers import parsed, pixels, refused
from tests.cli.conftest import NETWORK, Command
from torch import nn

from striate import data
from striate.cli import main
from striate.pictures.colors import PAPER
from striate.train import Run


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs that kept both."""
    out = tmp_path_factory.mktemp("runs") / "kept"
    words = ["train", "digits", "--net", NETWORK, "--epochs", "2", "--precision", "float32", "--threads", "1"]
    assert main([*words, "--set", "keep_epochs=true", "--out", str(out)]) == 0
    return out


def test_units_are_followed_over_the_epochs_that_a_run_kept(striate: Command, kept: Path) -> None:
    told = parsed(striate("evolution", kept, "--units", "3", "--split", "validation", "--json"))
    (layer,) = told["layers"]
    assert (layer["layer"], layer["read"], layer["epochs"], layer["units"]) == ("conv1", "relu1", [1, 2], [0, 2, 5])
    images = torch.from_numpy(np.array(data.load("digits").validation.images))
    for epoch, row in zip((1, 2), layer["moments"], strict=True):
        model = Run.open(kept).model(epoch)
        assert isinstance(model.module, nn.Sequential)
        with torch.no_grad():
            maps = model.module[:2](model.preprocessing.normalize(images))
        for moment in row:
            strongest = maps[:, moment["unit"]].amax((1, 2))
            assert moment["value"] == pytest.approx(float(strongest.max()), rel=1e-5)
            assert moment["image"] == int(strongest.argmax())
    assert json.loads(Path(told["numbers"]).read_text()) == told["layers"]
    assert Path(told["picture"]) == kept / "evolution.png"
    drawn = pixels(told["picture"])
    assert drawn.shape[1] >= 2 * (640 + 2 * 32)
    assert (drawn[[0, -1]] == PAPER).all()
    assert np.ptp(drawn) > 200


def test_units_can_be_named_and_a_dead_one_is_said(striate: Command, kept: Path, tmp_path: Path) -> None:
    picture = tmp_path / "one.png"
    said = striate("evolution", kept, "--layers", "dense1", "--unit", "7", "--unit", "3", "--out", picture)
    assert said.code == 0, said.err
    assert "dense1: units 7, 3; the strongest image changed in " in said.out
    assert picture.exists()
    assert picture.with_suffix(".json").exists()


def test_what_has_no_epochs_is_refused_in_one_sentence(striate: Command, kept: Path, digits_run: Path) -> None:
    refused(striate("evolution", digits_run), "kept no epochs", "keep_epochs=true")
    refused(striate("evolution", digits_run / "model.safetensors"), "name the folder of a run")
    refused(striate("evolution", digits_run / "gone"), "no run and no model")
    refused(striate("evolution", kept, "--layers", "conv9"), "no layer 'conv9'", "conv1")
    refused(striate("evolution", kept, "--unit", "6"), "units 0 to 5, found 6")
