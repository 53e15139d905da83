"""The values that may stand in a layer's text form: how each is read, written and bounded.

A layer declares its fields with these in `Annotated`, once: `channels: Annotated[int, Whole(1, 65_536)]`. A field
without a default is an argument (written by its place), one with a default is an option (written `name=value`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Protocol, final

Pair = tuple[int, int]
"""(rows, columns)."""


class Value(Protocol):
    """How one field is read from a word, written as a word, and checked."""

    @property
    def allowed(self) -> str:
        """What may stand here, as the end of the sentence "must be ..."."""
        ...

    def read(self, word: str) -> object:
        """The value that `word` spells. Raises ValueError where it spells none or one out of bounds."""
        ...

    def write(self, value: object) -> str:
        """The word that spells `value`; `read` undoes it."""
        ...

    def accepts(self, value: object) -> bool:
        """Whether `value`, made in Python, is of the right type and within bounds."""
        ...


@final
@dataclass(frozen=True)
class Whole:
    """A whole number from `least` to `most`."""

    least: int
    most: int

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    def read(self, word: str) -> int:
        return _read_whole(word, self)

    def write(self, value: object) -> str:
        return str(value)

    def accepts(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most


@final
@dataclass(frozen=True)
class Size:
    """Rows and columns, `5x3`; a single number stands for both, `5`. Each from `least` to `most`."""

    least: int
    most: int

    @property
    def allowed(self) -> str:
        return f"a size such as 3x3 or 3, each side from {self.least} to {self.most}"

    def read(self, word: str) -> Pair:
        sides = word.split("x")
        if len(sides) > 2:
            raise ValueError(self.allowed)
        one = Whole(self.least, self.most)
        rows, columns = _read_whole(sides[0], one), _read_whole(sides[-1], one)
        return rows, columns

    def write(self, value: object) -> str:
        assert isinstance(value, tuple)
        rows, columns = value
        return f"{rows}x{columns}"

    def accepts(self, value: object) -> bool:
        one = Whole(self.least, self.most)
        return isinstance(value, tuple) and len(value) == 2 and all(one.accepts(side) for side in value)


@final
@dataclass(frozen=True)
class Padding:
    """A size from 0 to `most`, or the word `same`: as much as makes the output ceil(input / stride)."""

    most: int

    @property
    def allowed(self) -> str:
        return f"same, or a size such as 1x1 or 1, each side from 0 to {self.most}"

    def read(self, word: str) -> Pair | str:
        if word == "same":
            return word
        try:
            return Size(0, self.most).read(word)
        except ValueError:
            raise ValueError(self.allowed) from None

    def write(self, value: object) -> str:
        return value if isinstance(value, str) else Size(0, self.most).write(value)

    def accepts(self, value: object) -> bool:
        return value == "same" or Size(0, self.most).accepts(value)


@final
@dataclass(frozen=True)
class Real:
    """A finite number from `least` to `most`; the ends are excluded where `open_least` or `open_most` is set."""

    least: float
    most: float
    open_least: bool = False
    open_most: bool = False

    @property
    def allowed(self) -> str:
        left = "above" if self.open_least else "from"
        right = "below" if self.open_most else "up to" if self.open_least else "to"
        joint = " and " if self.open_least or self.open_most else " "
        return f"a number {left} {self.least:g}{joint}{right} {self.most:g}"

    def read(self, word: str) -> float:
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", word, re.ASCII):
            raise ValueError(self.allowed)
        value = float(word)
        if not self.accepts(value):
            raise ValueError(self.allowed)
        return value

    def write(self, value: object) -> str:
        assert isinstance(value, int | float)
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))

    def accepts(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            return False
        above = value > self.least if self.open_least else value >= self.least
        below = value < self.most if self.open_most else value <= self.most
        return above and below


@final
@dataclass(frozen=True)
class YesNo:
    """`yes` or `no`."""

    @property
    def allowed(self) -> str:
        return "yes or no"

    def read(self, word: str) -> bool:
        if word not in ("yes", "no"):
            raise ValueError(self.allowed)
        return word == "yes"

    def write(self, value: object) -> str:
        return "yes" if value else "no"

    def accepts(self, value: object) -> bool:
        return isinstance(value, bool)


def _read_whole(word: str, bounds: Whole) -> int:
    # int() alone would also take " 5", "1_000" and other scripts' digits, and spend minutes on a million of them.
    if not re.fullmatch(r"\d{1,18}", word, re.ASCII) or not bounds.accepts(int(word)):
        raise ValueError(bounds.allowed)
    return int(word)
