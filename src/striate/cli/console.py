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
NAME = 30  # columns that a name may take where others would have to go for it
LEAST = 8  # columns that are left of a shortened name
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
        spare: columns to leave out, one after another, while the table is wider than the terminal, though names be
            shortened to NAME.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    screen = console()
    written = [[visible(cell) for cell in row] for row in (headings, *rows, *([total] if total else []))]
    shown, words = fitting(written, screen.width, left=left, spare=spare)
    folded, *cells = shown[:-1] if total else shown
    footers = shown[-1] if total else [""] * len(folded)
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=total is not None)
    for place, (heading, footer) in enumerate(zip(folded, footers, strict=True)):
        drawn.add_column(
            Text(heading),
            justify="left" if place < words else "right",
            footer=Text(footer),
            no_wrap=True,
            min_width=max(_widths([row[place : place + 1] for row in shown])),
        )
    for row in cells:
        drawn.add_row(*map(Text, row))
    screen.print(drawn, crop=False, overflow="ignore")


def matrix(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a square table with the same names before its rows and above its columns.

    Where the names are too wide for the terminal, their numbers stand above the columns and before the names.
    """
    headings, named = ["", *names], [[name, *row] for name, row in zip(names, rows, strict=True)]
    if _room([list(map(visible, row)) for row in (headings, *named)], console().width) < 0:
        figures = len(str(len(names)))
        headings = ["", *(str(number) for number, _ in enumerate(names, 1))]
        named = [[f"{number:>{figures}} {name}", *cells] for number, (name, *cells) in enumerate(named, 1)]
    table(headings, named)


def fitting(
    rows: Sequence[Sequence[str]], width: int, *, left: int, spare: Sequence[int]
) -> tuple[list[list[str]], int]:
    """The cells of a table, the first row its headings, changed as little as lets it fit into `width` columns.

    Headings of numbers are folded; then columns that can be spared are left out; then words are shortened in the
    middle. Numbers stay whole.

    Returns: the rows, and how many of their first columns are words.

    Example:
        >>> fitting([["network", "test accuracy"], ["conv 4 5x5, relu, dense 10", "90.00%"]], 24, left=1, spare=())
        ([['network', 'test\\naccuracy'], ['conv 4…nse 10', '90.00%']], 1)
    """
    shown = [list(row) for row in rows]
    if _room(shown, width) >= 0:
        return shown, left
    shown[0][left:] = [_folded(shown, place) for place in range(left, len(shown[0]))]
    kept = list(range(len(shown[0])))
    for place in spare:
        capped = [[*(word[:NAME] for word in row[:left]), *row[left:]] for row in shown]
        if _room([[row[at] for at in kept] for row in capped], width) >= 0:
            break
        kept.remove(place)
    shown = [[row[at] for at in kept] for row in shown]
    words = sum(place < left for place in kept)
    for place in sorted(range(words), key=lambda at: -_widths(shown)[at]):
        _shorten(shown, place, width)
    return shown, words


def _shorten(rows: list[list[str]], place: int, width: int) -> None:
    """Shortens the words of a column by what the table is too wide, as far as something is left of them."""
    from rich.cells import cell_len

    from striate.pictures.words import shortened

    room = max(LEAST, _widths(rows)[place] + min(0, _room(rows, width)))
    for row in rows:
        word = row[place]
        indent = " " * (len(word) - len(word.lstrip()))
        row[place] = indent + shortened(word, room - len(indent), cell_len) if cell_len(word) > room else word


def _folded(rows: Sequence[Sequence[str]], place: int) -> str:
    """A heading on as many lines as make it no wider than its column's cells, between its words."""
    import textwrap

    cells = max(_widths([row[place : place + 1] for row in rows[1:]] or [[""]]))
    return "\n".join(textwrap.wrap(rows[0][place], max(cells, 1), break_long_words=False)) or rows[0][place]


def _room(rows: Sequence[Sequence[str]], width: int) -> int:
    """The columns of the terminal that a table leaves free; less than 0 where it is too wide."""
    widths = _widths(rows)
    return width - sum(widths) - GAP * (len(widths) - 1)


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Columns of the terminal that each column of cells takes."""
    from rich.cells import cell_len

    return [max(max(map(cell_len, row[place].splitlines() or [""])) for row in rows) for place in range(len(rows[0]))]


def padded(fields: Iterable[tuple[int, int]], image: Sequence[int]) -> None:
    """Says what it means that a receptive field is larger than the image, where one is."""
    if any(size > side for field in fields for size, side in zip(field, image[1:], strict=False)):
        show("a unit that sees more than the image sees padding around it")


def shape(sides: Sequence[int]) -> str:
    """A shape as the text form writes it: 1x28x28."""
    return "x".join(map(str, sides))
