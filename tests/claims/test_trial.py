"""A trial is a training: the same weights as `train.run`, kept once, the same in any process."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from striate import train
from striate.claims.comparing import trial as trials_of_one
from striate.claims.comparing.metrics import reached, steps_to
from striate.claims.comparing.probes import half_way
from striate.claims.comparing.trial import Trial, conduct, engine, points
from striate.claims.comparing.trials import Trials
from striate.claims.comparing.views import View
from striate.errors import Failure
from striate.network import Network
from striate.ranks import Ended
from striate.train import Recipe

from .stripes import stripes

if TYPE_CHECKING:
    from pathlib import Path

    from striate.data import DataSet
    from striate.model import Model

NETWORK = "input 1x16x16\nconv 4 3x3\nbatchnorm\nrelu\nmaxpool 2x2\ndropout 0.3\ndense 3"
RECIPE = Recipe(epochs=2, batch_size=30, learning_rate=0.01, precision="float32", seed=3)


def _trial(**changes: Any) -> Trial:
    return replace(Trial(NETWORK, RECIPE, stripes().fingerprint), **changes)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"precision": "bfloat16"},
        {"epochs": 20, "early_stopping": 1},
        {"ema": 0.9, "gradient_clipping": 0.1, "class_weights": "balanced", "label_smoothing": 0.1},
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "cosine", "warmup_steps": 2},
    ],
    ids=str,
)
def test_it_ends_at_the_weights_of_a_run_bit_for_bit(
    settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, recipe = stripes(), RECIPE.changed(**settings)
    run = train.run(Network.parse(NETWORK), data, recipe, out=tmp_path / "run", engine=engine(recipe))
    kept: list[dict[str, torch.Tensor]] = []

    def keep(name: str, model: Model, data: DataSet, **more: object) -> dict[str, object]:
        del name, data, more
        kept.append(model.module.state_dict())
        return {}

    monkeypatch.setattr(trials_of_one, "look", keep)
    record = conduct(_trial(recipe=recipe, curve=True, probes=("robustness",)), data)
    expected = run.model("best").module.state_dict()
    assert all(torch.equal(kept[0][name], value) for name, value in expected.items())
    assert run.result is not None
    assert record["test"]["accuracy"] == run.result["test"]["accuracy"]
    assert len(record["epochs"]) == run.result["epochs"]
    assert [e["loss"] for e in record["epochs"]] == [m["loss"] for m in run.metrics() if m["kind"] == "epoch"]


def test_early_stopping_and_precision_decide_a_trial() -> None:
    data, long = stripes(), RECIPE.changed(epochs=20)
    whole, stopped, coarse = (
        conduct(_trial(recipe=recipe), data)
        for recipe in (long, long.changed(early_stopping=1), long.changed(precision="bfloat16"))
    )
    assert len(stopped["epochs"]) < len(whole["epochs"]) == 20
    assert stopped["best_epoch"] == len(stopped["epochs"]) - 1
    assert coarse["engine"]["precision"] == "bfloat16"
    assert coarse["epochs"][0]["loss"] != whole["epochs"][0]["loss"]
    assert coarse["epochs"][0]["loss"] == pytest.approx(whole["epochs"][0]["loss"], rel=0.05)


def test_a_precision_left_to_the_machine_is_float32_on_every_machine() -> None:
    assert engine(Recipe(precision="auto")).precision == "float32"


def test_tuning_never_sees_the_test_split() -> None:
    data = stripes()
    assert conduct(_trial(tuning=True), data)["test"] is None
    spoiled = replace(data, test=replace(data.test, images=np.zeros_like(data.test.images)))
    assert conduct(_trial(tuning=True), data)["epochs"] == conduct(_trial(tuning=True), spoiled)["epochs"]


def test_keys_follow_content() -> None:
    assert _trial().key == _trial().key
    others = [
        _trial(network=NETWORK.replace("conv 4", "conv 5")),
        _trial(recipe=RECIPE.changed(seed=4)),
        _trial(view=View(images=30)),
        _trial(tuning=True),
        _trial(curve=True),
        _trial(curve=True, until=("training_error", 0.1)),
        _trial(curve=True, until=("training_error", 0.2)),
        _trial(fingerprint="x"),
    ]
    assert len({_trial().key, *(other.key for other in others)}) == 1 + len(others)


def test_it_ends_with_the_epoch_in_which_its_error_has_come_down() -> None:
    data, recipe = stripes(), RECIPE.changed(epochs=8, schedule="constant")
    whole = conduct(_trial(recipe=recipe, curve=True), data)
    which, target = "validation_error", 0.4
    assert whole["curve"][0][which] > target, "it is not there from the beginning"
    ended = conduct(_trial(recipe=recipe, curve=True, until=(which, target)), data)
    epochs = len(ended["epochs"])
    assert 0 < epochs < 8
    steps = epochs * math.ceil(len(data.train) / 30)
    assert whole["epochs"][:epochs] == ended["epochs"]
    assert [p for p in whole["curve"] if p["step"] <= steps] == ended["curve"]
    assert not any(p[which] <= target for p in ended["curve"] if p["step"] <= steps - steps // epochs)
    assert steps_to(ended, target, which) == steps_to(whole, target, which)
    never = conduct(_trial(recipe=recipe, curve=True, until=(which, -1.0)), data)
    assert never["epochs"] == whole["epochs"]


def test_finished_trials_are_never_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [_trial(), _trial(recipe=RECIPE.changed(seed=4)), _trial()]
    with Trials(stripes(), tmp_path) as trials:
        first = trials.records(asked)
        assert trials.conducted == 2
    assert first[0] == first[2]

    def again(trial: Trial, data: DataSet) -> None:
        del trial, data
        pytest.fail("trained again")

    monkeypatch.setattr(trials_of_one, "conduct", again)
    with Trials(stripes(), tmp_path) as trials:
        assert trials.records(asked) == first


@pytest.mark.parametrize(
    ("end", "said"), [(KeyboardInterrupt(), "stopped by Ctrl-C"), (Ended("stopped by SIGTERM"), "stopped by SIGTERM")]
)
def test_an_interrupted_set_keeps_what_is_finished_and_goes_on(
    end: BaseException, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [_trial(recipe=RECIPE.changed(seed=seed, epochs=1)) for seed in range(3)]
    done: list[str] = []

    def stopping(trial: Trial, data: Any) -> dict[str, Any]:
        if len(done) == 2:
            raise end
        done.append(trial.key)
        return conduct(trial, data)

    with monkeypatch.context() as patched:
        patched.setattr(trials_of_one, "conduct", stopping)
        with pytest.raises(Failure, match=f"{said}; 2 of 3 trainings are kept"), Trials(stripes(), tmp_path) as trials:
            trials.records(asked)
    with Trials(stripes(), tmp_path) as trials:
        trials.records(asked)
        assert trials.conducted == 1


def test_worker_processes_give_the_same_records(tmp_path: Path) -> None:
    asked = [_trial(recipe=RECIPE.changed(seed=seed), curve=True, probes=("path",)) for seed in range(2)]
    with Trials(stripes(), tmp_path / "one") as trials:
        alone = trials.records(asked)
    with Trials(stripes(), tmp_path / "two", workers=2) as trials:
        together = trials.records(asked)
    assert [_untimed(record) for record in alone] == [_untimed(record) for record in together]


def _untimed(record: Any) -> str:
    return json.dumps({key: value for key, value in record.items() if key != "seconds"})


def test_divergence_is_a_result(tmp_path: Path) -> None:
    wild = _trial(recipe=RECIPE.changed(optimizer="sgd", learning_rate=100.0, schedule="constant", epochs=5))
    with Trials(stripes(), tmp_path) as trials:
        (record,) = trials.records([replace(wild, network=NETWORK.replace("batchnorm\n", ""))])
    assert record["diverged"] or record["test"]["accuracy"] < 0.6


def test_steps_to_an_error_are_interpolated_and_bounded() -> None:
    curve = [{"step": s, "training_error": e} for s, e in ((0, 0.9), (10, 0.5), (20, 0.0), (30, 0.1))]
    assert steps_to({"curve": curve}) == pytest.approx(15)
    assert steps_to({"curve": curve[:2]}) == 10
    assert reached({"curve": curve})
    assert not reached({"curve": curve[:2]})


def test_points_grow_and_end_at_the_end() -> None:
    found = points(1000)
    assert found[0] == 0
    assert found[-1] == 1000
    assert all(b - a == 1 or b / a < 1.2 for a, b in itertools.pairwise(found[1:]))


def test_half_way_of_a_straight_path() -> None:
    path = [(s, {"a.weight": torch.full((2, 2), s / 8), "b.weight": torch.ones(1, 2)}) for s in (0, 2, 8)]
    assert half_way(path) == {"a": pytest.approx(4), "b": None}
