"""`striate claims`: the lecture's claims, listed and put to the test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from striate.claims.ruling import MARKS
from striate.cli import console
from striate.cli.arithmetic import note_emulation, note_full_scale
from striate.cli.helped import helped
from striate.cli.options import DataRoot, FitOption, JsonOption, PrecisionOption, SizeOption, size
from striate.cli.source import Bar, Source
from striate.cli.together import together
from striate.errors import Failure, UserError
from striate.report.numbers import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from striate.claims.claim import Claim, Setting
    from striate.data import DataSet

QUICK_SIDE = 32  # pixels: photographs are brought to it at the quick scale, where nothing else is asked for

app = typer.Typer(invoke_without_command=True)


def claims(context: typer.Context, json: JsonOption = False) -> None:
    """List the claims of the lecture; `striate claims run` puts them to the test.

    Examples: striate claims | striate claims run relu-converges | striate claims run all --data ~/photos
    """
    if context.invoked_subcommand is not None:
        return
    from striate.claims import catalogue

    if json:
        console.show_json([one.as_json() for one in catalogue.CLAIMS])
        return
    for one in catalogue.CLAIMS:
        console.show(f"{one.number:>2}  {one.name:<24}{one.sentence}")
    console.show("\nto test one, or all: striate claims run NAME|all")


def run(
    name: Annotated[str, typer.Argument(metavar="NAME|all", help="A claim's name or number, or all.")],
    named: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="DATA", help="A data set's name or a folder. Default: digits; full: the source's."
        ),
    ] = None,
    scale: Annotated[
        Literal["quick", "full"],
        typer.Option(
            "--scale",
            help="quick: minutes, on images of at most 32x32. full: hours, on MNIST or CIFAR-10, networks after the "
            "sources'.",
        ),
    ] = "quick",
    net: Annotated[
        str, typer.Option("--net", metavar="NETWORK", help="What the counted claims and equivariance look at.")
    ] = "vanilla",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Results and trainings. Default: claims-DATA-SCALE[-seed-N].",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Trainings at once. Default: one per core; no effect on results."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="The first seed; another one repeats a claim with draws not yet seen.")
    ] = 0,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            min=2,
            max=1000,
            help="How many seeds, where not as many as the claim declares. Choose before you look: seeds added until "
            "a verdict comes find what is not there.",
        ),
    ] = None,
    precision: PrecisionOption = None,
    image_size: SizeOption = None,
    fit: FitOption = None,
    data_root: DataRoot = None,
    json: JsonOption = False,
) -> None:
    """Put claims to the test; writes a result each, and claims.html with all that lie in the folder.

    Trainings are kept: an interrupted run goes on with the same command, and none is ever repeated. Several hosts that
    see one folder share them: torchrun ... -m striate claims run ...; results are the same.

    Examples: striate claims run shared-weights | striate claims run 4 --seed 100 | striate claims run 5 --seeds 12
    """
    from striate.claims import catalogue, results
    from striate.claims.claim import Setting
    from striate.claims.comparing.trials import Trials, cores

    began = time.perf_counter()
    chosen = catalogue.CLAIMS if name == "all" else (catalogue.find(name),)
    told: list[dict[str, Any]] = []
    arithmetic = precision or Setting.precision
    _heeded(chosen, net, seeds)
    asked: list[tuple[list[Claim], Setting, dict[str, Any]]] = []
    with together() as ranks:
        if scale == "full":
            hours = sum(one.hours * (seeds or one.seeds) / max(one.seeds, 1) for one in chosen)
            note_full_scale(hours, workers or cores(), arithmetic)
        elif any(one.learns for one in chosen):
            note_emulation([arithmetic])
        for source, group in _by_data(chosen, named, scale).items():
            sized, loaded = _sized(Source(source, size(image_size), None, fit, data_root), scale)
            counted = net if net != Setting.net and not any(one.learns for one in group) else None
            folder = out or results.home(loaded, scale, seed, counted, arithmetic)
            trials = Trials(loaded, folder, workers or cores(), ranks=ranks)
            setting = Setting(loaded, scale, trials, net, first=seed, count=seeds, precision=arithmetic)
            catalogue.keep_others(group, setting)
            held = sized.as_json() | {"net": net if net != Setting.net else None, "out": str(out) if out else None}
            asked.append((group, setting, held))
        folders = dict.fromkeys(setting.trials.folder for _, setting, _ in asked)
        try:
            for group, setting, held in asked:
                with setting.trials:
                    told += _conduct(group, setting, held, quiet=json)
        except Failure as stopped:
            pages = _pages(folders) if ranks.first else []
            if not pages:
                raise
            shown = ", ".join(page.resolve().as_uri() for page in pages)
            raise Failure(f"{stopped}; page of what is finished: {shown}") from None
    if not ranks.first:
        return
    pages = _pages(folders)
    if json:
        console.show_json(told)
        return
    console.show(f"{seconds(time.perf_counter() - began)} in all")
    for page in pages:
        console.show(f"page: {page.resolve().as_uri()}")


def _pages(folders: Iterable[Path]) -> list[Path]:
    """Writes the page of each folder in which there are results."""
    from striate.claims import catalogue
    from striate.report.claims import claims_page

    return [claims_page(folder, held) for folder in folders if (held := catalogue.kept(folder))]


app.callback(help=helped(claims))(claims)
app.command(help=helped(run))(run)


def _heeded(chosen: Sequence[Claim], net: str, seeds: int | None) -> None:
    """Refuses a network that no claim would look at, and seeds where nothing is drawn."""
    from striate.claims import catalogue
    from striate.claims.claim import Setting

    if seeds is not None and not any(one.seeds for one in chosen):
        raise UserError(f"--seeds is how often a claim trains or draws; claim {chosen[0].number} counts")
    if net == Setting.net or not all(one.learns for one in chosen):
        return
    counted = ", ".join(str(one.number) for one in catalogue.CLAIMS if not one.learns)
    raise UserError(f"--net is what the claims {counted} look at; claim {chosen[0].number} trains networks of its own")


def _by_data(chosen: Sequence[Claim], named: str | None, scale: str) -> dict[str, list[Claim]]:
    """Claims by the data they are tested on."""
    found: dict[str, list[Claim]] = {}
    for one in chosen:
        found.setdefault(named or ("digits" if scale == "quick" else one.published), []).append(one)
    return found


def _sized(source: Source, scale: str) -> tuple[Source, DataSet]:
    """The data, and the source they were loaded from: photographs small at the quick scale, unless a size was asked
    for. Raises UserError where they have no labels."""
    loaded = source.load()
    if not loaded.classes:
        raise UserError(f"the claims need labelled images; {loaded.name} has none")
    if scale == "quick" and source.size is None and max(loaded.shape[1:]) > QUICK_SIDE:
        console.note(f"images brought to {QUICK_SIDE}x{QUICK_SIDE} for the quick scale (--size for another)")
        small = source.at((QUICK_SIDE, QUICK_SIDE), None)
        return small, small.load()
    return source, loaded


def _conduct(chosen: Sequence[Claim], setting: Setting, held: dict[str, Any], *, quiet: bool) -> list[dict[str, Any]]:
    from striate.claims import catalogue

    results: list[dict[str, Any]] = []
    for one in chosen:
        with Bar() as bar:
            setting.trials.watch = lambda what, done, total, bar=bar, one=one: bar(f"{one.name}: {what}", done, total)
            results.append(catalogue.conducted(one, setting, source=held))
        if not quiet:
            _print(results[-1])
    return results


def _print(result: dict[str, Any]) -> None:
    claim, word = result["claim"], result["verdict"]
    console.show(f"{claim['number']}. {claim['sentence']}")
    took = f"{seconds(result['seconds'])}, {result['trainings']} trainings"
    seeds = f"; n = {result['n']}, seeds from {result['seeds'][0]}" if result["n"] else ""
    console.show(f"   {MARKS[word]} {word}  ({took}{seeds})")
    for sentence in result["because"]:
        console.show(f"   {sentence}")
