"""Pieces of work on several threads, each of which computes on one core.

PyTorch, NumPy and Pillow let other threads go on while they compute. Many pieces side by side, each on one core, keep
all cores at work; one piece after another, on all cores, leaves them idle between two of them.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, final

import torch

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
def threads(device: torch.device) -> Generator[Threads]:
    """Threads for a while, so many as PyTorch computes with; on a GPU, which does one thing at a time, none."""
    count = torch.get_num_threads()
    if device.type != "cpu" or count == 1:
        yield Threads()
        return
    pool = ThreadPoolExecutor(count, "striate", torch.set_num_threads, (1,))
    try:
        yield Threads(pool, count)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(count)  # each thread has its own number, but new ones take the last one that was set
