"""`striate evolution`: how units came to look for what they look for, over the kept epochs of a run."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate import files
from striate.cli import console
from striate.cli.options import DataOption, DataRoot, JsonOption, LayersOption, RuleOption, listed, png
from striate.cli.source import Bar
from striate.cli.subject import SplitNames, Subject
from striate.errors import UserError

if TYPE_CHECKING:
    from striate.inside.studies.moments import Evolution
    from striate.model import Model
    from striate.train import Run


def evolution(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run that kept epochs: --set keep_epochs=true.")],
    layers: LayersOption = None,
    units: Annotated[
        int, typer.Option("--units", min=1, max=60, help="Units to follow, per layer, evenly spread over all.")
    ] = 6,
    unit: Annotated[
        list[int] | None, typer.Option("--unit", min=0, help="A unit to follow in their place; may be said again.")
    ] = None,
    which: Annotated[
        SplitNames | None, typer.Option("--split", help="Which images to go through. Default: test.")
    ] = None,
    rule: RuleOption = "deconvnet",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.png", help="Where to draw. Default: RUN/evolution.png.")
    ] = None,
    named: DataOption = None,
    data_root: DataRoot = None,
    json: JsonOption = False,
) -> None:
    """Draw the strongest patch of units and its projection, after each epoch that a run kept.

    The epochs 1, 2, 5, 10, 20, ... are kept where the recipe asks for it. The numbers lie beside the picture (JSON).

    Examples: striate train digits --set keep_epochs=true --out runs/kept | striate evolution runs/kept
    """
    png(out)
    from striate import inside
    from striate.report.evolution_sheet import evolution_sheet

    subject = Subject.open(run)
    kept = _kept(subject)
    chosen = _units(subject.model, listed(layers), units, unit)
    loaded = subject.images(named, data_root, which)
    epochs = kept.kept_epochs()
    with Bar() as bar:
        bar("epochs", 0, len(epochs))
        found = inside.evolutions(kept, loaded, chosen, rule=rule, progress=partial(_tell, bar, len(epochs)))
    picture = out or subject.place("evolution.png")
    numbers = picture.with_suffix(".json")
    evolution_sheet(found, model=kept.name, images=f"{len(loaded.test)} images of {loaded.name}").save(picture, 32)
    files.write_json(numbers, [one.as_json() for one in found])
    if json:
        layered = [one.as_json() for one in found]
        console.show_json({"picture": str(picture), "numbers": str(numbers), "layers": layered})
        return
    console.show(f"{len(loaded.test)} images after the epochs {', '.join(map(str, epochs))}")
    for one in found:
        console.show(f"{one.layer}: {_said(one)}")
    console.show(f"picture: {picture}")


def _kept(subject: Subject) -> Run:
    """The run, if it kept epochs. Raises UserError."""
    if subject.run is None:
        raise UserError(f"{subject.path} is a model without its epochs: name the folder of a run")
    if not subject.run.kept_epochs():
        raise UserError(f"{subject.path} kept no epochs: train with --set keep_epochs=true")
    return subject.run


def _units(model: Model, names: list[str] | None, count: int, named: list[int] | None) -> dict[str, list[int]]:
    """Layer -> the units to follow; every convolution unless layers are named."""
    import numpy as np
    import torch

    from striate.inside import layer_shapes
    from striate.inside.watching.calls import trace
    from striate.inside.watching.inputs import as_input
    from striate.inside.watching.watch import undisturbed

    x = torch.zeros(1, *model.preprocessing.shape)
    with undisturbed(model.module) as still:
        convolutions = trace(still, as_input(still, x)).convolutions()
    shapes = layer_shapes(model.module, x)
    chosen = names or list(convolutions)
    unknown = [name for name in chosen if name not in shapes]
    if unknown or not chosen:
        what = f"no layer {unknown[0]!r} in {model.name}" if unknown else f"{model.name} has no convolution"
        raise UserError(f"{what}: name one of {', '.join(shapes)}")
    spread = {name: np.unique(np.linspace(0, shapes[name][0] - 1, count).round().astype(int)) for name in chosen}
    return {name: named or places.tolist() for name, places in spread.items()}


def _tell(bar: Bar, epochs: int, done: int) -> None:
    bar("epochs", done, epochs)


def _said(found: Evolution) -> str:
    """The units, and in how many of the steps between epochs the strongest image changed: the paper's jumps."""
    steps = [(before, after) for unit in found.units for before, after in itertools.pairwise(found.of(unit))]
    jumps = sum(before.image != after.image for before, after in steps)
    units = ", ".join(map(str, found.units))
    return f"units {units}; the strongest image changed in {jumps} of {len(steps)} steps"
