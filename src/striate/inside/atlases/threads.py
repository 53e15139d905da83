"""Pieces of work on several threads, each of which computes on one core.

PyTorch, NumPy and Pillow let other threads go on while they compute. Many pieces side by side, each on one core, keep
all cores at work; one piece after another, on all cores, leaves them idle between two of them.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, final

import torch

from striate.cores import allowed_cores
from striate.ranks import Ranks

Item = TypeVar("Item")
Result = TypeVar("Result")


@final
@dataclass(frozen=True)
class Threads:
    """Threads at hand; `pool` is None where all is done by the thread that asks."""

    pool: ThreadPoolExecutor | None = None
    count: int = 1

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results of `work` on each item, in order; at most a few items are taken up ahead.

        Example:
            >>> with threads(torch.device("cpu")) as some:
            ...     list(some.each(abs, [-1, 2, -3]))
            [1, 2, 3]
        """
        if self.pool is None:
            yield from map(work, items)
            return
        begun: deque[Future[Result]] = deque()
        for item in items:
            begun.append(self.pool.submit(work, item))
            if len(begun) > 2 * self.count:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


@contextlib.contextmanager
def threads(device: torch.device, count: int | None = None) -> Generator[Threads]:
    """Threads for a while, so many as PyTorch computes with; on a GPU, which does one thing at a time, none.

    Arguments:
        count: how many PyTorch computes with meanwhile; as many as before by default.
    """
    before = torch.get_num_threads()
    count = count or before
    if device.type != "cpu" or before == count == 1:
        yield Threads()
        return
    pool = ThreadPoolExecutor(count, "striate", torch.set_num_threads, (1,))
    try:
        torch.set_num_threads(count)
        yield Threads(pool, count)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # each thread has its own number, but new ones take the last one that was set


def share_of_cores(ranks: Ranks) -> int:
    """How many threads this process has to itself: as many as PyTorch computes with, but that torchrun, unless told by
    OMP_NUM_THREADS, gives each process 1; then its share of this host's cores."""
    given = torch.get_num_threads()
    if ranks.size == 1 or given > 1 or os.environ.get("OMP_NUM_THREADS") != "1":
        return given
    return max(1, allowed_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
