"""Looking at and decoding many image files at once, in processes of our own.

Measured (2 cores, 32x32 JPEGs): 187 microseconds an image in one thread, 148 in two threads (Python's own share of
the work holds the lock), 49 in two processes. A decoder that crashes takes its process with it, not the user's, and
the file is known by that; only of a few images the first crash is the user's own process's.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.cores import allowed_cores
from striate.data import cache
from striate.data.pixels import Fault, Fit, Seen
from striate.data.worker import ANSWER, Job, done
from striate.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

Progress = Callable[[str, int, int], None]
"""Called as progress(what is being done, how many are done, of how many)."""

CHUNK = 64
FEW = 256
"""Up to so many images are done in this process: starting others takes about as long as 1,000 small images."""

Answered = Callable[[Job, list[object]], None]

CRASHED = "the decoder crashed on it"

_CRASHES = ("SIGABRT", "SIGFPE", "SIGILL", "SIGSEGV", "SIGTRAP")
"""How a process ends that does what it must not. Others end it from outside: a user, or the system for its memory."""

_WINDOWS_EXCEPTION = 0xC0000000
"""From here on the exit codes of Windows say the same."""


def silent(what: str, count: int, total: int) -> None:
    """The progress that nobody watches."""
    del what, count, total


def seen_all(paths: Sequence[str], progress: Progress = silent, *, apart: bool = False) -> list[Seen]:
    """`pixels.seen` of every path, in order; `apart`: never in this process, however few they are."""
    found: list[Seen] = [Seen("", 0, 0, False, "not looked at", passing=True)] * len(paths)

    def keep(rows: Sequence[int], answers: list[Any]) -> None:
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, Fault):
                found[row] = Seen(cache.content(Path(paths[row])), 0, 0, False, *answer)
            else:
                found[row] = Seen(*answer)

    _all_done(
        [Job(paths=[paths[i] for i in rows], rows=rows, array=None, fit="crop") for rows in _chunks(len(paths))],
        keep,
        "looking",
        progress,
        apart,
    )
    return found


def decode_all(
    paths: Sequence[str], array: Path, fit: Fit, progress: Progress = silent, *, apart: bool = False
) -> dict[int, Fault]:
    """Decodes path i into row i of the `.npy` file `array`, uint8 (N, C, H, W); returns why, for rows that failed.

    `apart`: never in this process, however few they are.
    """
    faults: dict[int, Fault] = {}

    def keep(rows: Sequence[int], answers: list[Any]) -> None:
        faults.update({row: Fault(*answer) for row, answer in zip(rows, answers, strict=True) if answer})

    jobs = [Job(paths=[paths[i] for i in rows], rows=rows, array=str(array), fit=fit) for rows in _chunks(len(paths))]
    _all_done(jobs, keep, "decoding", progress, apart)
    return faults


def _chunks(count: int) -> list[list[int]]:
    return [list(range(start, min(start + CHUNK, count))) for start in range(0, count, CHUNK)]


def _all_done(
    jobs: list[Job], keep: Callable[[Sequence[int], list[Any]], None], what: str, progress: Progress, apart: bool
) -> None:
    total = sum(len(job["rows"]) for job in jobs)
    waiting, finished, lock = deque(jobs), [0], threading.Lock()

    def answered(job: Job, answers: list[object]) -> None:
        rows = job["rows"]
        with lock:
            keep(rows, answers)
            finished[0] += len(rows)
            progress(what, finished[0], total)

    if (total <= FEW and not apart) or not sys.executable:
        for job in jobs:
            answered(job, done(job))
        return
    _shared_out(waiting, answered, min(allowed_cores(), 32, len(jobs)))


def _shared_out(waiting: deque[Job], answered: Answered, count: int) -> None:
    """`count` processes, each with a thread here that feeds it jobs until none waits; a fault in one ends them all."""
    faults: list[BaseException] = []
    processes: list[subprocess.Popen[str]] = []
    stopped = threading.Event()

    def feed() -> None:
        try:
            _feed(waiting, answered, processes, stopped)
        except BaseException as fault:
            faults.append(fault)
            stopped.set()

    threads = [threading.Thread(target=feed, daemon=True) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stopped.set()
        for process in processes:
            process.kill()
        for thread in threads:
            thread.join()
        for process in processes:
            _ended(process)
    if faults:
        raise faults[0]


def _feed(
    waiting: deque[Job], answered: Answered, processes: list[subprocess.Popen[str]], stopped: threading.Event
) -> None:
    process: subprocess.Popen[str] | None = None
    while not stopped.is_set():
        try:
            job = waiting.popleft()
        except IndexError:
            break
        if process is None:
            process = _started()
            processes.append(process)
        answers = _asked(process, job)
        if answers is not None:
            answered(job, answers)
        elif not stopped.is_set():
            fault = _death(_ended(process))
            process = None
            if len(job["rows"]) == 1:
                answered(job, [fault])
            else:  # find the one file that crashes the decoder by giving each its own job
                waiting.extend(_alone(job, k) for k in range(len(job["rows"])))
    if process is not None:
        _ended(process)


def _alone(job: Job, k: int) -> Job:
    return {**job, "paths": [job["paths"][k]], "rows": [job["rows"][k]]}


def _started() -> subprocess.Popen[str]:
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "striate.data.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C in a terminal is for the caller, who ends this process himself
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


def _asked(process: subprocess.Popen[str], job: Job) -> list[object] | None:
    """The answer, or None where the process died over it."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        line = next((line for line in process.stdout if line.startswith(ANSWER)), "")
    except (BrokenPipeError, ConnectionResetError):
        return None
    return json.loads(line.removeprefix(ANSWER)) if line.endswith("\n") else None


def _death(code: int) -> Fault:
    """What the exit code of a process says of the file that it died over.

    Raises:
        Failure: it ended by itself, so that no file is at fault: what it needs is not there, or is another version's.
    """
    if 0 <= code < _WINDOWS_EXCEPTION:
        raise Failure(
            f"a process that decodes images ended with code {code}; what is wrong is said by: "
            f"{sys.executable} -m striate.data.worker"
        )
    name = signal.Signals(-code).name if -code in set(signal.Signals) else ""
    if name in _CRASHES or code >= _WINDOWS_EXCEPTION:
        return Fault(CRASHED, passing=False)
    return Fault(f"the process that decoded it was ended{f' ({name})' if name else ''}", passing=True)


def _ended(process: subprocess.Popen[str]) -> int:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    return process.wait()
