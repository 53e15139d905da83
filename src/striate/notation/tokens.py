"""Characters to tokens: words and marks, each with its place; white space and comments fall away."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Iterator

SEPARATORS = ("\n", ",", ";")
"""What may stand between two layers."""

MARKS = ("(", "|", ")", *SEPARATORS)

_PIECE = re.compile(r"(?P<nothing>[^\S\n]+|#[^\n]*)|[(|),;\n]|[^\s(|),;#]+")


@final
@dataclass(frozen=True)
class Token:
    """A word or a mark of the text; the end of the text is the token "".

    Attributes:
        text: its characters.
        line: 1-based line.
        column: 1-based column of its first character.
    """

    text: str
    line: int
    column: int

    @property
    def is_word(self) -> bool:
        return bool(self.text) and self.text not in MARKS


def tokens(text: str) -> Iterator[Token]:
    r"""The tokens of `text` (lines end in "\n") in order; the last one is the end.

    Example:
        >>> [token.text for token in tokens("conv 20 5x5, relu  # sees edges")]
        ['conv', '20', '5x5', ',', 'relu', '']
    """
    line, begin = 1, 0
    for piece in _PIECE.finditer(text):
        if piece["nothing"] is None:
            yield Token(piece[0], line, piece.start() - begin + 1)
        if piece[0] == "\n":
            line, begin = line + 1, piece.end()
    yield Token("", line, len(text) - begin + 1)
