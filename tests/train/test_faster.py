"""The rewritten module against the one it was made from."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from striate.network import Network
from striate.train.faster import LEVELS, WordDropout, make_faster

TEXT = "input 2x13x13, conv 5 3x3, batchnorm, relu, maxpool 3x3 stride=2 pad=1, residual(conv 5 3x3 pad=same, relu, maxpool 3x3 stride=1 pad=1), relu, maxpool 2x2, dense 4"  # noqa: E501


def test_values_gradients_and_names_stay() -> None:
    plain = Network.parse(TEXT).build(seed=3).double()
    fast = copy.deepcopy(plain)
    make_faster(fast)
    x = torch.randn(6, 2, 13, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for module in (plain, fast):
        module(x).square().sum().backward()
    assert torch.equal(plain(x), fast(x))
    assert list(plain.state_dict()) == list(fast.state_dict())
    for (name, a), (same, b) in zip(plain.named_parameters(), fast.named_parameters(), strict=True):
        assert name == same
        assert a.grad is not None
        assert b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-12, atol=1e-12)


def test_pools_come_first_inside_blocks_too() -> None:
    fast = Network.parse(TEXT).build(seed=3)
    make_faster(fast)
    kinds = [type(part) for part in fast.modules()]
    pools = [at for at, kind in enumerate(kinds) if kind is nn.MaxPool2d]
    assert len(pools) == 3
    assert all(kinds[at + 1] is nn.ReLU for at in pools)


@pytest.mark.parametrize("p", [0.5, 0.1, 0.9, 1 / 3])
def test_dropout_keeps_its_share_and_its_mean(p: float) -> None:
    dropout = WordDropout(p)
    torch.manual_seed(1)
    n = 999_999
    y = dropout(torch.ones(n))
    kept = (y != 0).double().mean().item()
    assert abs(kept - (1 - p)) < 4 * (p * (1 - p) / n) ** 0.5 + 1 / LEVELS
    assert y.max().item() == pytest.approx(1 / (1 - p), rel=1e-3)
    assert y.double().mean().item() == pytest.approx(1, abs=4 * (p / (1 - p) / n) ** 0.5)


def test_dropout_draws_each_number_apart() -> None:
    torch.manual_seed(2)
    y = WordDropout(0.5)(torch.ones(400, 1001)) != 0
    correlation = torch.corrcoef(y[:, :32].T.double()) - torch.eye(32)
    assert correlation.abs().max() < 0.25  # 400 samples: a standard error of 0.05


def test_dropout_is_nothing_in_evaluation_and_follows_the_seed() -> None:
    dropout = WordDropout(0.3)
    x = torch.randn(3, 7, 5)
    assert torch.equal(dropout.eval()(x), x)
    dropout.train()
    torch.manual_seed(5)
    first = dropout(x)
    torch.manual_seed(5)
    assert torch.equal(first, dropout(x))
