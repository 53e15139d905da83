"""`striate compare`: a controlled experiment between networks or recipes."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.cli import console
from striate.cli.again import command
from striate.cli.arithmetic import note_emulation
from striate.cli.options import DataRoot, FitOption, JsonOption, PrecisionOption, SizeOption, size
from striate.cli.source import Bar, Source
from striate.cli.together import together
from striate.errors import UserError
from striate.report.numbers import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from striate.claims import Comparison, Variant
    from striate.data import DataSet
    from striate.train import Recipe

DECIDED = {"learning_rate": "--rates", "seed": "--seed"}
UNUSED = ("keep_epochs", "checkpoint_seconds")

RATES = "0.1, 0.3, 1 and 3 times the recipe's"


def compare(
    context: typer.Context,
    variants: Annotated[
        list[str],
        typer.Argument(metavar="A B ...", help="Networks (presets, files, text), or recipes (.toml files) with --net."),
    ],
    named: Annotated[str, typer.Option("--data", metavar="DATA", help="A data set's name or a folder.")] = "digits",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="OLD=NEW",
            help="Add the first network with this changed, such as relu=tanh or stride=2=stride=1.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=2, max=1000, help="Trainings of every variant.")] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first seed; the others follow it.")] = 0,
    metric: Annotated[
        str, typer.Option("--metric", help="accuracy, error, gap (train minus test), steps-N (to N% training error).")
    ] = "accuracy",
    smallest: Annotated[
        float | None,
        typer.Option(
            "--smallest",
            metavar="NUMBER",
            help="The smallest difference that matters: points; of steps a factor. Default: 0.5; 1.19.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="FILE.toml", help="How to train the networks. Default: as `striate train`."),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training images.")] = None,
    rates: Annotated[
        str | None,
        typer.Option("--rates", metavar="R,R,...", help=f"Learning rates to choose from. Default: {RATES}."),
    ] = None,
    net: Annotated[
        str | None, typer.Option("--net", metavar="NETWORK", help="The network of the recipes that are compared.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Trainings and results. Default: comparisons.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Trainings at once. Default: one per core; no effect on results."),
    ] = None,
    precision: PrecisionOption = None,
    image_size: SizeOption = None,
    fit: FitOption = None,
    data_root: DataRoot = None,
    json: JsonOption = False,
) -> None:
    """Train variants with the same seeds and say what differs, and how sure that is.

    The learning rate is tuned for every variant apart, with the same budget, on the validation images. Trainings are
    kept: an interrupted comparison goes on with the same command, and none is ever repeated. Several hosts that see
    one folder share them: torchrun ... -m striate compare ...; results are the same.

    Examples: striate compare vanilla lenet5 | striate compare vanilla --vary relu=tanh --metric steps-25 --seeds 8
    """
    from striate import claims
    from striate.claims.comparing.metrics import metric as named_metric
    from striate.claims.comparing.trials import cores
    from striate.report.comparison import comparison_page

    began = time.perf_counter()
    with together() as ranks, Bar() as bar:
        measured = named_metric(metric)
        measured = measured if smallest is None else measured.mattering(smallest)
        _heeded(variants, vary or [], recipe, net)
        loaded = Source(named, size(image_size), None, fit, data_root).load()
        settings = {"epochs": epochs, "precision": precision}
        chosen = _variants(variants, vary or [], loaded, _recipe(recipe, loaded), net, settings)
        note_emulation(one.recipe.precision for one in chosen)
        found = claims.compare(
            chosen,
            loaded,
            seeds=range(seed, seed + seeds),
            metric=measured,
            rates=_rates(rates),
            out=out or Path("comparisons"),
            workers=workers or cores(),
            watch=bar,
            ranks=ranks,
        )
    if not ranks.first:
        return
    result = found.as_json() | {"data": loaded.name, "fingerprint": loaded.fingerprint}
    written = _written(out or Path("comparisons"), [one.name for one in chosen], result)
    page = comparison_page(found, loaded, written.with_suffix(".html"), command=command(context))
    if json:
        console.show_json(result)
        return
    _print(found)
    console.show(f"{seconds(time.perf_counter() - began)} in all; every number: {written}")
    console.show(f"page: {page.resolve().as_uri()}")


def _written(folder: Path, names: list[str], result: dict[str, Any]) -> Path:
    """The result's file, named by its content: a folder holds any number of comparisons, none in another's place."""
    import hashlib

    from striate import files

    words = re.sub(r"[^\w.]+", "-", " vs ".join(names)).strip("-")[:60]
    mark = hashlib.sha256(dumps(result, sort_keys=True).encode()).hexdigest()[:8]
    path = folder / f"{words}-{mark}.json"
    files.write_json(path, result)
    return path


def _heeded(named: list[str], changes: list[str], recipe: Path | None, net: str | None) -> None:
    """Refuses what would change nothing."""
    recipes = [text.endswith(".toml") for text in named]
    if net is not None and not any(recipes):
        raise UserError("--net is of recipes (.toml files) that are compared; here networks are")
    if recipe is not None and all(recipes):
        raise UserError("--recipe is of networks that are compared; here recipes are")
    for setting in (change.partition("=")[0].strip() for change in changes):
        if setting in DECIDED:
            said = f"it is decided by the comparison itself, see {DECIDED[setting]}"
            raise UserError(f"{setting} cannot be varied: {said}")
        if setting in UNUSED:
            raise UserError(f"{setting} cannot be varied: it changes what a run keeps, nothing that is compared")


def _variants(
    named: list[str],
    changes: list[str],
    loaded: DataSet,
    recipe: Recipe,
    net: str | None,
    settings: Mapping[str, object],
) -> list[Variant]:
    from striate import claims
    from striate.claims.comparing.variants import fitted

    network = fitted(net, loaded) if net is not None else None
    read = [claims.variant(text, loaded, recipe, network=network) for text in named]
    given = {name: value for name, value in settings.items() if value is not None}
    read = [replace(one, recipe=one.recipe.changed(**given)) for one in read] if given else read
    return [*read, *(claims.vary(read[0], change) for change in changes)]


def _recipe(path: Path | None, loaded: DataSet) -> Recipe:
    from striate.train.recipe import Recipe

    suited = Recipe.suiting(loaded)
    return Recipe.read(path, over=suited) if path is not None else suited


def _rates(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) <= 0 or len(set(found)) < len(found):
        raise UserError(f"--rates must be different numbers above 0 with commas between, found {text!r}")
    return found


def _print(found: Comparison) -> None:
    from striate.claims.comparing.figures import cautions, edges, pair_table, table
    from striate.claims.comparing.words import listed, settings

    headings, rows = table(found)
    console.table(headings, rows, left=1, spare=(3, 5))
    headings, rows = pair_table(found)
    console.show()
    console.table(headings[:-1], [row[:-1] for row in rows], left=1, spare=(2, 6, 4, 5, 3))
    console.show()
    for pair in found.pairs:
        console.show(pair.sentence)
    console.show()
    recipes = {one.variant.name: settings(one.variant.recipe) for one in found.measured}
    for said in dict.fromkeys(recipes.values()):
        of = [name for name, own in recipes.items() if own == said]
        console.show(f"trained with {said}" + (f": {listed(of)}" if len(of) < len(recipes) else ""))
    for caution in (*cautions(found), *(f"{edge} (--rates)" for edge in edges(found.measured))):
        console.show(caution)
