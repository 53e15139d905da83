"""Occlusion against a loop that paints one square at a time."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.errors import DataError, ModelError
from striate.inside.studies.occlusion import occlude
from striate.layers.values import Pair
from striate.model import Model, Preprocessing


def classifier(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(3)
    layers = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten(), nn.Linear(140, 5)
    return nn.Sequential(*layers).to(dtype)


def picture() -> Tensor:
    return torch.randn((2, 9, 7), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(("size", "stride", "batch"), [((3, 3), (2, 2), 64), ((4, 2), (3, 1), 5), ((9, 9), (1, 4), 1)])
def test_every_place_has_its_own_true_values(size: tuple[int, int], stride: tuple[int, int], batch: int) -> None:
    net, x = classifier(), picture()
    found = occlude(net, x, "2", 1, size=size, stride=stride, value=[0.5, -1.0], batch=batch)
    net.eval()
    with torch.no_grad():
        maps = net[:3](x[None])[0]
    assert found.unit == int(maps.sum((1, 2)).argmax())
    for i, row in enumerate(found.rows):
        for j, column in enumerate(found.columns):
            painted = x.clone()
            for r in range(9):
                for c in range(7):
                    above, across = r - (row - size[0] // 2), c - (column - size[1] // 2)
                    if 0 <= above < size[0] and 0 <= across < size[1]:
                        painted[:, r, c] = torch.tensor([0.5, -1.0])
            with torch.no_grad():
                scores, activity = net(painted[None])[0], net[:3](painted[None])[0, found.unit].sum()
            assert found.activity[i, j] == pytest.approx(float(activity), rel=1e-12)
            assert found.probability[i, j] == pytest.approx(float(scores.softmax(0)[1]), rel=1e-12)
            assert found.label[i, j] == int(scores.argmax())


def test_places_lie_evenly_and_boxes_are_clipped() -> None:
    found = occlude(classifier(), picture(), "0", 0, size=3, stride=3)
    assert found.rows.tolist() == [1, 4, 7]
    assert found.columns.tolist() == [0, 3, 6]
    assert found.box(0, 0) == (0, 0, 3, 2)
    assert found.box(2, 2) == (6, 5, 9, 7)


def test_a_square_of_the_images_own_values_changes_nothing() -> None:
    flat = torch.full((2, 9, 7), 0.25, dtype=torch.float64)
    found = occlude(classifier(), flat, "2", 2, size=5, stride=1, value=0.25)
    assert np.allclose(found.probability, found.probability_before, rtol=1e-12)
    assert np.allclose(found.activity, found.activity_before, rtol=1e-12)
    assert (found.label == found.label_before).all()


def test_only_squares_that_meet_the_receptive_field_matter() -> None:
    class Corner(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x[:, 0, 0, 0], -x[:, 0, 0, 0]], 1)

    found = occlude(nn.Sequential(nn.Identity(), Corner()), torch.ones(1, 6, 6), "0", 0, size=3, stride=1)
    changed = found.probability != found.probability_before
    assert changed.sum() == 4
    assert changed[:2, :2].all()


def test_a_unit_may_be_named_and_layers_may_be_vectors() -> None:
    net = classifier()
    found = occlude(net, picture(), "5", 3, size=3, stride=3, unit=3)
    assert (found.unit, found.layer) == (3, "5")
    assert found.activity_before == pytest.approx(float(net.eval()(picture()[None])[0, 3].detach()))


def test_the_module_is_as_it_was_also_after_an_exception() -> None:
    net = classifier(torch.float32).train()
    net[0].weight.requires_grad_(False)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with torch.inference_mode():
        occlude(net, picture().float(), "2", 0, size=3, stride=3)
    with pytest.raises(DataError, match="class 9 is not one of the network's 5"):
        occlude(net, picture(), "2", 9, size=3, stride=3)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.training
    assert net[3].training
    assert [p.requires_grad for p in net.parameters()] == [False, True, True, True, True, True]
    assert not any(part._forward_hooks for part in net.modules())  # pyright: ignore[reportPrivateUsage]


def test_bad_arguments_are_named() -> None:
    net, x = classifier(), picture()
    with pytest.raises(DataError, match="size must be at least 1 pixel, found 0"):
        occlude(net, x, "2", 0, size=0, stride=1)
    with pytest.raises(DataError, match=r"one number or one per channel \(2\), found 3"):
        occlude(net, x, "2", 0, size=3, stride=1, value=[0, 0, 0])
    with pytest.raises(DataError, match="layer 2 has units 0 to 3, found 4"):
        occlude(net, x, "2", 0, size=3, stride=1, unit=4)
    with pytest.raises(ModelError, match="no layer 'conv9'"):
        occlude(net, x, "conv9", 0, size=3, stride=1)


def test_the_result_is_json() -> None:
    found = occlude(classifier(), picture(), "2", 0, size=3, stride=4)
    kept = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert kept["probability"] == found.probability.tolist()
    assert kept["rows"] == [0, 4, 8]


def test_a_module_may_overwrite_its_input() -> None:
    net = nn.Sequential(nn.ReLU(inplace=True), *classifier())
    plain = nn.Sequential(nn.ReLU(), *classifier())
    x = picture()
    one, other = (occlude(n, x, "3", 0, size=3, stride=2, value=-1.0) for n in (net, plain))
    assert (one.probability == other.probability).all()
    assert torch.equal(x, picture())


def test_a_model_takes_uint8_images() -> None:
    net = classifier(torch.float32)
    model = Model(net, Preprocessing((2, 9, 7), (0.5, 0.25), (0.5, 0.5)), tuple("abcde"), None, "net")
    image = torch.randint(0, 256, (2, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    floats = (image / 255 - torch.tensor([0.5, 0.25])[:, None, None]) / 0.5
    one, other = occlude(model, image, "2", 1, size=3, stride=3), occlude(net, floats, "2", 1, size=3, stride=3)
    assert np.allclose(one.probability, other.probability, rtol=1e-5)
    assert one.probability_before == pytest.approx(model.predict(image[None].numpy())[0, 1], rel=1e-5)


@pytest.mark.parametrize(
    ("sides", "size", "places"),
    [
        ((8, 8), 3, (8, 8)),
        ((28, 28), 5, (14, 14)),
        ((32, 20), 5, (11, 7)),
        ((2, 2), 3, (2, 2)),
        ((61, 61), 13, (13, 13)),
    ],
)
def test_a_square_and_its_steps_of_their_own(sides: Pair, size: int, places: Pair) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    found = occlude(net, torch.ones(1, *sides), "1", 0)
    assert found.size == (size, size)
    assert found.probability.shape == places
    assert max(places) <= 15
    covered = np.zeros(sides, dtype=bool)
    for i, j in np.ndindex(places):
        top, left, bottom, right = found.box(i, j)
        covered[top:bottom, left:right] = True
    assert covered.all()
