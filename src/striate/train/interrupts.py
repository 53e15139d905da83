"""Ctrl-C at a moment that suits: inside `deferred` it is noted, and raised on leaving, when nothing is half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


@contextlib.contextmanager
def deferred() -> Generator[list[int]]:
    """Gives a list that is empty until Ctrl-C is pressed; on leaving, raises KeyboardInterrupt if it was.

    Where another handler than Python's own is set, or outside the main thread, nothing is changed.
    """
    pressed: list[int] = []
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield pressed
        return
    signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed:
        raise KeyboardInterrupt
