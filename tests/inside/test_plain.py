"""Plain values survive JSON; what JSON has no word for becomes null."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from striate.inside.watching.plain import plain


@dataclass(frozen=True)
class Point:
    x: float
    names: tuple[str, ...]


def test_everything_in_a_result_has_a_plain_form() -> None:
    value = {
        1: Point(math.inf, ("a",)),
        "t": torch.tensor([True]),
        "n": np.float32(2),
        "a": np.array([[1, 2]]),
        "z": None,
    }
    expected = {"1": {"x": None, "names": ["a"]}, "t": [True], "n": 2.0, "a": [[1, 2]], "z": None}
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected


def test_what_has_no_plain_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="set has no plain form"):
        plain([{1, 2}])
