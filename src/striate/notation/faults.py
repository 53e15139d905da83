"""What is wrong in a text, and how it is said: the line, a caret, what was found, what is allowed, the nearest word."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from striate.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from striate.notation.tokens import Token

_WIDTH = 100
"""Characters of a line that an error shows."""

_SAME_THING = {
    "linear": "dense",
    "fc": "dense",
    "bn": "batchnorm",
    "pool": "maxpool",
    "gap": "globalavgpool",
    "adaptiveavgpool2d": "adaptiveavgpool",
    "adaptivemaxpool2d": "adaptivemaxpool",
    "localresponsenorm": "lrn",
    "ln": "layernorm",
    "gn": "groupnorm",
    "instancenorm": "groupnorm",
    "swish": "silu",
    "hswish": "hardswish",
    "hsigmoid": "hardsigmoid",
    "se": "gate",
    "squeezeexcitation": "gate",
    "skip": "residual",
    "cat": "concat",
}
"""Other tools' words for our layers that are spelled too differently to be found by likeness."""


@final
@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        token: where.
        problem: what is wrong there, e.g. "maxpol is no layer".
        allowed: what may stand there.
        hint: the nearest known word, or "".
    """

    token: Token
    problem: str
    allowed: str = ""
    hint: str = ""

    def told(self, lines: Sequence[str]) -> str:
        """The fault in words, over the line it stands in with a caret under the place."""
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        hint = f" (did you mean {self.hint}?)" if self.hint else ""
        place = f"line {self.token.line}, column {self.token.column}"
        return f"{place}: {self.problem}{allowed}{hint}\n{_caret(lines[self.token.line - 1], self.token)}"


def error(faults: Sequence[Fault], text: str) -> NetworkError:
    """All faults of `text` as one error; its attributes are those of the first."""
    lines = text.split("\n")
    first = faults[0]
    return NetworkError(
        "\n".join(fault.told(lines) for fault in faults),
        line=first.token.line,
        column=first.token.column,
        found=shown(first.token.text),
        allowed=first.allowed,
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` most likely meant, or "".

    Example:
        >>> nearest("maxpol", ["conv", "maxpool", "avgpool"])
        'maxpool'
    """
    known = list(known)
    low = word[:40].lower()  # likeness takes quadratic time, and no known word is that long
    if _SAME_THING.get(low) in known:
        return _SAME_THING[low]
    alike = difflib.get_close_matches(low, known, n=1)
    return alike[0] if alike else ""


def shown(word: str) -> str:
    """A word as an error may print it: on one line, without control characters, not longer than 40 characters."""
    if word in ("", "\n"):
        return "the end of the text" if not word else "the end of the line"
    clean = printable(word)
    return clean if len(clean) <= 40 else f"{clean[:39]}…"


def printable(text: str) -> str:
    """`text`, character for character, with a space for white space and ? for what a terminal would act on."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def _caret(line: str, token: Token) -> str:
    begin = max(0, token.column - 1 - _WIDTH // 2) if len(line) > _WIDTH else 0
    excerpt = printable(line[begin : begin + _WIDTH])
    left, right = "…" if begin else "", "…" if begin + _WIDTH < len(line) else ""
    at = token.column - 1 - begin
    marked = max(1, min(len(token.text.strip("\n")), _WIDTH - at))
    return f"    {left}{excerpt}{right}\n    {' ' * (len(left) + at)}{'^' * marked}"
