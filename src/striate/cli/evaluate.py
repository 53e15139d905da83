"""`striate evaluate`: how good a trained network is, class by class, and where it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import console
from striate.cli.options import DataOption, DataRoot, JsonOption, OutOption, RunArgument
from striate.cli.subject import SplitName, Subject, split
from striate.cli.together import together
from striate.errors import DataError
from striate.report.numbers import count, number, percent

if TYPE_CHECKING:
    from pathlib import Path

    from striate.data import Split
    from striate.ranks import Ranks
    from striate.train.evaluation import Evaluation

PAIRS = 5  # most confused pairs named on the terminal; the pictures show more, the JSON all
CHANGED = (
    "warning: these images are not those of the training, the folder or its splits have changed since; "
    "some of these may have been trained on, and the score may be too good"
)
SHOWN = {
    "confusion": "what is taken for what",
    "calibration": "how often a probability is right",
    "confused": "mistakes, pair by pair",
    "losses": "the hardest images",
}
"""What the picture of a name shows."""

WIDEST = 20  # classes up to which the confusion matrix is printed; beyond, it is a picture only


def evaluate(
    run: RunArgument,
    named: DataOption = None,
    which: Annotated[SplitName, typer.Option("--split", help="Which images to score.")] = "test",
    out: OutOption = None,
    data_root: DataRoot = None,
    json: JsonOption = False,
) -> None:
    """Score a trained network: accuracy, every class, what is confused with what, the hardest images, calibration.

    Pictures go to RUN/evaluation unless --out names a folder. Of a run's own test images the page RUN/report.html is
    written besides: curves, filters, what is confused, and what convolution saved.

    Several processes share the images: torchrun ... -m striate evaluate ...; the numbers are the same.

    Examples: striate evaluate runs/digits-default-1 | striate evaluate RUN --data other/photos --split test
    """
    with together() as ranks:
        _evaluate(Subject.open(run), named, which, out, data_root, ranks, json=json)


def _evaluate(
    subject: Subject,
    named: str | None,
    which: SplitName,
    out: Path | None,
    data_root: Path | None,
    ranks: Ranks,
    *,
    json: bool,
) -> None:
    loaded = subject.data(named, data_root)
    chosen = split(loaded, which)
    if not len(chosen):
        raise DataError(f"{loaded.name} has no {which} images")
    own = subject.is_own(named)
    changed = own and subject.run is not None and subject.run.data["fingerprint"] != loaded.fingerprint
    if changed:
        console.note(CHANGED)
    trained_on = None if own or subject.run is None else _trained_on(subject, chosen)
    from striate import train
    from striate.report import evaluation_pictures, training_report

    scores = train.evaluate(subject.model, chosen, ranks=ranks)
    if not ranks.first:
        return
    written = evaluation_pictures(scores, chosen, loaded.classes, out or _beside(subject))
    of_the_run = own and not changed and which == "test"
    page = training_report(subject.run, scores, loaded, out) if subject.run and of_the_run else None
    if json:
        told = {"split": which, "data_changed": changed, "trained_on": trained_on}
        made = {"pictures": [str(path) for path in written], "report": str(page) if page else None}
        console.show_json(scores.as_json() | told | made)
        return
    _print(scores, which)
    for path in written:
        console.show(f"{path}: {SHOWN[path.stem]}")
    if page is not None:
        console.show(f"report: {page.resolve().as_uri()}")


def _trained_on(subject: Subject, chosen: Split) -> int | None:
    """How many of other images than the run's were trained on all the same; says so, or that it cannot be told."""
    found = subject.trained_on(chosen)
    if found is None:
        console.note(
            "whether some of these images were trained on cannot be told: the run's own are not here as they were"
        )
    elif found:
        console.note(
            f"warning: {count(found)} of these {count(len(chosen))} images were trained on; the score is too good"
        )
    return found


def _beside(subject: Subject) -> Path:
    return (subject.path if subject.run else subject.path.parent) / "evaluation"


def _print(scores: Evaluation, which: str) -> None:
    from striate.report.intervals import wilson

    right = round(scores.accuracy * scores.count)
    low, high = wilson(right, scores.count)
    console.show(
        f"accuracy {percent(scores.accuracy, scores.count)} on {count(scores.count)} {which} images "
        f"(95% interval {percent(low, scores.count)} to {percent(high, scores.count)}), "
        f"loss {number(scores.loss)}, calibration error {percent(scores.ece)}"
    )
    rows = [
        (row.name, _share(row.precision, row.support), _share(row.recall, row.support), count(row.support))
        for row in scores.per_class
    ]
    console.table(("class", "precision", "recall", "images"), rows)
    if len(scores.classes) <= WIDEST:
        _print_confusion(scores)
    for pair in scores.confused[:PAIRS]:
        true, predicted = scores.classes[pair.true], scores.classes[pair.predicted]
        console.show(f"{pair.count} of class {true} taken for {predicted}")


def _print_confusion(scores: Evaluation) -> None:
    console.show("\nconfusion matrix: a row is what the images are, a column what they were taken for")
    rows = [[count(int(cell)) if cell else "·" for cell in row] for row in scores.confusion]
    console.matrix(scores.classes, rows)


def _share(value: float | None, n: int) -> str:
    return "–" if value is None else percent(value, max(n, 100))
