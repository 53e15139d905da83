"""`striate fields`: which part of the image the units of every layer look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate import files
from striate.cli import console, hubs
from striate.cli.foreign import Foreign, network_of
from striate.cli.options import (
    DataOption,
    DataRoot,
    ForeignClasses,
    ForeignInput,
    ForeignMean,
    ForeignModule,
    ForeignStd,
    ForeignWeights,
    JsonOption,
    png,
)
from striate.cli.subject import Subject
from striate.errors import UserError
from striate.report.numbers import MINUS

if TYPE_CHECKING:
    from striate.inside.receptive.fields import ReceptiveField


def fields(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|NETWORK",
            help="A run, a model file, torchvision:NAME, timm:NAME; a preset, a file or text of a network.",
        ),
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", metavar="IMAGE", help="Draw the fields on an image: a file, or test:17.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.png", help="Where to draw. Default: RUN/fields.png.")
    ] = None,
    input: ForeignInput = None,
    named: DataOption = None,
    data_root: DataRoot = None,
    module: ForeignModule = None,
    weights: ForeignWeights = None,
    mean: ForeignMean = None,
    std: ForeignStd = None,
    classes: ForeignClasses = None,
    json: JsonOption = False,
) -> None:
    """Show the receptive field of every layer: size, stride and start in image pixels, exactly.

    --weights, --mean, --std and --classes are of a module, and change no field. Fields are measured
    by disturbing the image where an operation cannot be followed.

    Examples: striate fields vgg16 | striate fields runs/demo-1 --image test:17 --out fields.png
    """
    from striate.inside import receptive_fields

    if png(out) and image is None:
        raise UserError("--out is where the fields are drawn on an image: name one, such as --image test:17")
    foreign = Foreign(module=module, weights=weights, input=input, mean=mean, std=std, classes=classes)
    subject = _subject(model, foreign)
    if subject is None:
        assert model is not None
        beside = [option for option in foreign.said if option != "--input"]
        if beside:
            raise UserError(f"{model} is a network without weights: leave out {', '.join(beside)}")
        network = network_of(model, input)
        found, sides = receptive_fields(network), network.input or ()
    else:
        sides = subject.model.preprocessing.shape
        found = receptive_fields(subject.model.module, sides)
    drawn = None
    if image is not None:
        drawn = out or (subject.place("fields.png") if subject and subject.run else Path("fields.png"))
        _draw(found, sides, image, drawn, subject, named, data_root)
    if json:
        rows = [{"layer": name, **_as_json(field)} for name, field in found.items()]
        console.show_json({"input": list(sides), "layers": rows, "picture": drawn and str(drawn)})
        return
    console.show(f"input {console.shape(sides)}")
    console.table(
        ("layer", "positions", "sees", "stride", "start", "known by"), [_cells(*row) for row in found.items()]
    )
    console.padded((field.size for field in found.values()), sides)
    if drawn is not None:
        console.show(f"picture: {drawn}")


def _subject(target: str | None, foreign: Foreign) -> Subject | None:
    """The model that was named; None for a network without weights. Raises UserError."""
    if target is None and not foreign.module:
        raise UserError("name a run, a network's preset, file or text, torchvision:NAME, timm:NAME, or --module")
    if target is None or hubs.is_hub(target):
        return Subject.named(target, foreign, pretrained=False)
    path = files.expanded(target)
    if not (path.is_dir() or path.suffix == ".safetensors"):
        return None
    return Subject.named(target, foreign)


def _draw(
    found: dict[str, ReceptiveField],
    sides: tuple[int, ...],
    image: str,
    out: Path,
    subject: Subject | None,
    named: str | None,
    root: Path | None,
) -> None:
    from striate import data, pictures
    from striate.cli.shown import shown
    from striate.report.plates import field_sheet

    if subject is not None:
        pixels = shown(subject, [image], named, root)[0].pixels
    elif len(sides) == 3 and sides[0] in (1, 3):
        pixels = data.read_images([Path(image)], (sides[0], sides[1], sides[2]))[0]
    else:
        raise UserError(f"the network takes {console.shape(sides)}, which is no image in gray or colour to draw on")
    field_sheet(pictures.photograph(pixels), found).save(out, margin=24)


def _cells(name: str, field: ReceptiveField) -> tuple[str, ...]:
    start = ", ".join(str(side).replace("-", MINUS) for side in field.start)
    return (
        name,
        f"{len(field.rows)}x{len(field.columns)}",
        console.shape(field.size),
        console.shape(field.stride) if any(field.stride) else "",
        start,
        field.how if field.regular else f"{field.how}, largest",
    )


def _as_json(field: ReceptiveField) -> dict[str, object]:
    """`rows` and `columns`: for each position along the axis the first and last pixel that it looks at."""
    return {
        "positions": [len(field.rows), len(field.columns)],
        "size": list(field.size),
        "stride": list(field.stride),
        "start": list(field.start),
        "rows": [list(span) for span in field.rows],
        "columns": [list(span) for span in field.columns],
        "how": field.how,
        "regular": field.regular,
    }
