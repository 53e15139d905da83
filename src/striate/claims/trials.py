"""Many trials: those already kept are read, the others are conducted, one after another or in worker processes.

Each record lies in OUT/trials/KEY.json; the key is made of everything that decides the trial, so that no finished
training is ever repeated, by whichever comparison or claim it was done, and an interrupted one goes on.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, final

from striate import files
from striate.errors import Failure
from striate.train.interrupts import deferred

if TYPE_CHECKING:
    from striate.claims.trial import Trial
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
        conducted: how many trials were not found but trained.
        seconds: what these took, all processes added up.
    """

    data: DataSet
    folder: Path
    workers: int = 1
    watch: Watch | None = None
    conducted: int = 0
    seconds: float = 0.0
    _pool: ProcessPoolExecutor | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._pool is not None:
            self._stop(at_once=kind is not None)

    def records(self, trials: Sequence[Trial], what: str = "trainings") -> list[Mapping[str, Any]]:
        """The record of each trial, in order.

        Raises:
            Failure: stopped by Ctrl-C, or a worker died; what was finished is kept.
        """
        wanted = {trial.key: trial for trial in trials}
        held = {key: record for key in wanted if (record := self._kept(key)) is not None}
        missing = [trial for key, trial in wanted.items() if key not in held]
        self._say(what, len(held), len(wanted))
        try:
            for key, record in self._conducted(missing):
                held[key] = finite(record)
                self._keep(key, held[key])
                self._say(what, len(held), len(wanted))
        except KeyboardInterrupt:
            raise self._stopped("stopped by Ctrl-C", len(held), len(wanted)) from None
        except BrokenProcessPool:
            raise self._stopped("a worker process died (out of memory?)", len(held), len(wanted)) from None
        return [held[trial.key] for trial in trials]

    def _conducted(self, missing: Sequence[Trial]) -> Any:
        from striate.claims.trial import conduct

        if self.workers < 2 or len(missing) < 2:
            for trial in missing:
                yield trial.key, conduct(trial, self.data)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, get_context("spawn"), _begin, (self.data,))
        pending: dict[Future[dict[str, Any]], str] = {self._pool.submit(_work, trial): trial.key for trial in missing}
        for done in as_completed(pending):
            yield pending[done], done.result()

    def _kept(self, key: str) -> Mapping[str, Any] | None:
        try:
            return json.loads(self._place(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _keep(self, key: str, record: Mapping[str, Any]) -> None:
        self.conducted += 1
        self.seconds += record["seconds"]
        with deferred():
            files.write_json(self._place(key), record)

    def _place(self, key: str) -> Path:
        return self.folder / "trials" / f"{key}.json"

    def _say(self, what: str, done: int, total: int) -> None:
        if self.watch:
            self.watch(what, done, total)

    def _stopped(self, why: str, done: int, total: int) -> Failure:
        return Failure(
            f"{why}; {done} of {total} trainings are kept in {self.folder}, the same command goes on from there"
        )

    def _stop(self, *, at_once: bool) -> None:
        pool, self._pool = self._pool, None
        assert pool is not None
        processes = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=not at_once, cancel_futures=True)
        if at_once:
            for process in processes:
                process.terminate()


def cores() -> int:
    """How many processes may work at once: one per core this process may use; one where a GPU does the work."""
    from striate.claims.trial import engine

    if engine().device != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    from striate.claims.trial import conduct

    return conduct(trial, _held["data"])
