"""Evaluation against counting by hand."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from squares import ENGINE, NETWORK, squares
from torch import Tensor, nn

from striate.data import Split
from striate.errors import DataError, ModelError
from striate.model import Model, Preprocessing
from striate.train.evaluation import BINS, evaluate, evaluate_regression, score, summarize

DATA = squares()


def random_case(seed: int, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes)) * 3
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return logs.astype(np.float32), rng.integers(0, classes, count)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 6))
def test_every_number_against_a_loop(seed: int, count: int, classes: int) -> None:
    logs, labels = random_case(seed, count, classes)
    names = tuple(f"class {k}" for k in range(classes))
    found = summarize(logs, labels, names)
    called = [int(np.argmax(row)) for row in logs]
    for true in range(classes):
        for other in range(classes):
            expected = sum(t == true and c == other for t, c in zip(labels, called, strict=True))
            assert found.confusion[true, other] == expected
    right = sum(t == c for t, c in zip(labels, called, strict=True))
    assert found.accuracy == pytest.approx(right / count)
    assert found.loss == pytest.approx(-sum(float(logs[i, t]) for i, t in enumerate(labels)) / count, rel=1e-5)
    for k, row in enumerate(found.per_class):
        hits, said, are = (
            sum((t == k) & (c == k) for t, c in zip(labels, called, strict=True)),
            called.count(k),
            list(labels).count(k),
        )
        assert row.support == are
        assert row.precision == (hits / said if said else None)
        assert row.recall == (hits / are if are else None)
        if hits:
            assert row.f1 == pytest.approx(2 / (said / hits + are / hits))
    assert sum(pair.count for pair in found.confused) == count - right
    assert all(found.confused[k].count >= found.confused[k + 1].count for k in range(len(found.confused) - 1))
    assert [hard.loss for hard in found.hardest] == sorted((hard.loss for hard in found.hardest), reverse=True)
    json.dumps(found.as_json(), allow_nan=False)


@given(st.integers(0, 10**6))
def test_calibration_error_is_the_weighted_gap(seed: int) -> None:
    logs, labels = random_case(seed, 200, 4)
    found = summarize(logs, labels, ("a", "b", "c", "d"))
    top, right = np.exp(logs.max(1)).astype(np.float64), logs.argmax(1) == labels
    gap = 0.0
    for b in range(BINS):
        inside = [(p, r) for p, r in zip(top, right, strict=True) if b / BINS < p <= (b + 1) / BINS]
        gap += abs(sum(p - r for p, r in inside)) / len(labels)
    assert found.ece == pytest.approx(gap, abs=1e-6)
    assert sum(row.count for row in found.calibration) == 200


def test_confused_pairs_name_their_images_surest_first() -> None:
    logs = np.log(np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]], np.float32))
    found = summarize(logs, np.array([0, 0, 0, 1]), ("cat", "dog"))
    (pair,) = found.confused
    assert (pair.true, pair.predicted, pair.count, pair.indices) == (0, 1, 2, (1, 2))
    assert found.hardest[0].index == 1
    assert found.hardest[0].loss == pytest.approx(-math.log(0.2), rel=1e-6)


def model(module: nn.Module | None = None) -> Model:
    return Model(module or NETWORK.build(1), Preprocessing((1, 8, 8), (0.4,), (0.2,)), DATA.classes, None, "mine")


def test_a_models_evaluation_is_that_of_its_predictions_and_leaves_it_training() -> None:
    mine = model()
    mine.module.train()
    found = evaluate(mine, DATA.test, batch=7)
    probabilities = mine.predict(DATA.test.images)
    assert mine.module.training
    assert all(part.training for part in mine.module.modules())
    assert found.predicted.tolist() == probabilities.argmax(1).tolist()
    np.testing.assert_allclose(found.probability, probabilities.max(1), atol=1e-6)
    assert score(mine.module, mine.preprocessing, DATA.test, ENGINE, regression=False) == pytest.approx(
        (found.loss, found.accuracy), rel=1e-5
    )


def test_a_module_that_ends_in_softmax_gives_probabilities_already() -> None:
    plain = NETWORK.build(1)
    ended = nn.Sequential(OrderedDict([*plain.named_children(), ("softmax1", nn.Softmax(1))]))
    a, b = evaluate(model(plain), DATA.test), evaluate(model(ended), DATA.test)
    assert a.loss == pytest.approx(b.loss, rel=1e-5)
    np.testing.assert_allclose(
        model(plain).predict(DATA.test.images), model(ended).predict(DATA.test.images), atol=1e-6
    )


class HiddenSoftmax(nn.Module):
    def __init__(self, scores: nn.Module) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.scores(x), 1)


def test_a_foreign_softmax_is_seen_by_its_outputs() -> None:
    plain = NETWORK.build(1)
    hidden = replace(model(plain), module=HiddenSoftmax(plain), network=None)
    assert evaluate(hidden, DATA.test).loss == pytest.approx(evaluate(model(plain), DATA.test).loss, rel=1e-5)


def test_regression_scores() -> None:
    x = np.array([[1.0], [2.0], [3.0], [6.0]], np.float32)
    split = Split(x, 2 * x + np.array([[0.5], [-0.5], [0.5], [-0.5]], np.float32), ("",) * 4)
    double = nn.Linear(1, 1)
    nn.init.constant_(double.weight, 2.0)
    nn.init.zeros_(double.bias)
    found = evaluate_regression(Model.foreign(double, (1,)), split)
    assert found.rmse == pytest.approx(0.5)
    targets = split.labels[:, 0]
    assert found.r2 == pytest.approx(1 - 1.0 / float(((targets - targets.mean()) ** 2).sum()))
    constant = Split(x, np.ones_like(x), ("",) * 4)
    assert evaluate_regression(Model.foreign(double, (1,)), constant).r2 is None


def test_regression_of_several_outputs_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)).astype(np.float32), rng.normal([0, 50], [1, 9], (7, 2)).astype(np.float32)
    split = Split(x, y, ("",) * 7)
    module = nn.Linear(3, 2)
    squares, spread = [], []
    for row, wanted in zip(x, y, strict=True):
        given = module(torch.from_numpy(row)).tolist()
        squares += [(float(a) - float(b)) ** 2 for a, b in zip(given, wanted, strict=True)]
        spread += [(float(b) - float(mean)) ** 2 for b, mean in zip(wanted, y.mean(0), strict=True)]
    found = evaluate_regression(Model.foreign(module, (3,)), split)
    assert found.rmse == pytest.approx(math.sqrt(sum(squares) / 14))
    assert found.r2 == pytest.approx(1 - sum(squares) / sum(spread))
    scored = score(module, Preprocessing((3,), (0.0,) * 3, (1.0,) * 3), split, ENGINE, regression=True, batch=4)
    assert scored == (pytest.approx(sum(squares) / 14), None)


def test_what_cannot_be_evaluated_is_refused() -> None:
    nothing = Split(DATA.test.images[:0], DATA.test.labels[:0], ())
    with pytest.raises(DataError, match="this split is empty"):
        evaluate(model(), nothing)
    with pytest.raises(ModelError, match="has no classes"):
        evaluate(Model.foreign(NETWORK.build(), (1, 8, 8)), DATA.test)
    with pytest.raises(ModelError, match="outputs for 2 classes"):
        evaluate(Model(NETWORK.build(), Preprocessing((1, 8, 8), (0.0,), (1.0,)), ("a", "b")), DATA.test)


def test_scores_do_not_depend_on_the_batch() -> None:
    mine = model()
    whole = evaluate(mine, DATA.test, batch=30)
    assert evaluate(mine, DATA.test, batch=1).predicted.tolist() == whole.predicted.tolist()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("norm", [nn.Identity(), nn.BatchNorm2d(1, track_running_stats=False)])
def test_of_a_module_from_elsewhere_the_predictions_are_evaluated(norm: nn.Module) -> None:
    """Sigmoids as they are; images for themselves, where a batch norm would take them together."""
    torch.manual_seed(0)
    module = nn.Sequential(norm, NETWORK.build(1), nn.Sigmoid()).eval()
    foreign = replace(model(module), network=None)
    found, predicted = evaluate(foreign, DATA.test), foreign.predict(DATA.test.images)
    np.testing.assert_allclose(found.probability, predicted.max(1), atol=1e-6)
    assert found.predicted.tolist() == predicted.argmax(1).tolist()
    alone = np.concatenate(
        [module(foreign.preprocessing.normalize(torch.from_numpy(i[None]))).detach() for i in DATA.test.images]
    )
    np.testing.assert_allclose(predicted, alone, atol=1e-6)
