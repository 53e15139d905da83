"""The images that words of a command stand for: files, or numbers of images in the data, such as test:17."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from striate.cli.subject import Subject, split
from striate.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from striate.data import DataSet

OF_SPLIT = re.compile(r"(train|validation|test):([0-9]{1,9})")


@final
@dataclass(frozen=True)
class Shown:
    """An image to look at; `label` where the model's class of it is known."""

    source: str
    pixels: np.ndarray
    label: int | None


def shown(subject: Subject, wanted: list[str], named: str | None, root: Path | None) -> list[Shown]:
    """The images that words stand for: files, or numbers of images in the data. Raises UserError for anything else."""
    places = [OF_SPLIT.fullmatch(word) for word in wanted]
    loaded = subject.any_images(named, root) if any(places) else None
    return [
        _numbered(loaded, place, subject) if place and loaded is not None else _file(subject, word)
        for word, place in zip(wanted, places, strict=True)
    ]


def _numbered(loaded: DataSet, place: re.Match[str], subject: Subject) -> Shown:
    name, at = place[1], int(place[2])
    chosen = split(loaded, next(known for known in ("train", "validation", "test") if known == name))
    if at >= len(chosen):
        raise UserError(
            f"{loaded.name} has {len(chosen)} {name} images, {name}:0 to {name}:{len(chosen) - 1}, found {place[0]}"
        )
    label = int(chosen.labels[at]) if loaded.classes and loaded.classes == subject.model.classes else None
    return Shown(place[0], chosen.images[at], label)


def _file(subject: Subject, word: str) -> Shown:
    if Path(word).is_dir():
        raise UserError(f"{word} is a folder: name image files in it, or say --data {word} and test:0, test:1, ...")
    return Shown(word, subject.read([Path(word)])[0], None)
