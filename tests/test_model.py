"""A model: one file in, the same model out; and predictions that leave it as it was."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from striate.errors import ModelError
from striate.model import Model, Preprocessing
from striate.network import Network

NETWORK = Network.parse("input 2x6x6, conv 3 3x3, batchnorm, relu, dropout 0.5, dense 4")
PREPROCESSING = Preprocessing((2, 6, 6), (0.4, 0.5), (0.2, 0.3), "pad")
CLASSES = ("ant", "bee", "cat", "dög")


def model() -> Model:
    return Model(NETWORK.build(3), PREPROCESSING, CLASSES, NETWORK, "mine")


def images(count: int = 9) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 2, 6, 6), dtype=np.uint8)


def test_normalizing_is_the_formula() -> None:
    x = images()
    found = PREPROCESSING.normalize(torch.from_numpy(x))
    mean, std = np.array([0.4, 0.5]).reshape(2, 1, 1), np.array([0.2, 0.3]).reshape(2, 1, 1)
    np.testing.assert_allclose(found.numpy(), (x / 255 - mean) / std, atol=1e-6)
    assert found.dtype == torch.float32
    scaled = PREPROCESSING.normalize(torch.from_numpy(x).float() / 255)
    torch.testing.assert_close(scaled, found, atol=1e-5, rtol=1e-5)
    assert PREPROCESSING.normalize(torch.from_numpy(x), torch.bfloat16).dtype == torch.bfloat16


def test_normalizing_leaves_its_input() -> None:
    x = torch.ones(1, 2, 6, 6)
    PREPROCESSING.normalize(x)
    assert torch.equal(x, torch.ones(1, 2, 6, 6))


def test_a_file_brings_back_the_same_model(tmp_path: Path) -> None:
    mine = model()
    mine.save(tmp_path / "mine.safetensors")
    back = Model.load(tmp_path / "mine.safetensors")
    assert (back.network, back.preprocessing, back.classes, back.name) == (NETWORK, PREPROCESSING, CLASSES, "mine")
    assert not back.module.training
    np.testing.assert_array_equal(back.predict(images()), mine.predict(images()))
    back.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "mine.safetensors").read_bytes()


def test_predicting_gives_probabilities_whatever_the_batch_and_leaves_the_modes() -> None:
    mine = model()
    mine.module.train()
    mine.module[1].eval()  # pyright: ignore[reportIndexIssue]
    modes = [part.training for part in mine.module.modules()]
    state = {name: tensor.clone() for name, tensor in mine.module.state_dict().items()}
    whole = mine.predict(images())
    np.testing.assert_allclose(whole.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(mine.predict(images(), batch=2), whole, atol=1e-6)
    assert whole.dtype == np.float32
    assert [part.training for part in mine.module.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in mine.module.state_dict().items())
    assert mine.predict(images(0)).shape == (0, 4)


class HiddenSoftmax(nn.Module):
    """A softmax that is a function call, as in many a model from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.dense(x), 1)


def test_a_softmax_that_nobody_sees_is_not_taken_twice() -> None:
    module = HiddenSoftmax()
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    once = module(torch.from_numpy(x)).detach().numpy()
    foreign = Model.foreign(module, (4,), classes=("a", "b", "c"))
    np.testing.assert_allclose(foreign.predict(x, batch=3), once, atol=1e-6)
    scores = Model.foreign(module.dense, (4,), classes=("a", "b", "c"))
    np.testing.assert_allclose(scores.predict(x), once, atol=1e-6)


def test_modules_of_other_types_are_given_their_own() -> None:
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    dense = nn.Linear(4, 3)
    expected = Model.foreign(dense, (4,)).predict(x)
    found = Model.foreign(copy.deepcopy(dense).double(), (4,)).predict(x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32


def test_other_outputs_than_one_number_for_each_class_are_refused() -> None:
    with pytest.raises(ModelError, match=r"must give a row of 2 for each image, found \(1, 3\)"):
        Model.foreign(nn.Linear(4, 3), (4,), classes=("a", "b")).predict(np.zeros((1, 4)))

    class Listed(nn.Linear):
        def forward(self, input: torch.Tensor) -> Any:
            return [super().forward(input)]

    with pytest.raises(ModelError, match="for each image, found list"):
        Model.foreign(Listed(4, 3), (4,)).predict(np.zeros((1, 4)))


def test_whole_numbers_of_a_table_are_numbers_and_no_pixels() -> None:
    mine = Model.foreign(nn.Linear(4, 3), (4,))
    x = np.random.default_rng(0).integers(0, 256, (5, 4), dtype=np.uint8)
    np.testing.assert_array_equal(mine.predict(x), mine.predict(x.astype(np.float64)))


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        (8, {}, r"must be \(channels, rows, columns\) or \(features,\), found 8"),
        ((1.0, 8, 8), {}, r"found \(1.0, 8, 8\)"),
        ((1, 8), {}, r"found \(1, 8\)"),
        ((1, 8, 8), {"mean": 0.5}, "mean and std need one number for each of the 1 channels, found 0.5"),
        ((3, 8, 8), {"std": (1.0,)}, r"each of the 3 channels, found \(0.0, 0.0, 0.0\) and \(1.0,\)"),
        ((1, 8, 8), {"mean": ()}, r"each of the 1 channels, found \(\)"),
    ],
)
def test_preprocessing_that_cannot_be_is_refused_in_a_sentence(shape: Any, options: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        Model.foreign(nn.Identity(), shape, **options)


def test_numbers_of_numpy_are_numbers() -> None:
    shape: Any = (np.int64(2), 6, 6)
    mean: Any = tuple(np.array([0.5, 0.25], np.float32))
    mine = Model.foreign(nn.Flatten(), shape, mean=mean)
    expected = images().reshape(9, 2, 36) / 255 - np.array([[0.5], [0.25]])
    np.testing.assert_allclose(mine.predict(images()), expected.reshape(9, 72), atol=1e-6)


class Shared(nn.Sequential):
    """One layer, under two names."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(72, 72), nn.ReLU())
        self.append(self[1])


def test_weights_of_a_shared_layer_may_stand_under_one_of_its_names(tmp_path: Path) -> None:
    module = Shared()
    for kept in ("1", "3"):
        held = {name: tensor for name, tensor in module.state_dict().items() if name.startswith(kept)}
        save_file(held, tmp_path / "one.safetensors")
        loaded = Model.from_weights(Shared(), tmp_path / "one.safetensors", (2, 6, 6))
        np.testing.assert_array_equal(loaded.predict(images()), Model.foreign(module, (2, 6, 6)).predict(images()))


def test_names_that_begin_with_module_stay_where_the_module_has_them(tmp_path: Path) -> None:
    source = nn.Sequential(OrderedDict(module=nn.Linear(3, 2)))
    save_file(source.state_dict(), tmp_path / "own.safetensors")
    loaded = Model.from_weights(copy.deepcopy(source), tmp_path / "own.safetensors", (3,))
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(loaded.predict(x), Model.foreign(source, (3,)).predict(x))


def test_tensors_that_are_no_weights_of_the_module_are_refused(tmp_path: Path) -> None:
    dense = nn.Linear(4, 3)
    torch.save({0: torch.zeros(3)}, tmp_path / "numbered.pt")
    with pytest.raises(ModelError, match=r"does not hold a state dict.*; found the entries 0"):
        Model.from_weights(dense, tmp_path / "numbered.pt", (4,))
    torch.save({name: tensor.to(torch.complex64) for name, tensor in dense.state_dict().items()}, tmp_path / "i.pt")
    with pytest.raises(ModelError, match="are complex numbers, and the module's are real"):
        Model.from_weights(dense, tmp_path / "i.pt", (4,))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ["ant", "bee"]}, r"its network takes \(2, 6, 6\) and gives \(4,\)"),
        ({"preprocessing": {"shape": [2, 9, 9], "mean": [0, 0], "std": [1, 1], "fit": "pad"}}, r"are \(2, 9, 9\)"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    mine, path = model(), tmp_path / "mine.safetensors"
    mine.save(path)
    with safe_open(path, "pt") as file:
        described = json.loads(file.metadata()["striate"])
    save_file(mine.module.state_dict(), path, {"striate": json.dumps(described | change)})
    with pytest.raises(ModelError, match=words):
        Model.load(path)


def test_batches_of_nothing_are_refused() -> None:
    for batch in (0, -1):
        with pytest.raises(ModelError, match=f"a batch must hold at least 1 image, found {batch}"):
            model().predict(images(), batch)


def test_of_a_network_of_ours_the_last_layer_says_what_comes_out() -> None:
    network = Network.parse("input 2, dense 2")
    module = network.build()
    with torch.no_grad():
        module[0].weight.zero_()  # pyright: ignore[reportIndexIssue, reportCallIssue]
        module[0].bias.copy_(torch.tensor([1.0, 0.0]))  # pyright: ignore[reportIndexIssue, reportCallIssue]
    mine = Model(module, Preprocessing((2,), (0.0, 0.0), (1.0, 1.0)), ("a", "b"), network)
    expected = 1 / (1 + np.exp(-1.0))  # logits of 1 and 0, although they look like probabilities
    np.testing.assert_allclose(mine.predict(np.zeros((1, 2), np.float32))[0, 0], expected, rtol=1e-6)


def test_modes_are_put_back_after_an_exception() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("broken")

    broken = Model.foreign(Broken(), (2, 6, 6))
    broken.module.train()
    with pytest.raises(RuntimeError, match="broken"):
        broken.predict(images())
    assert broken.module.training


def test_vectors_of_any_float_are_taken_as_in_training() -> None:
    network = Network.parse("input 3, dense 4, tanh, dense 2")
    mine = Model(network.build(), Preprocessing((3,), (0.5, 1.0, 2.0), (1.0, 2.0, 3.0)), (), network)
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(mine.predict(x), mine.predict(x.astype(np.float32)))
    assert mine.predict(x[:0]).shape == (0, 2)


def test_images_of_another_kind_are_refused() -> None:
    with pytest.raises(ModelError, match=r"takes inputs of shape \(2, 6, 6\), found \(2, 5, 5\)"):
        model().predict(np.zeros((1, 2, 5, 5), np.uint8))
    with pytest.raises(ModelError, match="uint8 numbers from 0 to 255, found float64"):
        model().predict(np.zeros((1, 2, 6, 6)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no file"),
        (b"", "not a readable .safetensors file"),
        (b"\x80\x04pickle", "not a readable .safetensors file"),
        ({}, "not a striate model"),
        ({"striate": "{"}, "is damaged"),
        ({"striate": "[" * 100_000}, "is damaged"),
        ({"striate": '{"version": 99}'}, "has format version 99; this program reads 1"),
        ({"striate": '{"version": 1, "network": "conv 1"}'}, "is damaged"),
        ({"striate": '{"version": 1}'}, "is damaged"),
    ],
)
def test_files_that_hold_no_model_are_refused_in_a_sentence(
    content: bytes | dict[str, str] | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        save_file({"a": torch.zeros(1)}, path, content)
    with pytest.raises(ModelError) as caught:
        Model.load(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = Network.parse("input 2x6x6, conv 5 3x3, dense 4")
    described = json.dumps(
        {"version": 1, "name": "x", "network": str(NETWORK), "classes": [],
         "preprocessing": {"shape": [2, 6, 6], "mean": [0, 0], "std": [1, 1], "fit": "crop"}}
    )  # fmt: skip
    save_file(other.build().state_dict(), tmp_path / "mixed.safetensors", {"striate": described})
    with pytest.raises(ModelError, match="do not fit the module"):
        Model.load(tmp_path / "mixed.safetensors")


def test_foreign_weights_load_without_running_their_code(tmp_path: Path) -> None:
    source = nn.Linear(3, 2)
    torch.save(source.state_dict(), tmp_path / "plain.pt")
    torch.save({"state_dict": source.state_dict()}, tmp_path / "nested.pth")
    save_file(source.state_dict(), tmp_path / "safe.safetensors")
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    torch.save(nn.DataParallel(source).state_dict(), tmp_path / "parallel.pt")
    for name in ("plain.pt", "nested.pth", "safe.safetensors", "parallel.pt"):
        loaded = Model.from_weights(nn.Linear(3, 2), tmp_path / name, (3,))
        with torch.no_grad():
            np.testing.assert_allclose(loaded.predict(x), source(torch.from_numpy(x)).numpy(), atol=1e-6)
    torch.save({"a": Path("x")}, tmp_path / "code.pt")
    with pytest.raises(ModelError, match=r"without running code from it: it asks for pathlib\.[\w.]+; torch\.save\("):
        Model.from_weights(nn.Linear(3, 2), tmp_path / "code.pt", (3,))
    (tmp_path / "words.pt").write_text("hello")
    with pytest.raises(ModelError, match=r"it is damaged, or no file of torch\.save$"):
        Model.from_weights(nn.Linear(3, 2), tmp_path / "words.pt", (3,))
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="does not hold a state dict"):
        Model.from_weights(nn.Linear(3, 2), tmp_path / "list.pt", (3,))
    with pytest.raises(ModelError, match=r"must be a \.safetensors, \.pt or \.pth file"):
        Model.from_weights(nn.Linear(3, 2), tmp_path / "weights.h5", (3,))
    with pytest.raises(ModelError, match=r"do not fit the module: weight is 2x3 in the file, 2x4 in the module$"):
        Model.from_weights(nn.Linear(4, 2), tmp_path / "plain.pt", (4,))
    deep = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    with pytest.raises(ModelError, match=r"the file lacks 0\.weight, 0\.bias and 2 more; it also has weight, bias$"):
        Model.from_weights(deep, tmp_path / "plain.pt", (3,))


def test_a_foreign_module_cannot_be_saved_as_ours(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="was not built from a network's text"):
        Model.foreign(nn.Linear(3, 2), (3,)).save(tmp_path / "no.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (((2, 6), (0.0, 0.0), (1.0, 1.0)), "input shape"),
        (((2, 6, 6), (0.0,), (1.0,)), r"one number for each of the 2 channels, found \(0.0,\) and"),
        (((1, 6, 6), (0.0,), (0.0,)), "std above 0"),
        (((1, 6, 6), (float("nan"),), (1.0,)), "mean must be finite"),
    ],
)
def test_preprocessing_that_cannot_work_is_refused(
    values: tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        Preprocessing(*values)


def test_a_shape_may_be_a_list_as_json_has_it() -> None:
    model = Model.foreign(nn.Flatten(), [1, 2, 2])  # pyright: ignore[reportArgumentType]
    assert model.predict(np.zeros((3, 1, 2, 2), np.uint8)).shape == (3, 4)
