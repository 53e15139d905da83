"""The words after a layer's own: arguments by their place, options as name=value, as the layer declares them."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from striate.layers import Layer
from striate.layers.layer import defaults, text_fields
from striate.notation.faults import Fault, nearest, shown
from striate.notation.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Sequence


@final
class Fields:
    """Reads the fields of one layer; `faults` is what was wrong with them.

    A field that the layer declares without a default is an argument, one with a default an option.
    """

    def __init__(self, kind: type[Layer]) -> None:
        self.kind = kind
        self.values = text_fields(kind)
        self.options = [name for name in self.values if name in defaults(kind)]
        self.arguments = [name for name in self.values if name not in self.options]
        self.given: dict[str, object] = {}
        self.faults: list[Fault] = []

    def read(self, word: Token, words: Sequence[Token]) -> dict[str, object]:
        """The fields that `words` after the layer's `word` give, by name."""
        places = iter(self.arguments)
        for token in words:
            name, equals, spelled = token.text.partition("=")
            if equals:
                self.option(token, name, spelled)
            elif place := next(places, None):
                self.value(token, place, token.text)
            else:
                problem = f"found {shown(token.text)} after {self.kind.word}, one word too many"
                self.faults.append(Fault(token, problem, self.usage))
                return self.given
        if missing := next(places, None):
            allowed = f"{self.values[missing].allowed}, in {self.usage}"
            self.faults.append(Fault([word, *words][-1], f"{self.kind.word} needs its {missing}", allowed))
        return self.given

    def option(self, token: Token, name: str, spelled: str) -> None:
        """Takes a name=value."""
        if name in self.arguments:
            self.faults.append(Fault(token, f"{name} of {self.kind.word} is written by its place alone", self.usage))
        elif name not in self.options:
            problem = f"{self.kind.word} has no option {shown(name or token.text)}"
            allowed = ", ".join(self.options) or "none"
            self.faults.append(Fault(token, problem, allowed, nearest(name, self.options)))
        elif name in self.given:
            self.faults.append(Fault(token, f"{name} of {self.kind.word} is given twice", "once"))
        else:
            self.value(Token(spelled, token.line, token.column + len(name) + 1), name, spelled)

    def value(self, token: Token, name: str, spelled: str) -> None:
        """Takes the value of a field."""
        value = self.values[name]
        try:
            self.given[name] = value.read(spelled)
        except ValueError:
            self.given[name] = None
            problem = f"{name} of {self.kind.word} cannot be {shown(spelled) if spelled else 'empty'}"
            self.faults.append(Fault(token, problem, value.allowed))

    @property
    def usage(self) -> str:
        """How the layer is written: conv CHANNELS KERNEL stride= pad= ..."""
        arguments = [name.upper() for name in self.arguments]
        return " ".join([self.kind.word, *arguments, *(f"{name}=" for name in self.options)])
