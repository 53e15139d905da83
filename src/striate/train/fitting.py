"""Training as a generator of events: `fit` begins a run, `resume` goes on with one.

    for event in fit(network, data, recipe, out=Path("runs/first")):
        ...

Between two events the training stands still, its checkpoint can be taken, and PyTorch's global state is the caller's.
What a step does stands in `loop.py`, what an epoch is in `training.py`.

Under torchrun every process calls the same, with `ranks=Ranks.joined()`: they share each batch of the recipe
(`sharing.py`), and the first keeps the run's folder, which all must see. Without `ranks` a training is of one process,
whoever else there is.
"""

from __future__ import annotations

import contextlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import files
from striate.data import FITS, load
from striate.errors import DataError, RecipeError, UserError
from striate.network import Network
from striate.ranks import Ended, Ranks
from striate.train import checkpoint
from striate.train.engine import Engine
from striate.train.recipe import Recipe
from striate.train.runs import Metrics, Run, counts, goes_on_with, new_run, refuse_occupied
from striate.train.sharing import digest
from striate.train.training import Training
from striate.train.workbench import matching, preprocessing, set_up

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from striate.data import DataSet, Fit
    from striate.train.events import Event
    from striate.train.workbench import Workbench


def fit(
    network: Network,
    data: DataSet,
    recipe: Recipe | None = None,
    *,
    out: Path | str,
    engine: Engine | None = None,
    source: Mapping[str, object] | None = None,
    ranks: Ranks | None = None,
) -> Generator[Event]:
    """Trains a network on a data set and keeps everything in the folder `out`.

    Arguments:
        network: its input and outputs must be the data's.
        data: `validation` decides which epoch is best; `test` is scored once, at the end.
        recipe: how; `Recipe.suiting(data)` unless given.
        out: the run's folder; must not exist, or be empty.
        engine: on what; `Engine.choose()` with the recipe's precision unless given.
        source: the arguments of `data.load` that give this data again, so that `resume(out)` can; the data set's own
            unless given.
        ranks: the processes that share each batch, `Ranks.joined()` under torchrun; one unless given. The weights are
            those of one process but for rounding.

    Returns:
        The events, `Started` first and `Finished` last. Nothing is trained before they are asked for.

    Raises:
        UserError: something given cannot be used; raised at once.
        Failure: from the iterator, where training cannot go on: the reason, what is kept, and the command that resumes.
    """
    recipe, out, ranks = recipe or Recipe.suiting(data), Path(out), ranks or Ranks()
    network = matching(network, data)
    engine = engine or engine_for(recipe)
    _refuse_other_precision(engine, recipe)
    source = data.source if source is None else source
    with ranks.telling():
        if ranks.first:
            refuse_occupied(out)
        bench = set_up(network, data, recipe, engine, preprocessing(data, _fit_of(source)), ranks=ranks)
        state = checkpoint.State(network=str(network), recipe=recipe.model_dump(mode="json"))
        if ranks.first:
            with new_run(
                out,
                network=network,
                data=data,
                recipe=recipe,
                engine=engine,
                preprocessing=bench.preprocessing,
                source=source,
                processes=ranks.size,
            ) as draft:
                checkpoint.save(draft.checkpoint("last"), bench, state)
        _agree(data, bench, state)
        metrics = Metrics(Run(out)) if ranks.first else None
    return Training(Run(out), data, bench, state, metrics).events(resumed=False)


def resume(
    out: Path | str, data: DataSet | None = None, *, engine: Engine | None = None, ranks: Ranks | None = None
) -> Generator[Event]:
    """Goes on with a run that was stopped, from its last checkpoint, to bit-identical weights.

    Arguments:
        out: the run's folder.
        data: what it was trained on; loaded again from the run's own record unless given.
        engine: the run's own unless given; with another one results agree but for rounding.
        ranks: the processes that share each batch from here on; with another number of them than before, which the
            run's environment then says, results agree but for rounding.

    Raises:
        UserError: there is no run, its network or recipe is not the one it began with (other epochs, for one, would be
            another schedule from the first step on), or the data is not what it was trained on.
        Failure: the run is being trained already; or as `fit`.
    """
    run, ranks = Run.open(out), ranks or Ranks()
    engine = engine or Engine.of_json(run.environment["engine"])
    _refuse_other_precision(engine, run.recipe)
    data = data or _load_again(run)
    if (data.fingerprint, counts(data)) != (run.data["fingerprint"], run.data["images"]):
        raise DataError(f"{data.name} is not what {run.path} was trained on: its content, split or size has changed")
    with ranks.telling(), contextlib.ExitStack() as unless_begun:
        metrics = unless_begun.enter_context(contextlib.closing(Metrics(run))) if ranks.first else None
        if ranks.first:
            _sweep(run)
        _refuse_changed(run)
        bench = set_up(run.network, data, run.recipe, engine, run.preprocessing, ranks=ranks)
        state = checkpoint.restore(run.checkpoint("last"), bench)
        _agree(data, bench, state)
        if metrics is not None:
            metrics.cut(state.metrics_bytes)
            goes_on_with(run, ranks.size)
        unless_begun.pop_all()
    return Training(run, data, bench, state, metrics).events(resumed=True)


def run(
    network: Network,
    data: DataSet,
    recipe: Recipe | None = None,
    *,
    out: Path | str,
    engine: Engine | None = None,
    source: Mapping[str, object] | None = None,
    watch: Callable[[Event], None] | None = None,
    ranks: Ranks | None = None,
) -> Run:
    """`fit` to its end; `watch` is called with every event. Returns the run."""
    drive(fit(network, data, recipe, out=out, engine=engine, source=source, ranks=ranks), watch)
    return Run(Path(out))


def run_on(
    out: Path | str,
    data: DataSet | None = None,
    *,
    engine: Engine | None = None,
    watch: Callable[[Event], None] | None = None,
    ranks: Ranks | None = None,
) -> Run:
    """`resume` to its end; `watch` is called with every event. Returns the run."""
    drive(resume(out, data, engine=engine, ranks=ranks), watch)
    return Run(Path(out))


def drive(events: Generator[Event], watch: Callable[[Event], None] | None = None) -> None:
    """Takes all events. What ends the process while `watch` works is handed to the training, which saves and says how
    to resume."""
    for event in events:
        try:
            if watch:
                watch(event)
        except (KeyboardInterrupt, Ended) as end:
            events.throw(end)


def engine_for(recipe: Recipe) -> Engine:
    """The engine this machine gets for a recipe; regression stays in float32, as its outputs need more than 8 bits."""
    exact = recipe.precision == "auto" and recipe.loss == "mean-squared-error"
    return Engine.choose(precision="float32" if exact else recipe.precision)


def _refuse_other_precision(engine: Engine, recipe: Recipe) -> None:
    if recipe.precision not in ("auto", engine.precision):
        raise RecipeError(
            f"the recipe's precision is {recipe.precision} and the engine's is {engine.precision}; "
            "let them be the same, or let the recipe's be auto"
        )


def _agree(data: DataSet, bench: Workbench, state: checkpoint.State) -> None:
    """Raises Failure where the processes that share a training would not train the same."""
    if bench.sharing.together:
        weights = digest(bench.module.state_dict())
        bench.sharing.agree(data.fingerprint, counts(data), state, bench.preprocessing, bench.engine.precision, weights)


def _fit_of(source: Mapping[str, object] | None) -> Fit:
    """How the images were brought to their size, which `predict` must do in the same way. Raises DataError."""
    named = (source or {}).get("fit") or "crop"
    for known in FITS:
        if named == known:
            return known
    raise DataError(f"fit must be one of {', '.join(FITS)}, found {named}")


def _sweep(run: Run) -> None:
    """Removes what a killed process was writing."""
    files.sweep(run.path / "checkpoints")
    for name in ("model.safetensors", "result.json"):
        files.sweep(run.path, name)


def _refuse_changed(run: Run) -> None:
    """Raises UserError where the run's network or recipe is not the one it began with."""
    begun = checkpoint.read_state(run.checkpoint("last"))
    if begun.network and Network.parse(begun.network, allow_large=True) != run.network:
        raise UserError(f"{run.path / 'network.txt'} is not the network that the run began with; put it back")
    first, now = Recipe.parse(begun.recipe or run.recipe.model_dump()).model_dump(), run.recipe.model_dump()
    changed = [f"{name} = {now[name]} where it began with {first[name]}" for name in now if now[name] != first[name]]
    if changed:
        raise UserError(
            f"a run goes on with the recipe that it began with, and {run.path / 'recipe.toml'} says "
            f"{', '.join(changed)}; put it back, or begin a new run with that recipe"
        )


def _load_again(run: Run) -> DataSet:
    source = run.data_source
    if source is None:
        raise UserError(f"{run.path} does not say where its data came from; give the data set it was trained on")
    known = inspect.signature(load).parameters
    values: dict[str, Any] = {key: value for key, value in source.items() if key in known and value is not None}
    if "size" in values:
        values["size"] = tuple(values["size"])
    if "root" in values:
        values["root"] = Path(values["root"])
    return load(**values)
