"""`striate atlas`: what excites every unit of a network over a whole data set."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from striate import files
from striate.cli import console
from striate.cli.again import unheeded
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
    ModelArgument,
    OthersOption,
    OutOption,
    RuleOption,
    listed,
)
from striate.cli.source import Bar
from striate.cli.subject import SplitNames, Subject
from striate.cli.together import together
from striate.errors import UserError
from striate.report.numbers import count, percent, seconds

if TYPE_CHECKING:
    from striate.data import DataSet
    from striate.inside.atlases.folder import Atlas
    from striate.ranks import Ranks


def atlas(
    context: typer.Context,
    model: ModelArgument = None,
    named: DataOption = None,
    layers: LayersOption = None,
    top: Annotated[int, typer.Option("--top", min=1, max=100, help="Images to show for every unit.")] = 9,
    which: Annotated[
        SplitNames | None,
        typer.Option("--split", help="Which images to go through. Default: a run's test split; else all."),
    ] = None,
    out: OutOption = None,
    rule: RuleOption = "deconvnet",
    others: OthersOption = None,
    stored: Annotated[
        Literal["float32", "float16"],
        typer.Option("--stored", help="float16: projections to within 2.5e-4 of their largest, in half the space."),
    ] = "float32",
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
    """Make the atlas of a network: for every unit the images that excite it most, beside their projections.

    The images may lie in class folders, or plainly in one folder; then nothing is said of the classes a unit favours.
    The atlas goes to RUN/atlas unless --out names a folder; index.html in it opens in any browser.

    Given the folder of an atlas, such as one made in Python, it writes its page.

    Several processes share the work: torchrun ... -m striate atlas ...; the files are the same.

    Examples: striate atlas runs/demo-1 | striate atlas torchvision:resnet18 --data ~/photos |
    striate atlas --module models.mine:make --weights mine.pt --input 3x64x64 --data ~/photos
    """
    foreign = Foreign(module, net, weights, input, mean, std, classes)
    with together() as ranks:
        if model is not None and (files.expanded(model) / "atlas.json").is_file():
            if ranks.first:
                _again(files.expanded(model), unheeded(context, ("model", "json")), json=json)
            return
        subject = Subject.named(model, foreign)
        loaded = subject.images(named, data_root, which)
        for line in (*subject.said, *(loaded.findings.lines() if named is not None else ())):
            console.note(line)
        if not loaded.classes:
            console.note(f"{loaded.name} has no classes: which ones a unit favours is left out")
        began = time.perf_counter()
        made = atlas_of(
            subject,
            loaded,
            out or subject.place("atlas"),
            layers=listed(layers),
            top=top,
            rule=rule,
            others=others,
            stored=stored,
            ranks=ranks,
        )
    if not ranks.first:
        return
    drawn = time.perf_counter()
    page = page_of(made)
    taken = {"atlas": drawn - began, "page": time.perf_counter() - drawn}
    if json:
        console.show_json(_as_json(made, page) | {"seconds": taken})
        return
    _print(made)
    console.show(f"made in {seconds(taken['atlas'])}, its page in {seconds(taken['page'])}")
    console.show(f"atlas: {page.resolve().as_uri()}")


def atlas_of(
    subject: Subject,
    loaded: DataSet,
    out: Path,
    *,
    layers: list[str] | None = None,
    top: int = 9,
    rule: Literal["deconvnet", "guided", "gradient"] = "deconvnet",
    others: Literal["gradient"] | None = None,
    stored: Literal["float32", "float16"] = "float32",
    ranks: Ranks | None = None,
) -> Atlas:
    """The atlas over the test split of `loaded`, as `Subject.images` chose it, made with a progress bar.

    Arguments:
        ranks: the processes that make it together; the others are as in `inside.atlas`.
    """
    from striate import inside

    with Bar() as bar:
        return inside.atlas(
            subject.model,
            loaded,
            out,
            layers,
            top,
            rule=rule,
            others=others,
            stored=stored,
            classes=loaded.classes,
            progress=bar,
            ranks=ranks,
        )


def page_of(made: Atlas) -> Path:
    """Writes the page of an atlas; returns its index.html. Stopped meanwhile, it says how to get the page."""
    from striate.report.atlas import atlas_page

    try:
        return atlas_page(made.path)
    except KeyboardInterrupt:
        console.note(f"the atlas in {made.path} is complete but for its page: striate atlas {made.path} writes it")
        raise


def _again(place: Path, more: list[str], *, json: bool) -> None:
    """Writes the page of an atlas that is there. Raises UserError where `more` is said than that takes."""
    from striate.inside import Atlas

    if more:
        raise UserError(f"{place} is an atlas, of which the page is written anew: leave out {', '.join(more)}")
    made = Atlas.open(place)
    page = page_of(made)
    if json:
        console.show_json(_as_json(made, page))
        return
    _print(made)
    console.show(f"atlas: {page.resolve().as_uri()}")


def _as_json(made: Atlas, page: Path) -> dict[str, object]:
    kept = {key: made.contents[key] for key in ("model", "data", "images", "top", "rule")}
    layers = [
        {
            "name": layer["name"],
            "units": len(layer["units"]),
            "dead": sum(unit["dead"] for unit in layer["units"]),
            "receptive_field": layer["receptive_field"],
            "method": layer["method"],
        }
        for layer in made.contents["layers"]
    ]
    return {"atlas": str(made.path), "page": str(page), **kept, "layers": layers}


def _print(made: Atlas) -> None:
    console.show(f"{count(made.contents['images'])} images, the {made.contents['top']} strongest of every unit")
    rows = [_row(layer) for layer in made.contents["layers"]]
    console.table(("layer", "maps", "sees", "units", "dead", "zeros", "most selective"), rows, left=3)


def _row(layer: dict[str, object]) -> tuple[str, ...]:
    units: list[dict[str, object]] = layer["units"]  # pyright: ignore[reportAssignmentType]
    field, sides = layer["receptive_field"], layer["shape"]
    assert isinstance(sides, list)
    favourite = max((unit for unit in units if unit["selectivity"]), key=_index, default=None)
    chosen = favourite["selectivity"] if favourite else None
    said = f"unit {favourite['unit']}: {chosen['name']}" if favourite and isinstance(chosen, dict) else "–"
    zeros = sum(float(unit["zeros"]) for unit in units) / len(units)  # pyright: ignore[reportArgumentType]
    return (
        str(layer["name"]),
        console.shape(sides[1:]),
        console.shape(field["size"]) if isinstance(field, dict) else "everything",
        count(len(units)),
        count(sum(bool(unit["dead"]) for unit in units)),
        percent(zeros, 100),
        said,
    )


def _index(unit: dict[str, object]) -> float:
    chosen = unit["selectivity"]
    return float(chosen["index"]) if isinstance(chosen, dict) else 0.0
