"""A model as one ONNX file that other programs can run: uint8 images in, probabilities out, preprocessing inside.

Nothing is written before ONNX Runtime has computed the same numbers as PyTorch on real images.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, final

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from striate import files
from striate.errors import Failure, ModelError, UserError
from striate.model import shares

if TYPE_CHECKING:
    from collections.abc import Generator

    import onnx

    from striate.model import Model

OPSET = 18
"""Version of ONNX's operators: the one torch's exporter is written for; ONNX 1.13 (December 2022) and later read it."""

TOLERANCE = 1e-4
"""Largest absolute difference of a probability between ONNX Runtime and PyTorch that passes; usual are 1e-7 to 1e-6."""

LARGEST = 2**31 - 2**20
"""Bytes: one protobuf message, and so one ONNX file with its weights inside, cannot pass 2 GiB."""

BATCH = 64
"""Images at a time in the check."""


@final
@dataclass(frozen=True)
class Exported:
    """What was written, and how it was checked.

    Attributes:
        path: the file.
        size: its bytes.
        opset: version of ONNX's operators it uses.
        input: name of its input, uint8 (batch, channels, rows, columns), or float32 (batch, features) for vectors.
        output: name of its output, float32 (batch, outputs).
        images: on how many inputs it was compared with PyTorch.
        difference: the largest absolute difference found, at most TOLERANCE.
    """

    path: Path
    size: int
    opset: int
    input: str
    output: str
    images: int
    difference: float


def to_onnx(model: Model, path: Path | str, images: np.ndarray) -> Exported:
    """Writes `model` as an ONNX file, checked against PyTorch on `images` first.

    The batch size is free. Class names, the network's text and the preprocessing stand in the file's metadata_props,
    under `classes` (JSON), `network` and `preprocessing` (JSON).

    Arguments:
        model: left as it is; a float32 copy on the CPU is translated.
        path: the file; replaced in one step, once the check has passed.
        images: real inputs to check on, at least one: uint8 (n, channels, rows, columns), or float32 (n, features).

    Raises:
        UserError: the package onnx, onnxscript or onnxruntime is missing; there are no images, or of another shape;
            the model is too large for one file.
        Failure: torch cannot translate the module, or the numbers differ by more than TOLERANCE.
    """
    _require_packages()
    model = replace(model, module=copy.deepcopy(model.module).cpu().float().eval())
    if not len(images):
        raise UserError("an export is checked on real images, so at least one is needed, found none")
    expected = model.predict(images, BATCH)
    names = _names(model)
    proto = _translated(model, images, *names)
    _describe(proto, model)
    content = proto.SerializeToString()
    difference = _difference(content, images, expected)
    if not difference <= TOLERANCE:
        raise Failure(
            f"ONNX Runtime and PyTorch differ by {difference:.2g} on {len(images)} images, allowed are {TOLERANCE:g}; "
            f"{path} was not written"
        )
    files.write_bytes(Path(path), content)
    return Exported(Path(path), len(content), OPSET, *names, len(images), difference)


def _require_packages() -> None:
    try:
        import onnx
        import onnxruntime
        import onnxscript

        del onnx, onnxruntime, onnxscript
    except ImportError as cause:
        raise UserError(
            f"the export to ONNX needs the package {cause.name or 'onnx'}; install it with: "
            "pip install onnx onnxruntime onnxscript"
        ) from None


def _names(model: Model) -> tuple[str, str]:
    taken = "images" if len(model.preprocessing.shape) == 3 else "features"
    return taken, "probabilities" if model.classes else "outputs"


class _Whole(nn.Module):
    """Everything from the image to the probabilities, as one module."""

    def __init__(self, model: Model, example: Tensor) -> None:
        super().__init__()
        self.module = model.module
        self.preprocessing = model.preprocessing
        with torch.inference_mode():
            outputs = self.module(self.preprocessing.normalize(example))
        self.scores = bool(model.classes) and not model.gives_probabilities(outputs)

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.module(self.preprocessing.normalize(x))
        return shares(outputs) if self.scores else outputs


def _translated(model: Model, images: np.ndarray, input: str, output: str) -> onnx.ModelProto:
    size = sum(t.numel() * t.element_size() for t in model.module.state_dict().values())
    if size > LARGEST:
        raise ModelError(f"the weights of {model.name} take {size / 1e9:.1f} GB; one ONNX file holds at most 2 GB")
    # Two different images: a batch of one would be taken for a constant.
    example = torch.from_numpy(np.resize(images[:2], (2, *images.shape[1:])))
    try:
        with _quiet():
            program = torch.onnx.export(
                _Whole(model, example).eval(),
                (example,),
                dynamo=True,
                verbose=False,
                external_data=False,
                opset_version=OPSET,
                input_names=[input],
                output_names=[output],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            )
    except Exception as cause:  # whatever a module of the user's own makes the tracer raise
        raise Failure(f"torch cannot translate {model.name} to ONNX: {_reason(cause)}") from None
    assert program is not None
    return program.model_proto


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keeps back what the exporter says to its own developers (deprecations inside torch, absent torchvision)."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _describe(proto: onnx.ModelProto, model: Model) -> None:
    from onnx import helper

    described = {
        "name": model.name,
        "classes": json.dumps(model.classes, ensure_ascii=False),
        "preprocessing": json.dumps(model.preprocessing.as_json()),
    }
    helper.set_model_props(proto, described | ({"network": str(model.network)} if model.network else {}))
    proto.producer_name, proto.doc_string = "striate", f"{model.name}, with its preprocessing inside"


def _difference(content: bytes, images: np.ndarray, expected: Float32[np.ndarray, "n outputs"]) -> float:
    """The largest absolute difference, over the first image alone and all of them in batches."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        parts = [slice(0, 1), *(slice(start, start + BATCH) for start in range(0, len(images), BATCH))]
        computed = [(part, cast(np.ndarray, session.run(None, {name: np.array(images[part])})[0])) for part in parts]
    except Exception as cause:  # its exceptions have no common base but this
        raise Failure(f"ONNX Runtime cannot run the translated model: {_first_line(cause)}") from None
    if any(found.shape != expected[part].shape for part, found in computed):
        return float("inf")
    return max(float(np.abs(found - expected[part]).max()) for part, found in computed)


def _reason(cause: Exception) -> str:
    """Why torch's exporter gave up: the operation that it has no translation of, else what it says first."""
    missing = re.search(r"No ONNX function found for <OpOverload\(op='(?:\w+\.)?(\w+)'", str(cause))
    return f"its exporter has no translation of {missing[1]}" if missing else _first_line(cause)


def _first_line(cause: Exception) -> str:
    return next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
