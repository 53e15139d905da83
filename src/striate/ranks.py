"""Several processes at the same work, on one host or on several: those that torchrun started.

Every process runs the same command and comes to the same list of what is to be done. The first says which of it is
missing, each does its share into a folder that all must see, and each waits until all is there; so every process goes
on with the same results. What is agreed on and how much is done stands in torchrun's key-value store.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, final

from striate.cores import share_of_cores
from striate.errors import Failure, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from torch.distributed.distributed_c10d import Store

T = TypeVar("T")

PAUSE = 0.1
"""Seconds between two looks at what the others have done, at most."""

PATIENCE = 90
"""Seconds until another host's file must be seen; network file systems may remember for a minute that it is not."""


class Ended(BaseException):
    """This process was told to end. It is no fault of the work, and what catches such faults lets it pass."""


def end(number: int, frame: object) -> None:
    """A handler of SIGTERM, by which a scheduler ends a process, and torchrun all of its own: raises Ended, once."""
    del frame
    signal.signal(number, signal.SIG_IGN)  # while this process tidies up it is not ended again
    if os.environ.get("WORLD_SIZE", "1") == "1":
        raise Ended("stopped by SIGTERM")
    raise Ended("torchrun ended the processes that work together: another process was lost, or it was told to stop")


@final
@dataclass
class Ranks:
    """This process among those that work together; alone unless `joined`.

    Attributes:
        rank: its number; the first, 0, alone prints and writes what is found.
        size: how many there are.
        store: what they say to each other.

    Example:
        >>> alone = Ranks()
        >>> alone.agreed(["a", "b", "c"]), alone.share(["a", "b", "c"])
        (['a', 'b', 'c'], ['a', 'b', 'c'])
    """

    rank: int = 0
    size: int = 1
    store: Store | None = None
    _turn: int = field(default=0, init=False, repr=False)
    _done: int = field(default=0, init=False, repr=False)
    _meetings: int = field(default=0, init=False, repr=False)
    _told_first: bool | None = field(default=None, init=False, repr=False)

    @classmethod
    def joined(cls) -> Ranks:
        """What torchrun's environment says (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT); alone without it.

        PyTorch then computes on this process's GPU; on the CPU with its share of the cores, as torchrun, unless told by
        OMP_NUM_THREADS, gives each process one.

        Raises:
            UserError: only a part of it is there.
        """
        told = {name: os.environ[name] for name in ("RANK", "WORLD_SIZE") if name in os.environ}
        if not told or told.get("WORLD_SIZE") == "1":
            return cls()
        if len(told) < 2 or not all(value.isdecimal() for value in told.values()):
            said = " and ".join(f"{name}={value}" for name, value in told.items())
            raise UserError(f"torchrun sets RANK and WORLD_SIZE, both to whole numbers; the environment has {said}")
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # a lost connection is told below, not in its frames
        import torch
        from torch.distributed import DistError
        from torch.distributed.rendezvous import rendezvous

        try:
            store, rank, size = next(rendezvous("env://"))
        except (ValueError, DistError) as fault:
            why = str(fault).splitlines()[0]
            raise UserError(
                f"RANK and WORLD_SIZE are set as by torchrun, but the processes do not meet: {why}"
            ) from None
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        if os.environ.get("OMP_NUM_THREADS") == "1" and torch.get_num_threads() == 1:
            torch.set_num_threads(share_of_cores())
        return cls(rank, size, store)

    @property
    def first(self) -> bool:
        """Whether this is the one that prints and writes."""
        return self.rank == 0

    def begin(self) -> None:
        """A new turn begins, as it does in every process: `done` counts from 0."""
        self._turn, self._done = self._turn + 1, 0

    def agreed(self, keys: Sequence[str]) -> list[str]:
        """What the first process gives here, in every process. A new turn begins."""
        self.begin()
        if self.store is None:
            return list(keys)
        name = f"keys {self._turn}"
        with _reached():
            if self.first:
                self.store.set(name, json.dumps(keys))
            self.wait(lambda: self._has(name))
            return json.loads(self.store.get(name))

    @property
    def turns(self) -> slice:
        """Which of things in a row this process takes on."""
        return slice(self.rank, None, self.size)

    def share(self, keys: Sequence[str]) -> list[str]:
        """Those of the agreed keys that this process takes on."""
        return list(keys[self.turns])

    def meet(self) -> Store | None:
        """Waits until all processes have come to this point; gives the part of the store that is this meeting's own."""
        self._meetings += 1
        if self.store is None:
            return None
        from torch._C._distributed_c10d import PrefixStore

        store, name = self.store, f"meeting {self._meetings}"
        with _reached():
            store.add(name, 1)
        self.wait(lambda: store.add(name, 0) == self.size)
        return PrefixStore(f"of {name}", store)

    def done(self, more: int = 0) -> int:
        """Counts `more` as done in this turn; gives what all processes have done in it."""
        self._done += more
        with _reached():
            return self._done if self.store is None else self.store.add(f"done {self._turn}", more)

    def wait(self, ready: Callable[[], bool]) -> None:
        """Waits until `ready`. Raises Failure where another process had a fault."""
        pause = PAUSE / 64  # most waits are short
        with _reached():
            while not ready():
                if self._has("faults"):
                    raise Failure("another process had a fault")
                time.sleep(pause)
                pause = min(2 * pause, PAUSE)

    def seen(self, path: Path, read: Callable[[Path], T | None]) -> T:
        """What `read` gives of a file or folder that some process has made, perhaps on another host; None: not yet.

        Raises:
            Failure: it does not come to be seen, or another process had a fault.
        """
        latest = time.monotonic() + (PATIENCE if self.size > 1 else 0)
        found: list[T] = []

        def looked() -> bool:
            if (given := read(path)) is not None:
                found.append(given)
            elif time.monotonic() >= latest:
                asked = "all processes must see one folder, by the same path, and the same data"
                raise Failure(f"{path} is not there or cannot be read: {asked}")
            return bool(found)

        self.wait(looked)
        return found[0]

    def first_fault(self) -> bool:
        """Tells the others of a fault here; whether it is the first of all, the one the user should read.

        Where the others cannot be reached it is that. Asked again, it answers the same.
        """
        if self._told_first is None:
            try:
                with _reached():
                    self._told_first = self.store is None or self.store.add("faults", 1) == 1
            except Failure:
                self._told_first = True
        return self._told_first

    @contextlib.contextmanager
    def telling(self) -> Generator[None]:
        """Inside, a fault here is told to the others, which then wait for this process no longer."""
        try:
            yield
        except BaseException:
            self.first_fault()
            raise

    def leave(self) -> None:
        """The first process may hold the store, and goes last."""
        if self.store is None:
            return
        with _reached():
            left = self.store.add("left", 1)
        if self.first and left < self.size:
            store = self.store
            self.wait(lambda: store.add("left", 0) == self.size)

    def _has(self, name: str) -> bool:
        return self.store is not None and self.store.check([name])


@contextlib.contextmanager
def _reached() -> Generator[None]:
    """Raises Failure where what the processes say to each other is lost: it lives in the first of them, or torchrun."""
    try:
        yield
    except RuntimeError as fault:
        from torch.distributed import DistError

        if isinstance(fault, DistError):
            said = "the first of the processes that work together is gone; what was finished is kept, "
            raise Failure(f"{said}the same command goes on from there") from None
        raise
