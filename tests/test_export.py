"""An exported file, run by ONNX Runtime alone, against PyTorch; and everything that must stop an export."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from striate import export
from striate.errors import Failure, ModelError, UserError
from striate.model import Model, Preprocessing
from striate.network import Network

EVERY_KIND = """
input 3x21x26
conv 8 3x3 pad=same stride=2, batchnorm, relu, lrn 5, maxpool 3x3 stride=2 ceil=yes
residual(conv 8 3x3 pad=1, gelu, conv 8 3x3 pad=1), residual(conv 16 3x3 stride=2 pad=1, tanh)
gate(globalavgpool, dense 4, relu, dense 16, sigmoid), gate(conv 16 1x1, hardsigmoid)
concat(conv 4 1x1 | maxpool 3x3 stride=1 pad=1, conv 4 1x1 | conv 8 3x3 pad=same dilation=2 groups=4)
layernorm, leakyrelu, groupnorm 4, relu6, silu, avgpool 2x2 stride=2 ceil=yes
adaptiveavgpool 4x2, adaptivemaxpool 2x2, hardswish, elu, sigmoid, hardsigmoid
globalavgpool, dropout 0.5, dense 5
"""


def photos(n: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def model_of(text: str, classes: tuple[str, ...]) -> Model:
    network = Network.parse(text)
    assert network.input is not None
    channels = network.input[0]
    preprocessing = Preprocessing(network.input, (0.4,) * channels, (0.3,) * channels)
    return Model(network.build(seed=1), preprocessing, classes, network, "every kind")


def run(path: Path, inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path)
    return cast(np.ndarray, session.run(None, {session.get_inputs()[0].name: inputs})[0])


def test_every_kind_of_layer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = model_of(EVERY_KIND, ("a", "b", "ç", "d", "e"))
    images, others = photos(5, (3, 21, 26)), photos(9, (3, 21, 26), seed=1)
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}

    done = export.to_onnx(model, tmp_path / "model.onnx", images)

    assert capfd.readouterr() == ("", ""), "nothing of the exporter's talk reaches the user"
    assert logging.root.manager.disable == 0
    assert model.module.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.module.state_dict().items())
    assert done.size == done.path.stat().st_size
    assert (done.images, done.opset, done.input, done.output) == (5, 18, "images", "probabilities")
    assert 0 <= done.difference <= 1e-6

    found = run(done.path, others)
    np.testing.assert_allclose(found, model.predict(others), atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(run(done.path, others[:1]), found[:1], atol=1e-6)
    assert list(tmp_path.iterdir()) == [done.path], "one file, no part left"

    proto = onnx.load(done.path)
    onnx.checker.check_model(proto, full_check=True)
    assert {opset.version for opset in proto.opset_import if opset.domain in ("", "ai.onnx")} == {18}
    kept = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(kept["classes"]) == ["a", "b", "ç", "d", "e"]
    assert Network.parse(kept["network"]) == model.network
    assert json.loads(kept["preprocessing"])["shape"] == [3, 21, 26]


def test_probabilities_are_not_softmaxed_twice(tmp_path: Path) -> None:
    model = model_of("input 1x4x4, dense 3, softmax", ("a", "b", "c"))
    images = photos(4, (1, 4, 4))
    found = run(export.to_onnx(model, tmp_path / "model.onnx", images).path, images)
    scaled = torch.from_numpy((images / 255 - 0.4) / 0.3).float()
    np.testing.assert_allclose(found, model.module(scaled).detach().numpy(), atol=1e-6)


class HiddenSoftmax(nn.Module):
    """A softmax that is a function call."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.dense(x.flatten(1)), 1)


def test_a_foreign_softmax_is_exported_as_it_is(tmp_path: Path) -> None:
    model = Model.foreign(HiddenSoftmax().eval(), (1, 4, 4), classes=("a", "b", "c"))
    images = photos(4, (1, 4, 4))
    found = run(export.to_onnx(model, tmp_path / "model.onnx", images).path, images)
    np.testing.assert_allclose(found, model.module(torch.from_numpy(images / 255).float()).detach(), atol=1e-6)


@pytest.mark.parametrize(("end", "classes"), [(nn.Sigmoid(), ("a", "b", "c")), (nn.Identity(), ("rain",))])
def test_classes_that_do_not_exclude_each_other_keep_their_probabilities(
    tmp_path: Path, end: nn.Module, classes: tuple[str, ...]
) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(27, len(classes)), end)
    model = Model.foreign(module, (3, 3, 3), classes=classes)
    done = export.to_onnx(model, tmp_path / "model.onnx", photos(5, (3, 3, 3)))
    np.testing.assert_allclose(
        run(done.path, photos(9, (3, 3, 3), seed=1)), model.predict(photos(9, (3, 3, 3), seed=1)), atol=1e-6
    )


def test_regression_on_vectors_keeps_its_numbers(tmp_path: Path) -> None:
    model = model_of("input 3, dense 4, sigmoid, dense 1", ())
    vectors = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    done = export.to_onnx(model, tmp_path / "ann.onnx", vectors)
    assert (done.input, done.output) == ("features", "outputs")
    np.testing.assert_allclose(run(done.path, vectors), model.predict(vectors), atol=1e-6)


class Untraceable(nn.Module):
    """Chooses its path by what it sees, in Python."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2] if x.sum() > 0 else x.flatten(1)[:, 1:3]


def test_what_cannot_be_translated_fails_in_one_sentence(tmp_path: Path) -> None:
    model = Model.foreign(Untraceable(), (1, 2, 2), classes=("a", "b"))
    with pytest.raises(Failure, match="cannot translate Untraceable to ONNX: ") as fault:
        export.to_onnx(model, tmp_path / "model.onnx", photos(1, (1, 2, 2)))
    assert "\n" not in str(fault.value)
    assert not list(tmp_path.iterdir())


def test_what_torch_has_no_translation_of_is_named(tmp_path: Path) -> None:
    """Windows of unequal size; of equal size it exports."""
    model = model_of("input 1x5x5, adaptivemaxpool 2x2, dense 3", ("a", "b", "c"))
    with pytest.raises(Failure, match=r"to ONNX: its exporter has no translation of adaptive_max_pool2d$"):
        export.to_onnx(model, tmp_path / "model.onnx", photos(1, (1, 5, 5)))


def test_numbers_that_differ_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("input 1x4x4, dense 3", ("a", "b", "c"))

    def nothing_alike(*_: object) -> float:
        return float("nan")

    monkeypatch.setattr(export, "_difference", nothing_alike)
    with pytest.raises(Failure, match="differ by nan"):
        export.to_onnx(model, tmp_path / "model.onnx", photos(1, (1, 4, 4)))
    assert not list(tmp_path.iterdir())


def test_the_check_finds_a_difference() -> None:
    model = model_of("input 1x4x4, dense 3", ("a", "b", "c"))
    images = photos(70, (1, 4, 4))
    proto = export._translated(model, images, "images", "probabilities")  # pyright: ignore[reportPrivateUsage]
    expected = model.predict(images)
    expected[69, 1] += 0.01
    found = export._difference(proto.SerializeToString(), images, expected)  # pyright: ignore[reportPrivateUsage]
    assert found == pytest.approx(0.01, abs=1e-5)


def test_bad_input_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("input 1x4x4, dense 3", ("a", "b", "c"))
    with pytest.raises(UserError, match="at least one"):
        export.to_onnx(model, tmp_path / "model.onnx", photos(0, (1, 4, 4)))
    with pytest.raises(ModelError, match="shape"):
        export.to_onnx(model, tmp_path / "model.onnx", photos(1, (1, 5, 4)))
    monkeypatch.setattr(export, "LARGEST", 10)
    with pytest.raises(ModelError, match="at most 2 GB"):
        export.to_onnx(model, tmp_path / "model.onnx", photos(1, (1, 4, 4)))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs the package onnxruntime.*pip install onnx onnxruntime onnxscript"):
        export.to_onnx(model, tmp_path / "model.onnx", photos(1, (1, 4, 4)))


def test_warnings_filters_are_as_before(tmp_path: Path) -> None:
    model = model_of("input 1x4x4, dense 3", ("a", "b", "c"))
    filters = list(warnings.filters)
    export.to_onnx(model, tmp_path / "model.onnx", photos(1, (1, 4, 4)))
    assert list(warnings.filters) == filters
