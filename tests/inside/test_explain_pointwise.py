"""Functions of one number that have no text form: what is written is worked out again, and compared with torch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from explained import Calls, noise, walked
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.inside.explaining.explain import explain


def slopes() -> nn.PReLU:
    """One of 0.1, -0.5 and 2."""
    part = nn.PReLU(3)
    part.load_state_dict({"weight": torch.tensor([0.1, -0.5, 2.0])})
    return part


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "clamp low=-1 high=0.5": lambda x: F.hardtanh(x, -1, 0.5),
    "clamp low=-1 high=1": nn.Hardtanh(),
    "clamp low=-0.3": lambda x: x.clamp(min=-0.3),
    "clamp high=2": lambda x: x.clamp(max=2),
    "clamp high=-1": lambda x: x.clamp_max(-1),
    "clamp low=1": lambda x: x.clamp_min(1),
    "clamp low=0 high=4": lambda x: torch.clip(x, 0, 4),
    "clamp low=2 high=-2": lambda x: torch.clamp(x, 2, -2),
    "prelu": slopes(),
    "softplus": nn.Softplus(),
    "softplus ": lambda x: F.softplus(x, beta=3, threshold=5),
    "mish": nn.Mish(),
    "gelutanh": nn.GELU(approximate="tanh"),
}

NUMBERS = [-90.0, -20.5, -5.0, -1.0, -0.3, -1e-3, 0.0, 1e-6, 0.2, 0.5, 1.0, 1.7, 2.5, 6.5, 21.0, 90.0, 400.0]
"""Below, between and above the bounds, and so far out that powers vanish or would overflow."""


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_function_of_one_number(kind: str) -> None:
    call, numbers = FUNCTIONS[kind], torch.tensor(NUMBERS)
    image = numbers.reshape(1, 1, -1).expand(3, 2, -1)
    twin = copy.deepcopy(call).double() if isinstance(call, nn.Module) else call
    with torch.no_grad():
        truth = twin(image.double()[None])[0]
    for k in range(len(NUMBERS)):
        unit = k % 3
        found = explain(Calls(call), image, "", unit, (1, k))
        assert found.kind == kind.strip()
        assert found.agrees, found.text()
        assert found.value == pytest.approx(float(truth[unit, 1, k]), rel=1e-6, abs=1e-12)
        assert [(source.at, source.x) for source in found.terms.sources] == [((unit, 1, k), float(image[unit, 1, k]))]


def test_infinities() -> None:
    image = torch.tensor([math.inf, -math.inf]).reshape(1, 1, 2)
    module = nn.Sequential(nn.Hardtanh(-2, 3))
    assert [explain(module, image, "0", 0, (0, k)).value for k in (0, 1)] == [3, -2]


@pytest.mark.parametrize("seed", range(6))
def test_between_convolutions_they_are_passed(seed: int) -> None:
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    between = [nn.PReLU(4), nn.Mish(inplace=True), nn.Softplus(2.0), nn.GELU("tanh"), nn.Hardtanh(-0.2, 0.4)]
    order = random.permutation(5).tolist()
    parts = [part for k in order for part in (nn.Conv2d(4, 4, 3, padding=1), between[k])]
    for part in between[:1]:
        nn.init.uniform_(part.weight, -1, 1)  # pyright: ignore[reportArgumentType]
    module = nn.Sequential(nn.Conv2d(2, 4, 1), *parts, nn.Flatten(), nn.Linear(80, 3))
    image = noise(2, 5, 4, seed=seed)
    with torch.no_grad():
        truth = module(image[None])[0]
    found = explain(module, image, "", 2, depth="input", follow=2)
    assert found.value == pytest.approx(float(truth[2]), rel=1e-5)
    assert walked(found)
    at = tuple(int(random.integers(side)) for side in (4, 5, 4))
    names = [str(2 * k + 2) for k in range(5)]
    whole = dict(zip(names, (module[: int(name) + 1](image[None])[0] for name in names), strict=True))
    for name, output in whole.items():
        each = explain(module, image, name, at[0], (at[1], at[2]), depth="input", follow=1)
        assert each.value == pytest.approx(float(output.detach()[at]), rel=1e-5, abs=1e-7)
        assert walked(each)


def test_what_mish_says() -> None:
    found = explain(Calls(F.mish), torch.full((1, 1, 1), -1.0), "", 0, (0, 0))
    assert "y = x · tanh(ln(1 + e^x))" in found.text()
    assert "t = p · (p + 2) / (p · (p + 2) + 2) = 0.367879 · (0.367879 + 2) / (0.367879" in found.text()
