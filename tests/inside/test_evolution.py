"""Evolution against a search through every activation of every image, epoch by epoch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.data import load
from striate.data.augment import Augmentation
from striate.data.dataset import DataSet, Split
from striate.data.findings import Findings
from striate.errors import DataError, Failure, ModelError
from striate.inside.atlases.atlas import atlas
from striate.inside.projections.projection import project
from striate.inside.receptive.fields import receptive_fields
from striate.inside.studies.evolution import evolution, evolutions
from striate.inside.studies.moments import Evolution
from striate.model import Model, Preprocessing
from striate.network import Network
from striate.pictures.colors import LINE, PAPER
from striate.train import Recipe, Run, run


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    first = nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)
    return nn.Sequential(*first, nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)).double()


def few_digits() -> DataSet:
    whole = load("digits")
    train, validation, test = (
        Split(part.images[:40], part.labels[:40], part.sources[:40])
        for part in (whole.train, whole.validation, whole.test)
    )
    return DataSet("few", whole.classes, train, validation, test, Findings(), "few")


def pictures(n: int = 7) -> Tensor:
    return torch.randn((n, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("layer", ["1", "4", "6"])
def test_every_moment_is_the_strongest_of_a_full_search(layer: str) -> None:
    x, saved = pictures(), [(1, network(1)), (5, network(2)), (20, network(3))]
    found = evolution(saved, x, layer, [1, 0], batch=3)
    assert found.epochs == (1, 5, 20)
    for (epoch, net), row in zip(saved, found.moments, strict=True):
        with torch.no_grad():
            maps = net.eval()[: int(layer) + 1](x)
        maps = maps if maps.ndim == 4 else maps[:, :, None, None]
        field = receptive_fields(net, (1, 8, 8))[layer]
        for unit, moment in zip([1, 0], row, strict=True):
            best = max(
                (float(maps[n, unit, i, j]), -n, -i, -j)
                for n in range(7)
                for i in range(maps.shape[2])
                for j in range(maps.shape[3])
            )
            n, i, j = -best[1], -best[2], -best[3]
            assert (moment.epoch, moment.unit, moment.image, moment.position) == (epoch, unit, n, (i, j))
            assert moment.value == pytest.approx(best[0], rel=1e-6)
            assert moment.box == field.box((i, j))
            top, left, bottom, right = moment.box
            expected = project(net, x[n], layer, unit, (i, j)).numpy() if best[0] > 0 else np.zeros((1, 8, 8))
            assert np.allclose(moment.projection, expected[:, top:bottom, left:right], rtol=1e-10)
            assert not np.delete(np.delete(expected[0], range(top, bottom), 0), range(left, right), 1).any()


def test_a_model_takes_uint8_images_and_shows_them_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), dtype=np.uint8)
    model = Model(network(1).float(), Preprocessing((1, 8, 8), (0.5,), (0.25,)), ("a", "b"), None, "net")
    found = evolution([(1, model)], images, "4", [2])
    moment = found.of(2)[0]
    top, left, bottom, right = moment.box
    assert (moment.patch == images[moment.image][:, top:bottom, left:right]).all()
    floats = (torch.from_numpy(images).float() / 255 - 0.5) / 0.25
    assert evolution([(1, model.module)], floats, "4", [2]).of(2)[0].image == moment.image


def test_a_run_that_kept_its_epochs(tmp_path: Path) -> None:
    data = few_digits()
    recipe = Recipe(epochs=2, batch_size=20, keep_epochs=True, augmentation=Augmentation())
    run(Network.parse("input 1x28x28, conv 3 5x5, relu, maxpool 2x2, dense 10"), data, recipe, out=tmp_path / "run")
    trained = Run.open(tmp_path / "run")
    found = evolution(trained, data.train, "relu1", [0, 2])
    assert found.epochs == (1, 2)
    for epoch, row in zip(found.epochs, found.moments, strict=True):
        model = trained.model(epoch)
        x = model.preprocessing.normalize(torch.from_numpy(np.array(data.train.images)))
        with torch.no_grad():
            maps = model.module[:2](x) if isinstance(model.module, nn.Sequential) else x
        for unit, moment in zip([0, 2], row, strict=True):
            assert moment.value == pytest.approx(float(maps[:, unit].max()), rel=1e-5)
            assert moment.patch.shape == (1, 5, 5)


def test_a_dead_unit_is_dead_and_has_no_projection() -> None:
    net = network(1)
    net.state_dict()["3.bias"][1] = -1e6
    moments = evolution([(1, net)], pictures(), "4", [0, 1]).moments[0]
    assert [moment.dead for moment in moments] == [False, True]
    assert moments[0].projection.any()
    assert not moments[1].projection.any()


def test_epochs_are_taken_one_after_another() -> None:
    alive: list[int] = []

    def saved() -> Iterator[tuple[int, nn.Module]]:
        for epoch in (1, 2, 3):
            alive.append(epoch)
            yield epoch, network(epoch)
            alive.remove(epoch)

    assert evolution(saved(), pictures(), "1", [0]).epochs == (1, 2, 3)
    assert alive == []


def test_modules_stay_as_they_were_and_bad_arguments_are_named() -> None:
    net, x = network(1).train(), pictures()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with torch.inference_mode():
        evolution([(1, net)], x, "4", [0])
    with pytest.raises(ModelError, match="layer 4 has units 0 to 3, found 4"):
        evolution([(1, net)], x, "4", [4])
    with pytest.raises(DataError, match="no epoch was saved"):
        evolution([], x, "4", [0])
    x[5, 0, 0, 0] = float("nan")
    with pytest.raises(Failure, match="after epoch 3, layer 4 gives a value that is not a finite number for image 5"):
        evolution([(3, net)], x, "4", [0], batch=2)
    x[5] = pictures()[5]
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.training
    assert torch.equal(x, pictures())


def test_the_result_is_json() -> None:
    found = evolution([(1, network(1)), (2, network(2))], pictures(), "4", [3, 1])
    kept = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert kept["epochs"] == [1, 2]
    assert kept["moments"][1][0]["unit"] == 3
    assert kept["moments"][1][0]["box"] == list(found.moments[1][0].box)


def test_a_convolution_is_read_after_its_batch_norm_and_relu_as_in_the_atlas(tmp_path: Path) -> None:
    torch.manual_seed(4)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 3))
    net.state_dict()["1.weight"][1] = -1.5  # turns the ranking of the convolution's own values around
    found = evolution([(1, net)], pictures(), "0", 1)
    place = atlas(net, pictures().float(), tmp_path / "atlas", ["0"]).unit("0", 1)["top"][0]
    moment = found.of(1)[0]
    assert (found.layer, found.read) == ("0", "2")
    assert (moment.image, list(moment.position)) == (place["image"], place["position"])
    assert moment.value == pytest.approx(place["value"], rel=1e-5)
    assert evolution([(1, net.double())], pictures(), "3", 0).read == "3"


def test_the_picture_has_a_row_for_each_unit_and_a_column_for_each_epoch() -> None:
    nets = [(epoch, network(epoch)) for epoch in (1, 2, 5)]
    nets[2][1].state_dict()["0.bias"][2] = -1e6
    found = evolution(nets, pictures(), "1", [2, 0])
    side = 9  # 3 x 3 patches at cells of 9: every pixel three times as large
    sheet = found.sheet(cell=9)
    pair = 2 * side + 2
    assert sheet.shape == (2 * side + 8, 3 * pair + 2 * 8, 3)
    for row, unit in enumerate([2, 0]):
        for column, moment in enumerate(found.of(unit)):
            cell = sheet[row * (side + 8) :, column * (pair + 8) :][:side, :pair]
            patch, projection = moment.pictures()
            assert (cell[:, :side] == patch.repeat(3, 0).repeat(3, 1)).all()
            assert (cell[:, -side:] == projection.repeat(3, 0).repeat(3, 1)).all()
            frame, box = moment.frame, moment.box
            inside = (
                slice(box.top - frame.top, box.bottom - frame.top),
                slice(box.left - frame.left, box.right - frame.left),
            )
            if moment.dead:
                assert (unit, moment.epoch) == (2, 5)
                assert (patch == PAPER).all()
                continue
            assert (patch[inside][..., 0] == moment.patch[0]).all()
            limit = np.percentile(np.abs(moment.projection), 99.5)
            levels = 127.5 * (1 + np.clip(moment.projection[0] / limit, -1, 1))
            assert np.allclose(projection[inside][..., 0], levels, atol=0.51)
            outside = np.ones(patch.shape[:2], dtype=bool)
            outside[inside] = False
            assert (patch[outside] == LINE).all()


def test_a_field_as_large_as_the_image_shows_the_whole_image() -> None:
    moment = evolution([(1, network(1))], pictures(), "6", 0).of(0)[0]
    assert moment.frame == (0, 0, 8, 8)
    assert moment.pictures()[0].shape == (8, 8, 3)


def test_units_must_be_named_and_progress_counts_epochs() -> None:
    told: list[int] = []
    evolution([(1, network(1)), (4, network(2))], pictures(), "1", 0, progress=told.append)
    assert told == [1, 2]
    with pytest.raises(ModelError, match="no unit of 1 is named"):
        evolution([(1, network(1))], pictures(), "1", [])
    with pytest.raises(ModelError, match="no layer is named"):
        evolutions([(1, network(1))], pictures(), {})


class Counted:
    """Batches of 2 that count how many of them were taken."""

    def __init__(self, images: Tensor) -> None:
        self.batches, self.taken = images.split(2), 0

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self.batches:
            self.taken += 1
            yield batch


def test_layers_followed_together_go_through_the_images_once_and_are_what_each_is_alone() -> None:
    saved, wanted = [(1, network(1)), (2, network(2))], {"1": [2, 0], "3": 1, "4": [0, 1, 3], "6": [1]}
    taken: list[int] = []
    alone: list[Evolution] = []
    for layer, units in wanted.items():
        data = Counted(pictures())
        alone.append(evolution(saved, data, layer, units, batch=3))
        taken.append(data.taken)
    data = Counted(pictures())
    together = evolutions(saved, data, wanted, batch=3)
    assert set(taken) == {data.taken} == {2 * (1 + 4 + 4)}  # a look at the first, the ranking, the images that won
    for one, other in zip(together, alone, strict=True):
        assert one.as_json() == other.as_json()
        for moment, same in zip(sum(one.moments, ()), sum(other.moments, ()), strict=True):
            assert (moment.patch == same.patch).all()
            assert (moment.projection == same.projection).all()
    assert [one.read for one in together] == ["1", "4", "4", "6"]


def test_of_equal_activations_the_first_image_and_the_first_position_count() -> None:
    x = torch.zeros(5, 1, 8, 8)
    x[1, 0, 2, 3] = x[1, 0, 5, 0] = x[3, 0, 0, 0] = x[4, 0, 7, 7] = 1
    net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    net.state_dict()["0.weight"][:, 0, 0, 0] = torch.tensor([1.0, -1.0])
    for batch in (1, 2, 5):
        first, second = evolution([(1, net)], x, "0", [0, 1], batch=batch).moments[0]
        assert (first.value, first.image, first.position) == (1, 1, (2, 3))
        assert (second.value, second.image, second.position) == (0, 0, (0, 0))
