"""`striate filters`: the weights of a layer as the small pictures they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from striate.cli import console
from striate.cli.foreign import Foreign
from striate.cli.options import (
    ForeignClasses,
    ForeignInput,
    ForeignMean,
    ForeignModule,
    ForeignNetwork,
    ForeignStd,
    ForeignWeights,
    JsonOption,
    ModelArgument,
    png,
)
from striate.cli.subject import Subject
from striate.errors import ModelError
from striate.report.numbers import count

if TYPE_CHECKING:
    from striate.inside.studies.filters import Filters
    from striate.model import Model


def filters(
    model: ModelArgument = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="NAME", help="Whose filters. Default: the first layer that has some."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.png", help="Where to draw. Default: RUN/filters/NAME.png.")
    ] = None,
    scale: Annotated[
        Literal["unit", "layer"], typer.Option("--scale", help="Whether each filter has its own colour scale.")
    ] = "unit",
    module: ForeignModule = None,
    net: ForeignNetwork = None,
    weights: ForeignWeights = None,
    input: ForeignInput = None,
    mean: ForeignMean = None,
    std: ForeignStd = None,
    classes: ForeignClasses = None,
    json: JsonOption = False,
) -> None:
    """Draw the filters of a layer: the first layer's in the image's colours, deeper ones channel by channel.

    Examples: striate filters runs/demo-1 | striate filters RUN --layer conv2 --out conv2.png
    """
    from striate import inside
    from striate.report.plates import filter_sheet

    png(out)
    subject = Subject.named(model, Foreign(module, net, weights, input, mean, std, classes))
    for line in subject.said[:1] if net and weights is None else ():
        console.note(line)
    found = inside.filters(subject.model, layer or _first(subject.model))
    path = out or subject.place("filters") / f"{found.layer.replace('/', '-')}.png"
    filter_sheet(found, scale).save(path, margin=24)
    if json:
        console.show_json(_as_json(found, scale) | {"picture": str(path)})
        return
    units, *sides = found.weights.shape
    console.show(f"{found.layer}: {count(units)} filters of {console.shape(sides)}")
    console.show(f"picture: {path}")


def _first(model: Model) -> str:
    """The first layer that has filters. Raises ModelError where there is none."""
    from striate.inside.studies.filters import filtering

    named = filtering(model)
    if not named:
        raise ModelError(f"{model.name} has no layer with filters")
    return named[0]


def _as_json(found: Filters, scale: str) -> dict[str, object]:
    """`largest` and `rms` (root of the mean square) of every filter; `shape` is units, channels, rows, columns."""
    import numpy as np

    flat = found.weights.reshape(len(found.weights), -1).astype(np.float64)
    return {
        "layer": found.layer,
        "shape": list(found.weights.shape),
        "scale": scale,
        "units": [
            {"unit": unit, "largest": float(np.abs(row).max()), "rms": float(np.sqrt((row**2).mean()))}
            for unit, row in enumerate(flat)
        ],
    }
