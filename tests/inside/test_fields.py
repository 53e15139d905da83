"""Receptive fields against brute force: in a network whose weights are all positive and whose image is black but for
one pixel, exactly the units that look at this pixel are above zero."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from striate.errors import ModelError
from striate.inside.receptive.fields import Box, receptive_fields
from striate.inside.watching.watch import layer_shapes, watch
from striate.network import Network

SIDES = (11, 13)


def lit(module: nn.Module, layers: list[str], sides: tuple[int, int] = SIDES, channels: int = 2) -> dict[str, Tensor]:
    """Layer -> bool (image rows, image columns, rows, columns): whether the position sees the pixel."""
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.abs() + 0.1)
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
        images = torch.eye(sides[0] * sides[1], dtype=torch.float64).view(-1, 1, *sides).repeat(1, channels, 1, 1)
        with watch(module, layers) as seen:
            module(images)
    outputs = {name: output if output.dim() == 4 else output[:, :, None, None] for name, output in seen.layers()}
    return {name: (o > 0).any(1).view(*sides, *o.shape[2:]) for name, o in outputs.items()}


def check(module: nn.Module, how: str = "traced", sides: tuple[int, int] = SIDES, channels: int = 2) -> None:
    fields = receptive_fields(module, (channels, *sides))
    layers = list(layer_shapes(module, torch.zeros(1, channels, *sides)))
    assert list(fields) == layers
    for name, seen in lit(module, layers, sides, channels).items():
        field = fields[name]
        assert (len(field.rows), len(field.columns)) == tuple(seen.shape[2:])
        for row, span in enumerate(field.rows):
            assert span == hull(seen[:, :, row].any(1).any(1)), (name, row)
        for column, span in enumerate(field.columns):
            assert span == hull(seen[:, :, :, column].any(0).any(1)), (name, column)
    assert {field.how for field in fields.values()} <= {how, "traced"}
    assert any(field.how == how for field in fields.values())


def met(module: nn.Module, layers: list[str], input: tuple[int, int, int]) -> dict[str, Tensor]:
    """As `lit`, for what subtracts or divides: each pixel in turn is NaN, and what becomes NaN has seen it."""
    sides = input[1:]
    images = torch.zeros(sides[0] * sides[1], *input, dtype=torch.float64)
    images.flatten(2)[torch.arange(len(images)), :, torch.arange(len(images))] = torch.nan
    with torch.no_grad(), watch(module.double().eval(), layers) as seen:
        module(images)
    outputs = {name: output if output.dim() == 4 else output[:, :, None, None] for name, output in seen.layers()}
    return {name: o.isnan().any(1).view(*sides, *o.shape[2:]) for name, o in outputs.items()}


KINDS = [
    "conv 4 3x3 pad=1, layernorm, relu6, conv 4 3x3 stride=2, silu, maxpool 2x2, elu",
    "conv 4 3x3, adaptiveavgpool 5x4, conv 2 2x2, hardswish, adaptivemaxpool 2x3",
    "conv 4 3x3, adaptivemaxpool 3x3, hardsigmoid, conv 2 2x2",
    "conv 4 3x3, groupnorm 2, conv 2 3x3, maxpool 2x2",
    "conv 4 3x3, gate(globalavgpool, dense 2, relu, dense 4, sigmoid), conv 2 3x3",
    "conv 4 3x3, gate(conv 1 1x1, conv 4 3x3 pad=1, sigmoid), conv 2 3x3",
    "conv 4 3x3, gate(adaptiveavgpool 1x1, conv 4 1x1), adaptiveavgpool 4x3, dense 3",
    "conv 4 3x3, residual(conv 4 3x3 pad=1, layernorm, gelu), groupnorm 1, globalavgpool, layernorm, dense 2",
]


@pytest.mark.parametrize("text", KINDS)
def test_what_networks_say_of_themselves_is_traced_and_is_what_perturbation_says(text: str) -> None:
    network = Network.parse(f"input 2x13x12, {text}")
    module = network.build(1)
    fields = receptive_fields(module, (2, 13, 12))
    described = {row.name: row.field for row in network.describe().rows}
    for name, seen in met(module, list(fields), (2, 13, 12)).items():
        field = fields[name]
        assert field.how == "traced"
        for axis, spans in enumerate((field.rows, field.columns)):
            expected = [hull(seen.select(2 + axis, p).any(2).any(1 - axis)) for p in range(len(spans))]
            assert list(spans) == expected, name
            stated = described.get(name)
            if stated is None:  # a module of which the text knows nothing, such as the branch as a whole
                continue
            for p, (first, last) in enumerate(spans):
                start = stated.start[axis] + p * stated.stride[axis]
                assert start <= first
                assert last < start + stated.size[axis]
            if field.regular:
                assert (field.size[axis], field.start[axis]) == (stated.size[axis], stated.start[axis]), name


@pytest.mark.parametrize("text", KINDS[:1] + KINDS[3:])
def test_fields_that_move_in_equal_steps_are_stated_for_all_positions(text: str) -> None:
    fields = receptive_fields(Network.parse(f"input 2x13x12, {text}"))
    assert all(field.regular for field in fields.values())


def hull(line: Tensor) -> tuple[int, int]:
    places = torch.nonzero(line).flatten().tolist()
    return (places[0], places[-1]) if places else (0, -1)


class Along(nn.Module):
    """Does something along rows, columns or channels, between two convolutions."""

    def __init__(self, way: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.before, self.after, self.way = nn.Conv2d(2, 2, 3), nn.Conv2d(2, 1, 2), way
        self.done = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.done(self.way(self.before(x))))


EXCHANGED = torch.tensor([1, 0, 2, 3, 4, 5, 7, 6])
WAYS: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "softmax of columns": (lambda x: x.softmax(-1), False),
    "softmax of rows": (lambda x: x.softmax(2), False),
    "log softmax of rows": (lambda x: x.log_softmax(-2), False),
    "softmax of channels": (lambda x: x.softmax(1), True),
    "softmax of channels, from the end": (lambda x: x.log_softmax(-3), True),
    "columns exchanged": (lambda x: x.index_select(3, EXCHANGED), False),
    "rows exchanged": (lambda x: torch.cat([x[:, :, EXCHANGED], x[:, :, 8:]], 2), False),
    "channels exchanged": (lambda x: torch.cat([x[:, 1:], x[:, :1]], 1), True),
    "half of the columns exchanged": (lambda x: torch.cat([x[..., 4:], x[..., :4]], 3), False),
    "less the mean of each row": (lambda x: x - x.mean(3, keepdim=True), False),
    "by the norm of each column": (lambda x: F.normalize(x, dim=2), False),
    "by the norm of all channels": (lambda x: F.normalize(x, dim=1), True),
    "beside themselves turned": (lambda x: x + x.flip(3), False),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_goes_along_rows_or_columns_has_no_field_that_moves_in_steps(way: str) -> None:
    module, (does, regular) = Along(WAYS[way][0]), WAYS[way]
    assert does(torch.ones(1, 2, 9, 8)).shape == (1, 2, 9, 8)
    fields = receptive_fields(module, (2, 11, 10))
    for name, seen in met(module, ["before", "done", "after"], (2, 11, 10)).items():
        field = fields[name]
        for axis, spans in enumerate((field.rows, field.columns)):
            assert list(spans) == [hull(seen.select(2 + axis, p).any(2).any(1 - axis)) for p in range(len(spans))]
            for p, (first, last) in enumerate(spans):
                box = field.box((p, 0) if axis == 0 else (0, p), clipped=False)
                assert box[axis] <= first
                assert last < box[axis + 2]
        assert field.regular == (regular or name == "before")


@st.composite
def windows(draw: st.DrawFn) -> nn.Module:
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    padding = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
    match draw(st.sampled_from(["conv", "max", "mean", "pad", "relu", "norm"])):
        case "conv":
            return nn.Conv2d(2, 2, kernel, stride, padding, draw(st.integers(1, 2)), draw(st.sampled_from([1, 2])))
        case "max":
            return nn.MaxPool2d(kernel, stride, padding, ceil_mode=draw(st.booleans()))
        case "mean":
            return nn.AvgPool2d(kernel, stride, padding, ceil_mode=draw(st.booleans()))
        case "pad":
            return nn.ZeroPad2d([draw(st.integers(0, 2)) for _ in range(4)])  # pyright: ignore[reportArgumentType]
        case "relu":
            return nn.ReLU(inplace=draw(st.booleans()))
        case _:
            return nn.BatchNorm2d(2)


class Branches(nn.Module):
    """Two paths, added where their shapes agree, otherwise joined by channel after cutting both to the smaller one."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left, self.right, self.last = left, right, nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.left(x), self.right(x)
        rows, columns = min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3])
        return self.last(torch.cat([a[:, :, :rows, :columns], b[:, :, :rows, :columns]], 1))


chains = st.lists(windows(), min_size=1, max_size=4).map(lambda layers: nn.Sequential(*layers))


def works(module: nn.Module) -> bool:
    try:
        layer_shapes(module, torch.zeros(1, 2, *SIDES))
    except ModelError:
        return False
    return True


@settings(max_examples=40, deadline=None)
@given(chains)
def test_chains_see_what_perturbation_says(module: nn.Sequential) -> None:
    if works(module):
        check(module)


@settings(max_examples=20, deadline=None)
@given(chains, chains)
def test_branches_see_what_perturbation_says(left: nn.Module, right: nn.Module) -> None:
    module = Branches(left, right)
    if works(module):
        check(module)


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, (3, 2), padding="same"), nn.Conv2d(4, 4, 3, 2, 1)
        self.down, self.c = nn.Conv2d(4, 4, 1, 2), nn.Conv2d(2, 2, 3)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a(x), inplace=True)
        y = self.b(x)
        y += self.down(x)
        y = F.max_pool2d(y.relu_(), 3, 1, 1)
        upper, lower = y.chunk(2, 1)  # the halves go different ways
        lower = F.avg_pool2d(self.c(lower), 2)
        upper = torch.roll(upper.view(len(x), 1, 2, *upper.shape[2:]).transpose(1, 2).flatten(1, 2), 1, 2)
        whole = torch.cat([F.adaptive_avg_pool2d(upper, 2).flatten(1)[:, :6], lower.mean((2, 3))], 1)
        return self.last(whole)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_functions_views_and_halves() -> None:
    check(Functional())


def test_buffers_that_are_filled_piece_by_piece() -> None:
    class Filled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(2, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = torch.zeros_like(x)
            y[:, :1] = self.a(x[:, :1])
            y[:, 1:, 2:] = x[:, 1:, 2:]
            return self.b(y)

    check(Filled())


@pytest.mark.parametrize(
    "upwards",
    [
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(2, 2, (3, 2), (2, 3), 1, dilation=(2, 1)),
        nn.ConvTranspose2d(2, 2, 2, 1, groups=2),
    ],
)
def test_going_up(upwards: nn.Module) -> None:
    check(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), upwards, nn.Conv2d(2, 2, 3, padding=1)))


class Summed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(3)


def test_what_cannot_be_traced_is_measured_and_said_so() -> None:
    module = nn.Sequential(nn.Conv2d(2, 2, 3, 2), Summed(), nn.Conv2d(2, 2, 3, padding=1), nn.Flatten())
    check(module, how="perturbed")
    assert receptive_fields(module, (2, *SIDES))["0"].how == "traced"


def test_size_stride_and_start_beyond_the_image() -> None:
    """Simonyan's block of two 3x3 layers sees 5x5; deep layers see more than a small image has (Araujo et al. 2019)."""
    net = nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(6)])
    field = receptive_fields(net, (1, 5, 5))["5"]
    assert (field.size, field.stride, field.start) == ((13, 13), (1, 1), (-6, -6))
    assert field.box((2, 2)) == Box(0, 0, 5, 5)
    assert field.box((2, 2), clipped=False) == Box(-4, -4, 9, 9)
    with pytest.raises(ModelError, match="no position"):
        field.box((5, 0))


@pytest.mark.parametrize("name", ["vanilla", "alexnet", "resnet18", "ann", "lenet5"])
def test_networks_agree_with_their_description(name: str) -> None:
    network = Network.preset(name)
    fields = receptive_fields(network)
    rows = {row.name: row.field for row in network.describe().rows if row.name in fields and row.field is not None}
    assert len(rows) > 3 or name == "ann"
    for layer, field in rows.items():
        found = fields[layer]
        assert (found.size, found.start) == (field.size, field.start), layer
        lone = (len(found.rows) == 1, len(found.columns) == 1)
        assert found.stride == tuple(0 if one else j for one, j in zip(lone, field.stride, strict=True)), layer


def test_alexnet_has_the_published_fields() -> None:
    fields = receptive_fields(Network.preset("alexnet"))
    sizes = {name: fields[name].size[0] for name in ("conv1", "conv2", "conv3", "conv4", "conv5")}
    assert sizes == {"conv1": 11, "conv2": 51, "conv3": 99, "conv4": 131, "conv5": 163}


def test_an_image_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot be run on an input of 3x8x8"):
        receptive_fields(nn.Conv2d(1, 1, 3), (3, 8, 8))
    with pytest.raises(ModelError, match="input_shape"):
        receptive_fields(nn.Conv2d(1, 1, 3))
