"""What `--help` says of a command, from its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable

PROMPT = "$ "


def helped(command: Callable[..., object]) -> str:
    """The docstring of a command for the terminal: paragraphs that fold at its width, each example on its own line.

    In the source a paragraph's lines end at the editor's margin, and examples stand between bars.

    Example:
        >>> def greet() -> None:
        ...     '''Greet.
        ...
        ...     Once or
        ...     more often.
        ...
        ...     Examples: greet | greet
        ...     --twice
        ...     '''
        >>> print(helped(greet))
        Greet.
        <BLANKLINE>
        Once or more often.
        <BLANKLINE>
        Examples:
        $ greet
        $ greet --twice
    """
    said = inspect.getdoc(command) or ""
    return "\n\n".join(_paragraph(" ".join(lines.split())) for lines in said.split("\n\n"))


def _paragraph(line: str) -> str:
    heading, _, rest = line.partition(": ")
    if heading not in {"Example", "Examples"}:
        return line
    return "\n".join([f"{heading}:", *(PROMPT + example for example in rest.split(" | "))])
