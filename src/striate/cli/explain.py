"""`striate explain`: any number of a network, taken apart so that it can be followed by hand."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from striate.cli import console
from striate.cli.foreign import Foreign
from striate.cli.look import shown
from striate.cli.options import DataOption, DataRoot, JsonOption
from striate.cli.subject import Subject
from striate.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from striate.inside.explaining.convolution_demo import ConvolutionDemo
    from striate.inside.explaining.explanation import Explanation
    from striate.layers.values import Pair

DEMO = "convolution-demo"
WIDTH = 100  # columns where nothing says how wide the terminal is

STYLES = {"title": "bold", "muted": "dim", "strong": "bold cyan", "good": "green", "bad": "red", "": ""}
"""How the parts of a line look on a terminal with colours."""


def explain(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN|MODEL", help=f"A run's folder, a model.safetensors, torchvision:NAME, timm:NAME; or {DEMO}."
        ),
    ],
    image: Annotated[
        str | None,
        typer.Argument(metavar="IMAGE", help="An image file, or test:17 for an image of the run's test split."),
    ] = None,
    layer: Annotated[str | None, typer.Option("--layer", metavar="NAME", help="Such as conv2.")] = None,
    unit: Annotated[int | None, typer.Option("--unit", help="Feature map of that layer, or feature; from 0.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="ROW,COLUMN", help="Position on the map. Default: its maximum.")
    ] = None,
    depth: Annotated[
        str, typer.Option("--depth", metavar="N|input", help="How many layers down to follow the largest terms.")
    ] = "0",
    follow: Annotated[int, typer.Option("--follow", min=1, help="How many terms of each number to follow down.")] = 3,
    terms: Annotated[
        int, typer.Option("--terms", min=1, help="Channels or terms written out; the rest are summed and counted.")
    ] = 16,
    training: Annotated[
        bool, typer.Option("--training", help="As in training, on this image alone: dropout draws, batchnorm measures.")
    ] = False,
    step: Annotated[
        bool, typer.Option("--step", help=f"With {DEMO}: wait for Enter after each output; q stops.")
    ] = False,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help=f"Which numbers are drawn: by {DEMO}, or by dropout in training.")
    ] = 0,
    width: Annotated[int | None, typer.Option("--width", min=40, help="Columns. Default: the terminal's.")] = None,
    named: DataOption = None,
    data_root: DataRoot = None,
    json: JsonOption = False,
) -> None:
    """Take one number of a network apart: patch, filter, products, sums, bias, and the module's own value beside it.

    The lecture's convolution, all 18 outputs step by step: striate explain convolution-demo

    Example: striate explain runs/demo-1 test:17 --layer conv2 --unit 3 --at 4,5 --depth input
    """
    position, columns = _position(at), width or shutil.get_terminal_size((WIDTH, 24)).columns
    if run == DEMO:
        _refuse_in_demo(image, layer, depth, training)
        _show_demo(seed, unit, position, step, columns, json)
        return
    if step:
        raise UserError(f"--step goes with {DEMO}, which has outputs to step through")
    if image is None or layer is None or unit is None:
        raise UserError("say which number: striate explain RUN IMAGE --layer conv2 --unit 3 --at 4,5")
    down = _depth(depth)
    from striate import inside

    subject = Subject.named(run, Foreign())
    (picture,) = shown(subject, [image], named, data_root)
    found = inside.explain(
        subject.model, picture.pixels, layer, unit, position, depth=down, follow=follow, training=training, seed=seed
    )
    if json:
        console.show_json(found.as_json() | {"image": image})
        return
    _show(found, columns, terms)


def _position(at: str | None) -> Pair | None:
    """`4,5` as (4, 5). Raises UserError."""
    if at is None:
        return None
    parts = [part.strip() for part in at.split(",")]
    if len(parts) != 2 or not all(part.isdecimal() and part.isascii() for part in parts):
        raise UserError(f"--at must be ROW,COLUMN such as 4,5, found {at!r}")
    return int(parts[0]), int(parts[1])


def _depth(text: str) -> int | Literal["input"]:
    if text == "input":
        return "input"
    if not (text.isdecimal() and text.isascii() and len(text) <= 6):
        raise UserError(f"--depth must be a whole number of layers such as 2, or input, found {text!r}")
    return int(text)


def _show(found: Explanation, width: int, terms: int) -> None:
    """Prints an explanation, in colours where the terminal has them."""
    from rich.text import Text

    screen = console.console()
    for line in found.lines(width, terms):
        text = Text.assemble(*((span.text, STYLES[span.role]) for span in line))
        text.rstrip()
        screen.print(text, soft_wrap=True)


# --- the lecture's convolution -------------------------------------------------------------------------------------


def _refuse_in_demo(image: str | None, layer: str | None, depth: str, training: bool) -> None:
    if image is not None or layer not in (None, "conv1") or depth != "0" or training:
        raise UserError(
            f"{DEMO} brings its own image and its one layer, conv1: leave out IMAGE, --layer, --depth and --training"
        )


def _show_demo(seed: int, unit: int | None, position: Pair | None, step: bool, width: int, json: bool) -> None:
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
        _show(found, width, 16)
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
