"""Training as a stream of events: what is kept, what is repeatable, what stops it."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pytest
import torch
from squares import DATA, ENGINE, NETWORK, recipe, squares, stop_with_ctrl_c, tensors_equal, trained

from striate.cli.together import together
from striate.data import DataSet, Findings, Split, table
from striate.data.augment import Augmentation
from striate.errors import DataError, Failure, ModelError, NetworkError, RecipeError, UserError
from striate.model import Model
from striate.network import Network
from striate.ranks import Ended
from striate.train import Recipe, Run, checkpoint, evaluate, fit, run, run_on, training
from striate.train.events import Evaluated, Event, Finished, Saved, Started, Stepped

if TYPE_CHECKING:
    pass


def weights(done: Run) -> bytes:
    return (done.path / "model.safetensors").read_bytes()


def test_events_come_in_order_and_count_every_step(tmp_path: Path) -> None:
    events = list(fit(NETWORK, DATA, recipe(), out=tmp_path / "run", engine=ENGINE))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert (events[0].epochs, events[0].steps, events[0].images) == (3, 6, 96)
    steps = [(e.epoch, e.step) for e in events if isinstance(e, Stepped) and e.recorded]
    assert steps == [(epoch, step) for epoch in (1, 2, 3) for step in range(1, 7)]
    assert [e.epoch for e in events if isinstance(e, Evaluated)] == [1, 2, 3]
    assert [e.kind for e in events if isinstance(e, Saved)][-2:] == ["last", "model"]


def test_the_training_loss_of_an_epoch_is_the_mean_over_its_images(tmp_path: Path) -> None:
    data, network = squares(40), Network.parse("input 1x8x8, dense 3")  # batches of 16, 16 and 8
    still = recipe(
        epochs=1, ema=0.0, learning_rate=1e-12, weight_decay=0.0, label_smoothing=0.0, augmentation=Augmentation()
    )
    done = run(network, data, still, out=tmp_path / "run", engine=ENGINE)
    images = done.preprocessing.normalize(torch.from_numpy(data.train.images))
    with torch.no_grad():
        shares = network.build(still.seed)(images).softmax(1).numpy()
    losses = [-np.log(row[label]) for row, label in zip(shares, data.train.labels, strict=True)]
    (epoch,) = [line for line in done.metrics() if line["kind"] == "epoch"]
    assert epoch["training_loss"] == pytest.approx(sum(losses) / 40, rel=1e-5)


def test_the_folder_holds_everything_in_open_formats(whole: Run) -> None:
    names = {str(p.relative_to(whole.path)) for p in whole.path.rglob("*") if p.is_file()}
    assert names == {
        "network.txt", "recipe.toml", "environment.json", "data.json", "metrics.jsonl",
        "model.safetensors", "result.json",
        "checkpoints/last.safetensors", "checkpoints/best.safetensors",
        "checkpoints/epoch-001.safetensors", "checkpoints/epoch-002.safetensors",
    }  # fmt: skip
    assert Network.read(whole.path / "network.txt") == NETWORK == whole.network
    assert whole.recipe == recipe(keep_epochs=True)
    assert whole.data["fingerprint"] == DATA.fingerprint
    assert whole.data["classes"] == list(DATA.classes)
    assert whole.environment["engine"]["threads"] == 1
    assert torch.__version__.startswith(whole.environment["packages"]["torch"].split("+")[0])
    assert [line["kind"] for line in whole.metrics()].count("epoch") == 3
    assert whole.kept_epochs() == [1, 2]
    assert whole.data_source is None


def test_the_network_learned_and_the_stored_score_is_that_of_the_stored_model(tmp_path: Path) -> None:
    done = trained(tmp_path / "run", epochs=12)
    assert done.result is not None
    scored = evaluate(Model.load(done.path / "model.safetensors"), DATA.test)
    assert scored.accuracy > 0.9
    assert done.result["test"] == json.loads(json.dumps(scored.as_json()))
    assert evaluate(done.model("best"), DATA.test).accuracy == scored.accuracy


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_weights(whole: Run, tmp_path: Path) -> None:
    again, other = trained(tmp_path / "again", keep_epochs=True), trained(tmp_path / "other", seed=1)
    assert weights(again) == weights(whole)
    assert tensors_equal(again, whole)
    assert not tensors_equal(other, whole)


def test_a_run_is_never_written_over(whole: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds a run already.*striate\.train\.run_on"):
        fit(NETWORK, DATA, recipe(), out=whole.path)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="is not an empty folder"):
        fit(NETWORK, DATA, recipe(), out=tmp_path)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "recipe.toml").write_text("")
    with pytest.raises(UserError, match="is not an empty folder"):
        fit(NETWORK, DATA, recipe(), out=damaged)
    with pytest.raises(UserError, match="there is no run at"):
        Run.open(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["folder", "link", "here", "mount"])
def test_an_empty_folder_becomes_the_run_whatever_kind_it_is(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "empty", tmp_path / "empty"
    folder.mkdir()
    if kind == "link":
        out = tmp_path / "link"
        out.symlink_to(folder)
    if kind == "here":
        monkeypatch.chdir(folder)
        out = Path()
    if kind == "mount":
        monkeypatch.setattr(Path, "rmdir", busy)
    done = run(NETWORK, DATA, recipe(epochs=1), out=out, engine=ENGINE)
    assert done.result is not None
    assert Run.open(folder).result == done.result
    assert not [path.name for path in [*folder.iterdir(), *tmp_path.iterdir()] if path.name.startswith(".")]


def busy(path: Path) -> NoReturn:
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))


def test_torchs_global_state_is_the_callers_between_events(tmp_path: Path) -> None:
    torch.manual_seed(7)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    for _ in fit(NETWORK, DATA, recipe(epochs=1), out=tmp_path / "run", engine=ENGINE):
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.get_num_threads() == threads


def test_draws_of_the_caller_do_not_change_the_training(whole: Run, tmp_path: Path) -> None:
    def watch(_: Event) -> None:
        torch.rand(3)

    done = run(NETWORK, DATA, recipe(keep_epochs=True), out=tmp_path / "run", engine=ENGINE, watch=watch)
    assert tensors_equal(done, whole)


def poison_loss(monkeypatch: pytest.MonkeyPatch, at: int, *, weights_too: bool) -> None:
    taken, calls = training.take_step, 0

    def poisoned(bench: training.Workbench, *args: object) -> float:
        nonlocal calls
        calls += 1
        rate = taken(bench, *args)  # pyright: ignore[reportArgumentType]
        if calls == at:
            if weights_too:
                next(bench.module.parameters()).data.fill_(float("inf"))
            else:
                bench.total.fill_(float("nan"))
        return rate

    monkeypatch.setattr(training, "take_step", poisoned)


@pytest.mark.parametrize("weights_too", [False, True])
def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    weights_too: bool, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison_loss(monkeypatch, at=10, weights_too=weights_too)
    with pytest.raises(Failure, match=r"epoch 2.*learning_rate.*kept up to epoch 2, step 0; to go on: striate"):
        trained(tmp_path / "run", keep_epochs=True)
    monkeypatch.undo()
    kept = checkpoint.read(Run.open(tmp_path / "run").checkpoint("last"))[0]
    assert all(bool(t.isfinite().all()) for t in kept.values())
    assert tensors_equal(run_on(tmp_path / "run", DATA), whole)


def test_a_real_divergence_is_told(tmp_path: Path) -> None:
    chosen = recipe(optimizer="sgd", learning_rate=100.0, schedule="constant", epochs=30, momentum=0.99)
    network = Network.parse("input 1x8x8, dense 50, dense 50, dense 3")
    with pytest.raises(Failure, match=r"no finite number|infinite or not a number"):
        run(network, DATA, chosen, out=tmp_path / "run", engine=ENGINE)


def test_what_sigterm_ends_is_kept_and_says_how_to_go_on(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its eighth step; once in the training itself, once while somebody looks at an event of it."""
    take_step, calls = training.take_step, 0

    def ended(*args: object) -> float:
        nonlocal calls
        calls += 1
        if calls == 8:
            signal.raise_signal(signal.SIGTERM)
        return take_step(*args)  # pyright: ignore[reportArgumentType]

    def watch(event: Event) -> None:
        if isinstance(event, Stepped) and (event.epoch, event.step) == (2, 2):
            raise Ended("stopped by SIGTERM")

    said = r"stopped by SIGTERM; kept up to epoch 2, step 2; to go on: striate"
    monkeypatch.setattr(training, "take_step", ended)
    with pytest.raises(Failure, match=said), together():
        trained(tmp_path / "run")
    monkeypatch.undo()
    with pytest.raises(Failure, match=said):
        run(NETWORK, DATA, recipe(), out=tmp_path / "watched", engine=ENGINE, watch=watch)
    assert tensors_equal(run_on(tmp_path / "run", DATA), whole)


def test_a_full_disk_is_told_and_the_last_checkpoint_stays(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = checkpoint.save_file, 0

    def full(*args: object, **named: object) -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            Path(str(args[1])).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(*args, **named)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(Failure, match=r"the disk is full; kept up to epoch 2, step 0; to go on"):
        trained(tmp_path / "run", keep_epochs=True)
    monkeypatch.undo()
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))
    assert tensors_equal(run_on(tmp_path / "run", DATA), whole)


def test_the_systems_refusal_to_write_a_checkpoint_is_told(tmp_path: Path) -> None:
    """No stand-in here: safetensors' own writer meets the system's limit."""
    events = fit(NETWORK, DATA, recipe(), out=tmp_path / "run", engine=ENGINE)
    next(events)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(Failure, match=r"could not be written .*File too large.*kept up to epoch 1, step 0"):
            list(events)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


def test_checkpoints_are_taken_inside_an_epoch_by_the_clock(tmp_path: Path) -> None:
    events = fit(NETWORK, DATA, recipe(epochs=1, checkpoint_seconds=1e-9), out=tmp_path / "run", engine=ENGINE)
    assert [e.step for e in events if isinstance(e, Saved) and e.kind == "last"] == [1, 2, 3, 4, 5, 6, 0]


def test_early_stopping_counts_epochs_without_a_better_score(tmp_path: Path) -> None:
    chosen = recipe(epochs=50, learning_rate=1e-12, early_stopping=3, ema=0.0, weight_decay=0.0)
    still = Network.parse("input 1x8x8, dense 3")
    events = list(fit(still, DATA, chosen, out=tmp_path / "run", engine=ENGINE))
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == "no improvement on the validation split"
    assert finished.epochs - finished.best_epoch == 3
    assert finished.epochs < 50


def test_best_is_the_best_by_accuracy_then_loss(whole: Run) -> None:
    epochs = [line for line in whole.metrics() if line["kind"] == "epoch"]
    best = max(epochs, key=lambda line: (line["accuracy"], -line["loss"]))
    assert whole.result is not None
    assert whole.result["best_epoch"] == best["epoch"]
    marks = [line["best"] for line in epochs]
    assert marks[0] is True
    ranks = [(line["accuracy"], -line["loss"]) for line in epochs]
    assert marks[1:] == [ranks[k] > max(ranks[:k]) for k in range(1, len(ranks))]


def test_a_run_gives_its_models_back(whole: Run) -> None:
    for which in ("last", "best", 1, 2):
        assert whole.model(which).predict(DATA.test.images).shape == (30, 3)
    with pytest.raises(ModelError, match=r"no checkpoint epoch-007.*kept epochs: 1, 2"):
        whole.model(7)


def test_a_run_without_a_finished_epoch_has_no_model_yet(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="Ctrl-C"):
        run(NETWORK, DATA, recipe(), out=tmp_path / "run", engine=ENGINE, watch=stop_with_ctrl_c(2))
    with pytest.raises(ModelError, match=r"no checkpoint best.*; no epoch is finished yet; go on with it by: striate"):
        Run.open(tmp_path / "run").model()


def test_what_does_not_fit_together_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(NetworkError, match="4 outputs and squares has 3 classes"):
        fit(Network.parse("input 1x8x8, dense 4"), DATA, recipe(), out=out)
    with pytest.raises(NetworkError, match=r"gives maps \(3x1x1\) and squares has 3 classes; .* `flatten`"):
        fit(Network.parse("input 1x8x8, conv 2 3x3, relu, conv 3 6x6"), DATA, recipe(), out=out)
    with pytest.raises(NetworkError, match="a softmax at each of 3 positions; let `flatten` come before it"):
        fit(Network.parse("input 1x8x8, conv 1 6x8, softmax, flatten"), DATA, recipe(), out=out)
    with pytest.raises(NetworkError, match=r"shape \(1, 9, 9\); those of squares have shape \(1, 8, 8\)"):
        fit(Network.parse("input 1x9x9, dense 3"), DATA, recipe(), out=out)
    with pytest.raises(RecipeError, match="loss must be cross-entropy"):
        fit(NETWORK, DATA, recipe(loss="mean-squared-error"), out=out)
    late = recipe(schedule="cosine", warmup_steps=18)
    with pytest.raises(RecipeError, match="warmup_steps must be below the 18 steps of this training, found 18"):
        fit(NETWORK, DATA, late, out=out)
    with pytest.raises(RecipeError, match="recipe's precision is bfloat16 and the engine's is float32"):
        fit(NETWORK, DATA, recipe(precision="bfloat16"), out=out, engine=ENGINE)
    with pytest.raises(RecipeError, match="loss must be mean-squared-error"):
        fit(Network.preset("ann"), table(np.eye(3).repeat(9, 0), np.arange(27)), recipe(), out=out)
    nothing = Split(DATA.train.images[:0], DATA.train.labels[:0], ())
    empty = DataSet("empty", DATA.classes, DATA.train, nothing, DATA.test, Findings(), "")
    with pytest.raises(DataError, match="the validation split of empty is empty"):
        fit(NETWORK, empty, recipe(), out=out)
    assert not out.exists()


def test_without_a_recipe_the_one_that_suits_the_data_is_followed(tmp_path: Path) -> None:
    first = next(fit(NETWORK, DATA, out=tmp_path / "squares", engine=ENGINE))
    assert isinstance(first, Started)
    assert (first.epochs, first.steps) == (30, 2)
    assert Run(tmp_path / "squares").recipe == Recipe.suiting(DATA) == Recipe.suited(96, 8)
    numbers = table(np.arange(81).reshape(27, 3), np.arange(27))
    done = run(Network.preset("ann"), numbers, out=tmp_path / "numbers", engine=ENGINE)
    assert done.recipe.loss == "mean-squared-error"


def test_an_empty_test_split_ends_without_a_score(tmp_path: Path) -> None:
    nothing = Split(DATA.test.images[:0], DATA.test.labels[:0], ())
    data = DataSet("untested", DATA.classes, DATA.train, DATA.validation, nothing, Findings(), "f")
    done = run(NETWORK, data, recipe(epochs=1), out=tmp_path / "run", engine=ENGINE)
    assert done.result is not None
    assert done.result["test"] == {}


def test_a_network_without_an_input_line_takes_the_datas(tmp_path: Path) -> None:
    done = run(Network.parse("conv 4 3x3, relu, dense 3"), DATA, recipe(epochs=1), out=tmp_path / "run", engine=ENGINE)
    assert done.network.input == (1, 8, 8)


def test_other_faults_pass_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> NoReturn:
        raise RuntimeError("a bug")

    monkeypatch.setattr(training, "take_step", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        trained(tmp_path / "run")
