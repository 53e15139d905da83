"""`striate data`: what is in a data set, what was skipped and why, and what it looks like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import console
from striate.cli.options import DataArgument, DataRoot, FitOption, JsonOption, MaxBad, SizeOption, png, size
from striate.cli.source import Source
from striate.report.numbers import count

if TYPE_CHECKING:
    from striate.data import DataSet

COLUMNS = 10  # images of one class on the contact sheet
CELL = 112  # pixels: about the longer side that an image has on it


def data(
    source: DataArgument = "digits",
    image_size: SizeOption = None,
    fit: FitOption = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FILE.png", help="Where to draw images of every class.")
    ] = None,
    data_root: DataRoot = None,
    max_bad: MaxBad = None,
    json: JsonOption = False,
) -> None:
    """Show a data set: images per class and split, what was skipped and why, a contact sheet.

    Of an animation the first frame is used. Images are turned upright as their EXIF says, what is transparent is put on
    white, and 16 bits become 8.

    Examples: striate data digits | striate data ~/photos --sheet photos.png
    """
    png(sheet, "--sheet")
    loaded = Source(source, size(image_size), None, fit, data_root, max_bad).load()
    if sheet is not None:
        _draw(loaded, sheet)
    if json:
        console.show_json(_as_json(loaded))
        return
    from striate.data import summary

    console.show(f"{loaded.name}: images of {console.shape(loaded.shape)}, {len(loaded.classes)} classes")
    *rows, total = [
        (row.name, *map(count, (row.train, row.validation, row.test, row.train + row.validation + row.test)))
        for row in summary(loaded)
    ]
    console.table(("class", "train", "validation", "test", "all"), rows, total=total)
    for line in loaded.findings.lines():
        console.show(line)
    if sheet is not None:
        console.show(f"contact sheet: {sheet}")


def _as_json(loaded: DataSet) -> dict[str, object]:
    from striate.data import summary

    counts = {row.name: {"train": row.train, "validation": row.validation, "test": row.test} for row in summary(loaded)}
    return {
        "name": loaded.name,
        "shape": loaded.shape,
        "classes": loaded.classes,
        "images": counts,
        "findings": loaded.findings.as_json(),
        "fingerprint": loaded.fingerprint,
    }


def _draw(loaded: DataSet, sheet: Path) -> None:
    """A row of training images for every class; where a class has fewer than others its row stays empty at the end."""
    import numpy as np

    from striate import pictures
    from striate.data import examples

    chosen = [examples(loaded.train, label, COLUMNS) for label in range(len(loaded.classes))]
    columns = max(map(len, chosen))
    empty = np.full((*loaded.shape[1:], 3), pictures.PAPER, np.uint8)
    shown, captions = [], []
    for name, places in zip(loaded.classes, chosen, strict=True):
        missing = columns - len(places)
        shown += [pictures.photograph(loaded.train.images[at]) for at in places] + [empty] * missing
        captions += [name] * len(places) + [""] * missing
    rows, wide = loaded.shape[1:]
    factor = max(1, round(CELL / max(rows, wide)))
    cell = rows * factor, wide * factor
    pictures.write_png(sheet, pictures.contact_sheet(shown, captions, cell=cell, columns=columns))
