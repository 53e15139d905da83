"""The lecture's convolution on the terminal: `striate explain convolution-demo`, one output after another."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from striate.cli import console
from striate.cli.explained import show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from striate.inside.explaining.convolution_demo import ConvolutionDemo
    from striate.inside.explaining.explanation import Explanation
    from striate.layers.values import Pair

DEMO = "convolution-demo"


def show_demo(seed: int, unit: int | None, position: Pair | None, *, step: bool, width: int, json: bool) -> None:
    """Prints the demo's outputs.

    Arguments:
        seed: which numbers are drawn.
        unit, position: the outputs wanted; None for all.
        step: whether each after the first is waited for.
        width: columns.
        json: whether to print JSON instead.
    """
    from striate.inside.explaining.convolution_demo import ConvolutionDemo

    demo = ConvolutionDemo.drawn(seed)
    found = demo.explanations(unit, position)
    if json:
        kept = {"seed": seed, "input": demo.x.tolist(), "filters": demo.W.tolist(), "biases": demo.b.tolist()}
        console.show_json(kept | {"outputs": [each.as_json() for each in found]})
        return
    first, *rest = found
    _introduce(demo, seed, width)
    # Of a terminal's keys and a pager that reads them too, as in `--step | less`, the pager has them.
    waits = step and (sys.stdout.isatty() or not sys.stdin.isatty())
    shown = _each(first, rest, width, waits)
    _conclude(shown)


def _introduce(demo: ConvolutionDemo, seed: int, width: int) -> None:
    from striate.inside.explaining.figures import aligned, figure

    words = f"input 5x5x3 (seed {seed}), with a border of one 0; two filters 3x3x3, stride 2; output 3x3x2"
    for line in textwrap.wrap(words, width):
        console.show(line)
    channels = aligned(demo.x, 4)
    console.show("\n  " + "    ".join(f"channel {c}" for c in range(len(channels))))
    for rows in zip(*channels, strict=True):
        console.show("  " + "    ".join(" ".join(row) for row in rows))
    console.show(f"\nbiases {', '.join(map(figure, demo.b))}\n")


def _each(first: Explanation, rest: Iterable[Explanation], width: int, waits: bool) -> list[Explanation]:
    """Shows them one after another; with `waits` each after the first only when it is asked for."""
    shown: list[Explanation] = []
    for found in (first, *rest):
        if shown and waits and not _goes_on():
            break
        show(found, width, 16)
        console.show()
        shown.append(found)
    return shown


def _goes_on() -> bool:
    """Whether the next output is asked for: Enter, or any line; not q, nor the end of the input."""
    sys.stdout.flush()
    console.note("Enter: the next output; q: stop")
    answer = sys.stdin.readline()
    return answer != "" and not answer.strip().lower().startswith("q")


def _conclude(shown: list[Explanation]) -> None:
    """The output as far as it has been shown, filter by filter."""
    from striate.inside.explaining.figures import figure

    for unit in sorted({found.unit for found in shown}):
        values = {found.position: figure(found.value) for found in shown if found.unit == unit}
        console.show(f"output, filter {unit}")
        across = max(map(len, values.values()))
        for row in range(3):
            cells = [values.get((row, column), "·").rjust(across) for column in range(3)]
            console.show("  " + " ".join(cells))
