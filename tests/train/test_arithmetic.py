"""What training computes, against the same worked out another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from squares import ENGINE, NETWORK, recipe, squares

from striate.data import table
from striate.network import Network
from striate.train import Recipe, Run, checkpoint, evaluate_regression, fit, run
from striate.train.events import Saved, Started

DATA = squares()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_weights_follow_pytorchs_optimizer_step_by_step(optimizer: str, tmp_path: Path) -> None:
    """The engine against a plain loop; one batch an epoch and nothing random, so that order has no say."""
    chosen = recipe(optimizer=optimizer, epochs=4, batch_size=96, ema=0.0, schedule="cosine",
                    learning_rate=0.05, label_smoothing=0.2, augmentation={"shift": 0}, gradient_clipping=0.5,
                    weight_decay=0.1)  # fmt: skip
    plain = Network.parse("input 1x8x8, conv 4 3x3, relu, dense 3")
    done = run(plain, DATA, chosen, out=tmp_path / "run", engine=ENGINE)
    module = plain.build(chosen.seed)
    expected = by_hand(module, chosen, done)
    found = done.model("last").module.state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=2e-4, atol=2e-5)


def by_hand(module: torch.nn.Sequential, chosen: Recipe, done: Run) -> dict[str, torch.Tensor]:
    decayed = [p for p in module.parameters() if p.dim() > 1]
    rest = [p for p in module.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    adam = chosen.optimizer == "adamw"
    stepper = torch.optim.AdamW(groups, 0.05) if adam else torch.optim.SGD(groups, 0.05, momentum=0.9)
    x = torch.from_numpy(DATA.train.images.astype(np.float32) / 255)
    x = (x - done.preprocessing.mean[0]) / done.preprocessing.std[0]
    y = torch.from_numpy(DATA.train.labels)
    for step in range(4):
        for group in stepper.param_groups:
            group["lr"] = 0.05 * (1 + np.cos(np.pi * step / 4)) / 2
        stepper.zero_grad()
        logs = module(x).log_softmax(1)
        smooth = torch.full_like(logs, 0.2 / 3).scatter_(1, y[:, None], 0.8 + 0.2 / 3)
        (-(smooth * logs).sum(1).mean()).backward()
        length = torch.sqrt(sum((p.grad**2).sum() for p in module.parameters() if p.grad is not None) + torch.zeros(()))
        for p in module.parameters():
            assert p.grad is not None
            p.grad *= min(1.0, 0.5 / (float(length) + 1e-6))
        stepper.step()
    return module.state_dict()


def test_the_average_is_the_average_of_the_weights_that_were_there(tmp_path: Path) -> None:
    out = tmp_path / "run"
    seen: list[dict[str, torch.Tensor]] = []
    for event in fit(NETWORK, DATA, recipe(epochs=1, checkpoint_seconds=1e-9), out=out, engine=ENGINE):
        if isinstance(event, Started) or (isinstance(event, Saved) and event.kind == "last" and event.step):
            seen.append(checkpoint.read(Run(out).checkpoint("last"))[0])
    name = "conv1.weight"
    average = seen[0][f"module.{name}"].double()
    for step, tensors in enumerate(seen[1:]):
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * tensors[f"module.{name}"].double()
        torch.testing.assert_close(tensors[f"average.{name}"].double(), average, rtol=1e-5, atol=1e-6)
    assert len(seen) == 7


def test_a_network_ending_in_softmax_trains_like_one_without(tmp_path: Path) -> None:
    chosen = recipe(epochs=1, ema=0.0)
    text = "input 1x8x8, conv 4 3x3, relu, dense 3"
    plain = run(Network.parse(text), DATA, chosen, out=tmp_path / "plain", engine=ENGINE)
    ended = run(Network.parse(f"{text}, softmax"), DATA, chosen, out=tmp_path / "softmax", engine=ENGINE)
    a, b = (r.model("last").predict(DATA.test.images) for r in (plain, ended))
    np.testing.assert_allclose(a, b, atol=2e-3)


def test_the_lectures_network_learns_a_function_of_three_inputs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1200, 3)).astype(np.float32)
    data = table(x, np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2])
    chosen = Recipe(
        epochs=60, batch_size=64, learning_rate=0.05, loss="mean-squared-error", weight_decay=0.0, early_stopping=0
    )
    done = run(Network.preset("ann"), data, chosen, out=tmp_path / "run", engine=ENGINE)
    scored = evaluate_regression(done.model("best"), data.test)
    assert scored.r2 is not None
    assert scored.r2 > 0.9
    assert done.result is not None
    assert done.result["test"]["rmse"] == pytest.approx(scored.rmse)


@pytest.mark.parametrize("end", ["softmax, flatten", "flatten, softmax, dropout 0", "softmax, dropout 0, flatten"])
def test_softmax_is_taken_once_wherever_the_maps_become_a_vector(end: str, tmp_path: Path) -> None:
    ends = {"plain": "flatten, softmax", "other": end}
    done = {
        name: run(Network.parse(f"conv 3 8x8, {text}"), DATA, recipe(), out=tmp_path / name, engine=ENGINE)
        for name, text in ends.items()
    }
    ours, theirs = (each.model().predict(DATA.test.images) for each in done.values())
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert theirs.max() > np.e / (np.e + 2)  # of a softmax of a softmax no probability can be larger
    plain, other = (each.metrics()[-1] for each in done.values())
    assert other["loss"] == pytest.approx(plain["loss"], rel=1e-5)
