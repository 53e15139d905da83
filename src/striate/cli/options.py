"""Arguments and options that several commands share, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
PrecisionOption = Annotated[
    Literal["float32", "bfloat16"] | None,
    typer.Option("--precision", help="Of convolutions and products in all trainings. Default: the recipe's; float32."),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", metavar="FOLDER", help="Where data sets lie or are downloaded to, instead of STRIATE_DATA."
    ),
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="ROWSxCOLUMNS",
        help="Size the images are brought to, such as 64 or 64x96. Default: their own; for a folder of larger or "
        "unlike ones 64x64.",
    ),
]
FitOption = Annotated[
    str | None,
    typer.Option(
        "--fit",
        metavar="crop|pad|stretch",
        help="How an image of another shape is brought to that size. Default: crop.",
    ),
]
MaxBad = Annotated[
    float | None,
    typer.Option("--max-bad", min=0, max=1, help="Largest share of unreadable files to go on with. Default: 0.1."),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or a model.safetensors.")]
ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN|MODEL",
        help="A run's folder, a model.safetensors, or torchvision:NAME, timm:NAME where those packages are installed.",
    ),
]
ForeignModule = Annotated[
    str | None,
    typer.Option(
        "--module",
        metavar="PACKAGE.MODULE:FACTORY",
        help="A PyTorch model of your own: what FACTORY() returns; the current folder can be imported from.",
    ),
]
ForeignNetwork = Annotated[
    str | None,
    typer.Option(
        "--net",
        metavar="NETWORK",
        help="A preset, a file, or text, for weights from elsewhere.",
        autocompletion=_networks,
    ),
]
ForeignWeights = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE", help="Its weights: .safetensors, or .pt, of which no code is run."),
]
ForeignInput = Annotated[
    str | None, typer.Option("--input", metavar="CxHxW", help="The shape of one image it takes, such as 3x224x224.")
]
ForeignMean = Annotated[
    str | None,
    typer.Option("--mean", metavar="R,G,B", help="Subtracted from images on the scale 0 to 1, one per channel."),
]
ForeignStd = Annotated[
    str | None, typer.Option("--std", metavar="R,G,B", help="What they are divided by after that, one per channel.")
]
ForeignClasses = Annotated[
    Path | None, typer.Option("--classes", metavar="FILE", help="What its outputs are called, a name a line.")
]
LayersOption = Annotated[
    str | None, typer.Option("--layers", metavar="NAME,NAME", help="Layers to look at. Default: every convolution.")
]
RuleOption = Annotated[
    Literal["deconvnet", "guided", "gradient"], typer.Option("--rule", help="How activations are projected back.")
]
OthersOption = Annotated[
    Literal["gradient"] | None,
    typer.Option("--others", help="Let activations without such a rule (GELU, SiLU) pass by their gradient."),
]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where to write.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
AllowLarge = Annotated[bool, typer.Option("--allow-large", help="Take a network of more than a billion parameters.")]


def listed(text: str | None) -> list[str] | None:
    """`conv1,conv2` as a list; None stays None. Raises UserError where there is no name in it."""
    if text is None:
        return None
    names = [name for name in text.replace(",", " ").split() if name]
    if not names:
        raise UserError(f"--layers must name layers, such as conv1,conv2; found {text!r}")
    return names


def png(path: Path | None, option: str = "--out") -> Path | None:
    """Where a picture is to be drawn; None stays None. Raises UserError where its name would belie what is in it."""
    if path is not None and path.suffix.lower() != ".png":
        raise UserError(f"{option} must name a .png file, for pictures are written as PNG; found {str(path)!r}")
    return path


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
