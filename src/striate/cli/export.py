"""`striate export`: a trained network in a form that other programs run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from striate.cli import console
from striate.cli.options import DataOption, DataRoot, JsonOption, RunArgument
from striate.cli.subject import Subject
from striate.errors import UserError


def export(
    run: RunArgument,
    onnx: Annotated[
        Path | None, typer.Option("--onnx", metavar="FILE.onnx", help="Write ONNX, the preprocessing inside the graph.")
    ] = None,
    named: DataOption = None,
    data_root: DataRoot = None,
    json: JsonOption = False,
) -> None:
    """Write a trained network as ONNX: uint8 images in, probabilities out.

    Before it says done, ONNX Runtime and PyTorch are compared on up to 64 real test images.

    Example: striate export runs/digits-default-1 --onnx digits.onnx
    """
    if onnx is None:
        raise UserError("say what to write: --onnx FILE.onnx")
    from striate.export import to_onnx

    subject = Subject.open(run)
    images = subject.data(named, data_root).test.images[:64]
    done = to_onnx(subject.model, onnx, images)
    if json:
        console.show_json(asdict(done) | {"path": str(done.path)})
        return
    console.show(
        f"{done.path}: {done.size / 1e6:.1f} MB, opset {done.opset}, input {done.input}, output {done.output}; "
        f"on {done.images} images it differs from PyTorch by at most {done.difference:.1e}"
    )
