"""Atlases of what cannot be shown, and folders that hold something else."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import gray_images, small_net
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from striate.errors import DataError, Failure, ModelError
from striate.inside.atlases.array_files import ArrayFile
from striate.inside.atlases.atlas import atlas
from striate.inside.atlases.folder import Atlas
from striate.model import Model


def test_faults_are_named_before_any_work(tmp_path: Path) -> None:
    net, images = small_net(), gray_images()
    with pytest.raises(ModelError, match="no layer 'cnv'"):
        atlas(net, images, tmp_path / "a", ["cnv"])
    with pytest.raises(ModelError, match="sigmoid"):
        atlas(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Conv2d(2, 2, 3)), images, tmp_path / "a")
    with pytest.raises(ModelError, match="top must be at least 1"):
        atlas(net, images, tmp_path / "a", top=0)
    with pytest.raises(DataError, match="empty"):
        atlas(net, images[:0], tmp_path / "a")
    with pytest.raises(DataError, match="only once"):
        atlas(net, iter([images]), tmp_path / "a")
    with pytest.raises(DataError, match="need a Model"):
        atlas(net, images.to(torch.uint8), tmp_path / "a")
    images[7, 0, 3, 3] = torch.nan
    with pytest.raises(Failure, match="not a finite number for image 7"):
        atlas(net, images, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_an_atlas_is_replaced_but_nothing_else_is(tmp_path: Path) -> None:
    net, images = small_net(), gray_images()
    atlas(net, images, tmp_path / "a", top=1)
    made = atlas(net, images, tmp_path / "a", top=2)
    assert made.contents["top"] == 2
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="not an atlas"):
        atlas(net, images, tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_batches_that_change_between_passes_are_refused(tmp_path: Path) -> None:
    images = gray_images()
    order = torch.Generator().manual_seed(6)

    class Shuffled:
        def __iter__(self) -> Iterator[Tensor]:
            return iter(images[torch.randperm(len(images), generator=order)].split(10))

    loader = DataLoader(TensorDataset(images), batch_size=10, shuffle=True, generator=order)
    for number, data in enumerate((Shuffled(), loader)):
        with pytest.raises(DataError, match="other images each time they are gone through: turn off shuffling"):
            atlas(small_net(), data, tmp_path / str(number))
        assert not (tmp_path / str(number)).exists()


def test_an_atlas_shows_itself_in_a_line(tmp_path: Path) -> None:
    made = atlas(small_net(), gray_images(), tmp_path / "a")
    assert repr(made) == f"Atlas(path={tmp_path / 'a'!r})"


def test_opening_what_is_no_atlas_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no atlas in"):
        Atlas.open(tmp_path)
    (tmp_path / "atlas.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(DataError, match="not of the format"):
        Atlas.open(tmp_path)
    made = atlas(small_net(), gray_images(), tmp_path / "a", top=1)
    with pytest.raises(ModelError, match="choose one of 0, 3"):
        made.layer("9")
    with pytest.raises(ModelError, match="units 0 to 5"):
        made.unit("0", 6)


def test_names_that_are_no_utf8_can_be_written(tmp_path: Path) -> None:
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    made = atlas(nn.Sequential(nn.Conv2d(1, 2, 3)), images, tmp_path / "atlas", classes=("caf\udce9", "b"))
    assert json.loads((tmp_path / "atlas" / "atlas.json").read_text())["classes"] == ["caf\udce9", "b"]
    assert made.contents["data"] == "", "a tensor has no name"


def test_images_that_the_model_does_not_take_are_refused_at_once(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    model = Model.foreign(net, (1, 8, 8), name="mine")
    for shape in ((1, 9, 9), (3, 8, 8), (1, 8, 7)):
        found = "x".join(map(str, shape))
        with pytest.raises(DataError, match=f"^mine takes images of 1x8x8, found {found}$"):
            atlas(model, np.zeros((2, *shape), np.uint8), tmp_path / "atlas")
        with pytest.raises(DataError, match=f"^Sequential cannot be run on an image of {found}: "):
            atlas(net, torch.zeros(2, *shape), tmp_path / "atlas")
    batches = [torch.zeros(2, 1, 8, 8), torch.zeros(1, 1, 9, 9)]
    with pytest.raises(DataError, match=r"image 2 has the shape \(1, 9, 9\), those before it \(1, 8, 8\)"):
        atlas(net, batches, tmp_path / "atlas")
    assert not list(tmp_path.iterdir())


def test_sheets_of_many_places_stay_within_what_webp_allows(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 288, 1), nn.ReLU())
    with torch.no_grad():  # all but one unit are dead
        net[0].bias[:287] = -100  # pyright: ignore[reportIndexIssue]
    made = atlas(net, torch.rand(2, 1, 4, 4), tmp_path / "a", top=49)
    sizes: list[tuple[int, int]] = []
    for name in made.layer("0")["sheets"]:
        with Image.open(made.path / name) as sheet:
            sizes.append(sheet.size)
    assert len(sizes) == 2
    assert max(height for _, height in sizes) <= 12_000


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system promises no room on the disk")
def test_room_on_the_disk_is_there_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    with ArrayFile(path, {"x": ((1000, 1000), "float32")}):
        held = path.stat()
        assert held.st_blocks * 512 >= held.st_size > 4e6

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left on device: the arrays of a layer take .* MB"):
        atlas(small_net(), gray_images(), tmp_path / "full")
    assert [left.name for left in tmp_path.iterdir()] == ["a.safetensors"]
