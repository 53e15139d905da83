"""`striate atlas`, called as the shell would."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cli.answers import OWN_MODEL, parsed, refused
from tests.cli.conftest import Command
from torch import nn

from striate import inside
from striate.model import Model
from striate.report.numbers import percent


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
    from striate import data

    model, images = Model.load(digits_run / "model.safetensors"), data.load("digits").validation.images
    with torch.no_grad():
        maps = model.module[:2](model.preprocessing.normalize(torch.from_numpy(images)))  # pyright: ignore[reportIndexIssue]
    zeros = percent(float((maps == 0).double().mean()), 100)
    (row,) = [line.split() for line in said.out.splitlines() if line.startswith("conv1")]
    assert row[:6] == ["conv1", "24x24", "5x5", "6", "0", zeros]
    assert (tmp_path / "mine" / "index.html").resolve().as_uri() in said.out


def test_projections_take_half_the_space_where_that_is_asked_for(
    striate: Command, digits_run: Path, tmp_path: Path
) -> None:
    for name, words in (("full", ()), ("half", ("--stored", "float16"))):
        assert (
            striate("atlas", digits_run, "--layers", "conv1", "--top", "1", "--out", tmp_path / name, *words).code == 0
        )
    full, half = (inside.Atlas.open(tmp_path / name).array("conv1", "projections") for name in ("full", "half"))
    assert (full.dtype, half.dtype) == (np.float32, np.float16)
    assert 0 < np.abs(full - half).max() <= 2.5e-4


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


def test_a_network_from_elsewhere_knows_no_image_and_is_shown_all(striate: Command, here: Path, photos: Path) -> None:
    words = ("atlas", *OWN_MODEL, "--data", photos, "--json")
    counts = {
        which: parsed(striate(*words, *more, "--out", here / which))["images"]
        for which, more in (("unsaid", ()), ("all", ("--split", "all")), ("test", ("--split", "test")))
    }
    assert counts["unsaid"] == counts["all"] > counts["test"]


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


def test_unreadable_images_of_a_plain_folder_are_told(striate: Command, here: Path) -> None:
    for at in range(7, 30):
        Image.fromarray(np.full((20, 20, 3), at, np.uint8)).save(here / "flat" / f"{at}.png")
    (here / "flat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    whole = (here / "flat" / "0.png").read_bytes()
    (here / "flat" / "cut.png").write_bytes(whole[: len(whole) // 2])  # its header is right
    said = striate("atlas", *OWN_MODEL, "--data", "flat", "--json")
    assert parsed(said)["images"] == 30
    assert "2 unreadable images" in said.err


def test_the_page_of_an_atlas_that_is_there_can_be_written(striate: Command, here: Path) -> None:
    images = torch.rand((5, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    made = inside.atlas(nn.Sequential(nn.Conv2d(1, 2, 3)), images, here / "made in Python")
    assert not (made.path / "index.html").exists()
    said = striate("atlas", made.path)
    assert said.code == 0, said.err
    assert said.out.splitlines()[-1] == f"atlas: {(made.path / 'index.html').as_uri()}"
    assert (made.path / "index.html").exists()
    told = parsed(striate("atlas", made.path, "--json"))
    assert [layer["units"] for layer in told["layers"]] == [2]
    for words in (("--layers", "0"), ("--top", "3"), ("--rule", "guided"), ("--stored", "float16"), ("--split", "all")):
        refused(striate("atlas", made.path, *words), "is an atlas", f"leave out {words[0]}")
    refused(striate("atlas", made.path, "--top", "9", "--data-root", here), "leave out --top, --data-root")
    refused(striate("atlas", made.path, "--mean", "0.5"), "is an atlas")


def test_an_atlas_that_was_stopped_at_its_page_is_kept_and_says_so(
    striate: Command, digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(folder: Path) -> Path:
        raise KeyboardInterrupt

    out = tmp_path / "atlas"
    with monkeypatch.context() as patch:
        patch.setattr("striate.report.atlas.atlas_page", stopped)
        said = striate("atlas", digits_run, "--out", out)
    assert said.code == 130
    assert f"striate atlas {out} writes it" in said.err
    assert striate("atlas", out).code == 0
    assert (out / "index.html").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
