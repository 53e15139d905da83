"""Maximization against the closed maximum of a linear unit, and its promises about size, seed and the module."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

from striate.errors import DataError, Failure, ModelError
from striate.inside.studies.maximize import maximize
from striate.model import Model, Preprocessing


def network(channels: int = 1, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(1)
    layers = nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 3), nn.Dropout()
    return nn.Sequential(*layers).to(dtype)


def test_a_linear_unit_comes_near_its_greatest_value() -> None:
    """Of w·x with 0 <= picture <= 1 the maximum is known: every pixel at the bound that w's sign asks for."""
    net = nn.Sequential(nn.Conv2d(1, 1, 8, bias=False))
    y, x = torch.meshgrid(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 8), indexing="ij")
    w = torch.exp(-3 * ((x - 0.3) ** 2 + y**2)) - 0.3
    net.load_state_dict({"0.weight": w[None, None]})
    found = maximize(net, "0", 0, shape=(1, 8, 8), mean=0.4, std=0.5, jitter=0, steps=300)
    bound = float(torch.maximum(w * (1 - 0.4) / 0.5, w * (0 - 0.4) / 0.5).sum())
    assert 0.9 * bound < found.value <= bound
    assert float(((torch.from_numpy(found.picture[0]) > 0.5) == (w > 0)).float().mean()) > 0.9
    assert found.value == pytest.approx(float((w * found.image[0]).sum()), rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 6), (3, 224, 224), (2, 5, 5)])
def test_the_image_has_the_size_asked_for_and_excites_the_unit(shape: tuple[int, int, int]) -> None:
    found = maximize(network(shape[0]), "3", 1, shape=shape, mean=0.5, std=0.25, steps=12)
    assert found.picture.shape == tuple(found.image.shape) == shape
    assert found.value > found.start
    assert found.history.shape == (12,)
    assert 0 <= found.picture.min() <= found.picture.max() <= 1
    with torch.no_grad():
        again = network(shape[0]).eval()(found.image[None])[0, 1].mean()
    assert found.value == pytest.approx(float(again), rel=1e-4)
    assert torch.allclose(found.image, (torch.from_numpy(found.picture) - 0.5) / 0.25)


def test_the_seed_decides_and_the_callers_random_numbers_do_not_move() -> None:
    net = nn.Sequential(*network(), nn.Dropout())
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, same, other = (maximize(net, "3", 0, shape=(1, 8, 8), steps=5, seed=s) for s in (3, 3, 4))
    assert torch.equal(torch.rand(3), expected)
    assert (one.picture == same.picture).all()
    assert (one.history == same.history).all()
    assert not (one.picture == other.picture).all()


def test_a_position_is_its_own_goal() -> None:
    net = network()
    found = maximize(net, "3", 0, position=(1, 2), shape=(1, 8, 8), steps=30)
    with torch.no_grad():
        maps = net.eval()(found.image[None])[0, 0]
    assert found.value == pytest.approx(float(maps[1, 2]), rel=1e-5)
    assert found.value > found.start


def test_a_dead_unit_is_an_error_that_names_it() -> None:
    net = network()
    net.state_dict()["1.bias"].fill_(-1e4)
    with pytest.raises(ModelError, match="unit 1 of layer 2 has no gradient for any of 6 noise images"):
        maximize(net, "2", 1, shape=(1, 8, 8))


def test_a_unit_that_sleeps_at_low_contrast_is_woken() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, bias=True), nn.ReLU())
    weight = torch.tensor([[-1.0, 2, -1], [-1, 2, -1], [-1, 2, -1]])[None, None]
    net.load_state_dict({"0.weight": weight, "0.bias": torch.tensor([-0.5])})  # flat noise of low contrast gives < 0
    assert maximize(net, "1", 0, shape=(1, 8, 8), steps=20).value > 0


def test_overflow_is_a_failure() -> None:
    class Overflow(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * 1e30) ** 2

    with pytest.raises(Failure, match="unit 0 of layer 0 is not finite"):
        maximize(nn.Sequential(Overflow()), "0", 0, shape=(1, 8, 8))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_any_precision_and_mode_and_the_module_stays_as_it_was(dtype: torch.dtype) -> None:
    net = network(dtype=dtype).train().requires_grad_(False)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with torch.inference_mode():
        found = maximize(net, "3", 0, shape=(1, 8, 8), steps=5)
    with pytest.raises(DataError, match="layer 3 has units 0 to 1, found 2"):
        maximize(net, "3", 2, shape=(1, 8, 8), steps=5)
    assert found.value > found.start
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.training
    assert not any(p.requires_grad or p.grad is not None for p in net.parameters())


def test_bad_arguments_are_named() -> None:
    with pytest.raises(DataError, match="shape is needed for a bare module"):
        maximize(network(), "3", 0)
    with pytest.raises(DataError, match="jitter must be from 0 to 7 pixels for images of 8x8, found 8"):
        maximize(network(), "3", 0, shape=(1, 8, 8), jitter=8)
    with pytest.raises(DataError, match="steps must be at least 1"):
        maximize(network(), "3", 0, shape=(1, 8, 8), steps=0)
    with pytest.raises(DataError, match=r"position must lie on the \(4, 4\) map of layer 3, found \(4, 0\)"):
        maximize(network(), "3", 0, shape=(1, 8, 8), position=(4, 0))


def test_the_result_is_json_without_the_images() -> None:
    found = maximize(network(), "3", 0, shape=(1, 8, 8), steps=3)
    kept = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert kept["shape"] == [1, 8, 8]
    assert kept["history"] == found.history.tolist()
    assert "image" not in kept


def test_a_model_brings_its_size_and_preprocessing() -> None:
    model = Model(network(3), Preprocessing((3, 9, 8), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)), (), None, "net")
    found = maximize(model, "3", 0, steps=3)
    mean, std = torch.tensor([0.5, 0.4, 0.3])[:, None, None], torch.tensor([0.2, 0.3, 0.4])[:, None, None]
    assert found.picture.shape == (3, 9, 8)
    assert torch.allclose(found.image, (torch.from_numpy(found.picture) - mean) / std, atol=1e-6)
    vectors = Model(nn.Sequential(nn.Linear(3, 2)), Preprocessing((3,), (0.0,) * 3, (1.0,) * 3), (), None, "table")
    with pytest.raises(ModelError, match="the model takes vectors of 3 numbers"):
        maximize(vectors, "0", 0)
