"""A command run by several processes at once, as torchrun starts them: one of them speaks.

Where one is lost, torchrun ends the others, which tidy up and say so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Generator

    from striate.ranks import Ranks


@contextlib.contextmanager
def together() -> Generator[Ranks]:
    """Gives the processes that work together. Only the first prints; of all faults the first alone is told."""
    from striate.errors import Failure
    from striate.ranks import Ended, Ranks

    ranks = Ranks.joined()
    try:
        with _tidying(), contextlib.nullcontext() if ranks.first else _silence():
            yield ranks
            ranks.leave()
    except (Exception, Ended) as fault:
        if not ranks.first_fault():
            raise typer.Exit(1) from None
        if isinstance(fault, Ended):
            raise Failure(str(fault)) from None
        raise


@contextlib.contextmanager
def _tidying() -> Generator[None]:
    """Inside, SIGTERM raises `Ended`; outside the main thread nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    from striate.ranks import end

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def alone(command: str) -> Ranks:
    """The one process of a command that several cannot share. Raises UserError in those that torchrun started."""
    from striate.errors import UserError
    from striate.ranks import Ranks

    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UserError(f"striate {command} is the work of one process; begin it without torchrun")
    return Ranks()


@contextlib.contextmanager
def _silence() -> Generator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
