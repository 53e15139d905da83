"""Several processes share the trials: each is conducted once, all get all, one fault ends all with one sentence."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torch._C._distributed_c10d import HashStore
from torch.distributed import DistNetworkError

from striate.claims.comparing import trial as trials_of_one
from striate.claims.comparing.trial import Trial
from striate.claims.comparing.trials import Trials
from striate.cli import main
from striate.cli.together import together
from striate.errors import Failure, UserError
from striate.ranks import Ranks
from striate.train import Recipe

from .stripes import stripes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ASKED = [Trial("input 1x16x16, dense 3", Recipe(seed=seed), "stripes") for seed in range(7)]


def _at_once(work: Callable[[Ranks], None], size: int = 3) -> None:
    """Runs `work` as several ranks of one store, each in a thread."""
    store = HashStore()
    threads = [threading.Thread(target=work, args=(Ranks(rank, size, store),)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_each_trial_is_conducted_once_and_all_get_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by: list[tuple[str, str]] = []

    def conduct(trial: Trial, data: object) -> dict[str, Any]:
        del data
        by.append((trial.key, threading.current_thread().name))
        return {"seed": trial.recipe.seed}

    monkeypatch.setattr(trials_of_one, "conduct", conduct)
    with Trials(stripes(), tmp_path) as trials:
        trials.records(ASKED[:1])
    got: list[Sequence[Any]] = []

    def work(ranks: Ranks) -> None:
        with Trials(stripes(), tmp_path, ranks=ranks) as trials:
            got.extend((trials.records(ASKED), trials.records(ASKED[3:])))
            assert trials.conducted == 6
        ranks.leave()

    _at_once(work)
    assert sorted(key for key, _ in by) == sorted(trial.key for trial in ASKED)
    assert len({name for _, name in by[1:]}) == 3
    everything = [{"seed": seed} for seed in range(7)]
    assert sorted(map(len, got)) == [4, 4, 4, 7, 7, 7]
    assert all(records in (everything, everything[3:]) for records in got)


def test_a_fault_of_one_ends_all_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def conduct(trial: Trial, data: object) -> dict[str, Any]:
        del data
        if trial.recipe.seed == 4:
            raise Failure("the disk is full")
        return {}

    monkeypatch.setattr(trials_of_one, "conduct", conduct)
    told: list[str] = []

    def work(ranks: Ranks) -> None:
        try:
            with Trials(stripes(), tmp_path, ranks=ranks) as trials:
                trials.records(ASKED)
        except Failure as fault:
            if ranks.first_fault():
                told.append(str(fault))

    _at_once(work)
    assert told == ["the disk is full"]


def test_different_questions_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def conduct(trial: Trial, data: object) -> dict[str, Any]:
        del trial, data
        return {}

    monkeypatch.setattr(trials_of_one, "conduct", conduct)
    told: list[str] = []

    def work(ranks: Ranks) -> None:
        try:
            with Trials(stripes(), tmp_path, ranks=ranks) as trials:
                trials.records(ASKED[ranks.rank :])
        except Failure as fault:
            if ranks.first_fault():
                told.append(str(fault))

    _at_once(work, 2)
    assert [line for line in told if "different commands" in line] == told != []


def test_who_waits_for_the_record_of_another_hears_of_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second process, its trial done, has a fault before what it wrote is seen by the first."""

    def conduct(trial: Trial, data: object) -> dict[str, Any]:
        del trial, data
        return {}

    monkeypatch.setattr(trials_of_one, "conduct", conduct)
    told: list[str] = []

    def first(ranks: Ranks) -> None:
        with Trials(stripes(), tmp_path, ranks=ranks) as trials:
            trials.records(ASKED[:2])

    def second(ranks: Ranks) -> None:
        ranks.agreed([])
        ranks.done(1)
        ranks.wait(lambda: ranks.done() == 2)
        with ranks.telling():
            raise Failure("the disk is full")

    def work(ranks: Ranks) -> None:
        with pytest.raises(Failure) as fault:
            (first if ranks.first else second)(ranks)
        told.append(str(fault.value))

    _at_once(work, 2)
    assert sorted(told) == ["another process had a fault", "the disk is full"]


def test_half_an_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UserError, match="MASTER_ADDR"):
        Ranks.joined()


@pytest.mark.parametrize("told", [{"WORLD_SIZE": "2"}, {"RANK": "0"}, {"WORLD_SIZE": "two", "RANK": "0"}], ids=str)
def test_a_part_of_what_torchrun_says_is_refused(told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="torchrun sets RANK and WORLD_SIZE, both to whole numbers"):
        Ranks.joined()


def test_alone_in_a_world_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.delenv("RANK", raising=False)
    assert Ranks.joined().size == 1


def test_what_torchrun_ends_is_no_fault_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that explains its own faults would explain it wrongly."""
    monkeypatch.setattr(Ranks, "joined", lambda: Ranks(0, 2, HashStore()))
    monkeypatch.setenv("WORLD_SIZE", "2")
    before = signal.getsignal(signal.SIGTERM)

    def work() -> None:
        with together():
            try:
                signal.raise_signal(signal.SIGTERM)
            except Exception as fault:
                raise UserError("the images cannot be read") from fault

    with pytest.raises(Failure, match="torchrun ended the processes that work together"):
        work()
    assert signal.getsignal(signal.SIGTERM) is before


class _Lost(HashStore):
    """A store whose process is gone."""

    def check(self, keys: list[str]) -> bool:
        raise DistNetworkError(f"Connection reset by peer: {keys}")

    def add(self, key: str, value: int) -> int:
        raise DistNetworkError(f"Broken pipe: {key} {value}")


def test_a_lost_first_process_is_told_in_a_sentence() -> None:
    ranks = Ranks(1, 2, _Lost())
    for talk in (lambda: ranks.agreed(["a"]), lambda: ranks.done(1), ranks.leave):
        with pytest.raises(Failure, match=r"first of the processes .* is gone; what was finished is kept"):
            talk()
    assert ranks.first_fault(), "where nobody else can be reached, the fault is told here"


@pytest.mark.slow
def test_torchrun_gives_what_one_process_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = stripes()
    np.savez(
        tmp_path / "stripes.npz",
        allow_pickle=False,
        x_train=data.train.images,
        y_train=data.train.labels,
        x_test=data.test.images,
        y_test=data.test.labels,
    )
    words = ["compare", "conv 4 3x3, relu, dense 3", "--vary", "relu=tanh", "--data", "stripes.npz"]
    words += ["--seeds", "3", "--epochs", "1", "--rates", "0.01,0.03", "--json"]
    together = _torchrun([*words, "--out", "together"])
    assert main([*words, "--out", "alone"]) == 0
    assert together.stdout == capsys.readouterr().out
    assert _records(tmp_path / "together") == _records(tmp_path / "alone")
    assert len(_records(tmp_path / "alone")) == 2 * (2 * 2 + 3)
    wrong = _torchrun([*words, "--metric", "speed"])
    assert wrong.returncode
    assert wrong.stderr.count("metric must be one of") == 1


def _torchrun(words: list[str]) -> subprocess.CompletedProcess[str]:
    begin = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "striate"]
    return subprocess.run([*begin, *words], capture_output=True, text=True, check=False, timeout=240)


def _records(folder: Path) -> dict[str, Any]:
    read = {path.name: json.loads(path.read_text()) for path in (folder / "trials").iterdir()}
    return {name: {key: value for key, value in record.items() if key != "seconds"} for name, record in read.items()}
