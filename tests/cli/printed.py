"""Reads a printed explanation as a person would: tables by the columns under their titles, lines by their words.

Knows nothing of the package: what it finds is worked out again with plain arithmetic in the tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TITLE = re.compile(r"channel \d+|filter|products")
NUMBER = re.compile(r"−?\d+(?:\.\d+)?(?:e[+−]\d+)?")
Table = list[list[float]]


@dataclass
class Channel:
    """The three tables of one channel, and the sum under the third."""

    patch: Table = field(default_factory=list[list[float]])
    weights: Table = field(default_factory=list[list[float]])
    products: Table = field(default_factory=list[list[float]])
    total: float = 0.0


@dataclass
class Printed:
    """One convolution as it was printed."""

    title: str
    channels: dict[int, Channel]
    lines: dict[str, str]

    def number(self, word: str) -> float:
        """The number at the end of the line that opens with a word."""
        return numbers(self.lines[word])[-1]


def numbers(text: str) -> list[float]:
    """The numbers in a text, with a true minus or none."""
    return [float(found.replace("−", "-")) for found in NUMBER.findall(text)]


def read(text: str) -> list[Printed]:
    """Every convolution of a printed text."""
    starts = [found.start() for found in re.finditer(r"^[\w.]+, unit \d+ at row \d+, column \d+: ", text, re.M)]
    return [_one(text[start:end]) for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def _one(text: str) -> Printed:
    title, *lines = text.splitlines()
    channels: dict[int, Channel] = {}
    columns: list[tuple[int, int, int, str]] = []
    latest: dict[int, int] = {}  # column of a patch's title -> its channel, for tables one below the other
    words: dict[str, str] = {}
    for line in lines:
        titles = list(TITLE.finditer(line))
        if titles and not TITLE.sub("", line).strip():
            columns = _columns(titles, latest, channels)
        elif line.startswith(("sum ", "bias ", "value ", "module ", "rest ")):
            columns = []
            words[line.split()[0]] = line
        else:
            _row(line, columns, channels)
    return Printed(title, channels, words)


def _columns(
    titles: list[re.Match[str]], latest: dict[int, int], channels: dict[int, Channel]
) -> list[tuple[int, int, int, str]]:
    """From and to which character each table goes, whose channel it is, and what it is."""
    found: list[tuple[int, int, int, str]] = []
    current = -1
    for k, title in enumerate(titles):
        what = title[0].split()[0]
        if what == "channel":
            current = int(title[0].split()[1])
            channels[current] = Channel()
            latest[title.start()] = current
        owner = current if current >= 0 else latest[title.start()]
        end = titles[k + 1].start() if k + 1 < len(titles) else 10_000
        found.append((title.start(), end, owner, what))
    return found


def _row(line: str, columns: list[tuple[int, int, int, str]], channels: dict[int, Channel]) -> None:
    for start, end, owner, what in columns:
        cells = line[start:end]
        if "Σ" in cells:
            channels[owner].total = numbers(cells)[-1]
            continue
        values = numbers(cells.strip().strip("·= "))
        if values:
            name = {"channel": "patch", "filter": "weights", "products": "products"}[what]
            getattr(channels[owner], name).append(values)
