from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from deconvnet_reference import deconvnet
from PIL import Image
from small_networks import gray_images, small_net
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.data.dataset import Split
from striate.errors import DataError
from striate.inside.atlases.atlas import atlas
from striate.inside.atlases.folder import Atlas
from striate.inside.projections.projection import project
from striate.model import Model


class Branching(nn.Module):
    """Functional ReLUs, a residual sum, a concatenation, a convolution that is no submodule's, one ReLU for all."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.inner = nn.Conv2d(6, 6, 3, padding=1)
        self.side = nn.Conv2d(6, 4, 1)
        self.last = nn.Conv2d(10, 5, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = torch.relu_(x + self.inner(x))
        x = F.max_pool2d(torch.cat([x, self.side(x).relu()], 1), 3, 2)
        return F.relu(self.last(x), inplace=True).mean((2, 3))


def by_brute_force(maps: Tensor, top: int) -> list[list[tuple[int, int]]]:
    """For every unit the (image, position) of its places, by sorting all; maps after the ReLU."""
    flat = maps.flatten(2).numpy()
    ranked: list[list[tuple[int, int]]] = []
    for unit in range(flat.shape[1]):
        peaks = [(-float(m.max()), image, int(m.argmax())) for image, m in enumerate(flat[:, unit]) if m.max() > 0]
        ranked.append([(image, position) for _, image, position in sorted(peaks)[:top]])
    return ranked


def places(made: Atlas, layer: str) -> list[list[tuple[int, int]]]:
    columns = made.layer(layer)["shape"][2]
    return [
        [(item["image"], item["position"][0] * columns + item["position"][1]) for item in unit["top"]]
        for unit in made.layer(layer)["units"]
    ]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_places_equal_brute_force_however_the_images_come(batch: int, precision: str, tmp_path: Path) -> None:
    net, images = small_net(), gray_images()
    made = atlas(net, list(images.split(batch)), tmp_path / "a", precision=precision)  # pyright: ignore[reportArgumentType]
    whole = atlas(net, images, tmp_path / "b")
    for layer, depth in (("0", 2), ("3", 5)):
        with torch.no_grad():
            maps = net[:depth](images)
        assert places(made, layer) == by_brute_force(maps, 9)
        assert np.array_equal(made.array(layer, "values"), whole.array(layer, "values"))
        assert np.array_equal(made.array(layer, "projections"), whole.array(layer, "projections"))


def test_statistics_and_dead_units(tmp_path: Path) -> None:
    net, images = small_net(), gray_images()
    labels = torch.arange(len(images)) % 3
    data = [(images[k : k + 16], labels[k : k + 16]) for k in range(0, len(images), 16)]
    made = atlas(net, data, tmp_path / "a", classes=("a", "b", "c"))
    with torch.no_grad():
        maps = net[:5](images).numpy()
    for u, unit in enumerate(made.layer("3")["units"]):
        assert unit["dead"] is (u == 5)
        assert unit["mean"] == pytest.approx(maps[:, u].mean(), rel=1e-5)
        assert unit["zeros"] == pytest.approx((maps[:, u] == 0).mean(), abs=1e-9)
        assert unit["maximum"] == maps[:, u].max()
        assert bool(unit["top"]) is (u != 5)
        if u == 5:
            assert unit["selectivity"] is None
            continue
        means = [maps[labels.numpy() == k, u].mean() for k in range(3)]
        best = int(np.argmax(means))
        rest = (sum(means) - means[best]) / 2
        assert unit["selectivity"]["name"] == "abc"[best]
        assert unit["selectivity"]["index"] == pytest.approx((means[best] - rest) / (means[best] + rest), rel=1e-4)
        assert {item["class"] for item in unit["top"]} <= set("abc")


def shown_on_whole(made: Atlas, layer: str, unit: int, place: int, image_shape: tuple[int, ...]) -> np.ndarray:
    """A projection put back on the whole image."""
    item, cell = made.unit(layer, unit)["top"][place], made.projections(layer, unit)[place]
    whole = np.zeros((image_shape[0], image_shape[1] + 2 * 99, image_shape[2] + 2 * 99), np.float32)
    top, left = (start + 99 for start in item["shown"])
    whole[:, top : top + cell.shape[1], left : left + cell.shape[2]] = cell
    return whole[:, 99:-99, 99:-99]


def test_classes_without_names_are_called_by_their_numbers(tmp_path: Path) -> None:
    net, images = small_net(), gray_images()
    labels = torch.arange(len(images)) % 4 - 1  # -1: not known
    data = list(zip(images.split(7), labels.split(7), strict=True))
    made = atlas(net, data, tmp_path / "a")
    partly = atlas(net, data, tmp_path / "b", classes=("zero",))
    assert made.contents["classes"] == ["0", "1", "2"]
    assert partly.contents["classes"] == ["zero", "1", "2"]
    with torch.no_grad():
        maps = net[:5](images)
    means = np.stack([maps[labels == k].mean((0, 2, 3)).numpy() for k in range(3)])
    assert np.allclose(made.array("3", "class_means"), means, rtol=1e-5)
    for u, unit in enumerate(made.layer("3")["units"]):
        favoured = None if u == 5 else int(means[:, u].argmax())
        assert (unit["selectivity"] and unit["selectivity"]["class"]) == favoured
        assert all(item["label"] in {None, *labels[labels >= 0].tolist()} for item in unit["top"])


def test_what_stands_in_the_place_of_labels_and_is_none(tmp_path: Path) -> None:
    net, images = small_net(), gray_images()
    others = (torch.rand(40), torch.zeros(40, 14, 14, dtype=torch.int64), ["cat"] * 40, {"boxes": 1}, torch.zeros(3))
    for number, other in enumerate(others):
        made = atlas(net, [(images, other)], tmp_path / str(number))
        assert made.contents["classes"] == []
        assert made.unit("3", 0)["selectivity"] is None
    with pytest.raises(DataError, match="labels must be class numbers from 0 to 65535, found 1000000"):
        atlas(net, [(images, torch.full((40,), 10**6))], tmp_path / "large")


def test_a_block_that_ends_in_a_convolution_is_no_layer_of_its_own(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 3))
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Identity(), before, nn.Dropout2d())
    made = atlas(net, gray_images(), tmp_path / "a")
    with torch.no_grad():
        maps = net.eval()(gray_images())
    assert made.layers == ("0", "2.2")
    assert [unit["maximum"] for unit in made.layer("2.2")["units"]] == maps.amax((0, 2, 3)).tolist()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_layers_with_the_same_activations_may_be_named_together(
    precision: Literal["float32", "bfloat16"], tmp_path: Path
) -> None:
    net, images = small_net(), gray_images()
    made = atlas(net, images, tmp_path / "a", ["3", "4", "5"], precision=precision)
    alone = atlas(net, images, tmp_path / "b", ["3"])
    assert made.layers == ("3", "4", "5")
    for name in ("3", "4"):
        assert made.layer(name)["units"] == alone.layer("3")["units"]
        assert np.array_equal(made.array(name, "projections"), alone.array("3", "projections"))


@pytest.mark.parametrize(("stored", "tolerance"), [("float16", 2.5e-4), ("float32", 1e-6)])
def test_projections_equal_the_explicit_reference(
    stored: Literal["float16", "float32"], tolerance: float, tmp_path: Path
) -> None:
    net, images = small_net(), gray_images()
    made = atlas(net, images, tmp_path / "a", stored=stored)
    for layer, depth in (("0", 2), ("3", 5)):
        for unit in made.layer(layer)["units"]:
            for place, item in enumerate(unit["top"]):
                expected = deconvnet(
                    list(net)[:depth], images[item["image"]][None], unit["unit"], item["position"]
                ).numpy()
                found = shown_on_whole(made, layer, unit["unit"], place, (1, 14, 14))
                assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()
    assert made.layer("3")["method"] == "windows"


def test_a_foreign_module_of_any_shape(tmp_path: Path) -> None:
    net, images = Branching().train(), torch.randn(20, 3, 17, 15, generator=torch.Generator().manual_seed(2))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    made = atlas(net, images, tmp_path / "a", top=4)
    assert made.layers == ("stem", "inner", "side", "last")
    assert [made.layer(name)["method"] for name in made.layers] == [
        "windows",
        "windows",
        "whole images",
        "whole images",
    ]
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    for layer in ("inner", "last"):
        item = made.unit(layer, 1)["top"][2]
        expected = project(net, images[item["image"]], layer, 1, tuple(item["position"])).numpy()
        if layer == "last":
            assert item["value"] > 0
        found = shown_on_whole(made, layer, 1, 2, (3, 17, 15))
        assert np.abs(found - expected).max() <= 2e-6 * np.abs(expected).max()
    net.eval()
    with torch.no_grad():
        stem = F.relu(net.norm(net.stem(images)))
    assert places(made, "stem") == by_brute_force(stem, 4)


def test_patches_are_the_image_under_the_field(tmp_path: Path) -> None:
    net = small_net()
    images = np.random.default_rng(0).integers(0, 256, (30, 1, 14, 14), dtype=np.uint8)
    model = Model.foreign(net, (1, 14, 14), mean=(0.5,), std=(0.25,))
    data = Split(images, np.arange(30) % 5, [f"photo {k}" for k in range(30)])
    made = atlas(model, data, tmp_path / "a")
    assert made.layer("3")["receptive_field"] == {"size": [8, 8], "stride": [2, 2], "start": [-1, -1]}
    for unit in made.layer("3")["units"]:
        for item, patch in zip(unit["top"], made.patches("3", unit["unit"]), strict=True):
            top, left, bottom, right = item["box"]
            framed = np.pad(images[item["image"]], ((0, 0), (9, 9), (9, 9)))
            assert np.array_equal(patch, framed[:, top + 9 : bottom + 9, left + 9 : right + 9])
            assert item["source"] == f"photo {item['image']}"
            assert item["label"] == item["image"] % 5
            assert item["clipped"] == [max(top, 0), max(left, 0), min(bottom, 14), min(right, 14)]
            with Image.open(tmp_path / "a" / item["picture"]) as picture:
                assert np.array_equal(np.asarray(picture)[..., 0], images[item["image"], 0])
    for layer in made.contents["layers"]:
        with Image.open(tmp_path / "a" / layer["sheets"][0]) as sheet:
            assert min(sheet.size) > 100


def test_dense_layers_have_no_position_and_look_at_the_whole_image(tmp_path: Path) -> None:
    net, images = small_net(), gray_images()
    made = atlas(net, images, tmp_path / "a", ["7"], top=2)
    with torch.no_grad():
        features = net(images)
    item = made.unit("7", 3)["top"][0]
    assert item["image"] == int(features[:, 3].argmax())
    assert item["position"] is None
    assert (made.layer("7")["receptive_field"], made.layer("7")["shown"]) == (None, [14, 14])
    assert made.layer("7")["activation"] == "as computed"


def test_few_marks_at_a_time_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, images = small_net(), gray_images(200)
    plenty = atlas(net, images, tmp_path / "a")
    monkeypatch.setattr("striate.inside.atlases.survey.MARKS", 10_000)
    scarce = atlas(net, images, tmp_path / "b")
    for layer in plenty.layers:
        for name in ("values", "indices", "positions", "patches"):
            assert np.array_equal(plenty.array(layer, name), scarce.array(layer, name))
        a, b = plenty.array(layer, "projections"), scarce.array(layer, "projections")
        assert np.abs(a - b).max() <= 1e-6  # of 1, the largest; how many are projected together changes the rounding


class Endless:
    """A data set of `count` images that exist only while they are looked at."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(0)
        for _ in range(0, self.count, 50):
            yield torch.randn(50, 1, 14, 14, generator=generator)


def test_memory_does_not_grow_with_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks of whole images within their limit; Python's own objects no more for eight times as many images."""
    held = list[int]()
    monkeypatch.setattr("striate.inside.atlases.survey.MARKS", 100_000)
    from striate.inside.atlases.survey import MarkStore

    add = MarkStore.add

    def watched(store: MarkStore, *marks: object) -> None:
        add(store, *marks)  # pyright: ignore[reportArgumentType]
        held.append(sum(m.numel() * m.element_size() for of in store.marks.values() for m in of.values()))

    monkeypatch.setattr(MarkStore, "add", watched)
    peaks = list[int]()
    for count in (200, 1600):
        tracemalloc.start()
        atlas(small_net(), Endless(count), tmp_path / str(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(held) < 3 * 100_000
    assert peaks[1] < 1.5 * peaks[0] + 500_000
