"""The description against the module that is built: counts, shapes, names, receptive fields, multiply-adds."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from torch.utils.flop_counter import FlopCounterMode

from striate.network import Network

from .strategies import fitting_networks


def test_the_lectures_numbers() -> None:
    network = Network.parse("input 1x28x28, conv 20 5x5")
    (row,) = network.describe().rows
    assert (row.name, row.text, row.input, row.output) == ("conv1", "conv 20 5x5", (1, 28, 28), (20, 24, 24))
    assert row.parameters == 520
    assert row.dense_parameters == (784 + 1) * 20 * 24 * 24
    assert row.field is not None
    assert (row.field.size, row.field.stride) == ((5, 5), (1, 1))
    assert row.multiply_adds == 20 * 24 * 24 * 25
    assert Network.parse("input 784, dense 30").describe().rows[0].parameters == 23_550


@settings(max_examples=60)
@given(fitting_networks())
def test_counts_shapes_and_names_are_those_of_the_module(network: Network) -> None:
    description = network.describe()
    module = network.build().eval()
    assert description.parameters == sum(p.numel() for p in module.parameters())
    assert network.input is not None
    assert tuple(module(torch.zeros(2, *network.input)).shape[1:]) == description.output
    parts = dict(module.named_modules())
    for row in description.rows:
        assert sum(p.numel() for p in parts[row.name].parameters()) == row.parameters
    assert [row.name for row in description.layers] == list(network.names)


@settings(max_examples=40)
@given(fitting_networks())
def test_every_shape_on_the_way_is_that_of_the_module(network: Network) -> None:
    module, seen = network.build().eval(), dict[str, tuple[int, ...]]()
    parts = dict(module.named_modules())

    def note(name: str) -> None:
        parts[name].register_forward_hook(lambda _m, _i, out: seen.update({name: tuple(out.shape[1:])}))

    rows = network.describe().rows
    for row in rows:
        note(row.name)
    assert network.input is not None
    module(torch.zeros(1, *network.input))
    assert seen == {row.name: row.output for row in rows}


@pytest.mark.parametrize(
    "text",
    [
        "input 3x16x20, conv 8 3x5 stride=2 pad=1, relu, conv 6 3x3 groups=2 dilation=2 bias=no, dense 7, dense 3",
        "input 4x9x9, residual(conv 4 3x3 pad=1, relu, conv 4 3x3 pad=1), concat(conv 2 1x1 | conv 3 1x1), dense 2",
    ],
)
def test_multiply_adds_are_those_that_torch_counts(text: str) -> None:
    network = Network.parse(text)
    assert network.input is not None
    with FlopCounterMode(display=False) as counter:
        network.build()(torch.zeros(1, *network.input))
    weighted = sum(r.multiply_adds for r in network.describe().rows if r.dense_parameters is not None)
    assert counter.get_total_flops() == 2 * weighted


@pytest.mark.parametrize(
    ("text", "size", "stride"),
    [
        ("conv 1 5x5, avgpool 2x2, conv 1 5x5", (14, 14), (2, 2)),
        ("conv 1 3x5 stride=2x1 dilation=1x2, conv 1 3x1 pad=1", (7, 9), (2, 1)),
        ("residual(conv 1 3x3 pad=1, conv 1 3x3 pad=1), conv 1 3x3 stride=3", (7, 7), (3, 3)),
        ("concat(conv 1 1x7 pad=0x3 | conv 1 7x1 pad=3x0), avgpool 2x2", (8, 8), (2, 2)),
    ],
)
def test_receptive_fields_are_where_the_input_has_a_gradient(
    text: str, size: tuple[int, int], stride: tuple[int, int]
) -> None:
    network = Network.parse(text, input=(1, 40, 40))
    field = network.describe().rows[-1].field if "(" not in text else network.describe().layers[-1].field
    assert field is not None
    assert (field.size, field.stride) == (size, stride)
    module = network.build().double()
    for parameter in module.parameters():
        torch.nn.init.ones_(parameter)
    x = torch.zeros(1, 1, 40, 40, dtype=torch.float64, requires_grad=True)
    row, column = 4, 5
    module(x)[0, 0 if "concat" not in text else slice(None), row, column].sum().backward()
    assert x.grad is not None
    rows, columns = x.grad[0, 0].nonzero(as_tuple=True)
    begin = [start + at * step for start, at, step in zip(field.start, (row, column), field.stride, strict=True)]
    assert [int(rows.min()), int(columns.min())] == begin
    assert [int(rows.max()) + 1, int(columns.max()) + 1] == [b + s for b, s in zip(begin, field.size, strict=True)]


def test_a_network_of_vectors_has_no_receptive_fields() -> None:
    assert {row.field for row in Network.preset("ann").describe().rows} == {None}


def test_rows_of_blocks_come_before_those_inside() -> None:
    text = "input 3x8x8, residual(conv 4 3x3 pad=1, residual(relu) | conv 4 1x1), concat(relu | tanh)"
    rows = Network.parse(text).describe().rows
    assert [(row.name, row.text, row.depth) for row in rows] == [
        ("residual1", "residual(...)", 0),
        ("residual1.body.conv1", "conv 4 3x3 pad=1x1", 1),
        ("residual1.body.residual1", "residual(...)", 1),
        ("residual1.body.residual1.body.relu1", "relu", 2),
        ("residual1.shortcut.conv1", "conv 4 1x1", 1),
        ("concat1", "concat(...)", 0),
        ("concat1.branch1.relu1", "relu", 1),
        ("concat1.branch2.tanh1", "tanh", 1),
    ]
    assert rows[0].parameters == rows[1].parameters + rows[4].parameters


def test_totals() -> None:
    description = Network.parse("input 1x6x6, conv 2 3x3, relu, dense 5").describe()
    assert description.parameters == 20 + 165
    assert description.multiply_adds >= 2 * 16 * 9 + 32 * 5
    assert description.activations == 36 + 32 + 32 + 5
    assert description.dense_parameters == 37 * 32 + 165


def test_numbers_are_exact_however_large() -> None:
    network = Network.parse("input 1000x1000x1000, conv 1000 3x3 pad=1", allow_large=True)
    assert network.describe().rows[0].dense_parameters == (10**9 + 1) * 10**9


def test_json_says_all_of_it() -> None:
    description = Network.preset("resnet18").describe()
    read = json.loads(json.dumps(description.as_json()))
    assert read["parameters"] == 11_689_512
    assert read["input"] == [3, 224, 224]
    assert len(read["rows"]) == len(description.rows)
    assert read["rows"][0]["field"] == {"size": [7, 7], "stride": [2, 2], "start": [-3, -3]}
    assert math.prod(read["output"]) == 1000
