"""What is minimized, derived a second way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from squares import recipe, squares
from torch import nn

from striate.data import DataSet, Findings, Split
from striate.train.optimizer import average_into, balance, optimizer, training_loss
from striate.train.randomness import Randomness, step_seeds

CPU = torch.device("cpu")


def unbalanced() -> DataSet:
    labels = np.array([0] * 6 + [1] * 3 + [2], np.int64)
    split = Split(np.zeros((10, 1, 2, 2), np.uint8), labels, ("",) * 10)
    return DataSet("unbalanced", ("a", "b", "c"), split, split, split, Findings(), "")


@given(st.floats(0, 0.99), st.integers(0, 2**32))
def test_label_smoothing_is_cross_entropy_against_softened_labels(smoothing: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(7, 3)) * 3, rng.integers(0, 3, 7)
    loss = training_loss(recipe(label_smoothing=smoothing), squares(), probabilities=False, device=CPU)
    target = (1 - smoothing) * np.eye(3)[labels] + smoothing / 3
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    found = loss(torch.from_numpy(logits), torch.from_numpy(labels))
    assert float(found) == pytest.approx(-(target * logs).sum(1).mean(), rel=1e-9)


def test_balanced_classes_weigh_alike_in_sum() -> None:
    data = unbalanced()
    weights = balance(data.train, 3)
    np.testing.assert_allclose(weights, [10 / 18, 10 / 9, 10 / 3], rtol=1e-6)
    np.testing.assert_allclose(weights * [6, 3, 1], 10 / 3, rtol=1e-6)
    loss = training_loss(recipe(class_weights="balanced", label_smoothing=0.0), data, probabilities=False, device=CPU)
    logits, labels = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)), torch.from_numpy(data.train.labels)
    each = -logits.log_softmax(1)[torch.arange(10), labels]
    per_class = torch.stack([each[labels == k].mean() for k in range(3)])
    torch.testing.assert_close(loss(logits, labels), per_class.mean())


def test_biases_and_scales_do_not_decay() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    for name in ("sgd", "adamw"):
        made = optimizer(recipe(optimizer=name, weight_decay=0.1, momentum=0.8), module)
        decays = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
        assert {n: decays[id(p)] for n, p in module.named_parameters()} == {
            n: 0.1 if n in ("0.weight", "3.weight") else 0.0 for n, _ in module.named_parameters()
        }
    assert optimizer(recipe(optimizer="sgd", nesterov=True), module).param_groups[0]["nesterov"] is True
    assert optimizer(recipe(momentum=0.8), module).param_groups[0]["betas"] == (0.8, 0.999)


def test_the_average_of_the_weights_forgets_the_first_ones_soon() -> None:
    averaged, module = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(averaged.weight, 8.0)
    expected, decays = 8.0, (1 / 10, 2 / 11, 3 / 12, 0.3, 0.3)  # (1 + step) / (10 + step), up to the recipe's 0.3
    for step, decay in enumerate(decays):
        nn.init.constant_(module.weight, float(step))
        expected = decay * expected + (1 - decay) * step
        average_into(averaged, module, 0.3, step)
        assert averaged.weight.item() == pytest.approx(expected)


@given(st.tuples(*[st.integers(0, 1000)] * 3), st.tuples(*[st.integers(0, 1000)] * 3))
def test_every_step_has_seeds_of_its_own(a: tuple[int, int, int], b: tuple[int, int, int]) -> None:
    assert (a == b) == (step_seeds(*a) == step_seeds(*b))
    assert step_seeds(*a)[0] != step_seeds(*a)[1]


def test_a_steps_draws_do_not_depend_on_what_was_drawn_before() -> None:
    drawn: list[torch.Tensor] = []
    for before in (0, 5):
        randomness = Randomness(3, CPU)
        with randomness.ours():
            torch.rand(before)
            randomness.at(1, 2)
            drawn.append(torch.rand(4))
    assert torch.equal(*drawn)
