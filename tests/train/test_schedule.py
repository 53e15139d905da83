"""Learning rates against PyTorch's own schedulers and the formulas of the papers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from squares import recipe

from striate.train.schedule import learning_rate

if TYPE_CHECKING:
    from torch.optim.lr_scheduler import LRScheduler


def theirs(scheduler: LRScheduler, steps: int) -> list[float]:
    rates: list[float] = []
    for _ in range(steps):
        rates.append(float(scheduler.get_last_lr()[0]))
        scheduler.optimizer.step()
        scheduler.step()
    return rates


def sgd(rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], rate)


@pytest.mark.parametrize("steps", [10, 37, 200])
@pytest.mark.parametrize("rise", [0.2, 0.3, 0.55])
def test_one_cycle_is_pytorchs(steps: int, rise: float) -> None:
    chosen = recipe(schedule="one-cycle", learning_rate=0.4, rise=rise)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        sgd(0.1), 0.4, total_steps=steps, pct_start=rise, cycle_momentum=False
    )
    expected = theirs(scheduler, steps - 1)  # its last rate stands after the last step but one
    assert [learning_rate(chosen, step, steps) for step in range(steps - 1)] == pytest.approx(expected, rel=1e-9)
    assert learning_rate(chosen, steps - 1, steps) == pytest.approx(0.4 / 25 / 1e4)


def test_cosine_is_pytorchs() -> None:
    chosen = recipe(schedule="cosine", learning_rate=0.3)
    expected = theirs(torch.optim.lr_scheduler.CosineAnnealingLR(sgd(0.3), 50), 50)
    assert [learning_rate(chosen, step, 50) for step in range(50)] == pytest.approx(expected, rel=1e-9)


def test_warmup_rises_linearly_and_then_the_schedule_takes_the_rest() -> None:
    constant = recipe(schedule="constant", learning_rate=1.0, warmup_steps=4)
    assert [learning_rate(constant, step, 10) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    cosine = recipe(schedule="cosine", learning_rate=1.0, warmup_steps=4)
    assert [learning_rate(cosine, step, 10) for step in range(4, 10)] == pytest.approx(
        [(1 + math.cos(math.pi * k / 6)) / 2 for k in range(6)]
    )


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_rate_above_zero(schedule: str, steps: int) -> None:
    chosen = recipe(schedule=schedule, learning_rate=0.5)
    assert all(0 < learning_rate(chosen, step, steps) <= 0.5 for step in range(steps))
