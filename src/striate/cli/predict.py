"""`striate predict`: images in, class and probability out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, final

import typer

from striate.cli import console
from striate.cli.options import JsonOption, RunArgument
from striate.cli.subject import Subject
from striate.errors import DataError, UserError
from striate.report.numbers import percent

if TYPE_CHECKING:
    import numpy as np

    from striate.model import Model

BATCH = 64  # files decoded at a time, so that a folder of any size needs little memory


@final
@dataclass(frozen=True)
class Answer:
    """One image and its most probable classes, each with its probability."""

    image: Path
    classes: tuple[tuple[str, float], ...]

    def as_json(self) -> dict[str, object]:
        named = [{"class": name, "probability": probability} for name, probability in self.classes]
        return {"image": str(self.image), "classes": named}


def predict(
    run: RunArgument,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files, or folders of them.")],
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes to name for each image.")] = 1,
    json: JsonOption = False,
) -> None:
    """Tell what images show: the most probable classes and their probabilities.

    A file that cannot be read is named on standard error; the others are predicted, and the command ends with 2.

    Examples: striate predict runs/photos-default-1 new.jpg | striate predict RUN photos/ --top 3 --json
    """
    subject = Subject.open(run)
    subject.require_images()
    paths = [found for path in images for found in _files(path)]
    if not paths:
        raise UserError(f"no image files in {', '.join(map(str, images))}")
    answers, unreadable = _answers(subject, paths, top)
    for path, reason in unreadable:
        console.note(f"{path}: {reason}")
    if json:
        console.show_json([answer.as_json() for answer in answers])
    else:
        for answer in answers:
            named = ", ".join(f"{name} {percent(probability)}" for name, probability in answer.classes)
            console.show(f"{answer.image}: {named}")
    if unreadable:
        raise typer.Exit(2)


def _files(path: Path) -> list[Path]:
    """The path itself, or the image files below it, as training would find them, by path."""
    if not path.is_dir():
        return [path]
    from striate.data.folder import all_images

    listing = all_images(path)
    for note in listing.findings.notes:
        console.note(f"{path}: {note}")
    return [Path(image.path) for image in listing.images]


def _answers(subject: Subject, paths: list[Path], top: int) -> tuple[list[Answer], list[tuple[Path, str]]]:
    import numpy as np

    answers: list[Answer] = []
    unreadable: list[tuple[Path, str]] = []
    for start in range(0, len(paths), BATCH):
        read: list[tuple[Path, np.ndarray]] = []
        for path in paths[start : start + BATCH]:
            try:
                read.append((path, subject.read([path])[0]))
            except DataError as fault:
                unreadable.append((path, str(fault).removeprefix(f"{path}: ")))
        if read:
            probabilities = subject.model.predict(np.stack([image for _, image in read]))
            answers += [
                _answer(subject.model, path, row, top) for (path, _), row in zip(read, probabilities, strict=True)
            ]
    return answers, unreadable


def _answer(model: Model, path: Path, row: np.ndarray, top: int) -> Answer:
    """The most probable classes, of equals the first, as evaluation counts."""
    best = (-row).argsort(kind="stable")[:top]
    names = model.classes or tuple(f"output {at}" for at in range(len(row)))
    return Answer(path, tuple((names[at], float(row[at])) for at in best))
