from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from striate.errors import ModelError
from striate.inside.studies.filters import filters
from striate.model import Model
from striate.network import Network


def test_the_lectures_block_pictures() -> None:
    """20 maps of 5x5: block (row, column) of the sheet shows the filter, lighter for larger weights."""
    found = filters(Network.preset("nielsen-1conv").build(3), "conv1")
    assert found.weights.shape == (20, 1, 5, 5)
    assert found.colors
    sheet = found.sheet(columns=5, cell=40)
    for unit in range(20):
        top, left = unit // 5 * 46 + 1, unit % 5 * 46 + 1  # 40 pixels, a hairline around them, 4 between
        block = sheet[top + 4 : top + 40 : 8, left + 4 : left + 40 : 8, 0].astype(float)
        weights = found.weights[unit, 0]
        np.testing.assert_allclose(block, 127.5 + 127.5 * weights / np.abs(weights).max(), atol=0.51)


def test_colours_belong_to_the_first_layer_alone() -> None:
    first = nn.Conv2d(3, 3, 3)
    net = nn.Sequential(first, nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=2))
    assert [filters(net, name).colors for name in "012"] == [True, False, False]
    assert filters(net, "2").weights.shape == (4, 2, 3, 3)
    assert [filters(net, name).groups for name in "012"] == [1, 1, 2]
    with torch.no_grad():
        first.weight.mul_(0)
        first.weight[1, 2, 0, 0] = 2.0
    picture = filters(net, "0").picture(1)
    assert picture[0, 0].tolist() == [128, 128, 255]
    assert picture[1, 1].tolist() == [128, 128, 128]
    assert filters(net, "1").picture(0).shape == (3, 3 * 3 + 2, 3)
    assert filters(net, "1").picture(0, channel=1).shape == (3, 3, 3)
    assert filters(net, "1").sheet(cell=12).shape == (4 * 12 + 3 * 4, 4 * (3 * 3 + 2), 3)


def test_dense_layers_on_maps() -> None:
    dense = nn.Linear(32, 32)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(), dense, nn.Linear(32, 5))
    found = filters(net, "4", (1, 6, 6))
    assert found.weights.shape == (32, 2, 4, 4)
    assert torch.equal(torch.from_numpy(found.weights).flatten(1), dense.weight)
    assert filters(net, "5", (1, 6, 6)).weights.shape == (5, 1, 1, 32), "no map was flattened into it"
    assert filters(net, "4").weights.shape == (32, 1, 1, 32), "nobody said which"
    model = Model.foreign(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 2, 2), mean=(0, 0, 0), std=(1, 1, 1))
    assert filters(model, "1").weights.shape == (2, 3, 2, 2)
    assert filters(model, "1").colors


class Flattening(nn.Module):
    """Flattens its maps in some way before a dense layer."""

    def __init__(self, way: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.maps, self.dense, self.way = nn.Conv2d(1, 2, 3), nn.Linear(24, 3), way

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.way(self.maps(x)))


NORM = nn.BatchNorm1d(24).eval()
WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda maps: maps.flatten(1),
    "view": lambda maps: maps.relu().view(maps.shape[0], -1),
    "channels last": lambda maps: maps.permute(0, 2, 3, 1).flatten(1),
    "channels last, rectified later": lambda maps: maps.permute(0, 2, 3, 1).reshape(len(maps), -1).relu(),
    "rectified as lines": lambda maps: maps.flatten(2).relu().flatten(1),
    "rows last": lambda maps: maps.transpose(1, 2).flatten(1),
    "backwards": lambda maps: maps.flatten(1).flip(1),
    "unexplained": lambda maps: nn.functional.selu(maps).permute(0, 2, 3, 1).flatten(1),
    "normalized": lambda maps: NORM(maps.permute(0, 2, 3, 1).flatten(1)).sigmoid(),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_weight_is_drawn_where_its_feature_was_on_the_maps(way: str) -> None:
    net = Flattening(WAYS[way])
    found = filters(net, "dense", (1, 6, 5))
    assert found.weights.shape == (3, 2, 4, 3)
    maps = torch.rand(1, 2, 4, 3, requires_grad=True)
    answer = net.dense(WAYS[way](maps))[0]
    for unit in range(3):  # a plain chain rule: the slope of a score is the weight, times the slopes on the way
        (slope,) = torch.autograd.grad(answer[unit], maps, retain_graph=True)
        assert (slope[0].sign() == torch.from_numpy(found.weights[unit]).sign()).all()
        if way in ("plain", "channels last", "rows last", "backwards"):
            torch.testing.assert_close(slope[0], torch.from_numpy(found.weights[unit]))


NO_MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "one map twice": lambda maps: maps[:, :1].repeat(1, 2, 1, 1).flatten(1),
    "unexplained with the channels last": lambda maps: nn.functional.selu(maps.permute(0, 2, 3, 1)).flatten(1),
    "sums": lambda maps: maps.flatten(1).cumsum(1),
    "products of matrices": lambda maps: (maps.flatten(2) @ maps.flatten(2).mT @ maps.flatten(2)).flatten(1),
    "weighted sums": lambda maps: nn.functional.linear(maps.flatten(1), torch.ones(24, 24)),
}


@pytest.mark.parametrize("way", NO_MAPS)
def test_features_that_are_no_map_are_a_row(way: str) -> None:
    assert filters(Flattening(NO_MAPS[way]), "dense", (1, 6, 5)).weights.shape == (3, 1, 1, 24)


def test_pooled_maps_are_maps_of_one_position() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert filters(net, "3", (1, 6, 6)).weights.shape == (2, 4, 1, 1)
    ours = Network.parse("input 1x6x6, conv 4 3x3, globalavgpool, dense 2").build(0)
    assert filters(ours, "dense1", (1, 6, 6)).weights.shape == (2, 4, 1, 1)


def test_weights_that_are_no_numbers_are_marked() -> None:
    first = nn.Conv2d(3, 2, 3)
    with torch.no_grad():
        first.weight[0, 1, 0, 0] = torch.nan
        first.weight[1, 0, 2, 2] = torch.inf
    found = filters(nn.Sequential(first), "0")
    assert (found.picture(0) == (255, 0, 255)).all(-1).nonzero() == (0, 0)
    assert found.picture(1)[2, 2, 0] == 255
    assert (found.sheet(cell=3).reshape(-1, 3) == (255, 0, 255)).all(-1).sum() == 1


def test_transposed_convolutions_list_what_their_outputs_get() -> None:
    up = nn.ConvTranspose2d(4, 6, 3, groups=2)
    found = filters(nn.Sequential(nn.Conv2d(1, 4, 3), up), "1").weights
    for unit in range(6):
        group, inner = divmod(unit, 3)
        expected = up.weight.detach()[2 * group : 2 * group + 2, inner]
        assert torch.equal(torch.from_numpy(found[unit]), expected)


def test_what_has_no_filters_says_what_has() -> None:
    with pytest.raises(ModelError, match=r"layer 1 \(ReLU\) has no filters; layers that have: 0"):
        filters(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()), "1")


def test_the_weights_are_copies_in_float32() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3)).bfloat16()
    found = filters(net, "0")
    assert found.weights.dtype == np.float32
    found.weights[:] = 0
    assert filters(net, "0").weights.any()


def pruned(conv: nn.Module) -> nn.Module:
    prune.random_unstructured(conv, "weight", 0.5)
    return conv


MADE: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight norm": nn.utils.weight_norm,
    "spectral norm": nn.utils.spectral_norm,
    "weight norm as a parametrization": nn.utils.parametrizations.weight_norm,
    "pruned": pruned,
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("made", MADE)
def test_weights_that_are_made_in_each_pass_are_those_of_the_next(made: str) -> None:
    saved, loaded = (nn.Sequential(MADE[made](nn.Conv2d(1, 2, 3))) for _ in range(2))
    loaded.load_state_dict(saved.state_dict())
    found = torch.from_numpy(filters(loaded, "0").weights)
    x = torch.rand(1, 1, 5, 5)
    torch.testing.assert_close(nn.functional.conv2d(x, found, loaded.get_parameter("0.bias")), loaded.eval()(x))
