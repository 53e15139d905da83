"""`striate look`: one sheet for each image, with everything a network makes of it."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import console
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
    LayersOption,
    OthersOption,
    OutOption,
    RuleOption,
    listed,
)
from striate.cli.shown import OF_SPLIT, shown
from striate.cli.source import Bar
from striate.cli.subject import Subject
from striate.errors import UserError
from striate.report.numbers import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.inside.studies.looking import Looked


def look(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|MODEL IMAGE...",
            help="A run or model as for `striate atlas`, unless --module or --net says it; then image files, or "
            "numbers of images in its data such as test:17.",
        ),
    ],
    layers: LayersOption = None,
    units: Annotated[int, typer.Option("--units", min=1, max=60, help="Strongest units to project, per layer.")] = 6,
    square: Annotated[
        int | None,
        typer.Option("--square", min=1, help="Side of the occluding square. Default: a fifth of the image."),
    ] = None,
    rule: RuleOption = "deconvnet",
    others: OthersOption = None,
    out: OutOption = None,
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
    """Show what a network makes of images: prediction, occlusion, Grad-CAM, feature maps, projections.

    One sheet (PNG) and its numbers (JSON) for each image, in RUN/look unless --out names a folder.

    Examples: striate look runs/demo-1 test:17 cat.jpg | striate look torchvision:resnet18 cat.jpg
    """
    from striate.inside.studies.looking import look as looked_at
    from striate.report.look_sheet import write_look

    foreign = Foreign(module, net, weights, input, mean, std, classes)
    target, wanted = (None, words) if module or net else (words[0], words[1:])
    if not wanted:
        raise UserError("name an image to look at: a file, or the number of one in the data, such as test:17")
    subject = Subject.named(target, foreign)
    for line in subject.said:
        console.note(line)
    images = shown(subject, wanted, named, data_root)
    folder, done = out or subject.place("look"), list[dict[str, object]]()
    for one, stem in zip(images, _stems([one.source for one in images]), strict=True):
        with Bar() as bar:
            looked = looked_at(
                subject.model, one.pixels, source=one.source, true_class=one.label, layers=listed(layers), units=units,
                square=square, rule=rule, others=others, progress=bar,
            )  # fmt: skip
        picture, numbers = write_look(looked, folder, stem)
        done.append({"image": one.source, "sheet": str(picture), "numbers": str(numbers)} | _answer(looked))
        if not json:
            console.show(f"{one.source}: {_said(looked)}\n  {picture}")
    if json:
        console.show_json(done)


def _stems(sources: Sequence[str]) -> list[str]:
    """A file name for the sheet of each image; a number tells images of one name apart.

    Example:
        >>> _stems(["a-2.jpg", "rose/a.jpg", "lily/a.jpg"])
        ['a-2', 'a', 'a-3']
    """
    found: list[str] = []
    for source in sources:
        stem = _plain(source)
        names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        found.append(next(name for name in names if name not in found))
    return found


def _plain(source: str) -> str:
    stem = source.replace(":", "-") if OF_SPLIT.fullmatch(source) else Path(source).stem
    return re.sub(r"[^\w.-]+", "-", stem)[:80] or "image"


def _answer(looked: Looked) -> dict[str, object]:
    if looked.probabilities is None:
        return {"class": None, "probability": None}
    best = int(looked.probabilities.argmax())
    return {"class": looked.name(best), "probability": float(looked.probabilities[best])}


def _said(looked: Looked) -> str:
    answer = _answer(looked)
    if looked.probabilities is None:
        return "no class scores"
    return f"{answer['class']} {percent(float(looked.probabilities.max()))}"
