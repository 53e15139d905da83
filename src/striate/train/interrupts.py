"""Ctrl-C at a moment that suits: inside `deferred` it is noted, and raised on leaving, when nothing is half done.

Inside `noted` nothing is raised: several processes that work together stop when all know of it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Generator


@contextlib.contextmanager
def deferred() -> Generator[list[int]]:
    """Gives a list that is empty until Ctrl-C is pressed; on leaving, raises KeyboardInterrupt if it was.

    Where another handler than Python's own is set, or outside the main thread, nothing is changed. Inside `noted` it
    gives that one's list, and raises nothing.
    """
    inside = isinstance(signal.getsignal(signal.SIGINT), _Note)
    with noted() as pressed:
        yield pressed
    if pressed and not inside:
        raise KeyboardInterrupt


@contextlib.contextmanager
def noted() -> Generator[list[int]]:
    """Gives a list that is empty until Ctrl-C is pressed. Changes nothing where `deferred` would not."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread():
        yield []
    elif isinstance(handler, _Note):
        yield handler.pressed
    elif handler is not signal.default_int_handler:
        yield []
    else:
        note = _Note()
        signal.signal(signal.SIGINT, note)
        try:
            yield note.pressed
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@final
class _Note:
    """A handler of Ctrl-C that writes down that it was pressed."""

    def __init__(self) -> None:
        self.pressed: list[int] = []

    def __call__(self, number: int, _frame: object) -> None:
        self.pressed.append(number)
