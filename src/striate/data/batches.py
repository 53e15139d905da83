"""Batches of a split for training and evaluation: gathered whole, in an order that seed and epoch alone decide.

On the CPU the tensors are views of the split's arrays, memory maps included, and nothing is copied but the batch. On
another device a split that fits into half of its free memory is held there (`resident`, once, before the first epoch);
a larger one is gathered into pinned memory by a thread that stays two batches ahead. The same thread serves a
memory map that is larger than half of this machine's memory.
"""

from __future__ import annotations

import os
import queue
import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from striate.data.dataset import Split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Int64, Shaped
    from torch import Tensor

AHEAD = 2
"""Batches that are gathered before they are asked for, where a thread gathers them."""


@final
@dataclass(frozen=True, eq=False)
class Resident:
    """A split as tensors.

    Attributes:
        images: uint8 (N, C, H, W); float32 (N, features) for regression; on the device, or on the CPU where it does
            not fit.
        labels: int64 (N,), or float32 (N, outputs); where `images` is.
        device: where batches are wanted.
        ahead: whether batches are gathered by a thread.
    """

    images: Shaped[Tensor, "n ..."]
    labels: Shaped[Tensor, "n ..."]
    device: torch.device
    ahead: bool

    def __len__(self) -> int:
        return len(self.labels)


def resident(split: Split, device: torch.device | str = "cpu") -> Resident:
    """The split as tensors that `batches` can take, epoch after epoch, without moving them again."""
    device = torch.device(device)
    images, labels = _tensor(split.images), _tensor(split.labels)
    size = images.numel() * images.element_size()
    if device.type == "cpu":
        return Resident(images, labels, device, ahead=size > _memory() / 2)
    if size > _free(device) / 2:
        return Resident(images, labels, device, ahead=True)
    return Resident(images.to(device), labels.to(device), device, ahead=False)


def batches(
    split: Split | Resident,
    batch_size: int,
    *,
    seed: int = 0,
    epoch: int = 0,
    start_step: int = 0,
    device: torch.device | str = "cpu",
    shuffle: bool = True,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Shaped[Tensor, "batch ..."], Shaped[Tensor, "batch ..."]]]:
    """One epoch: yields (images, labels) on the device, images as they are in the split (uint8, not augmented or
    normalized). With a shard it yields the images of its rows and the labels of the whole batch.

    Arguments:
        split: a split, or what `resident` made of it; the latter saves moving the images in every epoch.
        batch_size: images per step; the last batch may be smaller.
        seed, epoch: these two decide the order, on every machine.
        start_step: how many batches to leave out: an epoch that was interrupted goes on where it stood.
        device: where the batches go; that of `resident` where one is given.
        shuffle: whether the order is drawn, or that of the split.
        shard: (rank, count) of processes that share each batch: this one gets the images of its `share` of it.

    Example:
        >>> from striate import data
        >>> train = data.load("digits").train
        >>> images, labels = next(batches(train, 32, seed=1, epoch=3))
        >>> images.shape, images.dtype, labels.dtype
        (torch.Size([32, 1, 28, 28]), torch.uint8, torch.int64)
    """
    held = resident(split, device) if isinstance(split, Split) else split
    own = share(batch_size, shard)
    order = torch.from_numpy(permutation(len(held), seed, epoch) if shuffle else np.arange(len(held)))
    taken = [order[start : start + batch_size] for start in range(start_step * batch_size, len(held), batch_size)]
    return _ahead(held, taken, own) if held.ahead else (_gathered(held, rows, own) for rows in taken)


def share(batch_size: int, shard: tuple[int, int]) -> slice:
    """The rows of a batch that one of several processes takes: (rank, count). Of a smaller batch it may have none.

    Example:
        >>> share(32, (0, 1)), share(32, (2, 3))
        (slice(0, 32, None), slice(22, 33, None))
    """
    rank, count = shard
    rows = -(-batch_size // count)
    return slice(rank * rows, (rank + 1) * rows)


def permutation(count: int, seed: int, epoch: int) -> Int64[np.ndarray, " count"]:
    """The order of an epoch."""
    return np.random.default_rng((seed, epoch)).permutation(count).astype(np.int64)


def _gathered(held: Resident, rows: Int64[Tensor, " batch"], own: slice) -> tuple[Tensor, Tensor]:
    """The images of a batch's own rows, the labels of all."""
    rows = rows.to(held.images.device)
    images, labels = held.images.index_select(0, rows[own]), held.labels.index_select(0, rows)
    if held.images.device == held.device or held.device.type != "cuda":
        return images.to(held.device), labels.to(held.device)
    return (
        images.pin_memory().to(held.device, non_blocking=True),
        labels.pin_memory().to(held.device, non_blocking=True),
    )


def _ahead(held: Resident, taken: list[Int64[Tensor, " batch"]], own: slice) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches, gathered by a thread; it ends with the iterator, also when that is given up half way."""
    ready: queue.Queue[tuple[Tensor, Tensor] | BaseException | None] = queue.Queue(AHEAD)
    given_up = threading.Event()

    def gather() -> None:
        try:
            for rows in taken:
                if given_up.is_set():
                    return
                ready.put(_gathered(held, rows, own))
            ready.put(None)
        except BaseException as fault:
            ready.put(fault)

    thread = threading.Thread(target=gather, daemon=True)
    thread.start()
    try:
        while (batch := ready.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        given_up.set()
        while thread.is_alive():
            try:
                ready.get(timeout=0.01)
            except queue.Empty:
                continue


def _tensor(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
    """A view of an array, read-only ones included; nobody here writes into it."""
    with warnings.catch_warnings(action="ignore"):
        return torch.from_numpy(values)


def _memory() -> int:
    """Bytes of this machine's memory; where the system does not say, as much as there could be."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**63


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return _memory()
