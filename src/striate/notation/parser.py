"""Tokens to layers, by recursive descent: one method for each thing that can stand in a text.

    text     = [input shape] sequence
    sequence = { item separator }
    item     = layer | block | repeat
    layer    = word { argument | name=value }
    block    = word "(" sequence { "|" sequence } ")"
    repeat   = "(" sequence ")" xTIMES

After a fault the parser goes on at the next separator, so that all faults of one text are reported together.
"""

from __future__ import annotations

from typing import NoReturn

from striate.layers import Block, Layer, Shape, kinds
from striate.layers.values import Whole
from striate.notation.faults import Fault, error, nearest, shown
from striate.notation.fields import Fields
from striate.notation.source import Item, Source
from striate.notation.tokens import SEPARATORS, Token, tokens

MOST_CHARACTERS = 1_000_000
"""Of one text: enough to print the largest network that can be read."""

MOST_LAYERS = 10_000
"""Of one network, repeats written out and blocks' layers counted; ResNet-1202 has about 4,200."""

MOST_NESTED = 8
"""Parentheses within parentheses."""

MOST_FAULTS = 10
"""Reported together; then reading stops."""

_SIDE = Whole(1, 1_000_000)
_TIMES = Whole(1, MOST_LAYERS)
_SHAPE_ALLOWED = (
    "channels x rows x columns such as 1x28x28, or a number of features such as 784, each from 1 to 1000000"
)


def read(text: str) -> Source:
    """Reads a text. Raises NetworkError with all its faults; shapes are not looked at.

    Example:
        >>> [str(layer) for layer in read("(conv 8 3x3, relu) x2; dense 10").layers]
        ['conv 8 3x3', 'relu', 'conv 8 3x3', 'relu', 'dense 10']
    """
    if len(text) > MOST_CHARACTERS:
        problem = f"the text has {len(text)} characters"
        raise error([Fault(Token("", 1, 1), problem, f"at most {MOST_CHARACTERS}")], text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _Parser(text).text_form()


class _StopError(Exception):
    """Reading cannot go on; the faults say why."""


class _Parser:
    """Reads one text; `ahead` is the next token, `faults` what was found wrong so far, `layers` how many were made."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.ahead = next(self.tokens)
        self.layers = 0
        self.faults: list[Fault] = []

    def text_form(self) -> Source:
        try:
            shape, items = self.whole()
        except _StopError:
            raise error(self.faults, self.text) from None
        if self.faults:
            raise error(self.faults, self.text)
        return Source(self.text, shape, tuple(items))

    def whole(self) -> tuple[Shape | None, list[Item]]:
        self.skip_separators()
        shape = self.input_line() if self.ahead.text == "input" else None
        items = self.sequence()
        while self.ahead.text:
            self.fault(self.ahead, f"found {self.ahead.text} that no ( opened", "a layer or the end of the text")
            self.take()
            self.end_of_item()
            items += self.sequence()
        if not items and not self.faults:
            self.fault(self.ahead, "there is no layer", "layers, such as conv 20 5x5, relu, maxpool 2x2, dense 10")
        return shape, items

    def input_line(self) -> Shape | None:
        word = self.take()
        given = self.words()
        spelled = " ".join(token.text for token in given)
        shape = _shape(spelled)
        if shape is None:
            found = f"the input cannot be {shown(spelled)}" if given else "the input has no shape"
            self.fault(given[0] if given else word, found, _SHAPE_ALLOWED)
        self.end_of_item()
        return shape

    def sequence(self, depth: int = 0) -> list[Item]:
        items: list[Item] = []
        self.skip_separators()
        while self.ahead.text not in ("", "|", ")"):
            items += self.item(depth)
            self.end_of_item()
            self.skip_separators()
        return items

    def item(self, depth: int) -> list[Item]:
        word = self.ahead
        if word.text == "(":
            return self.repeat(depth + 1)
        self.take()
        kind = kinds().get(word.text)
        if kind is None:
            return self.unknown(word)
        if issubclass(kind, Block):
            return self.block(kind, word, depth + 1)
        return self.layer(kind, word)

    def unknown(self, word: Token) -> list[Item]:
        known = kinds()
        if word.text == "input":
            self.fault(word, "found a second input, or one that is not first", "input as the first line, once")
        else:
            problem = f"{shown(word.text)} is no layer"
            self.fault(word, problem, ", ".join(known), nearest(word.text, known))
        self.skip_item()
        return []

    def repeat(self, depth: int) -> list[Item]:
        opening = self.take()
        before = self.layers
        (items,) = self.branches(opening, depth, most=1)
        times = self.take() if self.ahead.is_word else self.ahead
        try:
            count = _TIMES.read(times.text[1:]) if times.text.startswith("x") else 0
        except ValueError:
            count = 0
        if not count:
            allowed = f"how many times, x1 to x{MOST_LAYERS}, as in (conv 8 3x3, relu) x3"
            self.fault(times, f"found {shown(times.text)} after the ) of a repeat", allowed)
            return []
        self.made((self.layers - before) * (count - 1), opening)
        return items * count

    def block(self, kind: type[Block], word: Token, depth: int) -> list[Item]:
        if self.ahead.text != "(":
            self.fault(self.ahead, f"{kind.word} needs its layers", f"{kind.word}( ... ), branches separated by |")
            self.skip_item()
            return []
        faults = len(self.faults)
        branches = tuple(tuple(branch) for branch in self.branches(self.take(), depth))
        if len(self.faults) > faults:
            return []
        try:
            block = kind.of(tuple(tuple(item.layer for item in branch) for branch in branches))
        except ValueError as fault:
            self.fault(word, str(fault))
            return []
        self.made(1, word)
        return [Item(block, word, branches)]

    def branches(self, opening: Token, depth: int, most: int | None = None) -> list[list[Item]]:
        if depth > MOST_NESTED:
            self.stop(opening, f"parentheses are nested {depth} deep", f"at most {MOST_NESTED}")
        found = [self.sequence(depth)]
        while self.ahead.text == "|":
            bar = self.take()
            if len(found) == most:
                self.fault(bar, "found | in a repeat", "branches only in a block, such as concat( ... | ... )")
                self.sequence(depth)
            else:
                found.append(self.sequence(depth))
        if self.ahead.text != ")":
            self.stop(opening, "this ( is never closed", ") after its layers")
        self.take()
        return found

    def layer(self, kind: type[Layer], word: Token) -> list[Item]:
        fields = Fields(kind)
        given = fields.read(word, self.words())
        for fault in fields.faults:
            self.add(fault)
        if fields.faults:
            return []
        try:
            layer = kind(**given)
        except ValueError as fault:
            self.fault(word, str(fault))
            return []
        self.made(1, word)
        return [Item(layer, word)]

    def end_of_item(self) -> None:
        """After an item comes a separator, or what closes the sequence."""
        if self.ahead.text in ("", "|", ")", *SEPARATORS):
            return
        self.fault(
            self.ahead, f"found {shown(self.ahead.text)} after a layer", "a new line, a comma or ; between layers"
        )
        self.skip_item()

    def skip_item(self) -> None:
        """Goes to the end of an item that cannot be read, over all that it has in parentheses."""
        depth = 0
        while self.ahead.text and (depth or self.ahead.text not in ("|", ")", *SEPARATORS)):
            depth += {"(": 1, ")": -1}.get(self.take().text, 0)

    def skip_separators(self) -> None:
        while self.ahead.text in SEPARATORS:
            self.take()

    def words(self) -> list[Token]:
        found: list[Token] = []
        while self.ahead.is_word:
            found.append(self.take())
        return found

    def made(self, layers: int, token: Token) -> None:
        self.layers += layers
        if self.layers > MOST_LAYERS:
            self.stop(
                token, f"here the network passes {MOST_LAYERS} layers", f"at most {MOST_LAYERS}, repeats written out"
            )

    def fault(self, token: Token, problem: str, allowed: str = "", hint: str = "") -> None:
        self.add(Fault(token, problem, allowed, hint))

    def add(self, fault: Fault) -> None:
        self.faults.append(fault)
        if len(self.faults) >= MOST_FAULTS:
            raise _StopError

    def stop(self, token: Token, problem: str, allowed: str) -> NoReturn:
        self.fault(token, problem, allowed)
        raise _StopError

    def take(self) -> Token:
        token = self.ahead
        self.ahead = next(self.tokens, token)
        return token


def _shape(spelled: str) -> Shape | None:
    sides = spelled.split("x")
    if len(sides) not in (1, 3):
        return None
    try:
        return tuple(_SIDE.read(side) for side in sides)
    except ValueError:
        return None
