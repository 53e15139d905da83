"""Runs that were stopped: they go on to the same weights, with what they began with, and with nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from squares import DATA, ENGINE, NETWORK, recipe, squares, steady, stop_with_ctrl_c, tensors_equal, trained

from striate.data import Split, load
from striate.errors import DataError, Failure, UserError
from striate.network import Network
from striate.train import Run, checkpoint, fit, resume, run, run_on, training
from striate.train.events import Finished, Started

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("at", [1, 4, 6, 7, 17, 18])
def test_ctrl_c_saves_and_resuming_ends_at_the_same_weights(at: int, whole: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Failure, match=r"stopped by Ctrl-C.*; to go on: striate\.train\.run_on\('\S+run', data\)$"):
        run(NETWORK, DATA, recipe(keep_epochs=True), out=out, engine=ENGINE, watch=stop_with_ctrl_c(at))
    state = checkpoint.read(Run.open(out).checkpoint("last"))[1]
    assert state.epoch * 6 + state.step == at
    done = run_on(out, DATA)
    assert tensors_equal(done, whole)
    assert steady(done.path / "metrics.jsonl") == steady(whole.path / "metrics.jsonl")


@pytest.fixture
def _ctrl_c_heard() -> Iterator[None]:
    """Python's own handler of Ctrl-C, which it does not set where it is begun in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_heard")
def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, calls = training.take_step, 0

    def pressed(*args: object) -> float:
        nonlocal calls
        calls += 1
        if calls == 8:
            signal.raise_signal(signal.SIGINT)
        return taken(*args)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(training, "take_step", pressed)
    with pytest.raises(Failure, match="kept up to epoch 2, step 2"):
        trained(tmp_path / "run", keep_epochs=True)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert tensors_equal(run_on(tmp_path / "run", DATA), whole)


def test_resuming_a_finished_run_only_says_how_it_ended(whole: Run) -> None:
    before = {p: p.stat().st_mtime_ns for p in whole.path.rglob("*.safetensors")}
    events = list(resume(whole.path, DATA))
    assert [type(e) for e in events] == [Started, Finished]
    assert before == {p: p.stat().st_mtime_ns for p in whole.path.rglob("*.safetensors")}


def test_metrics_behind_the_checkpoint_are_cut_off(whole: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Failure, match="Ctrl-C"):
        run(NETWORK, DATA, recipe(keep_epochs=True), out=out, engine=ENGINE, watch=stop_with_ctrl_c(9))
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "epoch": 2, "step": 4}\n{"kind": "st')
    done = run_on(out, DATA)
    assert steady(done.path / "metrics.jsonl") == steady(whole.path / "metrics.jsonl")
    steps = [line["epoch"] * 6 + line["step"] for line in done.metrics() if line["kind"] == "step"]
    assert all(later == earlier + 1 for earlier, later in pairwise(steps))


def test_what_a_killed_save_left_is_gone_after_resuming(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Failure, match="Ctrl-C"):
        run(NETWORK, DATA, recipe(), out=out, engine=ENGINE, watch=stop_with_ctrl_c(3))
    left = [out / "checkpoints" / ".last.safetensors.ab12cd34.part", out / ".result.json.ab12cd34.part"]
    others = out / ".report.html.ab12cd34.part"  # another command may be writing it
    for path in [*left, others]:
        path.write_bytes(b"half")
    run_on(out, DATA)
    assert not any(path.exists() for path in left)
    assert others.exists()


def test_other_data_cannot_resume_a_run(whole: Run) -> None:
    with pytest.raises(DataError, match=r"not what .* was trained on"):
        resume(whole.path, squares(seed=5))
    fewer = replace(DATA, train=Split(DATA.train.images[:-1], DATA.train.labels[:-1], DATA.train.sources[:-1]))
    with pytest.raises(DataError, match=r"not what .* was trained on"):
        resume(whole.path, fewer)
    with pytest.raises(UserError, match="does not say where its data came from"):
        resume(whole.path)


@pytest.mark.parametrize("epochs", [1, 9])
def test_a_run_goes_on_with_no_other_recipe_than_its_own(epochs: int, tmp_path: Path) -> None:
    """More epochs would train on, and then report the weights of before."""
    out, asked = tmp_path / "run", recipe()
    for stopped in (3, None):
        if stopped:
            with pytest.raises(Failure, match="Ctrl-C"):
                run(NETWORK, DATA, asked, out=out, engine=ENGINE, watch=stop_with_ctrl_c(stopped))
        else:
            run_on(out, DATA)
        before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
        asked.changed(epochs=epochs).write(out / "recipe.toml")
        with pytest.raises(UserError, match=rf"recipe.toml says epochs = {epochs} where it began with 3; put it back"):
            resume(out, DATA)
        asked.write(out / "recipe.toml")
        assert before == {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_a_run_goes_on_with_no_other_network_than_its_own(tmp_path: Path) -> None:
    done = trained(tmp_path / "run", epochs=1)
    text = (done.path / "network.txt").read_text()
    (done.path / "network.txt").write_text(text.replace("relu", "tanh"))
    with pytest.raises(UserError, match=r"network\.txt is not the network that the run began with"):
        resume(done.path, DATA)


def test_nobody_else_trains_a_run_that_is_being_trained(tmp_path: Path) -> None:
    out = tmp_path / "run"
    events = fit(NETWORK, DATA, recipe(), out=out, engine=ENGINE)
    for _ in range(4):
        next(events)
    with pytest.raises(Failure, match=r"run is being trained already"):
        resume(out, DATA)
    assert len(Run(out).metrics()) > 0
    list(events)
    assert [type(event) for event in resume(out, DATA)] == [Started, Finished]


def test_another_process_cannot_train_a_run_that_is_being_trained(tmp_path: Path) -> None:
    events = fit(NETWORK, DATA, recipe(), out=tmp_path / "run", engine=ENGINE)
    next(events)
    asked = "import sys; from striate.train import resume; from squares import squares; resume(sys.argv[1], squares())"
    place = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(
        [sys.executable, "-c", asked, str(tmp_path / "run")], env=place, capture_output=True, text=True, check=False
    )
    assert said.stderr.splitlines()[-1].endswith(
        "run is being trained already; wait until that training ends, or stop it first"
    )
    list(events)


def test_the_run_finds_its_data_again_from_its_source(tmp_path: Path) -> None:
    source = {"name_or_path": "digits", "size": [8, 8], "channels": 1, "fit": None, "root": None, "seed": 0}
    small = load("digits", size=(8, 8))
    network = Network.parse("input 1x8x8, dense 10")
    out, chosen = tmp_path / "run", recipe(epochs=1, batch_size=512)
    with pytest.raises(Failure, match="Ctrl-C"):
        run(network, small, chosen, out=out, engine=ENGINE, source=source, watch=stop_with_ctrl_c(2))
    assert run_on(out).result is not None


def test_what_was_loaded_is_loaded_again_in_the_same_way(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(photos.parent)
    padded = load(photos.name, size=(8, 8), fit="pad", seed=3)
    out, network = tmp_path / "run", Network.parse("dense 2")
    with pytest.raises(Failure, match=r"to go on: striate train --resume \S+run$"):
        run(network, padded, recipe(epochs=1), out=out, engine=ENGINE, watch=stop_with_ctrl_c(1))
    stopped = Run.open(out)
    assert stopped.preprocessing.fit == "pad"
    assert stopped.data_source is not None
    assert stopped.data_source["name_or_path"] == str(photos)
    monkeypatch.chdir(tmp_path)
    assert run_on(out).model().preprocessing.fit == "pad"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two classes of broad images."""
    draw = np.random.default_rng(0)
    for name in ("left", "right"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for at in range(10):
            Image.fromarray(draw.integers(0, 256, (6, 12), np.uint8)).save(tmp_path / "photos" / name / f"{at}.png")
    return tmp_path / "photos"
