"""Two processes of torchrun against one: the same weights but for rounding, the same scores, one end for all."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from several import CASES, scores
from squares import DATA, ENGINE, squares, steady, tensors_equal

from striate.cli import main
from striate.train import Run, checkpoint, run, run_on

TOLERANCE = 2e-6
"""Largest difference of a number of the last checkpoints, after up to 18 steps in float32; 6e-7 was found."""


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes have done everything but `slow`."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "said").write_text(torchrun(folder, "ended").stderr)
    done = torchrun(folder, "cases", "stopped", "validating", "go_on", "whole", "failed", "differs")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_weights_are_those_of_one_process(name: str, several: Path, tmp_path: Path) -> None:
    network, data, how = CASES[name]
    alone = run(network, data, how, out=tmp_path / name, engine=ENGINE)
    shared = Run.open(several / name)
    ours, theirs = (checkpoint.read(each.checkpoint("last"))[0] for each in (shared, alone))
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[key], rtol=0, atol=TOLERANCE)
    lines = [steady(each.path / "metrics.jsonl") for each in (shared, alone)]
    assert [line["kind"] for line in lines[0]] == [line["kind"] for line in lines[1]]
    assert [line["loss"] for line in lines[0]] == pytest.approx([line["loss"] for line in lines[1]], abs=1e-5)
    assert (shared.environment["processes"], alone.environment["processes"]) == ([2], [1])


@pytest.mark.parametrize("name", CASES)
def test_every_process_gets_the_scores_of_one(name: str, several: Path) -> None:
    alone = scores(Run.open(several / name), CASES[name][1])
    assert [(several / f"{name} {rank}.json").read_text() for rank in range(2)] == [alone, alone]


def test_ctrl_c_in_one_ends_all_at_one_step_and_is_kept(several: Path) -> None:
    said = [(several / f"stopped {rank}").read_text() for rank in range(2)]
    assert said[0] == said[1]
    assert said[0].startswith("stopped by Ctrl-C; kept up to epoch 2, step 3; to go on: striate.train.run_on(")
    assert said[0].endswith("data, ranks=ranks)")


def test_sigterm_in_one_while_it_validates_ends_all_and_is_kept(several: Path) -> None:
    said = [(several / f"validating {rank}").read_text() for rank in range(2)]
    assert said[0] == said[1]
    assert said[0].startswith("stopped by SIGTERM; kept up to epoch 2, step 6; to go on: striate.train.run_on(")


def test_torchrun_that_is_told_to_end_keeps_what_was_done_and_says_once_how_to_go_on(several: Path) -> None:
    said = re.findall(
        "stopped by SIGTERM; kept up to epoch 2, step ([2-5]); to go on: (.*)", (several / "said").read_text()
    )
    assert said == [(said[0][0], f"torchrun --nproc-per-node 2 -m striate train --resume {several / 'ended'}")]


@pytest.mark.parametrize("name", ["stopped", "validating", "ended"])
def test_resuming_gives_the_bits_of_a_training_never_stopped(name: str, several: Path) -> None:
    ours, whole = Run.open(several / name), Run.open(several / "whole")
    assert tensors_equal(ours, whole)
    assert steady(ours.path / "metrics.jsonl") == steady(whole.path / "metrics.jsonl")
    assert ours.environment["processes"] == [2]


def test_a_fault_of_one_ends_the_others(several: Path) -> None:
    said = [(several / f"failed {rank}").read_text() for rank in range(2)]
    assert said[1] == "its disk is full"
    assert said[0].startswith("another of the processes that work together had a fault, or is gone; kept up to epoch 2")


def test_processes_with_different_images_are_refused(several: Path) -> None:
    said = [(several / f"differs {rank}").read_text() for rank in range(2)]
    assert said[1] == "the processes that work together were given different commands, or see different data"
    assert said[0]


def test_one_process_goes_on_with_what_several_began_and_the_run_says_so(several: Path, tmp_path: Path) -> None:
    failed = Run.open(several / "failed")
    done = run_on(failed.path, DATA)
    assert done.processes == [2, 1]
    whole = Run.open(several / "whole")
    ours, theirs = (checkpoint.read(each.checkpoint("last"))[0] for each in (done, whole))
    for key in ("module.dense1.weight", "average.dense1.weight", "module.batchnorm1.running_var"):
        torch.testing.assert_close(ours[key], theirs[key], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_all_can_go_on(tmp_path: Path) -> None:
    begun = time.monotonic()
    with subprocess.Popen(_words(tmp_path, "slow"), stderr=subprocess.PIPE, env=_place(), text=True) as work:
        while not (tmp_path / "slow" / "checkpoints" / "best.safetensors").exists():
            assert time.monotonic() < begun + 60
            time.sleep(0.05)
        os.kill(int((tmp_path / "process 1").read_text()), signal.SIGKILL)
        assert work.wait(90) != 0
    assert Run(tmp_path / "slow").result is None
    assert torchrun(tmp_path, "slow", "whole").returncode == 0
    assert tensors_equal(Run(tmp_path / "slow"), Run(tmp_path / "whole"))


@pytest.mark.slow
def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = squares(images=120)
    np.savez("squares.npz", allow_pickle=False, x_train=data.train.images, y_train=data.train.labels)
    words = ["squares.npz", "--net", "conv 4 3x3, relu, dense 3", "--epochs", "2", "--precision", "float32"]
    trained = torchrun_command(["train", *words, "--json"])
    assert trained.returncode == 0, trained.stderr
    assert trained.stderr.count("epoch 2/2") == 1
    assert "each batch is shared by 2 processes" in trained.stderr
    told = json.loads(trained.stdout)
    assert [path.name for path in Path("runs").iterdir()] == [Path(told["run"]).name]
    scored = torchrun_command(["evaluate", told["run"], "--json"])
    assert main(["evaluate", told["run"], "--json"]) == 0
    assert scored.stdout == capsys.readouterr().out
    assert main(["train", *words, "--out", told["run"]]) == 2
    assert "go on with it by: torchrun --nproc-per-node 2 -m striate train --resume" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["demo"]) == 2
    assert "striate demo is the work of one process; begin it without torchrun" in capsys.readouterr().err


def torchrun(folder: Path, *what: str) -> subprocess.CompletedProcess[str]:
    """Two processes of `several.py`."""
    return subprocess.run(_words(folder, *what), capture_output=True, text=True, check=False, env=_place(), timeout=240)


def torchrun_command(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Two processes of the command."""
    begin = [*_torchrun(), "-m", "striate", *words]
    return subprocess.run(begin, capture_output=True, text=True, check=False, env=_place(), timeout=240)


def _words(folder: Path, *what: str) -> list[str]:
    return [*_torchrun(), str(Path(__file__).with_name("several.py")), str(folder), *what]


def _torchrun() -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def _place() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
