"""The cores a process may use, under quotas as Linux writes them; and that all who start processes heed them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch._C._distributed_c10d import HashStore

from striate import cores
from striate.claims.comparing import trial, trials
from striate.data import workers
from striate.ranks import Ranks
from striate.train.engine import Engine


@pytest.fixture
def quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says the quota, of a machine with eight cores."""

    def affinity(_: int) -> set[int]:
        return set(range(8))

    monkeypatch.setattr(os, "sched_getaffinity", affinity, raising=False)
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    return tmp_path / "cpu.max"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("", 8),
    ],
)
def test_a_quota_bounds_the_cores(quota: Path, written: str, expected: int) -> None:
    quota.write_text(written + "\n")
    assert cores.allowed_cores() == expected


def test_without_a_quota_the_affinity_counts(quota: Path) -> None:
    assert not quota.exists()
    assert cores.allowed_cores() == 8


def test_threads_trials_and_decoders_keep_to_the_quota(quota: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota.write_text("300000 100000\n")
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    engine = Engine.choose(device="cpu")
    assert engine.threads == 3
    monkeypatch.setattr(trial, "engine", lambda: engine)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert trials.cores() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert trials.cores() == 1
    started: list[int] = []

    def shared_out(_: Any, __: Any, count: int) -> None:
        started.append(count)

    monkeypatch.setattr(workers, "_shared_out", shared_out)
    workers.seen_all(["x"] * 1000)
    assert started == [3]


@pytest.mark.parametrize(("told", "expected"), [("1", [2]), ("2", [])], ids=["as torchrun sets it", "by the user"])
def test_each_process_of_torchrun_takes_its_share_of_the_cores(
    told: str, expected: list[int], quota: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not quota.exists()
    world = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "OMP_NUM_THREADS": told}
    for name, value in world.items():
        monkeypatch.setenv(name, value)
    taken: list[int] = []
    met = importlib.import_module("torch.distributed.rendezvous")

    def rendezvous(_: str) -> Iterator[tuple[HashStore, int, int]]:
        yield HashStore(), 1, 4

    monkeypatch.setattr(met, "rendezvous", rendezvous)
    monkeypatch.setattr("torch.get_num_threads", lambda: int(told))
    monkeypatch.setattr("torch.set_num_threads", taken.append)
    assert Ranks.joined().size == 4
    assert taken == expected
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    assert "2 threads (this process's share of the cores)" in str(Engine.choose(device="cpu"))
