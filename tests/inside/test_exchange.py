"""What the processes of one atlas give each other: ranks of one store, each in a thread."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch._C._distributed_c10d import HashStore

from striate import ranks as processes
from striate.errors import Failure
from striate.inside.atlases import draft as drafts
from striate.inside.atlases.exchange import Exchange, exchanging
from striate.ranks import Ranks


def _at_once(work: Callable[[Ranks], None], size: int = 3) -> list[tuple[int, str]]:
    """Runs `work` in every rank; returns the rank and sentence of each fault that is the first."""
    store, told = HashStore(), list[tuple[int, str]]()

    def guarded(ranks: Ranks) -> None:
        try:
            work(ranks)
        except Exception as fault:
            if ranks.first_fault():
                told.append((ranks.rank, str(fault)))

    threads = [threading.Thread(target=guarded, args=(Ranks(rank, size, store),)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return told


def test_all_get_what_all_have_given_and_nothing_stays(tmp_path: Path) -> None:
    got: dict[tuple[int, int], list[int]] = {}
    files: list[int] = []

    def work(ranks: Ranks) -> None:
        with exchanging(tmp_path / "made", ranks) as exchange:
            for number in range(3):
                found = exchange.others(lambda n=number: {"x": torch.tensor([10 * n + ranks.rank])})
                got[number, ranks.rank] = [int(tensors["x"]) for tensors in found]
                files.append(len(list((exchange.draft / "exchange").iterdir())))
        assert (tmp_path / "made").is_dir(), "it has its place before any process goes on"

    assert _at_once(work) == []
    assert got == {(n, rank): [10 * n + k for k in range(3) if k != rank] for n in range(3) for rank in range(3)}
    assert max(files) <= 6, "what all have read is removed"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert list((tmp_path / "made").iterdir()) == []


def test_alone_nothing_is_made_and_nothing_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")  # one of torchrun's processes may make an atlas of its own

    def never() -> dict[str, torch.Tensor]:
        raise AssertionError("there is nobody to give it to")

    with exchanging(tmp_path / "made", Ranks()) as exchange:
        assert exchange.others(never) == []
        exchange.check_alike("anything", [])
        assert list(range(5))[exchange.hands] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("faulty", [0, 1, 2])
def test_a_fault_of_any_is_told_by_it_alone(faulty: int, tmp_path: Path) -> None:
    def work(ranks: Ranks) -> None:
        with exchanging(tmp_path / "made", ranks) as exchange:
            if ranks.rank == faulty:
                raise Failure("the disk is full")
            exchange.others(dict)

    assert _at_once(work) == [(faulty, "the disk is full")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["_begun", "_placed"])
def test_a_draft_that_cannot_be_made_or_placed_ends_the_others(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*paths: Path) -> None:
        raise PermissionError(errno.EACCES, "denied", str(paths[0]))

    monkeypatch.setattr(drafts, step, denied)

    def work(ranks: Ranks) -> None:
        with exchanging(tmp_path / "made", ranks):
            pass

    ((rank, sentence),) = _at_once(work)
    assert rank == 0
    assert "denied" in sentence


def test_other_weights_are_noticed(tmp_path: Path) -> None:
    def work(ranks: Ranks) -> None:
        with exchanging(tmp_path / "made", ranks) as exchange:
            exchange.check_alike("same", [torch.ones(2, 2), torch.tensor(float(ranks.rank == 2))])
            exchange.others(dict)

    told = _at_once(work)
    assert told == [(2, "the processes that work together were given different networks, images or options")]


def test_a_folder_that_is_not_seen_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.1)

    def work(ranks: Ranks) -> None:
        with exchanging(tmp_path / "made", ranks) as exchange:
            if ranks.first:
                exchange.draft.rename(tmp_path / "elsewhere")
            exchange.ranks.meet()

    ((rank, sentence),) = _at_once(work, 2)
    assert rank == 1
    assert "is not there or cannot be read: all processes must see one folder, by the same path" in sentence


def test_only_the_first_host_writes_into_shared_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    hands: dict[int, list[int]] = {}

    def work(ranks: Ranks) -> None:
        hands[ranks.rank] = list(range(5))[Exchange(tmp_path, ranks).hands]

    assert _at_once(work, 4) == []
    assert hands == {0: [0, 2, 4], 1: [1, 3], 2: [], 3: []}
