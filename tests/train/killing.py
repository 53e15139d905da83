"""Trains in child processes that are killed again and again: `python killing.py FOLDER KILLS`, for `test_kill.py`.

The parent imports torch once and never computes with it, so that forking is cheap and safe.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from squares import ENGINE, NETWORK, recipe, squares

from striate.train import fit, resume

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = squares()
RECIPE = recipe(epochs=25, checkpoint_seconds=0.02, keep_epochs=True)


def train(out: Path) -> None:
    """To the end, from wherever `out` stands."""
    events = resume(out, DATA) if out.exists() else fit(NETWORK, DATA, RECIPE, out=out, engine=ENGINE)
    for _ in events:
        pass


def train_with_slow_saves(out: Path, told: int) -> None:
    """The same, but every flush to the disk says so first, and takes long enough to be killed in the middle."""
    flush = os.fsync

    def slow(handle: int) -> None:
        os.write(told, b"s")
        time.sleep(0.05)
        flush(handle)

    os.fsync = slow
    train(out)


def killed_at_random(out: Path, rng: random.Random) -> bool:
    """Whether the child was killed before it was done."""
    return _killed(lambda _: train(out), lambda _: time.sleep(rng.uniform(0.005, 0.35)))


def killed_inside_a_save(out: Path, rng: random.Random) -> bool:
    """Whether the child was killed before it was done, while it flushed one of its first dozen files."""
    saves = rng.randint(1, 12)

    def wait(heard: int) -> None:
        for _ in range(saves):
            select.select([heard], [], [], 5)
            if not os.read(heard, 1):
                return

    return _killed(lambda told: train_with_slow_saves(out, told), wait)


def _killed(work: Callable[[int], None], wait: Callable[[int], None]) -> bool:
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(heard)
        code = 1
        try:
            work(told)
            code = 0
        finally:
            os._exit(code)
    os.close(told)
    wait(heard)
    os.kill(child, signal.SIGKILL)
    os.close(heard)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        sys.exit(f"a child failed by itself: {status}")
    return os.WIFSIGNALED(status)


def main(folder: Path, kills: int) -> None:
    """Kills `kills` children, every third inside a save; then lets every run that was begun come to its end."""
    rng, runs, done = random.Random(0), [folder / "killed-0"], 0
    while done < kills:
        kill = killed_inside_a_save if done % 3 == 0 else killed_at_random
        if kill(runs[-1], rng):
            done += 1
        else:
            runs.append(folder / f"killed-{len(runs)}")
    for out in [folder / "whole", *runs]:
        _killed(lambda _, out=out: train(out), _until_closed)


def _until_closed(heard: int) -> None:
    """Waits for the child's end: its side of the pipe is closed by then."""
    while os.read(heard, 1):
        pass
    time.sleep(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
