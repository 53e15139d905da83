"""What stands within one another, told in order with a list of what is still to do.

A network may be hundreds of layers deep, and so may what lies below one of its numbers: deeper than functions of Python
may call themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Nested: TypeAlias = "Iterator[T | Nested[T]]"
"""Parts in order; an iterator among them stands for its own parts."""


def flat(parts: Nested[T]) -> Iterator[T]:
    """The parts in order, those within one another in their place, however deep.

    Example:
        >>> "".join(flat(iter(["a", iter(["b", iter("c")]), "d"])))
        'abcd'
    """
    opened = [parts]
    while opened:
        for part in opened[-1]:
            if isinstance(part, Iterator):
                opened.append(part)
                break
            yield part
        else:
            opened.pop()
