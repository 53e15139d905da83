"""Grad-CAM against derivatives written out by hand and by finite differences."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import DataError, ModelError
from striate.inside.studies.grad_cam import grad_cam


def classifier(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(5)
    first = nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2)
    second = nn.Conv2d(3, 4, 2), nn.Tanh(), nn.Dropout(), nn.Flatten(), nn.Linear(16, 3)
    return nn.Sequential(*first, *second).to(dtype)


def picture(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn((1, 8, 8), generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("target", [0, 1, 2])
def test_of_a_linear_top_the_weights_are_the_mean_weights(target: int) -> None:
    """With y = Σ W A, dy/dA is W itself, whatever the image."""
    net, x = classifier(), picture()
    found = grad_cam(net, x, "4", target)
    with torch.no_grad():
        maps = net.eval()[:5](x[None])[0]
    w = net.state_dict()["7.weight"][target].reshape(4, 2, 2)
    expected = sum(w[k].mean() * maps[k] for k in range(4))
    assert np.allclose(found.weights, w.mean((1, 2)).numpy(), rtol=1e-12)
    assert np.allclose(found.signed, np.asarray(expected), rtol=1e-12)
    assert np.allclose(found.map, np.maximum(np.asarray(expected), 0), rtol=1e-12)


@pytest.mark.parametrize("layer", ["0", "1", "3"])
def test_lower_layers_agree_with_finite_differences(layer: str) -> None:
    """Also before an in-place ReLU, whose input is overwritten during the forward pass."""
    net, x, step = classifier().eval(), picture(), 1e-6
    found = grad_cam(net, x, layer, 1)
    last = int(layer) + 1
    with torch.no_grad():
        maps = net[:last](x[None]).clone()
        weights: list[float] = []
        for k in range(maps.shape[1]):
            raised, lowered = maps.clone(), maps.clone()
            raised[:, k] += step
            lowered[:, k] -= step
            weights.append(
                float(net[last:](raised)[0, 1] - net[last:](lowered)[0, 1]) / (2 * step) / maps[0, k].numel()
            )
        # adding the same to every position of a map changes y by Σ_ij dy/dA: Z times the mean slope
        expected = torch.einsum("k,kij->ij", torch.tensor(weights, dtype=torch.float64), net[:last](x[None])[0])
    assert np.allclose(found.weights, weights, rtol=1e-5, atol=1e-9)
    assert np.allclose(found.signed, expected.numpy(), rtol=1e-5, atol=1e-8)


def test_the_default_target_is_the_strongest_class() -> None:
    net, x = classifier(), picture()
    scores = net.eval()(x[None])[0].detach()
    found = grad_cam(net, x, "4")
    assert found.target == int(scores.argmax())
    assert found.score == pytest.approx(float(scores.max()))


def test_negative_everywhere_is_zero_and_says_so() -> None:
    net = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2, bias=False)).double()
    net.load_state_dict({"3.weight": torch.tensor([[-1.0], [1.0]])})
    found = grad_cam(net, torch.ones(1, 4, 4), "0", 0)
    assert found.empty
    assert "positive nowhere" in found.reason
    assert (found.map == 0).all()
    assert (found.signed == -0.0625).all()  # mean slope -1/16 times 1
    assert not grad_cam(net, torch.ones(1, 4, 4), "0", 1).empty


def test_a_score_that_does_not_depend_on_the_layer_says_so() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen, self.used = nn.Conv2d(1, 2, 3), nn.Linear(16, 2)

        def forward(self, x: Tensor) -> Tensor:
            self.seen(x)
            return self.used(x.flatten(1))

    found = grad_cam(Aside(), torch.ones(1, 4, 4), "seen")
    assert found.empty
    assert "does not depend" in found.reason
    assert (found.map == 0).all()


def test_dead_maps_give_zero_not_nan() -> None:
    net = classifier()
    net.state_dict()["0.bias"] -= 1e6
    found = grad_cam(net, picture(), "2", 0)
    assert found.empty
    assert np.isfinite(found.enlarged(8, 8)).all()


def test_precision_modes_and_flags_do_not_matter_and_do_not_change() -> None:
    expected = grad_cam(classifier(), picture(), "4", 2)
    net = classifier(torch.bfloat16).train().requires_grad_(False)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with torch.inference_mode():
        found = grad_cam(net, picture(), "4", 2)
    assert np.allclose(found.signed, expected.signed, atol=0.02 * np.abs(expected.signed).max())
    with torch.inference_mode():
        born = classifier()
        found = grad_cam(born, picture() + 0, "4", 2)
    assert np.allclose(found.map, expected.map)
    with pytest.raises(DataError, match="class 3 is not one of"):
        grad_cam(net, picture(), "4", 3)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.training
    assert not any(p.requires_grad or p.grad is not None for p in net.parameters())


def test_enlarging_interpolates_and_leaves_the_map_alone() -> None:
    found = grad_cam(classifier(), picture(), "4", 0)
    map_11rc = torch.from_numpy(found.map)[None, None]
    assert found.map.shape == (2, 2)
    assert found.enlarged(4, 4)[0, 0] == pytest.approx(found.map[0, 0])
    assert np.allclose(found.enlarged(2, 2), found.map)
    assert np.allclose(F.avg_pool2d(torch.from_numpy(found.enlarged(4, 4))[None, None], 4), map_11rc.mean())


def test_layers_without_positions_are_refused() -> None:
    with pytest.raises(ModelError, match=r"layer 7 gives no maps but shape \(1, 3\)"):
        grad_cam(classifier(), picture(), "7")
    with pytest.raises(ModelError, match="not finite"):
        grad_cam(classifier(), picture() * float("nan"), "4")


def test_the_result_is_json() -> None:
    found = grad_cam(classifier(), picture(), "4", 0)
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["map"] == found.map.tolist()


def test_a_module_may_overwrite_its_input() -> None:
    x = picture()
    one, other = (grad_cam(nn.Sequential(nn.ReLU(inplace=i), *classifier()), x, "1", 0) for i in (True, False))
    assert (one.map == other.map).all()
    assert torch.equal(x, picture())
