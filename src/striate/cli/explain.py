"""`striate explain`: any number of a network, taken apart so that it can be followed by hand."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from striate.cli import console
from striate.cli.again import unheeded, was_typed
from striate.cli.explained import show
from striate.cli.explained_demo import DEMO, show_demo
from striate.cli.foreign import Foreign
from striate.cli.options import (
    DataOption,
    DataRoot,
    ForeignClasses,
    ForeignInput,
    ForeignMean,
    ForeignModule,
    ForeignNetwork,
    ForeignStd,
    ForeignWeights,
    JsonOption,
)
from striate.cli.shown import shown
from striate.cli.subject import Subject
from striate.errors import UserError

if TYPE_CHECKING:
    from striate.inside.explaining.explanation import Explanation
    from striate.layers.values import Pair

MOST_LEVELS = 200  # of explanations within one another, as JSON; Python's reader takes 1000, and each is three
WIDTH = 100  # columns where nothing says how wide the terminal is
SAY = "say which number: striate explain RUN IMAGE --layer conv2 --unit 3 --at 4,5"


def explain(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN|MODEL IMAGE",
            help="A run or model as for `striate look`, unless --module or --net says it; then an image file, or "
            f"test:17 for an image of its data. Or {DEMO} alone.",
        ),
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
        int,
        typer.Option(
            "--terms", min=1, help="Channels or terms written out beside those followed; the rest are summed."
        ),
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
    module: ForeignModule = None,
    net: ForeignNetwork = None,
    weights: ForeignWeights = None,
    input: ForeignInput = None,
    mean: ForeignMean = None,
    std: ForeignStd = None,
    classes: ForeignClasses = None,
    json: JsonOption = False,
) -> None:
    """Take one number of a network apart: patch, filter, products, sums, bias, and the module's own value beside it.

    The lecture's convolution, all 18 outputs step by step: striate explain convolution-demo

    Examples: striate explain runs/demo-1 test:17 --layer conv2 --unit 3 --at 4,5 --depth input |
    striate explain --module models.mine:make --input 3x64x64 cat.jpg --layer block2.conv --unit 0
    """
    position, columns = _position(at), width or shutil.get_terminal_size((WIDTH, 24)).columns
    if words and words[0] == DEMO:
        _refuse_in_demo(context, words[1:], layer)
        _refuse_of_text(context, json=json)
        show_demo(seed, unit, position, step=step, width=columns, json=json)
        return
    if step:
        raise UserError(f"--step goes with {DEMO}, which has outputs to step through")
    named_there = next((f"--{name}" for name, said in (("module", module), ("net", net)) if said), "")
    target, image = _named(words or [], named_there)
    if layer is None:
        raise UserError(SAY)
    down = _depth(depth)
    _refuse_unheeded(context, depth=depth, training=training, json=json)
    from striate import inside
    from striate.inside.explaining.explain import require_layer

    subject = Subject.named(target, Foreign(module, net, weights, input, mean, std, classes))
    for line in subject.said:
        console.note(line)
    if unit is None:
        require_layer(subject.model.module, layer)  # what is wrong comes before what is missing
        raise UserError(SAY)
    (picture,) = shown(subject, [image], named, data_root)
    found = inside.explain(
        subject.model, picture.pixels, layer, unit, position, depth=down, follow=follow, training=training, seed=seed
    )
    if json:
        _show_json(found, image)
        return
    show(found, columns, terms)


def _show_json(found: Explanation, image: str) -> None:
    """Prints it as JSON, where that is not deeper than what reads JSON can follow."""
    levels = _levels(found)
    if levels > MOST_LEVELS:
        raise UserError(
            f"{levels} layers within one another are too deep for what reads JSON, which takes {MOST_LEVELS}: "
            "say a smaller --depth"
        )
    console.show_json(found.as_json() | {"image": image})


def _levels(found: Explanation) -> int:
    """How many explanations stand within one another, itself counted."""
    from striate.inside.explaining.explanation import Explanation

    count, level = 0, [found]
    while level:
        count += 1
        level = [one.found for each in level for one in each.below if isinstance(one.found, Explanation)]
    return count


def _named(words: list[str], option: str) -> tuple[str | None, str]:
    """The model, None where an option says it, and the image. Raises UserError where there are fewer words or more."""
    target, images = (None, words) if option else (words[0] if words else None, words[1:])
    if not images:
        raise UserError(SAY)
    if len(images) > 1:
        beside = f" ({option} says the model)" if option else ""
        raise UserError(f"one image is explained at a time{beside}, found {len(images)}: {', '.join(images)}")
    return target, images[0]


def _refuse_in_demo(context: typer.Context, more: list[str], layer: str | None) -> None:
    """Raises UserError where anything is said beside the demo that it could not heed."""
    heeded = {"words", "unit", "at", "step", "seed", "width", "json", *(["layer"] if layer == "conv1" else [])}
    refused = [*more, *unheeded(context, heeded)]
    if refused:
        raise UserError(f"{DEMO} brings its own image and its one layer, conv1: leave out {', '.join(refused)}")


def _refuse_unheeded(context: typer.Context, *, depth: str, training: bool, json: bool) -> None:
    """Raises UserError where an option is given without the one that makes it count."""
    needs = {
        "seed": (training, "draws what dropout leaves out: it needs --training"),
        "follow": (depth != "0", "says how many terms to follow down: it needs --depth"),
    }
    for name, (heeded, why) in needs.items():
        if not heeded and was_typed(name, context):
            raise UserError(f"--{name} {why}")
    _refuse_of_text(context, json=json)


def _refuse_of_text(context: typer.Context, *, json: bool) -> None:
    """Raises UserError where JSON is asked for, and an option given that says how the text is printed."""
    for name in ("terms", "width", "step"):
        if json and was_typed(name, context):
            raise UserError(f"--{name} is of the text; --json has every term")


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
