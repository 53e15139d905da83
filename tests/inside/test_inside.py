"""The public face: every name is there."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from striate import inside
from striate.model import Model


@pytest.mark.parametrize("name", inside.__all__)
def test_every_public_name_can_be_called(name: str) -> None:
    assert callable(getattr(inside, name))
    assert name in dir(inside)


def test_importing_it_imports_no_torch() -> None:
    code = "import sys, striate.inside; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="no attribute 'attribution'"):
        _ = getattr(inside, "attribution")  # noqa: B009


def test_images_of_a_data_set_are_taken_as_they_are() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 2))
    model = Model.foreign(net, (1, 8, 8), mean=(0.3,), std=(0.5,))
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8), dtype=np.uint8)
    images.setflags(write=False)
    tensors = torch.from_numpy(images.copy())
    for number in range(2):
        as_array, as_tensor = (
            (
                inside.activations(model, taken, ["1"])["1"],
                inside.project(model, taken[number], "1", 1),
                torch.from_numpy(inside.occlude(model, taken[number], "1", 0).probability),
                torch.as_tensor(inside.grad_cam(model, taken[number], "1").map),
                torch.as_tensor(inside.invariance(model, taken, "1").distance),
            )
            for taken in (images, tensors)
        )
        assert all(torch.equal(a, b) for a, b in zip(as_array, as_tensor, strict=True))


def test_a_model_brings_its_input_shape() -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(2))
    assert inside.receptive_fields(Model.foreign(net, (1, 9, 7))) == inside.receptive_fields(net, (1, 9, 7))
