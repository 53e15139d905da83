"""Invariance against one image at a time, and where it is known beforehand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.errors import DataError, ModelError
from striate.inside.studies.invariance import invariance
from striate.inside.studies.transforms import Kind


def classifier(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(4)
    body = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Dropout()
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(108, 4)).to(dtype)


def pictures(n: int = 5) -> Tensor:
    return torch.randn((n, 2, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_shifts_against_a_loop() -> None:
    net, x, classes = classifier(), pictures(), [0, 1, 2, 3, 0]
    found = invariance(net, x, ["0", "2", "5"], amounts=[-3, 2], true_classes=classes, batch=2)
    net.eval()
    for k in range(5):
        for a, rows in enumerate([-3, 2]):
            moved = torch.zeros(2, 8, 8, dtype=torch.float64)
            for r in range(8):
                if 0 <= r - rows < 8:
                    moved[:, r] = x[k, :, r - rows]
            for i, top in enumerate([1, 3, 6]):
                with torch.no_grad():
                    # net[:1] and net[:3] are computed afresh, so the in-place ReLU does not reach the convolution's
                    f, g = net[:top](x[k][None]).flatten(), net[:top](moved[None]).flatten()
                distance = float(sum((p - q) ** 2 for p, q in zip(f.tolist(), g.tolist(), strict=True)) ** 0.5)
                assert found.distance[i, a, k] == pytest.approx(distance, rel=1e-10)
                assert found.relative[i, a, k] == pytest.approx(distance / float(f.norm()), rel=1e-10)
            with torch.no_grad():
                answer = net(moved[None]).softmax(1)[0, classes[k]]
            assert found.probability is not None
            assert found.probability[a, k] == pytest.approx(float(answer), rel=1e-10)


@pytest.mark.parametrize(("kind", "none"), [("shift", 0), ("shift_columns", 0), ("rotate", 0), ("scale", 1)])
def test_without_a_motion_nothing_changes(kind: Kind, none: float) -> None:
    found = invariance(classifier(), pictures(), ["0", "5"], transform=kind, amounts=[none, 2], true_classes=[1] * 5)
    assert (found.distance[:, 0] == 0).all()
    assert (found.relative[:, 0] == 0).all()
    assert (found.distance[:, 1] > 0).all()


def test_a_global_mean_is_invariant_to_quarter_turns_and_a_map_is_not() -> None:
    net = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1)).double()
    found = invariance(net, pictures(), ["0", "1"], transform="rotate", amounts=[90, 180])
    assert found.probability is None
    assert found.distance[1].max() < 1e-12
    assert found.distance[0].min() > 1


def test_a_layer_without_activity_is_zero_or_undefined() -> None:
    net = nn.Sequential(nn.Identity())
    images = torch.zeros(2, 1, 4, 4)
    images[1] += 1
    found = invariance(net, images, ["0"], amounts=[2], outside=1.0)
    assert np.isnan(found.relative[0, 0, 0])
    assert found.relative[0, 0, 1] == 0
    kept = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert kept["relative"] == [[[None, 0.0]]]
    assert kept["over_images"]["distance"]["n"] == [[2]]


def test_the_batch_does_not_matter_and_the_module_stays_as_it_was() -> None:
    net = classifier().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with torch.inference_mode():
        one, all_at_once = (
            invariance(net, pictures(), ["5"], transform="scale", amounts=[0.8], batch=b) for b in (1, 9)
        )
    assert np.allclose(one.distance, all_at_once.distance, rtol=1e-10)
    with pytest.raises(DataError, match="class 4 is not one of"):
        invariance(net, pictures(1), ["5"], amounts=[1], true_classes=[4])
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.training


def test_amounts_that_are_not_named_are_the_usual_ones() -> None:
    assert invariance(classifier(), pictures(), "0").amounts == (1, 2, 4)
    assert invariance(classifier(), pictures(), "0", transform="rotate").amounts == (15, 45, 90)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(DataError, match="5 images, 2 classes"):
        invariance(classifier(), pictures(), ["0"], amounts=[1], true_classes=[0, 1])
    with pytest.raises(DataError, match=r"whole pixels, found 1\.5"):
        invariance(classifier(), pictures(), ["0"], amounts=[1.5])
    with pytest.raises(ModelError, match="one row of class scores"):
        invariance(classifier()[:2], pictures(), ["0"], amounts=[1], true_classes=[0] * 5)


def test_a_module_may_overwrite_its_input() -> None:
    x = pictures()
    nets = (nn.Sequential(nn.ReLU(inplace=i), *classifier()) for i in (True, False))
    one, other = (invariance(net, x, "1", amounts=[0, 1, 2]) for net in nets)
    assert (one.distance == other.distance).all()
    assert torch.equal(x, pictures())
