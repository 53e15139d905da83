"""Many trials: those already kept are read, the others are conducted, one after another or in several processes.

Each record lies in OUT/trials/KEY.json; the key is made of everything that decides the trial, so that no finished
training is ever repeated, by whichever comparison or claim it was done, and an interrupted one goes on.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, final

from striate import files
from striate.cores import share_of_cores
from striate.errors import Failure
from striate.ranks import Ended, Ranks
from striate.train.interrupts import deferred

if TYPE_CHECKING:
    from striate.claims.comparing.trial import Trial
    from striate.data import DataSet

Watch = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@final
@dataclass
class Trials:
    """Conducts trials on one data set and keeps their records. Use it in a `with` block.

    Attributes:
        data: as loaded.
        folder: records lie in its subfolder `trials`.
        workers: processes; 1: in this process.
        watch: told of progress.
        ranks: the processes that share the trials, each with workers of its own.
        conducted: how many trials were not found but trained, by whichever process.
    """

    data: DataSet
    folder: Path
    workers: int = 1
    watch: Watch | None = None
    ranks: Ranks = field(default_factory=Ranks)
    conducted: int = 0
    _pool: ProcessPoolExecutor | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._pool is not None:
            self._stop(at_once=kind is not None)

    def records(self, trials: Sequence[Trial], what: str = "trainings") -> list[Mapping[str, Any]]:
        """The record of each trial, in order.

        Raises:
            Failure: stopped by Ctrl-C or SIGTERM, or a worker died; what was finished is kept.
        """
        wanted = {trial.key: trial for trial in trials}
        missing = self.ranks.agreed([key for key in wanted if _kept(self._place(key)) is None])
        if not wanted.keys() >= set(missing):
            raise Failure("the processes that work together were given different commands, or see different data")
        held = len(wanted) - len(missing)

        def finished(more: int = 0) -> bool:
            done = self.ranks.done(more)
            if self.watch:
                self.watch(what, held + done, len(wanted))
            return done == len(missing)

        finished()
        try:
            for key, record in self._conducted([wanted[key] for key in self.ranks.share(missing)]):
                with deferred():
                    files.write_json(self._place(key), finite(record))
                finished(1)
            self.ranks.wait(finished)
        except (KeyboardInterrupt, Ended) as told:
            why = str(told) if isinstance(told, Ended) else "stopped by Ctrl-C"
            raise self._stopped(why, wanted) from None
        except BrokenProcessPool:
            raise self._stopped("a worker process died (out of memory?)", wanted) from None
        self.conducted += len(missing)
        return [self.ranks.seen(self._place(trial.key), _kept) for trial in trials]

    def _conducted(self, missing: Sequence[Trial]) -> Any:
        from striate.claims.comparing.trial import conduct

        if self.workers < 2 or len(missing) < 2:
            for trial in missing:
                yield trial.key, conduct(trial, self.data)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, get_context("spawn"), _begin, (self.data,))
        pending: dict[Future[dict[str, Any]], str] = {self._pool.submit(_work, trial): trial.key for trial in missing}
        for done in as_completed(pending):
            yield pending[done], done.result()

    def _place(self, key: str) -> Path:
        return self.folder / "trials" / f"{key}.json"

    def _stopped(self, why: str, wanted: Iterable[str]) -> Failure:
        kept = [_kept(self._place(key)) is not None for key in wanted]
        count = f"{sum(kept)} of {len(kept)} trainings are kept in {self.folder}"
        return Failure(f"{why}; {count}, the same command goes on from there")

    def _stop(self, *, at_once: bool) -> None:
        pool, self._pool = self._pool, None
        assert pool is not None
        processes = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=not at_once, cancel_futures=True)
        if at_once:
            for process in processes:
                process.terminate()


def cores() -> int:
    """How many workers suit: one per core this process may use, shared with those torchrun began beside it; one where
    a GPU does the work."""
    from striate.claims.comparing.trial import engine

    if engine().device != "cpu":
        return 1
    return share_of_cores()


def _kept(place: Path) -> Mapping[str, Any] | None:
    try:
        return json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def finite(value: Any) -> Any:
    """The same value with null for what JSON cannot hold: NaN and infinities."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_held: dict[str, DataSet] = {}
"""In a worker process: the data it was handed when it began."""


def _begin(data: DataSet) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which stops its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _held["data"] = data


def _end_with_parent() -> None:
    """A parent that was killed outright cannot stop its workers: they end by themselves."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(trial: Trial) -> dict[str, Any]:
    from striate.claims.comparing.trial import conduct

    return conduct(trial, _held["data"])
