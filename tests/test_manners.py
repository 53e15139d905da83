"""How modules from elsewhere answer: with which probabilities, and to each image for itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from striate.errors import ModelError
from striate.model import Model

IMAGES = np.random.default_rng(0).integers(0, 256, (9, 2, 6, 6), dtype=np.uint8)


class Then(nn.Module):
    """A module, and a function of what it gives."""

    def __init__(self, first: nn.Module, then: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.then = first, then

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.then(self.first(x))


def ending_in(end: str) -> nn.Module:
    """A module of four inputs and three outputs that ends so, its weights drawn anew."""
    modules: dict[str, Callable[[], nn.Module]] = {
        "a module": lambda: nn.Sequential(nn.Linear(4, 3), nn.Sigmoid(), nn.Dropout(), nn.Flatten()),
        "a function": lambda: Then(nn.Linear(4, 3), lambda x: torch.sigmoid(x).reshape(-1, 3)),
        "in place": lambda: Then(nn.Linear(4, 3), lambda x: (x * 1).sigmoid_()),
        "TorchScript": lambda: torch.jit.script(nn.Sequential(nn.Linear(4, 3), nn.Sigmoid())),  # pyright: ignore[reportReturnType]
        "half precision": lambda: nn.Sequential(nn.Linear(4, 3), nn.Sigmoid()).bfloat16(),
    }
    return modules[end]()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("end", ["a module", "a function", "in place", "TorchScript", "half precision"])
def test_a_sigmoid_gives_each_class_a_probability_of_its_own(end: str) -> None:
    module = ending_in(end)
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    weights = [p.detach().double().numpy() for p in module.parameters()]
    expected = 1 / (1 + np.exp(-(x @ weights[0].T + weights[1])))
    found = Model.foreign(module, (4,), classes=("a", "b", "c")).predict(x)
    np.testing.assert_allclose(found, expected, atol=0.02 if end == "half precision" else 1e-5)


def test_a_sigmoid_on_the_way_says_nothing_of_the_end() -> None:
    gated = Then(nn.Linear(4, 3), lambda x: x.sigmoid() * x)
    overwritten = Then(nn.Linear(4, 3), lambda x: x.sigmoid().mul_(8))
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    for module in (gated, overwritten):
        expected = module(torch.from_numpy(x)).softmax(1).detach().numpy()
        found = Model.foreign(module, (4,), classes=("a", "b", "c")).predict(x)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("end", [nn.Identity(), nn.Sigmoid()])
def test_one_output_is_the_probability_of_the_one_class(end: nn.Module) -> None:
    dense = nn.Linear(4, 1)
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    expected = dense(torch.from_numpy(x)).sigmoid().detach().numpy()
    found = Model.foreign(nn.Sequential(dense, end), (4,), classes=("rain",)).predict(x)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(2, track_running_stats=False),
        Then(nn.Identity(), lambda x: functional.batch_norm(x, None, None, training=True)),
    ],
)
def test_the_answer_to_an_image_does_not_depend_on_the_images_beside_it(norm: nn.Module) -> None:
    mine = Model.foreign(nn.Sequential(norm, nn.Flatten(), nn.Linear(72, 3)), (2, 6, 6), classes=("a", "b", "c"))
    alone = np.concatenate([mine.predict(image[None]) for image in IMAGES])
    np.testing.assert_array_equal(mine.predict(IMAGES), alone)
    assert mine.at_once(256) == 1


def test_norms_within_an_image_leave_batches_whole() -> None:
    for norm in (nn.InstanceNorm2d(2), nn.GroupNorm(1, 2), nn.BatchNorm2d(2)):
        assert Model.foreign(nn.Sequential(norm, nn.Flatten()), (2, 6, 6)).at_once(256) == 256


def test_a_norm_that_has_no_statistics_for_one_image_is_refused() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))
    with pytest.raises(ModelError, match="statistics from the whole batch, and an image alone has none"):
        Model.foreign(module, (4,)).predict(np.zeros((5, 4), np.float32))
