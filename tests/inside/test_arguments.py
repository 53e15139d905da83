"""What cannot be meant is refused in one sentence, whichever study is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from striate.errors import UserError
from striate.inside import (
    activations,
    correspondence,
    equivariance,
    filters,
    grad_cam,
    invariance,
    maximize,
    occlude,
    project,
    project_many,
    receptive_fields,
)
from striate.inside.studies.evolution import evolution
from striate.model import Model

NET: Any = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
IMAGE: Any = torch.rand((1, 6, 6), generator=torch.Generator().manual_seed(0))
TWO: Any = torch.rand((2, 1, 6, 6), generator=torch.Generator().manual_seed(0))
MODEL: Any = Model.foreign(nn.Sequential(nn.Conv2d(3, 2, 3)), (3, 6, 6), mean=(0.5,) * 3, std=(0.2,) * 3)
BOXES: Any = {"part": [(0, 0, 2, 2)] * 2}


def odd(value: object) -> Any:
    """A value of a type that the signature does not allow."""
    return value


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "one of two coordinates": (lambda: project(NET, IMAGE, "0", 0, odd((0,))), r"row and column; found \(0,\)"),
    "half a row": (lambda: project(NET, IMAGE, "0", 0, odd((0.5, 1))), r"row and column; found \(0.5, 1\)"),
    "a place in words": (lambda: project(NET, IMAGE, "0", 0, odd("middle")), "row and column; found 'middle'"),
    "half a unit": (lambda: project(NET, IMAGE, "0", odd(0.5)), "unit must be a whole number, found 0.5"),
    "no unit": (lambda: project(NET, IMAGE, "0", odd(None)), "unit must be a whole number, found None"),
    "no image": (lambda: project(NET, odd(None), "0", 0), "array of numbers, found NoneType"),
    "a path": (lambda: activations(NET, odd("cat.png")), "array of numbers, found str"),
    "two images as one": (lambda: project(NET, TWO, "0", 0), "one image is wanted"),
    "a layer's number": (lambda: project(NET, IMAGE, odd(1), 0), "a layer is named by a string, .* found a int"),
    "a layer itself": (lambda: activations(NET, TWO, odd([NET[0]])), "a layer is named by a string, .* found a Conv2d"),
    "filters of a number": (lambda: filters(NET, odd(1)), "a layer is named by a string"),
    "layers by number": (lambda: invariance(NET, TWO, odd(1)), "layers are named by strings, found a int"),
    "half units": (
        lambda: project_many(NET, TWO, "0", odd([0.5, 1])),
        r"units must be whole numbers, found \[0.5, 1.0\]",
    ),
    "too few units": (lambda: project_many(NET, TWO, "0", [0]), r"one unit for each image is wanted, 2 in all"),
    "too few places": (lambda: project_many(NET, TWO, "0", [0, 1], [(0, 0)]), "one row and one column for each image"),
    "flat places": (lambda: project_many(NET, TWO, "0", [0, 1], torch.tensor([0, 1])), "one row and one column"),
    "half a class": (lambda: occlude(NET, IMAGE, "1", odd(0.5)), "a class must be a whole number, found 0.5"),
    "a class by name": (lambda: grad_cam(NET, IMAGE, "1", odd("cat")), "a class must be a whole number, found 'cat'"),
    "half a class of many": (
        lambda: invariance(NET, IMAGE, "1", true_classes=odd([0.5])),
        "a class must be a whole number",
    ),
    "half a unit to watch": (lambda: occlude(NET, IMAGE, "1", 0, unit=odd(0.5)), "unit must be a whole number"),
    "half a pixel": (lambda: occlude(NET, IMAGE, "1", 0, size=odd(2.5)), "size must be a whole number, found 2.5"),
    "three strides": (lambda: occlude(NET, IMAGE, "1", 0, stride=odd((1, 2, 3))), "stride must be two whole numbers"),
    "a colour by name": (
        lambda: occlude(NET, IMAGE, "1", 0, value=odd("grey")),
        "value must be one number or",
    ),
    "no batch": (lambda: occlude(NET, IMAGE, "1", 0, batch=0), "batch must be at least 1, found 0"),
    "no batch of moved images": (lambda: invariance(NET, TWO, "1", batch=0), "batch must be at least 1, found 0"),
    "no batch of maps": (lambda: equivariance(NET, "1", TWO, batch=0), "batch must be at least 1, found 0"),
    "no batch of epochs": (lambda: evolution([(1, NET)], TWO, "1", 0, batch=0), "batch must be at least 1, found 0"),
    "half a unit of epochs": (
        lambda: evolution([(1, NET)], TWO, "1", odd([0.5])),
        "unit must be a whole number, found 0.5",
    ),
    "no draws": (lambda: correspondence(NET, TWO, BOXES, "1", draws=0), "draws must be at least 1, found 0"),
    "a box of three": (lambda: correspondence(NET, TWO, {"eye": odd([(0, 1, 2)] * 2)}, "1"), "a box is .*top, left"),
    "half steps": (lambda: maximize(NET, "1", 0, shape=(1, 6, 6), steps=odd(1.5)), "steps must be a whole number"),
    "half a unit to excite": (lambda: maximize(NET, "1", odd(0.5), shape=(1, 6, 6)), "unit must be a whole number"),
    "one coordinate to excite": (
        lambda: maximize(NET, "1", 0, shape=(1, 6, 6), position=odd((0,))),
        "position must be two whole numbers",
    ),
    "two sides": (lambda: receptive_fields(NET, (6, 6)), r"input_shape must be \(channels, rows, columns\)"),
    "half a side": (lambda: receptive_fields(NET, odd((1, 6.5, 6))), "input_shape must be whole numbers"),
    "no side": (lambda: receptive_fields(NET, (1, 0, 6)), "input_shape must be"),
    "a field nowhere": (lambda: receptive_fields(NET, (1, 6, 6))["0"].box(odd((0,))), "position must be two whole"),
    "whole numbers as pixels": (lambda: activations(MODEL, torch.zeros(1, 3, 6, 6).long()), "must be of uint8 numbers"),
    "gray as colours": (
        lambda: activations(MODEL, np.zeros((1, 1, 6, 6), np.uint8)),
        "takes images of 3 channels, found the shape 1x6x6",
    ),
    "colours last": (lambda: project(MODEL, np.zeros((6, 6, 3), np.uint8), "0", 0), "takes images of 3 channels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_sentence(case: str) -> None:
    ask, said = REFUSED[case]
    with pytest.raises(UserError, match=said) as refused:
        ask()
    assert "\n" not in str(refused.value)


def test_whole_numbers_of_every_kind_are_taken() -> None:
    expected = project(NET, IMAGE, "0", 1, (2, 3))
    for unit, position in ((np.int64(1), np.array([2, 3])), (torch.tensor(1), torch.tensor([2, 3])), (True, [2, 3])):
        given: Any = unit, position
        assert torch.equal(project(NET, IMAGE, "0", *given), expected)
    assert torch.equal(project_many(NET, IMAGE[None], "0", [1], [(2, 3)])[0], expected)
    filled = occlude(NET, IMAGE, "1", 0, value=np.float32(0.25)).probability  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(filled, occlude(NET, IMAGE, "1", 0, value=[0.25]).probability)
