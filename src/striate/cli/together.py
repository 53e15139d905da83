"""A command run by several processes at once, as torchrun starts them: one of them speaks.

Where one is lost, torchrun ends the others, which tidy up and say so.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Generator

    from striate.ranks import Ranks


@contextlib.contextmanager
def together() -> Generator[Ranks]:
    """Gives the processes that work together. Only the first prints; of all faults the first alone is told."""
    from striate.ranks import Ranks

    ranks = Ranks.joined()
    try:
        with contextlib.nullcontext() if ranks.first else _silence():
            if ranks.size > 1:
                signal.signal(signal.SIGTERM, _ended)
            yield ranks
            ranks.leave()
    except Exception:
        if ranks.first_fault():
            raise
        raise typer.Exit(1) from None


def _ended(number: int, frame: object) -> None:
    """Torchrun's way to end a process; while this one tidies up it is not ended again."""
    del number, frame
    from striate.errors import Failure

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Failure("torchrun ended the processes that work together: another process was lost, or it was told to stop")


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
