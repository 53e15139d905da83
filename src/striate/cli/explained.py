"""An explanation on the terminal, in colours where it has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.cli import console

if TYPE_CHECKING:
    from striate.inside.explaining.explanation import Explanation

STYLES = {"title": "bold", "muted": "dim", "strong": "bold cyan", "good": "green", "bad": "red", "": ""}
"""How the parts of a line look on a terminal with colours."""


def show(found: Explanation, width: int, terms: int) -> None:
    """Prints an explanation of so many columns, with so many channels or terms written out."""
    from rich.text import Text

    screen = console.console()
    for line in found.lines(width, terms):
        text = Text.assemble(*((span.text, STYLES[span.role]) for span in line))
        text.rstrip()
        screen.print(text, soft_wrap=True)
