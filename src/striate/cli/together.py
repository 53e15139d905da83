"""A command run by several processes at once, as torchrun starts them: one of them speaks."""

from __future__ import annotations

import contextlib
import os
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
            yield ranks
            ranks.leave()
    except Exception:
        if ranks.first_fault():
            raise
        raise typer.Exit(1) from None


@contextlib.contextmanager
def _silence() -> Generator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
