"""Features of positions, matrices, and what stands where the images of a batch do: how their numbers are found."""

from __future__ import annotations

import pytest
import torch
from explained import Calls, noise, walked
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import ModelError
from striate.inside.explaining.ends import Pixel, Stop
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation
from striate.layers.terms import Products


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def test_positions_of_maps_keep_their_rows_and_columns() -> None:
    torch.manual_seed(0)
    parts = [nn.LayerNorm(4), nn.Linear(4, 6), nn.GELU(), nn.Dropout(), nn.Linear(6, 5)]
    module = nn.Sequential(nn.Conv2d(3, 4, 1), Calls(lambda x: x.flatten(2).transpose(1, 2)), *parts).eval()
    image = noise(3, 4, 3)
    with torch.no_grad():
        truth = module(image[None])[0].T.reshape(5, 4, 3)
    found = explain(module, image, "", 3, (2, 1), depth="input", follow=1)
    assert found.value == pytest.approx(float(truth[3, 2, 1]), rel=1e-5)
    below = found
    while isinstance(below, Explanation):
        assert below.position == (2, 1)
        below = below.below[0].found
    assert isinstance(below, Pixel)
    assert below.position == (2, 1)


@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer_of_tokens_is_named_after_what_it_is(bias: bool) -> None:
    torch.manual_seed(0)
    dense, image = nn.Linear(4, 3, bias), noise(4, 5, 2)
    for moved in (tokens, channels_last):
        found = explain(nn.Sequential(Calls(moved), dense), image, "1", 2, (3, 1), depth=1, follow=4)
        assert found.kind == f"dense 3{'' if bias else ' bias=no'} at each position"
        assert found.input == (4, 5, 2)
        assert isinstance(found.terms, Products)
        assert found.terms.equation == f"y[o] = {'b[o] + ' if bias else ''}Σ_k W[o,k] · x[k]"
        expected = (dense.weight[2].double() * image[:, 3, 1].double()).tolist()
        assert found.terms.products.tolist() == expected
        largest = sorted(range(4), key=lambda k: -abs(float(expected[k])))
        assert [each.source.at for each in found.below] == [(k, 3, 1) for k in largest]
        assert found.agrees


def test_positions_that_no_maps_are_behind_stand_in_one_row() -> None:
    """A class token stands before the positions; the head reads it alone."""
    torch.manual_seed(0)
    token, mix, head = nn.Parameter(noise(1, 1, 4)), nn.Linear(4, 4), nn.Linear(4, 2)

    class Classes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.mix, self.head = token, mix, head

        def forward(self, x: Tensor) -> Tensor:
            x = torch.cat([self.token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
            x = self.mix(x)
            return self.head((x @ x.transpose(1, 2) @ x)[:, 0])

    module, image = Classes(), noise(4, 3, 2)
    with torch.no_grad():
        truth = module(image[None])[0]
    found = explain(module, image, "", 1, depth=4, follow=2)
    assert found.value == pytest.approx(float(truth[1]), rel=1e-5)
    mixed = explain(module, image, "mix", 2, (0, 5), depth="input", follow=4)
    assert mixed.kind == "dense 4 at each position"
    with torch.no_grad():
        rows = torch.cat([token, image.flatten(1).T[None]], 1)
        assert mixed.value == pytest.approx(float(mix(rows)[0, 5, 2]), rel=1e-5)
    assert len(walked(mixed)) == 4


def test_a_dense_layer_of_matrices_that_are_no_batch() -> None:
    torch.manual_seed(0)
    part, image = nn.Linear(3, 2), noise(5, 4, 3)
    module = Calls(lambda x: part(x[0, 1]), part)
    with torch.no_grad():
        truth = part(image[1])
    found = explain(module, image, "", 0, (2, 1), depth="input")
    assert found.value == pytest.approx(float(truth[2, 1]), rel=1e-5)
    assert (found.unit, found.position) == (1, (0, 2))  # of the dense layer, whose positions are those of one row
    assert {(pixel.unit, pixel.position) for pixel in walked(found)} == {(1, (2, k)) for k in range(3)}


def test_a_matrix_has_one_unit() -> None:
    module = nn.Sequential(Calls(lambda x: x.flatten(2)), nn.Softmax(-1))
    image = noise(3, 2, 3)
    assert explain(module, image, "1", 0).value == pytest.approx(float(image.flatten(1).softmax(-1).max()), rel=1e-5)
    with pytest.raises(ModelError, match="no unit 1 in 1: it gives a matrix of 3 rows, 6 columns, which is unit 0"):
        explain(module, image, "1", 1, (0, 0))
    with pytest.raises(ModelError, match="no position 3,0 in 1: its maps have rows 0 to 2"):
        explain(module, image, "1", 0, (3, 0))


def test_what_is_no_batch_ends_no_way_down() -> None:
    """Channels moved to where the images of a batch stand, and back."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 1)
    module = Calls(lambda x: (F.mish(conv(x).transpose(0, 1)) * 2 - 1).transpose(0, 1), conv)
    image = noise(3, 2, 3)
    with torch.no_grad():
        truth = module(image[None])[0]
    found = explain(module, image, "", 3, (1, 2), depth="input")
    assert found.value == pytest.approx(float(truth[3, 1, 2]), rel=1e-5)
    assert walked(found)
    assert isinstance(found.below[0].found, Explanation | Stop)
