"""What the terminal shows: tables, numbers and JSON. Prints; decides nothing.

Tables are rich's, so that they fit the terminal and lose their colour where it has none or NO_COLOR is set.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console


GAP = 3  # columns of the terminal between two columns of a table
WIDE = 1000  # columns of a file or pipe: nothing is folded there

# What moves the cursor, colours, ends a line or turns the direction of writing: a folder may be called so.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def console(*, error: bool = False) -> Console:
    """The terminal, or the file or pipe that stands in for it; `error`: standard error, for what is not the result."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    return Console(stderr=error, highlight=False, width=None if stream.isatty() else WIDE)


def show(line: str = "") -> None:
    """Prints a line of the result (or several): no markup, no colour, and none from the names in it."""
    print(visible(line, keep="\n\t"))


def note(line: str) -> None:
    """Prints one line about what is going on to standard error, so that a pipe carries the result alone."""
    print(visible(line, keep="\n\t"), file=sys.stderr)


def visible(text: str, keep: str = "") -> str:
    """`text` with control characters, but those to `keep`, as escapes: no file name can steer the terminal.

    Example:
        >>> visible("red \\x1b[31m rose")
        'red \\\\x1b[31m rose'
    """
    return _UNSEEN.sub(lambda c: c[0] if c[0] in keep else c[0].encode("unicode_escape").decode(), text)


def show_json(value: object) -> None:
    """Prints `value` as JSON on standard output; with JSON's own escapes where that takes no UTF-8."""
    plain = sys.stdout.encoding.lower().replace("-", "") != "utf8"
    print(json.dumps(value, indent=2, ensure_ascii=plain, allow_nan=False))


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    total: Sequence[str] | None = None,
    spare: Sequence[int] = (),
) -> None:
    """Prints a table under hairlines; the first `left` columns are words (left), the others numbers (right).

    Arguments:
        headings: one per column.
        rows: cells as text, one per heading.
        left: how many columns, from the first, are aligned left.
        total: a last row below a line.
        spare: columns to leave out, one after another, while the table is wider than the terminal.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    headings = [visible(heading) for heading in headings]
    cells = [tuple(map(visible, row)) for row in rows]
    screen = console()
    shown = _fitting([headings, *cells, *([total] if total else [])], screen.width, spare)
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=total is not None)
    for place in shown:
        footer = Text(total[place]) if total else ""
        drawn.add_column(
            Text(headings[place]), justify="left" if place < left else "right", footer=footer, no_wrap=True
        )
    for row in cells:
        drawn.add_row(*(Text(row[place]) for place in shown))
    screen.print(drawn, crop=False, overflow="ignore")


def _fitting(rows: Sequence[Sequence[str]], width: int, spare: Sequence[int]) -> list[int]:
    """The columns to show so that the widest row fits into `width`, as far as leaving out `spare` ones can do it."""
    from rich.cells import cell_len

    widths = [max(cell_len(row[place]) for row in rows) + GAP for place in range(len(rows[0]))]
    shown = list(range(len(widths)))
    for place in spare:
        if sum(widths[kept] for kept in shown) <= width:
            break
        shown.remove(place)
    return shown


def shape(sides: Sequence[int]) -> str:
    """A shape as the text form writes it: 1x28x28."""
    return "x".join(map(str, sides))
