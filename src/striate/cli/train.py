"""`striate train`: from a data set to a trained network in a run's folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, final

import typer

from striate.cli import console
from striate.cli.again import unheeded
from striate.cli.options import (
    AllowLarge,
    DataArgument,
    DataRoot,
    FitOption,
    JsonOption,
    MaxBad,
    NetworkOption,
    SizeOption,
    size,
)
from striate.cli.source import Source
from striate.cli.together import together
from striate.errors import RecipeError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from striate.data import DataSet
    from striate.ranks import Ranks
    from striate.train import Engine, Recipe, Run
    from striate.train.pairing import Pairing


def train(
    context: typer.Context,
    source: DataArgument = "digits",
    net: NetworkOption = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="FILE.toml", help="How to train; `--show-recipe` prints one.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training images.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of weights, order, augmentation, splits.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting of the recipe, such as optimizer=sgd."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="The run's folder. Default: runs/DATA-NETWORK-N.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that was stopped.")
    ] = None,
    image_size: SizeOption = None,
    fit: FitOption = None,
    max_bad: MaxBad = None,
    data_root: DataRoot = None,
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps. Default: the best.")] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"] | None,
        typer.Option("--precision", help="Of convolutions and products. Default: the recipe's; auto."),
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Threads of the CPU's arithmetic.")] = None,
    show_recipe: Annotated[
        bool, typer.Option("--show-recipe", help="Print the recipe that would be followed, and stop.")
    ] = False,
    allow_large: AllowLarge = False,
    json: JsonOption = False,
) -> None:
    """Train a network on images; everything about it lies in the run's folder.

    Ctrl-C, a full disk or a killed process lose nothing: the same run goes on with --resume RUN.

    Several processes share each batch: torchrun ... -m striate train ...; only rounding differs.

    A recipe's file says only what is to differ from the recipe that suits the data, which --show-recipe prints.

    Examples: striate train digits | striate train ~/photos --epochs 20 | striate train mnist --net lenet5 --seed 3
    """
    with together() as ranks:
        if resume is not None:
            from striate.train import Run

            _refuse_changes(context)
            if show_recipe:
                _show(Run.open(resume).recipe)
            else:
                _report(_resumed(resume, data_root, ranks), ranks, json)
            return
        wishes = Wishes(recipe, _settings({"epochs": epochs, "seed": seed, "precision": precision}, settings or []))
        first = wishes.recipe(None)  # its faults are told before any image is read
        wanted = Source(source, size(image_size), None, fit, data_root, max_bad, first.seed)
        if show_recipe:
            _show(wishes.recipe(_paired(wanted, net, allow_large=allow_large).data))
            return
        from striate.train import Engine

        engine = Engine.choose(device=device, precision=first.precision, threads=threads)
        _report(train_new(wanted, net, wishes, out, engine, allow_large=allow_large, ranks=ranks), ranks, json)


@final
@dataclass(frozen=True)
class Wishes:
    """What the user said of the recipe: a file, and settings over it; the rest suits the data."""

    file: Path | None
    settings: Mapping[str, object]

    def recipe(self, data: DataSet | None) -> Recipe:
        """The recipe for these images; without them the default one. Raises RecipeError."""
        from striate.train import Recipe

        start = Recipe() if data is None else Recipe.suiting(data)
        start = start if self.file is None else Recipe.read(self.file, over=start)
        return start.changed(**merged(start, self.settings))


def train_new(
    source: Source,
    net: str | None,
    wishes: Wishes,
    out: Path | None,
    engine: Engine,
    *,
    allow_large: bool = False,
    ranks: Ranks,
) -> Run:
    """Pairs network and data, says what was decided, trains with a progress bar, and returns the finished run."""
    from striate.train import Progress, run
    from striate.train.runs import refuse_occupied

    if out is not None and ranks.first:
        refuse_occupied(out)
    paired = _paired(source, net, allow_large=allow_large)
    _say(paired)
    target = out or _free_folder(paired.data.name, net or "default")
    (agreed,) = ranks.agreed([str(target)])  # the others may look when it is there already
    recipe = wishes.recipe(paired.data)
    with Progress() as progress:
        return run(paired.network, paired.data, recipe, out=Path(agreed), engine=engine, watch=progress, ranks=ranks)


def _paired(source: Source, net: str | None, *, allow_large: bool) -> Pairing:
    from striate.train.pairing import pair

    return pair(net, source.size, lambda s, c: source.at(s, c).load(), allow_large=allow_large)


def _show(recipe: Recipe) -> None:
    console.show(recipe.to_toml().rstrip())


def _refuse_changes(context: typer.Context) -> None:
    """Raises UserError where anything is said beside --resume that it could not heed."""
    more = unheeded(context, {"resume", "data_root", "show_recipe", "json"})
    if more:
        raise UserError(
            f"--resume goes on with a run as it was begun: leave out {', '.join(more)}, or begin a new run without "
            "--resume"
        )


def _resumed(path: Path, root: Path | None, ranks: Ranks) -> Run:
    from striate.train import Progress, Run, run_on
    from striate.train.runs import resume_command

    stopped = Run.open(path)
    kept = stopped.data_source
    if kept is None:
        raise UserError(f"{path} was trained on data made in Python; go on with it there: {resume_command(stopped)}")
    source = Source.of_json(kept)
    loaded = replace(source, root=root or source.root).load()
    if stopped.processes[-1] != ranks.size:
        console.note(f"processes: {ranks.size}, before {stopped.processes[-1]}; the weights agree but for rounding")
    with Progress() as progress:
        return run_on(path, loaded, watch=progress, ranks=ranks)


def _say(paired: Pairing) -> None:
    for line in (*paired.said, *paired.data.findings.lines()):
        console.note(line)


def _settings(options: Mapping[str, object], settings: list[str]) -> dict[str, object]:
    """The settings of the command line, by name; those of a table by `table.name`. Raises RecipeError."""
    found: dict[str, object] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise RecipeError(f"--set takes NAME=VALUE, found {setting!r}")
        found[name.strip()] = _value(value.strip())
    return found | {name: value for name, value in options.items() if value is not None}


def _value(text: str) -> object:
    """`text` as TOML has it: a number, true, a list; a bare word, such as sgd, is itself."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def merged(recipe: Recipe, settings: Mapping[str, object]) -> dict[str, object]:
    """`settings` with `table.name=value` put into the recipe's table. Raises RecipeError where there is none."""
    found: dict[str, object] = {}
    for name, value in settings.items():
        table, dot, inner = name.partition(".")
        if not dot:
            found[name] = value
            continue
        held = found.get(table, recipe.model_dump().get(table))
        if not isinstance(held, dict):
            raise RecipeError(f"there is no table of settings {table}")
        found[table] = {**held, inner: value}
    return found


def _free_folder(data: str, net: str) -> Path:
    """The first of runs/DATA-NETWORK-1, -2, ... that is not there."""
    return first_free("-".join(_word(part) for part in (data, net)))


def first_free(stem: str) -> Path:
    """The first of runs/STEM-1, -2, ... that is not there."""
    return next(path for n in range(1, 100_000) if not (path := Path("runs") / f"{stem}-{n}").exists())


def _word(text: str) -> str:
    stem = Path(text).stem if len(text.split()) == 1 else "custom"
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in stem)[:40] or "run"


def _report(run: Run, ranks: Ranks, json: bool) -> None:
    if not ranks.first:
        return
    result = run.result
    assert result is not None, "a run that returned is finished"
    if json:
        console.show_json({"run": str(run.path), **result})
        return
    console.show(f"run: {run.path}")
    console.show(f"how good it is, and its page: striate evaluate {run.path}")
