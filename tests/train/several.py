"""What several processes do, for `test_torchrun.py`: `torchrun ... several.py FOLDER WHAT ...`.

Each process runs the same; the runs lie in FOLDER, each under its name, beside what each process said.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from squares import DATA, ENGINE, NETWORK, recipe, squares
from torch._C._distributed_c10d import PrefixStore

from striate.cli.together import together
from striate.data import DataSet, table
from striate.errors import Failure
from striate.network import Network
from striate.ranks import Ranks
from striate.train import Recipe, Run, evaluate, evaluate_regression, run, run_on, training
from striate.train.events import Stepped

if TYPE_CHECKING:
    from collections.abc import Callable

    from striate.train.evaluation import Score
    from striate.train.events import Event

NAMED = {"source": "squares"}
"""With data that has a name, a stopped training goes on by a command."""

WIDE = Network.parse("input 1x8x8, conv 4 3x3 bias=no, batchnorm, relu, maxpool 2x2, dropout 0.3, dense 3")
DEEP = Network.parse("input 1x8x8, conv 4 3x3, batchnorm, relu, residual(conv 6 3x3 pad=same, batchnorm), dense 3")
LINE = table([[float(n), float(n % 7)] for n in range(60)], [n / 10 - 3.0 for n in range(60)])
ROTATED = {"shift": 1, "rotate": 15.0, "brightness": 0.1, "erase": 0.2}

CASES: dict[str, tuple[Network, DataSet, Recipe]] = {
    "plain": (Network.parse("input 1x8x8, conv 4 3x3, relu, maxpool 2x2, dense 3"), DATA, recipe(ema=0.0)),
    "everything": (WIDE, DATA, recipe(augmentation=ROTATED, gradient_clipping=0.5, class_weights="balanced")),
    "lone rows": (DEEP, squares(images=35), recipe(optimizer="sgd", batch_size=11, label_smoothing=0.1)),
    "empty share": (WIDE, squares(images=18), recipe(augmentation=ROTATED, batch_size=16)),
    "regression": (
        Network.parse("input 2, dense 8, tanh, dense 1"),
        LINE,
        recipe(loss="mean-squared-error", batch_size=7),
    ),
}
"""What is trained by several processes and by one. The last batch of `lone rows` has 2 rows, of which with three
processes one has none; that of `empty share` has 2, all of them the first process's."""


def cases(folder: Path, ranks: Ranks) -> None:
    """Every case, to its end, and how it does on its training images."""
    for name, (network, data, how) in CASES.items():
        done = run(network, data, how, out=folder / name, engine=ENGINE, ranks=ranks)
        (folder / f"{name} {ranks.rank}.json").write_text(scores(done, data, ranks))


def scores(done: Run, data: DataSet, ranks: Ranks | None = None) -> str:
    """A run's scores on its training images, in batches of 7 of which the last is smaller, as JSON."""
    measure = evaluate if data.classes else evaluate_regression
    return json.dumps(measure(done.model(), data.train, batch=7, ranks=ranks).as_json())


def stopped(folder: Path, ranks: Ranks) -> None:
    """Ctrl-C reaches the last process alone, after the eighth step."""
    seen = 0

    def press(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, Stepped)
        if seen == 8 and ranks.rank == ranks.size - 1:
            seen += 1
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    _note_failure(folder, "stopped", ranks, press)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def validating(folder: Path, ranks: Ranks) -> None:
    """SIGTERM reaches the last process alone, while the second epoch is validated."""
    validate, seen = training.score, 0

    def score(*args: Any, **options: Any) -> Score:
        nonlocal seen
        seen += 1
        if seen == 2 and ranks.rank == ranks.size - 1:
            signal.raise_signal(signal.SIGTERM)
        return validate(*args, **options)

    training.score = score
    _note_failure(folder, "validating", ranks, None)
    training.score = validate
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def ended(folder: Path, _: Ranks) -> None:
    """Torchrun is told to end after the eighth step, as a scheduler tells it; the first epoch is saved by then."""
    seen = 0

    def watch(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, Stepped)
        if seen == 8 and ranks.first:
            os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(0.3 * (seen >= 8))

    with together() as ranks:
        run(NETWORK, DATA, recipe(), out=folder / "ended", engine=ENGINE, source=NAMED, watch=watch, ranks=ranks)


def go_on(folder: Path, ranks: Ranks) -> None:
    """What was stopped goes on to its end."""
    for name in ("stopped", "validating", "ended"):
        run_on(folder / name, DATA, ranks=ranks)


def whole(folder: Path, ranks: Ranks) -> None:
    """The same training without a stop."""
    run(NETWORK, DATA, recipe(), out=folder / "whole", engine=ENGINE, ranks=ranks)


def failed(folder: Path, ranks: Ranks) -> None:
    """The last process has a fault in the second epoch."""

    def fault(event: Event) -> None:
        if isinstance(event, Stepped) and event.epoch == 2 and ranks.rank == ranks.size - 1:
            raise Failure("its disk is full")

    _note_failure(folder, "failed", ranks, fault)


def differs(folder: Path, ranks: Ranks) -> None:
    """The last process was given other images."""
    data = DATA if ranks.first else squares(seed=1)
    with (folder / f"differs {ranks.rank}").open("w") as said:
        try:
            run(NETWORK, data, recipe(), out=folder / "differs", engine=ENGINE, ranks=ranks)
        except Failure as fault:
            said.write(str(fault))


def slow(folder: Path, ranks: Ranks) -> None:
    """A training that can be killed from outside; where it was begun already, it goes on."""
    (folder / f"process {ranks.rank}").write_text(str(os.getpid()))
    if (folder / "slow").exists():
        run_on(folder / "slow", DATA, ranks=ranks)
        return
    how = recipe(checkpoint_seconds=0.02)
    run(NETWORK, DATA, how, out=folder / "slow", engine=ENGINE, ranks=ranks, watch=lambda _: time.sleep(0.1))


def _note_failure(folder: Path, name: str, ranks: Ranks, watch: Callable[[Event], None] | None) -> None:
    """Trains into FOLDER/NAME, and writes down what stopped it."""
    try:
        run(NETWORK, DATA, recipe(), out=folder / name, engine=ENGINE, watch=watch, ranks=ranks)
    except Failure as fault:
        (folder / f"{name} {ranks.rank}").write_text(str(fault))


WHAT = {work.__name__: work for work in (cases, stopped, validating, ended, go_on, whole, failed, differs, slow)}


def main(folder: Path, what: list[str]) -> None:
    """One piece of work after the other, each in a part of the store of its own: after a fault nobody speaks there."""
    ranks = Ranks.joined()
    assert ranks.store is not None
    for name in what:
        WHAT[name](folder, Ranks(ranks.rank, ranks.size, PrefixStore(name, ranks.store)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
