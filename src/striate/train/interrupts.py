"""Ctrl-C and SIGTERM at a moment that suits: inside `deferred` they are noted, and take effect on leaving, when nothing
is half done.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, final

from striate.ranks import end

if TYPE_CHECKING:
    from collections.abc import Generator

ENDS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
"""The signals that tell a process to stop, and how the user knows them: from the terminal, from whoever started it."""

_OWN = (signal.default_int_handler, signal.SIG_DFL, end)
"""Whose work can wait: the handlers of Python and of Striate."""


@contextlib.contextmanager
def deferred() -> Generator[list[int]]:
    """Gives a list that is empty until one of `ENDS` comes; on leaving, that does what it does elsewhere: Ctrl-C
    raises KeyboardInterrupt, SIGTERM in a command Ended.

    Inside another `deferred` it gives that one's list, and nothing happens on leaving. Where somebody else's handler is
    set, or outside the main thread, nothing is changed. After a fault, what has come by then does nothing more.
    """
    handlers = {number: signal.getsignal(number) for number in ENDS}
    outer = [handler for handler in handlers.values() if isinstance(handler, _Note)]
    if outer or threading.current_thread() is not threading.main_thread():
        yield outer[0].told if outer else []
        return
    note = _Note()
    deferrable = {number: handler for number, handler in handlers.items() if handler in _OWN}
    try:
        for number in deferrable:
            signal.signal(number, note)
        yield note.told
    finally:
        for number, handler in deferrable.items():
            signal.signal(number, handler)
    for number in note.told:
        signal.raise_signal(number)


@final
class _Note:
    """A handler that writes down which signals came."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def __call__(self, number: int, _frame: object) -> None:
        self.told.append(number)
