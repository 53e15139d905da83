"""Numbers moved about between layers are followed to where they stood; zeros around maps, training and tracing."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch
from explained import noise, walked
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import ModelError
from striate.inside.explaining.ends import Pixel, Stop
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation
from striate.layers.terms import Products
from striate.network import Network

Call = Callable[[Tensor], Tensor]


@pytest.fixture(autouse=True)
def drawn_alike() -> None:
    """The same weights in every run."""
    torch.manual_seed(0)


MOVES: dict[str, Call] = {
    "view and transpose": lambda x: x.view(1, 2, 2, 6, 6).transpose(1, 2).reshape(1, 4, 6, 6),
    "channel_shuffle": lambda x: F.channel_shuffle(x, 2),
    "chunk": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "split": lambda x: torch.cat(torch.split(x, [1, 3], dim=1), dim=1),
    "slice": lambda x: x[:, 1:, ::2, 1:-1],
    "permute": lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
    "permute and stay": lambda x: x.permute(0, 3, 1, 2),
    "mT": lambda x: x.mT,
    "reflected": lambda x: F.pad(x, (2, 1, 0, 3), mode="reflect"),
    "around": lambda x: F.pad(x, (1, 1, 0, 2), mode="circular"),
    "squeezed": lambda x: x.squeeze().unsqueeze(0),
    "shuffled pixels": lambda x: F.pixel_shuffle(x, 2),
    "larger": lambda x: F.interpolate(x, scale_factor=2),
    "flip": lambda x: x.flip(-1).roll(1, 2),
    "sum": lambda x: cast("Tensor", sum([x, x.flip(2)])),
    "repeated": lambda x: x.repeat(1, 2, 1, 1).detach().clone(),
}


class Between(nn.Module):
    """A call between the image, a ReLU and a linear layer."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call
        self.relu = nn.ReLU()
        self.dense = nn.LazyLinear(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.call(self.relu(x))
        return self.dense(y.reshape(len(y), -1))


@pytest.mark.parametrize("call", MOVES.values(), ids=MOVES.keys())
def test_numbers_are_followed_to_where_they_stood(call: Call) -> None:
    image = noise(4, 6, 6).abs()
    module = Between(call)
    with torch.no_grad():
        module(image[None])
    found = explain(module, image, "dense", 1, depth="input", follow=9)
    pixels = walked(found)
    assert len(pixels) >= 9
    assert all(pixel.value == float(image[(pixel.unit, *(pixel.position or ()))]) for pixel in pixels)


@pytest.mark.parametrize("seed", range(6))
def test_random_moves_in_a_row(seed: int) -> None:
    """Every number of the image is another, so that its value says where it stood."""
    random = np.random.default_rng(seed)
    calls = [list(MOVES.values())[k] for k in random.permutation(10)[:4]]

    def all_of_them(x: Tensor) -> Tensor:
        for call in calls:
            y = call(x)
            x = y if y.shape == x.shape else x
        return x

    image = torch.from_numpy(random.permutation(144).reshape(4, 6, 6)).float() + 1
    module = Between(all_of_them)
    with torch.no_grad():
        module(image[None])
    assert all(
        pixel.value == float(image[(pixel.unit, *(pixel.position or ()))])
        for pixel in walked(explain(module, image, "dense", 0, depth="input", follow=60))
    )


def test_of_a_layer_that_moves_numbers_the_one_is_explained_that_stood_there_before() -> None:
    module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.PixelShuffle(2))
    image = noise(1, 5, 5)
    with torch.no_grad():
        truth = module(image[None])[0]
    found = explain(module, image, "1", 1, (3, 4))
    assert (found.layer, found.unit, found.position) == ("0", 4 + 2, (1, 2))
    assert found.module_value == pytest.approx(float(truth[1, 3, 4]))
    with pytest.raises(ModelError, match=r"no unit 2 in 1: it has 2 units"):
        explain(module, image, "1", 2)
    largest = explain(module, image, "1", 0)
    assert largest.module_value == pytest.approx(float(truth[0].max()))


# --- zeros around maps ---------------------------------------------------------------------------------------------


def test_padding_of_its_own_belongs_to_the_convolution() -> None:
    conv = nn.Conv2d(2, 3, 3, stride=2)

    class Padded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(F.pad(x, (1, 1, 1, 1)), conv.weight, conv.bias, 2)

    image = noise(2, 6, 7)
    found = explain(Padded(), image, "", 1, (0, 3), depth=1)
    assert found.kind == "conv 3 3x3 stride=2x2 pad=1x1"
    assert walked(found)


@pytest.mark.parametrize("kernel", ["2x2", "4x3", "3x3 stride=2", "5x4 stride=2x1 dilation=2"])
def test_padding_that_is_larger_on_one_side_belongs_to_the_convolution(kernel: str) -> None:
    network = Network.parse(f"input 2x8x7, conv 2 1x1, conv 3 {kernel} pad=same")
    found = explain(network.build(0), noise(2, 8, 7), "conv2", 1, (3, 0), depth="input")
    assert isinstance(found.terms, Products)
    assert (found.kind, found.input) == (str(network.layers[1]), network.shapes[0])
    for spot, inside in zip(found.terms.places.reshape(-1, 3), found.terms.inside.ravel(), strict=True):
        assert inside == all(0 <= place < side for place, side in zip(spot, network.shapes[0], strict=True))
    assert walked(found)


@pytest.mark.parametrize("sides", [(1, 0, 2, 0), (0, 3, 1, 1)])
def test_padding_on_some_sides_counts_as_numbers(sides: tuple[int, int, int, int]) -> None:
    module = nn.Sequential(nn.ZeroPad2d(sides), nn.Conv2d(1, 2, 3), nn.MaxPool2d(2))
    image = noise(1, 6, 6)
    with torch.no_grad():
        truth = module(image[None])[0]
    for at in np.ndindex(*truth.shape):
        found = explain(module, image, "2", at[0], (at[1], at[2]), depth="input", follow=4)
        assert found.value == pytest.approx(float(truth[at]), rel=1e-5)
        assert walked(found)


def test_a_zero_of_the_padding_that_wins_is_named() -> None:
    module = nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(2))
    found = explain(module, -noise(1, 4, 4).abs() - 1, "1", 0, (0, 0), depth="input")
    assert found.value == 0
    assert [below.found for below in found.below] == [Stop("a 0 that was put around the maps, which counts")]
    with pytest.raises(ModelError, match="a 0 that was put around maps: no layer makes it"):
        explain(nn.Sequential(nn.Conv2d(1, 1, 1), nn.ZeroPad2d(1)), noise(1, 4, 4), "1", 0, (0, 0))


# --- what computes with functions of its own -----------------------------------------------------------------------


class Standardized(nn.Conv2d):
    """A kind of convolution that this package does not know: its weights are standardized before use."""

    def forward(self, input: Tensor) -> Tensor:
        weight = (self.weight - self.weight.mean()) / self.weight.std()
        return self._conv_forward(input, weight, self.bias)


def test_a_layer_of_ones_own_is_explained_by_the_call_it_makes() -> None:
    module = nn.Sequential(Standardized(1, 2, 3, padding=1), nn.ReLU())
    image = noise(1, 5, 5)
    found = explain(module, image, "0", 1, (2, 2), depth="input")
    assert found.agrees
    assert found.kind == "conv 2 3x3 pad=1x1"
    assert walked(found)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_traced_module_is_explained_as_the_module_it_was_made_from() -> None:
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(), nn.AvgPool2d(3),
        nn.Flatten(), nn.Linear(3, 2), nn.Softmax(1),
    ).eval()  # fmt: skip
    image = noise(1, 6, 6)
    traced = cast("nn.Module", torch.jit.trace(module, image[None]))
    expected, found = (explain(each, image, "8", 1, depth="input") for each in (module, traced))
    assert walked(found)
    assert found.as_json() == expected.as_json()


ENDS: list[tuple[Call, str]] = [
    (F.softsign, "the function softsign, which no layer's equation describes"),
    (lambda x: F.avg_pool2d(x, 2, divisor_override=3), "avg_pool2d with divisor_override=3; explained is the mean"),
    (lambda x: F.pad(x, (1, 1), value=2), "the function pad, which"),
    (lambda x: torch.stack([x, x]).cumsum(0)[1], "the function cumsum, which"),
    (lambda x: torch.cat([x, x], 2), "the function cat with dim=2; explained is dim=1, by unit"),
    (lambda x: F.max_pool2d(x[0], 2)[None], "max_pool2d with an input of shape (4, 6, 6); explained is a batch of one"),
]


@pytest.mark.parametrize(("call", "words"), ENDS, ids=[words for _, words in ENDS])
def test_what_ends_the_way_down_is_said_in_one_sentence(call: Call, words: str) -> None:
    image = noise(4, 6, 6)
    module = Between(call)
    with torch.no_grad():
        module(image[None])
    (stop, *_) = explain(module, image, "dense", 0, depth="input").below
    assert isinstance(stop.found, Stop)
    assert stop.found.reason.startswith("the way down ends here: it is made by the function ")
    assert words in stop.found.reason
    assert "\n" not in stop.found.reason


def test_a_number_that_was_rounded_on_its_way_is_not_said_to_be_the_layers() -> None:
    module = Between(lambda x: x.half().float())
    image = noise(4, 6, 6)
    with torch.no_grad():
        module(image[None])
    (stop, *_) = explain(module, image, "dense", 0, depth="input").below
    assert stop.found == Stop(
        "the way down ends here: this number was overwritten or rounded on its way between two layers"
    )


# --- as in training ------------------------------------------------------------------------------------------------


def test_dropout_in_training_leaves_out_what_the_module_left_out() -> None:
    module = nn.Sequential(nn.Linear(30, 30), nn.ReLU(), nn.Dropout(0.4), nn.Linear(30, 3))
    image = noise(30)
    found = [explain(module, image, "2", unit, training=True, seed=3, depth=2) for unit in range(30)]
    assert all(each.agrees for each in found)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        truth = module[:3](image[None])[0].tolist()
    assert [each.value for each in found] == pytest.approx(truth, abs=1e-6)
    known = [each.as_json()["terms"]["known"]["m"] for each in found]
    assert 5 < sum(known) < 28
    last = explain(module, image, "3", 1, training=True, seed=3, depth="input")
    assert walked(last)


def test_batch_norm_in_training_takes_the_statistics_of_the_image() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
    image = noise(1, 8, 8)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    found = explain(module, image, "1", 1, (2, 3), training=True)
    maps = module[0](image[None])[0, 1].detach().double().numpy()
    assert found.value == pytest.approx((maps[2, 3] - maps.mean()) / np.sqrt(maps.var() + 1e-5), rel=1e-4)
    assert found.agrees
    assert "mean and variance of the 36 numbers of unit 1 in this batch" in found.text()
    assert not any(part.training for part in module.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    with pytest.raises(ModelError, match="cannot be run as in training on one image: Expected more than 1 value"):
        explain(nn.BatchNorm1d(4), noise(4), "", 0, training=True)


def test_a_dropout_that_always_draws_is_explained_as_it_drew() -> None:
    """Written without `training=self.training`, a common fault."""

    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x, 0.5)

    image = noise(64)
    found: list[Explanation] = [explain(Always(), image, "", unit, depth=1) for unit in range(8)]
    assert all(each.agrees and isinstance(each.below[0].found, Pixel) for each in found)
    assert "x / (1 − p)" in found[0].text()
