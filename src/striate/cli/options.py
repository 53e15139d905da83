"""Arguments and options that several commands share, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from striate.errors import UserError


def _networks(incomplete: str) -> list[str]:
    from striate import presets

    return [name for name in presets.names() if name.startswith(incomplete)]


def _data_sets(incomplete: str) -> list[str]:
    from striate import data

    return [name for name in data.NAMES if name.startswith(incomplete)]


NetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help="A preset (vanilla, lenet5, vgg16, ...), a file, or text: 'conv 20 5x5, relu, maxpool 2x2, dense 10'.",
        autocompletion=_networks,
    ),
]
NetworkOption = Annotated[
    str | None,
    typer.Option(
        "--net",
        metavar="NETWORK",
        help="A preset, a file, or text. Default: vanilla for images up to 32 pixels, tiny-vgg for larger ones.",
        autocompletion=_networks,
    ),
]
DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="digits, mnist, fashion-mnist, kmnist, cifar10, cifar100; or a folder of class folders, a .npz, "
        "a folder of IDX files.",
        autocompletion=_data_sets,
    ),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DATA",
        help="Images to use instead of those the run was trained on.",
        autocompletion=_data_sets,
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data-root", metavar="FOLDER", help="Where data sets lie or are downloaded to [env: STRIATE_DATA]."),
]
SizeOption = Annotated[
    str | None,
    typer.Option("--size", metavar="ROWSxCOLUMNS", help="Size the images are brought to, such as 64 or 64x96."),
]
FitOption = Annotated[
    str | None,
    typer.Option("--fit", metavar="crop|pad|stretch", help="How an image of another shape is brought to that size."),
]
MaxBad = Annotated[
    float | None,
    typer.Option("--max-bad", min=0, max=1, help="Largest share of unreadable files to go on with."),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or a model.safetensors.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where to write.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
AllowLarge = Annotated[bool, typer.Option("--allow-large", help="Take a network of more than a billion parameters.")]


def size(text: str | None) -> tuple[int, int] | None:
    """`64x96` or `64` as (rows, columns). Raises UserError."""
    if text is None:
        return None
    from striate.layers.values import Size

    sides = Size(1, 4096)
    try:
        return sides.read(text)
    except ValueError:
        raise UserError(f"--size must be {sides.allowed}, found {text!r}") from None
