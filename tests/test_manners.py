"""How modules from elsewhere answer: with which probabilities, and to each image for itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

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


def scripted(dense: nn.Linear) -> Any:
    return torch.jit.script(nn.Sequential(dense, nn.Sigmoid()).eval())


SIGMOIDS: dict[str, Callable[[nn.Linear], nn.Module]] = {
    "a module": lambda dense: nn.Sequential(dense, nn.Sigmoid(), nn.Dropout(), nn.Flatten()),
    "a function": lambda dense: Then(dense, lambda x: torch.sigmoid(x).reshape(-1, 3)),
    "in place": lambda dense: Then(dense, lambda x: (x * 1).sigmoid_()),
    "class by class": lambda dense: Then(dense, lambda x: torch.stack([c.sigmoid() for c in x.unbind(1)], 1)),
    "clipped": lambda dense: Then(dense, lambda x: x.sigmoid().clamp(1e-6, 1 - 1e-6)),
    "clipped below": lambda dense: Then(dense, lambda x: x.sigmoid().clamp_min(1e-6)),
    "clipped in place": lambda dense: Then(dense, lambda x: x.sigmoid().clamp_(1e-6, 1 - 1e-6)),
    "split": lambda dense: Then(dense, lambda x: torch.cat([*x.sigmoid().split([2, 1], 1)], 1)),
    "split class by class": lambda dense: Then(dense, lambda x: torch.stack(x.sigmoid().unbind(1), 1)),
    "a mean by hand": lambda dense: Then(dense, lambda x: (0 + x.sigmoid() + x.flip(0).flip(0).sigmoid()) / 2),
    "a weighted mean": lambda dense: Then(dense, lambda x: 0.3 * x.sigmoid() + x.sigmoid().mul_(0.7)),
    "a sum of shares": lambda dense: Then(dense, lambda x: torch.add(x.sigmoid() / 4, x.sigmoid(), alpha=0.75)),
    "in another order": lambda dense: Then(dense, lambda x: x.flip(1).sigmoid()[:, [2, 1, 0]]),
    "TorchScript": scripted,
    "frozen": lambda dense: torch.jit.freeze(scripted(dense)),
    "half precision": lambda dense: nn.Sequential(copy.deepcopy(dense), nn.Sigmoid()).bfloat16(),
}
"""How a module of a dense layer may end in a sigmoid."""


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("end", SIGMOIDS)
def test_a_sigmoid_gives_each_class_a_probability_of_its_own(end: str) -> None:
    dense = nn.Linear(4, 3)
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    expected = dense(torch.from_numpy(x)).sigmoid().detach().numpy()
    found = Model.foreign(SIGMOIDS[end](dense), (4,), classes=("a", "b", "c")).predict(x)
    np.testing.assert_allclose(found, expected, atol=0.02 if end == "half precision" else 1e-6)


def test_a_module_that_takes_one_image_at_a_time_is_known_by_one() -> None:
    def single(x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            raise RuntimeError("one image at a time")
        return x.sigmoid()

    found = Model.foreign(Then(nn.Linear(4, 3), single), (4,), classes=("a", "b", "c"))
    assert found.manner.probabilities
    assert found.predict(np.zeros((5, 4)), batch=1).shape == (5, 3)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_softmax_by_hand_is_taken_once_in_every_type(kind: torch.dtype) -> None:
    by_hand = Then(nn.Flatten(), lambda x: x.exp() / x.exp().sum(1, keepdim=True)).to(kind)
    module = nn.Sequential(nn.Flatten(), nn.Linear(72, 5), by_hand).to(kind)
    found = Model.foreign(module, (2, 6, 6), classes=tuple("abcde")).predict(IMAGES)
    with torch.no_grad():
        expected = module(torch.from_numpy(IMAGES).to(kind) / 255).float()
    np.testing.assert_allclose(found, expected, atol=0.02 if kind.itemsize == 2 else 1e-6)


def test_a_sigmoid_on_the_way_says_nothing_of_the_end() -> None:
    gated = Then(nn.Linear(4, 3), lambda x: x.sigmoid() * x)
    overwritten = Then(nn.Linear(4, 3), lambda x: x.sigmoid().mul_(8))
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    for module in (gated, overwritten, *(Then(nn.Linear(4, 3), then) for then in SUMS)):
        expected = module(torch.from_numpy(x)).softmax(1).detach().numpy()
        found = Model.foreign(module, (4,), classes=("a", "b", "c")).predict(x)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def _one_class_doubled(x: torch.Tensor) -> torch.Tensor:
    found = x.sigmoid()
    found[:, 1] *= 2
    return found


SUMS: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
    lambda x: x.sigmoid() + x.flip(1).sigmoid(),
    lambda x: x.sigmoid() + 0.25,
    lambda x: 0.5 * x.sigmoid(),
    lambda x: torch.add(2 * x.sigmoid(), x.flip(1).sigmoid(), alpha=-1),
    lambda x: (x.sigmoid() + x) / 2,
    lambda x: torch.cat([x.sigmoid()[:, :2], 2 * x.sigmoid()[:, 2:]], 1),
    _one_class_doubled,
)
"""Sums of probabilities which are none."""


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
        Then(nn.Identity(), lambda x: x - x.mean(0)),
        Then(nn.Identity(), lambda x: x / x.var(0, unbiased=False).add(0.1).sqrt()),
        Then(nn.Identity(), lambda x: x / x.amax()),
        Then(nn.Identity(), lambda x: x - x.amin((0, 2, 3), keepdim=True)),
    ],
)
def test_the_answer_to_an_image_does_not_depend_on_the_images_beside_it(norm: nn.Module) -> None:
    mine = Model.foreign(nn.Sequential(norm, nn.Flatten(), nn.Linear(72, 3)), (2, 6, 6), classes=("a", "b", "c"))
    alone = np.concatenate([mine.predict(image[None]) for image in IMAGES])
    np.testing.assert_array_equal(mine.predict(IMAGES), alone)
    assert mine.at_once(256) == 1


def test_norms_within_an_image_leave_batches_whole() -> None:
    by_hand = Then(nn.Identity(), lambda x: (x - x.mean((1, 2, 3), keepdim=True)) / x.amax((2, 3), keepdim=True))
    noisy = Then(nn.Identity(), lambda x: x + torch.randn_like(x))
    for norm in (nn.InstanceNorm2d(2), nn.GroupNorm(1, 2), nn.BatchNorm2d(2), by_hand, noisy):
        assert Model.foreign(nn.Sequential(norm, nn.Flatten()), (2, 6, 6)).at_once(256) == 256


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm1d(3, track_running_stats=False), Then(nn.Identity(), lambda x: x / (x.var(0) + 0.1).sqrt())]
)
def test_a_norm_that_has_no_statistics_for_one_image_is_refused(norm: nn.Module) -> None:
    module = nn.Sequential(nn.Linear(4, 3), norm)
    with pytest.raises(ModelError, match="statistics from the whole batch, and an image alone has none"):
        Model.foreign(module, (4,)).predict(np.zeros((5, 4), np.float32))
