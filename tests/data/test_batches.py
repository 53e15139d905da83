from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.data import Split
from striate.data import batches as module
from striate.data.batches import batches, resident

IMAGES = np.arange(103 * 4, dtype=np.uint8).reshape(103, 1, 2, 2)
SPLIT = Split(IMAGES, np.arange(103, dtype=np.int64), tuple(map(str, range(103))))


def rows(found: list[tuple[torch.Tensor, torch.Tensor]]) -> list[int]:
    for images, labels in found:
        assert np.array_equal(images.numpy(), SPLIT.images[labels.numpy()])
    return torch.cat([labels for _, labels in found]).tolist()


@pytest.mark.parametrize("ahead", [False, True])
def test_an_epoch_visits_every_image_once_in_an_order_of_seed_and_epoch(
    ahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_memory", lambda: 8 if ahead else 2**40)
    assert resident(SPLIT).ahead is ahead
    orders = [rows(list(batches(SPLIT, 20, seed=s, epoch=e))) for s, e in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(103)) for order in orders)
    assert [len(y) for _, y in batches(SPLIT, 20)] == [20] * 5 + [3]


def test_an_interrupted_epoch_goes_on_where_it_stood() -> None:
    whole = rows(list(batches(SPLIT, 10, seed=4, epoch=2)))
    assert rows(list(batches(SPLIT, 10, seed=4, epoch=2, start_step=7))) == whole[70:]


def test_without_shuffling_the_order_is_that_of_the_split() -> None:
    assert rows(list(batches(SPLIT, 50, shuffle=False))) == list(range(103))


def test_processes_share_each_batch() -> None:
    whole = list(batches(SPLIT, 10, seed=1))
    shared = [list(batches(SPLIT, 10, seed=1, shard=(rank, 3))) for rank in range(3)]
    for step, (images, labels) in enumerate(whole):
        assert torch.equal(torch.cat([shared[rank][step][0] for rank in range(3)]), images)
        assert all(torch.equal(shared[rank][step][1], labels) for rank in range(3))


def test_a_memory_map_is_not_copied_and_not_changed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", SPLIT.images)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    held = resident(Split(mapped, SPLIT.labels, SPLIT.sources))
    assert held.images.data_ptr() == mapped.ctypes.data
    for images, _ in batches(held, 10):
        images.zero_()
    assert np.array_equal(np.load(tmp_path / "a.npy"), SPLIT.images)


def test_a_gathering_thread_ends_when_the_epoch_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_memory", lambda: 8)
    before = threading.active_count()
    iterator = batches(SPLIT, 1)
    next(iterator)
    iterator.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert threading.active_count() == before


def test_a_fault_while_gathering_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_memory", lambda: 8)

    def fault(*_: object) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr(module, "_gathered", fault)
    with pytest.raises(OSError, match="disk gone"):
        list(batches(SPLIT, 10))
