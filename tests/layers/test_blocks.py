"""Blocks: which branches there are, what is refused, and modules that trace, copy, save and export as any other."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import fx

from striate.errors import ShapeError
from striate.layers import Block, Field, Layer, Shape, sequence
from striate.layers.batchnorm import BatchNorm
from striate.layers.concat import Concat
from striate.layers.conv import Conv
from striate.layers.dense import Dense
from striate.layers.flatten import Flatten
from striate.layers.gate import Gate
from striate.layers.globalpool import GlobalAvgPool
from striate.layers.pool import MaxPool
from striate.layers.rectifiers import Relu
from striate.layers.residual import Residual
from striate.layers.sigmoids import Sigmoid

if TYPE_CHECKING:
    from pathlib import Path

SAME = Conv(4, (3, 3), pad=(1, 1))
HALVED = Conv(8, (3, 3), (2, 2), pad=(1, 1), bias=False)
BLOCKS: list[Layer] = [
    Residual((SAME, Relu())),
    Residual((HALVED, BatchNorm(), Relu(), Conv(8, (3, 3), pad=(1, 1)))),
    Residual((HALVED,), (Conv(8, (1, 1), (2, 2)), BatchNorm())),
    Concat(((), (SAME,), (MaxPool((3, 3), (1, 1), (1, 1)), Conv(2, (1, 1))))),
    Gate((GlobalAvgPool(), Dense(2), Relu(), Dense(4), Sigmoid())),
    Gate((Conv(4, (1, 1)), Sigmoid())),
]
KEYS = [
    {"residual1.body.conv1"},
    {"residual1.body.conv1", "residual1.body.batchnorm1", "residual1.body.conv2", "residual1.shortcut.conv1"},
    {"residual1.body.conv1", "residual1.shortcut.conv1", "residual1.shortcut.batchnorm1"},
    {"concat1.branch2.conv1", "concat1.branch3.conv1"},
    {"gate1.body.dense1", "gate1.body.dense2"},
    {"gate1.body.conv1"},
]
INPUT = (4, 6, 6)


@pytest.fixture(params=range(len(BLOCKS)), ids=lambda at: str(BLOCKS[at]))
def built(request: pytest.FixtureRequest) -> torch.nn.Sequential:
    torch.manual_seed(1)
    return sequence.module([BLOCKS[request.param]], INPUT).eval()


@pytest.mark.parametrize(("block", "keys"), list(zip(BLOCKS, KEYS, strict=True)), ids=map(str, BLOCKS))
def test_state_is_under_the_branches_names(block: Layer, keys: set[str]) -> None:
    assert {key.rpartition(".")[0] for key in sequence.module([block], INPUT).state_dict()} == keys


def test_traces_copies_and_takes_its_state_back(built: torch.nn.Sequential) -> None:
    x = torch.randn(2, *INPUT, generator=torch.Generator().manual_seed(2))
    y = built(x)
    copied = copy.deepcopy(built)
    assert torch.equal(copied(x), y)
    for part in copied.parameters():
        torch.nn.init.zeros_(part)
    copied.load_state_dict(built.state_dict())
    assert torch.equal(copied(x), y)
    assert torch.equal(fx.symbolic_trace(built)(x), y)
    assert torch.equal(torch.export.export(built, (x,)).module()(x), y)


def test_is_pickled_as_any_module(built: torch.nn.Sequential) -> None:
    """As data loaders and launchers of several processes do it."""
    buffer = io.BytesIO()
    torch.save(built, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    x = torch.ones(1, *INPUT)
    assert torch.equal(loaded(x), built(x))


# Of torch's own making: its exporter calls what another part of it has deprecated.
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
def test_exports_to_onnx(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.manual_seed(1)
    module = sequence.module([BLOCKS[3], Conv(4, (1, 1)), *BLOCKS[4:], *BLOCKS[:2]], INPUT)
    x = torch.randn(2, *INPUT, generator=torch.Generator().manual_seed(2))
    path = tmp_path / "blocks.onnx"
    torch.onnx.export(module.eval(), (x,), path, input_names=["x"], dynamo=True, verbose=False)
    (y,) = onnxruntime.InferenceSession(path).run(None, {"x": x.numpy()})
    np.testing.assert_allclose(y, module(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_projection_stands_where_shapes_differ() -> None:
    block = Residual((HALVED, Conv(8, (3, 3), pad="same")))
    assert [str(layer) for layer in block.parts((4, 7, 6))["shortcut"]] == ["conv 8 1x1 stride=2x2 bias=no"]
    assert Residual((Conv(5, (1, 1)),)).parts(INPUT)["shortcut"] == (Conv(5, (1, 1), bias=False),)
    assert Residual((Dense(3),)).parts((5,))["shortcut"] == (Dense(3, bias=False),)
    assert Residual((SAME,)).parts(INPUT) == {"body": (SAME,), "shortcut": ()}


@pytest.mark.parametrize(
    ("block", "input", "words"),
    [
        (Residual((Conv(4, (3, 3)),)), INPUT, ["4x4x4", "4x6x6", "pad the body", "shortcut"]),
        (Residual((GlobalAvgPool(),)), INPUT, ["no projection leads from maps to a vector"]),
        (Residual((HALVED,), (Conv(8, (1, 1)),)), INPUT, ["body gives 8x3x3", "shortcut gives 8x6x6"]),
        (Residual((SAME, Conv(2, (9, 9)))), INPUT, ["in body", "conv2", "9x9", "6x6"]),
        (Concat(((SAME,), (HALVED,))), INPUT, ["branch1 gives 4x6x6", "branch2 gives 8x3x3"]),
        (Concat(((SAME,), (Flatten(),))), INPUT, ["branch2 gives 144"]),
        (Gate((GlobalAvgPool(), Dense(5))), INPUT, ["body gives 5 factors for 4x6x6", "4 or 4x1x1 or 4x6x6"]),
        (Gate((Dense(4),)), (3,), ["body gives 4 factors for 3", "allowed: 3"]),
        (Gate((HALVED,)), INPUT, ["body gives 8x3x3"]),
        (Residual((Conv(1, (1, 1), (1024, 1)), Conv(1, (1, 1), (2, 1)))), (1, 5000, 1), ["1024", "2048"]),
    ],
)
def test_shapes_that_cannot_be_joined_are_refused(block: Block, input: Shape, words: list[str]) -> None:
    with pytest.raises(ShapeError) as refused:
        block.output(input)
    assert all(word in str(refused.value) for word in words), str(refused.value)


@pytest.mark.parametrize(
    ("kind", "branches", "words"),
    [
        (Residual, ((),), "needs layers in its body"),
        (Residual, ((SAME,), ()), "leave out the |"),
        (Residual, ((SAME,), (SAME,), (SAME,)), "found 3"),
        (Residual, (), "found 0"),
        (Concat, ((SAME,),), "two branches or more"),
        (Concat, ((), (SAME,), ()), "only one branch"),
        (Gate, ((),), "the layers that make its factors"),
        (Gate, ((SAME,), (SAME,)), "found 2 branches"),
    ],
)
def test_branches_that_make_no_sense_are_refused(
    kind: type[Block], branches: tuple[tuple[Layer, ...], ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words.replace("|", r"\|")):
        kind.of(branches)


@pytest.mark.parametrize("branch", [[Relu()], Relu(), ("relu",), "relu"])
def test_branches_made_in_python_are_tuples_of_layers(branch: Any) -> None:
    for made in (lambda: Residual(branch), lambda: Gate(branch), lambda: Concat((branch, (Relu(),)))):
        with pytest.raises(ValueError, match="must be a tuple of layers, found"):
            made()
    with pytest.raises(ValueError, match="the branches of concat must be a tuple, found"):
        Concat([(Relu(),), ()])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_branches_make_the_block_again(block: Block) -> None:
    assert type(block).of(block.branches) == block
    assert len(block.names_of_branches) == len(block.branches)


def test_text_form() -> None:
    assert str(BLOCKS[0]) == "residual(conv 4 3x3 pad=1x1, relu)"
    assert str(BLOCKS[2]).endswith("| conv 8 1x1 stride=2x2, batchnorm)")
    assert str(BLOCKS[4]) == "gate(globalavgpool, dense 2, relu, dense 4, sigmoid)"
    assert str(Concat(((), (Relu(),)))) == "concat( | relu)"


def test_deep_nesting_is_quick() -> None:
    """Every level asks the levels below for their shapes; without memory that takes minutes here."""
    block: Layer = SAME
    for level in range(12):
        block = Residual((Conv(5 + level, (3, 3), pad="same"), block, Conv(5 + level, (1, 1))))
    assert block.field((3, 16, 16), Field()).size[0] > 12
    assert block.parameters((3, 16, 16)) > 0


def test_description_needs_no_torch() -> None:
    code = """if True:
        import sys
        from striate.layers import kinds, sequence
        block = kinds()["residual"].of(((kinds()["conv"](4, (3, 3), pad="same"),),))
        assert sequence.parameters([block], (3, 8, 8)) == 4 * 28 + 12
        assert "torch" not in sys.modules and "scipy" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)
