"""Whether the module's number is the equation's but for rounding: in every type of numbers, and no more than that."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from explained import TEXTS, drawn, noise
from torch import Tensor, nn

from striate.inside.explaining.explain import explain
from striate.network import Network

TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]

ACTIVATIONS = [
    nn.GELU(),
    nn.SiLU(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.ELU(0.001),
    nn.ELU(50.0),
    nn.ReLU6(),
    nn.LeakyReLU(0.01),
    nn.Softmax(1),
    nn.LogSoftmax(1),
]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("module", ACTIVATIONS, ids=str)
def test_functions_agree_wherever_little_is_left_of_what_they_add_up(module: nn.Module, dtype: torch.dtype) -> None:
    x = torch.tensor([-50, -20, -6, -5, -4, -3.001, -3, -2.999, -1, -0.01, -1e-6, 0, 1e-3, 0.5, 2.999, 7, 60])
    for unit in range(len(x)):
        found = explain(nn.Sequential(nn.Identity(), module), x.to(dtype), "1", unit)
        assert found.agrees, (float(x[unit]), found.value, found.module_value, found.relative)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(
    "module",
    [nn.LayerNorm(64), nn.GroupNorm(2, 64), nn.BatchNorm1d(64), nn.InstanceNorm2d(64)],
    ids=lambda module: type(module).__name__,
)
def test_norms_agree_where_numbers_are_far_larger_than_what_is_left_of_them(
    module: nn.Module, dtype: torch.dtype
) -> None:
    x = 100 + 3 * noise(64, 2, 2) if isinstance(module, nn.InstanceNorm2d) else 100 + 3 * noise(64)
    if isinstance(module, nn.BatchNorm1d):
        assert module.running_mean is not None
        module.running_mean.fill_(100.0)
    position = (0, 1) if x.dim() == 3 else None
    for unit in range(0, 64, 7):
        assert explain(nn.Sequential(module.to(dtype)), x.to(dtype), "0", unit, position).agrees


@pytest.mark.parametrize("dtype", TYPES[1:] + TYPES[:1], ids=str)
@pytest.mark.parametrize("text", [TEXTS["conv"], TEXTS["blocks"], TEXTS["modern"], TEXTS["vector"]])
def test_networks_of_every_type_agree_and_name_it(text: str, dtype: torch.dtype) -> None:
    network, module = Network.parse(text), drawn(text).to(dtype)
    assert network.input is not None
    name = str(dtype).removeprefix("torch.")
    for layer in network.names:
        found = explain(module, noise(*network.input), layer, 1)
        assert found.agrees, (layer, found.relative)
        assert found.rounding.dtype == name
        held = json.loads(json.dumps(found.as_json(), allow_nan=False))
        assert held["dtype"] == name
        assert held["relative"] == pytest.approx(abs(held["difference"]) / held["scale"])
        assert held["agrees"] == (held["relative"] <= held["tolerance"])
        if found.difference:
            assert f", rounding in {name}" in " ".join(found.text().split())
            assert f", rounding in {name}" in found._repr_html_()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("dtype", "rounded", "wrong"),
    [
        (torch.float64, 1e-14, 1e-12),
        (torch.float32, 1e-6, 1e-4),
        (torch.float16, 1e-3, 1e-2),
        (torch.bfloat16, 1e-2, 1e-1),
    ],
)
def test_more_than_rounding_is_called_so(dtype: torch.dtype, rounded: float, wrong: float) -> None:
    found = explain(nn.Sequential(nn.Sigmoid()).to(dtype), torch.tensor([0.5], dtype=dtype), "0", 0)
    assert replace(found, module_value=found.value * (1 + rounded)).agrees
    differing = replace(found, module_value=found.value * (1 + wrong))
    assert not differing.agrees
    name = str(dtype).removeprefix("torch.")
    assert f"more than rounding in {name}, " in " ".join(differing.text().split())
    assert f"more than rounding in {name}, " in differing._repr_html_()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (nn.Softmax(1), noise(1000)),
        (nn.GELU(), torch.tensor([1e-3])),
        (nn.SiLU(), torch.tensor([-30.0])),
        (nn.ELU(1e-6), torch.tensor([-2.0])),
        (nn.LocalResponseNorm(3, alpha=1e3), 30 * noise(5, 2, 2)),
        (nn.LayerNorm(4), 1e3 * noise(4)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_number_that_is_a_hundredth_off_never_passes_for_rounded(module: nn.Module, x: Tensor) -> None:
    """Also where the steps on the way to it are far larger than itself."""
    found = explain(nn.Sequential(module), x, "0", 0, (0, 0) if x.dim() == 3 else None)
    assert found.agrees
    assert not replace(found, module_value=1.01 * found.module_value).agrees


class Mixed(nn.Module):
    """Its first layer computes in bfloat16, its second in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.short = nn.Conv2d(1, 2, 3).bfloat16()
        self.long = nn.Conv2d(2, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.long(torch.cat([self.short(x).float() + 0.5], dim=1))


def test_each_number_is_held_to_the_type_that_it_was_given_in() -> None:
    module = Mixed()
    assert explain(module, noise(1, 4, 4), "short", 0, (0, 1)).rounding.dtype == "bfloat16"
    assert explain(module, noise(1, 4, 4), "long", 0, (0, 1)).rounding.dtype == "float32"


def test_what_a_difference_is_measured_by_is_said_with_its_number() -> None:
    dense = nn.Linear(2, 1)
    dense.weight.data = torch.tensor([[3.0, -1.0]])
    dense.bias.data = torch.tensor([0.5])
    found = explain(nn.Sequential(dense), torch.tensor([2.0, 5.0]), "0", 0)
    assert "module   1.5, the same" in found.text()
    off = replace(found, module_value=1.5 + 2.0**-20)
    assert f"relative to Σ|W·x| + |b| = 11.5: {2.0**-20 / 11.5:.2g}".replace("-", "−") in " ".join(off.text().split())
    far = replace(found, module_value=100.0)
    assert "differs by −98, relative 0.98, more than" in " ".join(far.text().split())
    (half,) = (explain(nn.Sequential(nn.GELU()), torch.tensor([-4.0]), "0", 0),)
    assert "relative to what is added up, 2: " in " ".join(half.text().split())
