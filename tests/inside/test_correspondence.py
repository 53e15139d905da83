"""Δ against loops over pairs and features, and where its value is known beforehand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.errors import DataError, ModelError
from striate.inside.studies.correspondence import Box, correspondence, sign_changes


def network() -> nn.Sequential:
    torch.manual_seed(6)
    body = nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten(), nn.Linear(108, 10)
    return nn.Sequential(*body).double()


def pictures(n: int = 3) -> Tensor:
    return torch.randn((n, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


EYES: list[Box] = [(0, 0, 3, 3), (2, 4, 5, 7), (5, 5, 8, 8)]


def test_delta_against_the_sum_of_the_paper() -> None:
    net, x = network(), pictures()
    found = correspondence(net, x, {"eye": EYES}, ["1", "4"], value=0.5)
    net.eval()
    for layer, top in enumerate([2, 5]):
        signs: list[list[int]] = []
        for k, (a, b, c, d) in enumerate(EYES):
            covered = x[k].clone()
            covered[0, a:c, b:d] = 0.5
            with torch.no_grad():
                epsilon = (net[:top](x[k][None]) - net[:top](covered[None])).flatten().tolist()
            signs.append([(e > 1e-12) - (e < -1e-12) for e in epsilon])
        delta = 0.0
        for i in range(3):
            for j in range(3):
                if i != j:
                    delta += sum(p != q for p, q in zip(signs[i], signs[j], strict=True)) / len(signs[i])
        assert found.delta[0, layer] == pytest.approx(delta, rel=1e-12)
        assert found.mean[0, layer] == pytest.approx(delta / 6, rel=1e-12)


def test_the_same_change_in_every_image_is_no_distance_and_opposite_changes_are_the_whole() -> None:
    net = nn.Sequential(nn.Identity())
    same = correspondence(net, torch.ones(3, 1, 4, 4), {"all": [(0, 0, 4, 4)] * 3}, ["0"], draws=1)
    assert same.delta.item() == 0
    opposite = torch.ones(2, 1, 4, 4)
    opposite[1] = -1
    found = correspondence(net, opposite, {"all": [(0, 0, 4, 4)] * 2, "half": [(0, 0, 2, 4)] * 2}, ["0"], draws=3)
    assert found.mean[:, 0].tolist() == [1.0, 0.5]
    assert found.delta[:, 0].tolist() == [2.0, 1.0]
    assert (found.random[0] == 1).all()  # a box as large as the image has one place only


def test_random_boxes_have_the_expected_distance() -> None:
    """Of a 1x1 box in ones, the signs of a pair differ in 2 of 16 features unless both boxes fall on one pixel."""
    found = correspondence(
        nn.Sequential(nn.Identity()), torch.ones(2, 1, 4, 4), {"dot": [(0, 0, 1, 1)] * 2}, ["0"], draws=500
    )
    assert found.mean.item() == 0
    assert found.random_mean.item() == pytest.approx(2 / 16 * 15 / 16, abs=0.005)


def test_the_seed_decides_and_the_size_of_the_layer_does_not() -> None:
    net = network()
    one, same, other = (correspondence(net, pictures(), {"eye": EYES}, ["1"], seed=s) for s in (1, 1, 2))
    assert (one.random == same.random).all()
    assert not (one.random == other.random).all()
    signs = torch.tensor([[1, 0, -1], [1, 1, -1]])
    assert sign_changes(signs) == sign_changes(signs.repeat(1, 7))


def test_rounding_has_no_sign() -> None:
    class Leak(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1e-9 * x.flatten(1).sum(1)[:, None, None, None]

    found = correspondence(nn.Sequential(Leak()), torch.ones(2, 1, 4, 4), {"a": [(0, 0, 1, 1), (3, 3, 4, 4)]}, ["0"])
    assert found.mean.item() == 2 / 16


def test_the_module_stays_as_it_was() -> None:
    net = network().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    x = pictures()
    with torch.inference_mode():
        correspondence(net, x, {"eye": EYES}, ["1"])
    with pytest.raises(ModelError, match="no layer 'top'"):
        correspondence(net, x, {"eye": EYES}, ["top"])
    assert torch.equal(x, pictures())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.training


@pytest.mark.parametrize(
    ("n", "boxes", "words"),
    [
        (1, {"eye": EYES[:1]}, "two or more are needed, found 1"),
        (3, {"eye": EYES[:2]}, "part 'eye' needs one box per image: 3 images, 2 boxes"),
        (2, {"eye": [(0, 0, 3, 3), (0, 0, 3, 9)]}, r"in image 1 must be .* within 8x8 pixels.*found \(0, 0, 3, 9\)"),
        (2, {}, "at least one part"),
    ],
)
def test_bad_boxes_are_named(n: int, boxes: dict[str, list[Box]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        correspondence(network(), pictures(n), boxes, ["1"])


def test_the_result_is_json() -> None:
    found = correspondence(network(), pictures(), {"eye": EYES}, ["1", "4"], draws=4)
    kept = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert kept["delta"] == found.delta.tolist()
    assert kept["pairs"] == [[0, 1], [0, 2], [1, 2]]
    assert np.shape(kept["random"]) == (1, 2, 4, 3)
    assert kept["over_pairs"]["n"] == [[3, 3]]
