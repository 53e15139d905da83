"""The faults a user can cause or meet; every message is one sentence that says what was wrong and what is allowed.

Nothing here knows any other room. `UserError` is bad input (the command exits with 2); `Failure` is input that was
fine and work that could not be finished (the command exits with 1). Anything else that escapes is a bug of ours.
"""

from __future__ import annotations


class UserError(ValueError):
    """Something the user gave cannot be used; the message names it, what was found and what is allowed."""


class Failure(RuntimeError):  # noqa: N818 - it is no one's error: the input was fine
    """The work could not be finished (disk full, loss not a number, no download); the message says what was kept."""


class NetworkError(UserError):
    """A network's text cannot be read, or its shapes cannot work.

    Attributes:
        line: 1-based line of the text, or None where the fault has no place in a text.
        column: 1-based column of the first character at fault, or None.
        found: what stands there.
        allowed: what may stand there.
    """

    def __init__(
        self, message: str, *, line: int | None = None, column: int | None = None, found: str = "", allowed: str = ""
    ) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.found = found
        self.allowed = allowed


class ShapeError(UserError):
    """A layer cannot take the shape that reached it; the caller adds the layer's name and place."""


class DataError(UserError):
    """Images or labels cannot be used as they are."""


class RecipeError(UserError):
    """A training recipe is not valid; every fault is listed."""


class ModelError(UserError):
    """A file does not hold a model that can be used, or a module cannot do what was asked of it."""
