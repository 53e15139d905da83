"""The report of one run: what was trained, how well it does, what its first layer learned, where it fails, how to
repeat it. One HTML file that needs nothing else; the plots lie beside it with their numbers."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import files, pictures
from striate.data.findings import Findings, escaped
from striate.report import architecture, mistakes, plots
from striate.report.intervals import wilson
from striate.report.page import render
from striate.report.plots import Curve, Plot
from striate.train.evaluation import Evaluation, RegressionEvaluation

if TYPE_CHECKING:
    from striate.data import DataSet, Split
    from striate.train import Run
    from striate.train.evaluation import ClassScore

MOST_CLASSES_IN_BARS = 30
"""Classes up to which every class has a bar; beyond, the table has the ten with the lowest recall."""


def training_report(
    run: Run, evaluation: Evaluation | RegressionEvaluation, data: DataSet, out: Path | str | None = None
) -> Path:
    """Writes report.html, and a folder `plots` beside it with every plot as SVG and its numbers as JSON.

    Arguments:
        run: a run of which at least one epoch is finished.
        evaluation: of its model on `data.test`; the page says on how many images.
        data: what it was trained on.
        out: the folder; the run's own where it is left out.

    Returns: the path of report.html.
    """
    folder = Path(out) if out is not None else run.path
    drawn = _curves(run) | (_scores(evaluation) if isinstance(evaluation, Evaluation) else {})
    for plot in drawn.values():
        plot.save_svg(folder / "plots")
    values = _what(run, data) | _how_well(run, evaluation, data) | {"plots": drawn} | _repeat(run)
    files.write_text(folder / "report.html", render("training.html", **values))
    return folder / "report.html"


def _what(run: Run, data: DataSet) -> dict[str, Any]:
    """What was trained, on what."""
    network = run.network
    description = network.describe()
    module = run.model().module
    image = _an_image(data.test)
    return {
        "name": run.name,
        "data": data,
        "images": {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        "description": description,
        "convolutional": any(row.text.startswith("conv ") for row in description.rows),
        "sentences": architecture.sentences(description),
        "fields": [] if image is None else architecture.fields(description, image),
        "field_source": "" if image is None else pictures.shortened(escaped(data.test.sources[0]), 48, measure=len),
        "filters": architecture.first_filters(module),
        "recipe": run.recipe,
        "result": run.result,
        "findings": Findings.of_json(run.data["findings"]).lines(),
    }


def _how_well(run: Run, evaluation: Evaluation | RegressionEvaluation, data: DataSet) -> dict[str, Any]:
    """Scores and mistakes; for regression the root mean squared error alone."""
    epochs = [line for line in run.metrics() if line["kind"] == "epoch"]
    kept: dict[str, Any] = {
        "evaluation": evaluation,
        "epochs": epochs,
        "best_epoch": next((line["epoch"] for line in reversed(epochs) if line["best"]), None),
        "seconds": sum(line["seconds"] for line in epochs),
    }
    if isinstance(evaluation, RegressionEvaluation):
        return kept | {"classifies": False}
    right = int(np.trace(evaluation.confusion))
    return kept | {
        "classifies": True,
        "right": right,
        "interval": wilson(right, evaluation.count),
        "most_frequent": max(row.support for row in evaluation.per_class) / evaluation.count,
        "weakest": _weakest(evaluation),
        "fewest": min(row.support for row in evaluation.per_class if row.support),
        "pairs": mistakes.confused_pairs(evaluation, data.test),
        "hardest": mistakes.hardest(evaluation, data.test),
        "cell": mistakes.CELL,
        "reduced": max(data.shape[1:]) > mistakes.LARGEST,
    }


def _weakest(scores: Evaluation) -> list[ClassScore]:
    """The classes for the table: all in order, or, where there are many, the ten with the lowest recall."""
    if len(scores.per_class) <= MOST_CLASSES_IN_BARS:
        return list(scores.per_class)
    return sorted((row for row in scores.per_class if row.recall is not None), key=lambda row: (row.recall, row.name))[
        :10
    ]


def _curves(run: Run) -> dict[str, Plot]:
    """Loss and accuracy over the epochs. The training loss is a mean over steps, placed where its steps end."""
    lines = run.metrics()
    steps = [line for line in lines if line["kind"] == "step"]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    of_an_epoch = max((line["step"] for line in steps), default=1)
    training = Curve(
        "training",
        [line["epoch"] - 1 + line["step"] / of_an_epoch for line in steps],
        [line["loss"] for line in steps],
    )
    at = [line["epoch"] for line in epochs]
    validation = Curve("validation", at, [line["loss"] for line in epochs])
    smoothed = run.recipe.label_smoothing
    title = "Loss" if not smoothed else f"Loss (training: with label smoothing {smoothed:g})"
    shown = [line for line in (training, validation) if len(line.x)]
    found = {"loss": plots.curves("loss", shown, title=title, x="epoch", y="mean loss", whole_x=True)}
    if epochs and epochs[0]["accuracy"] is not None:
        accuracy = Curve("validation", at, [line["accuracy"] for line in epochs])
        found["accuracy"] = plots.curves(
            "accuracy",
            [accuracy],
            title="Validation accuracy",
            x="epoch",
            y="classified right",
            percent=True,
            whole_x=True,
        )
    return found


def _scores(scores: Evaluation) -> dict[str, Plot]:
    found = {
        "confusion": plots.confusion("confusion", scores.confusion, scores.classes),
        "calibration": plots.calibration("calibration", mistakes.calibration_bins(scores)),
    }
    rows = [row for row in scores.per_class if row.recall is not None]
    if len(rows) <= MOST_CLASSES_IN_BARS:
        spans = [wilson(round((row.recall or 0) * row.support), row.support) for row in rows]
        recalls = [row.recall or 0.0 for row in rows]
        found["recall"] = plots.bars(
            "recall",
            [row.name for row in rows],
            recalls,
            spans,
            title="Recall of every class",
            x="share found",
            percent=True,
            of=[row.support for row in rows],
        )
    return found


def _repeat(run: Run) -> dict[str, Any]:
    environment = run.environment
    return {"command": repeat_command(run), "environment": environment, "fingerprint": run.data["fingerprint"]}


def repeat_command(run: Run) -> str | None:
    """What to type to train the same network on the same data again; None where only Python can: the data was made in
    it, or was divided by another seed than the recipe's, which a command cannot say."""
    source = run.data_source
    if source is None or source.get("seed", run.recipe.seed) != run.recipe.seed:
        return None
    words = ["striate", "train", str(source["name_or_path"])]
    words += ["--net", str(run.path / "network.txt"), "--recipe", str(run.path / "recipe.toml")]
    if source.get("size"):
        words += ["--size", "x".join(map(str, source["size"]))]
    for name, option in (("fit", "--fit"), ("root", "--data-root"), ("max_bad", "--max-bad")):
        if source.get(name) is not None:
            words += [option, str(source[name])]
    return shlex.join(words)


def _an_image(split: Split) -> np.ndarray | None:
    """The test image to draw receptive fields on; None for regression, and where images are too large to show whole."""
    if split.images.ndim != 4 or not len(split) or max(split.images.shape[2:]) > 256:
        return None
    return np.asarray(split.images[0])
