"""`striate demo`: the main job from end to end, on images that come with the package."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from striate.cli import console
from striate.cli.atlas import atlas_of, page_of
from striate.cli.options import JsonOption
from striate.cli.source import Source
from striate.cli.subject import Subject
from striate.cli.together import alone
from striate.cli.train import Wishes, first_free, train_new
from striate.report.numbers import count, percent, seconds


def demo(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="The run's folder. Default: runs/demo-N.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the training images.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of weights, order and augmentation.")] = 0,
    json: JsonOption = False,
) -> None:
    """Train the lecture's network on 5,000 handwritten digits; write a report and an atlas of what it sees.

    Everything lies in one folder, which all other commands take: striate evaluate, predict, look, explain, export.
    """
    from striate.report import training_report
    from striate.train import Engine, evaluate

    ranks, began = alone("demo"), time.perf_counter()
    settings = {"seed": seed} | ({} if epochs is None else {"epochs": epochs})
    source = Source("digits")
    run = train_new(source, "vanilla", Wishes(None, settings), out or first_free("demo"), Engine.choose(), ranks=ranks)
    loaded = source.load()
    scores = evaluate(run.model(), loaded.test)
    page = training_report(run, scores, loaded)
    atlas = page_of(atlas_of(Subject.open(run.path), loaded, run.path / "atlas"))
    if json:
        console.show_json(
            {
                "run": str(run.path),
                "report": str(page),
                "atlas": str(atlas),
                "accuracy": scores.accuracy,
                "test": scores.count,
            }
        )
        return
    console.show(
        f"\n{percent(scores.accuracy, scores.count)} of {count(scores.count)} test digits right, "
        f"{seconds(time.perf_counter() - began)} in all"
    )
    console.show(f"report: {page.resolve().as_uri()}")
    console.show(f"atlas:  {atlas.resolve().as_uri()}")
    console.show(f"run:    {run.path}")
