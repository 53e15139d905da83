"""Decoders and attention, taken apart: any number of any layer, to the pixels, against the module run in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch
from elsewhere_networks import ELSEWHERE, WAYS, Block, with_attention
from explained import noise, walked
from modern_networks import drawn
from torch import Tensor, nn

from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation

Outputs = dict[str, np.ndarray]


def outputs(module: nn.Module, image: Tensor) -> Outputs:
    """What every submodule gives in float64, by plain hooks; positions that stand before the channels as maps."""
    found: dict[str, list[np.ndarray]] = {}

    def keep(layer: str) -> Callable[[nn.Module, object, object], None]:
        def hook(part: nn.Module, inputs: object, output: object) -> None:
            del part, inputs
            if not isinstance(output, Tensor):
                return
            y = output.detach().clone()
            if y.dim() == 3 and "softmax" not in layer:
                y = y.reshape(20, -1).T.reshape(1, -1, *((1, 20) if layer.endswith(("proj", "attn")) else (5, 4)))
            found.setdefault(layer, []).append(y[0].numpy())

        return hook

    twin = copy.deepcopy(module).double()
    for layer, part in twin.named_modules():
        part.register_forward_hook(keep(layer))
    with torch.no_grad():
        twin(image.double()[None])
    calls = {layer: [f"{layer}@{k}" for k in range(1, len(each) + 1)] for layer, each in found.items()}
    names = {layer: [layer] if len(each) == 1 else each for layer, each in calls.items()}
    return {name: y for layer, each in found.items() for name, y in zip(names[layer], each, strict=True)}


@pytest.mark.parametrize("name", [name for name in ELSEWHERE if name != "maxvit"])
def test_every_layer_is_taken_apart_to_the_pixels(name: str) -> None:
    make, shape = ELSEWHERE[name]
    module, image, random = drawn(make), noise(*shape), np.random.default_rng(3)
    for layer, output in outputs(module, image).items():
        at = tuple(int(random.integers(side)) for side in output.shape)
        unit, position = (0, at) if len(at) == 2 else (at[0], at[1:] or None)
        found = explain(module, image, layer, unit, cast("tuple[int, int] | None", position), depth="input", follow=2)
        assert found.value == pytest.approx(output[at], rel=1e-4, abs=1e-5), layer
        pixels = walked(found)
        assert pixels, layer
        assert all(pixel.value == float(image[(pixel.unit, *(pixel.position or ()))]) for pixel in pixels)


@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_traced_network_is_explained_as_the_one_it_was_made_from(name: str) -> None:
    module, image = drawn(ELSEWHERE[name][0]), noise(*ELSEWHERE[name][1])
    checked = name != "encoder"  # which torch runs in another way where it needs no gradients, and then finds so
    traced = cast("nn.Module", torch.jit.trace(module, image[None], check_trace=checked))
    expected, found = (explain(each, image, "", 1, depth="input", follow=2) for each in (module, traced))
    assert walked(found) == walked(expected) != []
    assert found.value == pytest.approx(expected.value, rel=1e-6)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_an_exported_network_likewise(name: str) -> None:
    module, image = drawn(ELSEWHERE[name][0]), noise(*ELSEWHERE[name][1])
    program = torch.export.export(module, (image[None],)).module()
    expected, found = (explain(each, image, "", 1, depth="input", follow=2) for each in (module, program))
    assert walked(found) == walked(expected) != []
    assert found.value == pytest.approx(expected.value, rel=1e-6)


def test_torchs_own_block() -> None:
    """nn.TransformerEncoderLayer, which has a quicker way that shows none of its calls."""
    torch.manual_seed(0)

    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.head = nn.Conv2d(3, 4, 3, 2), nn.Linear(4, 2)
            self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.layers(self.stem(x).flatten(2).mT).mean(1))

    module, image = Layers().eval(), noise(3, 9, 7)
    with torch.no_grad():
        truth = module(image[None])[0]
    found = explain(module, image, "", 1, depth="input", follow=2)
    assert found.value == pytest.approx(float(truth[1]), rel=1e-4)
    assert walked(found)


def kinds(found: Explanation) -> set[str]:
    """The kinds of layers met on the way down."""
    below = [each.found for each in found.below]
    return {found.kind.split()[0]}.union(*(kinds(each) for each in below if isinstance(each, Explanation)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unet", {"convtranspose", "concat", "groupnorm", "batchnorm", "maxpool"}),
        ("unet_bilinear", {"interpolate", "concat", "softplus"}),
        ("super_resolution", {"clamp", "interpolate", "prelu", "residual"}),
        ("non_local", {"matmul", "softmax", "residual", "mish"}),
        ("coatnet", {"matmul", "softmax", "product", "sum", "layernorm", "gelutanh"}),
        ("encoder", {"matmul", "softmax", "product", "layernorm"}),
    ],
)
def test_what_stands_in_the_networks_is_met_on_the_way(name: str, expected: set[str]) -> None:
    module, image = drawn(ELSEWHERE[name][0]), noise(*ELSEWHERE[name][1])
    met: set[str] = set()
    for unit in (0, 1):
        met |= kinds(explain(module, image, "", unit, depth="input"))
    assert expected <= met


def test_windows_that_stand_where_a_batch_does() -> None:
    make, shape = ELSEWHERE["maxvit"]
    module, image = drawn(make), noise(*shape)
    with torch.no_grad():
        mixed = module[:2](image[None])[0]  # pyright: ignore[reportIndexIssue, reportUnknownVariableType]
    for at in ((0, 0, 0), (3, 5, 8), (1, 2, 4)):
        found = explain(module, image, "1", at[0], (at[1], at[2]), depth="input", follow=2)
        assert found.value == pytest.approx(float(cast("Tensor", mixed)[at]), rel=1e-4, abs=1e-6)
        assert walked(found)
    assert {"matmul", "softmax", "sum", "layernorm", "conv"} <= kinds(explain(module, image, "", 1, depth="input"))


def below(found: Explanation) -> list[tuple[str, float]]:
    """The kinds and values of all numbers on the way down, each once."""
    own = [(found.kind.split()[0].replace("einsum", "matmul"), round(found.value, 4))]
    deeper = [each.found for each in found.below if isinstance(each.found, Explanation)]
    return sorted({*own, *(pair for each in deeper for pair in below(each))})


@pytest.mark.parametrize("way", WAYS[1:])
def test_attention_is_one_however_it_is_written(way: str) -> None:
    image = noise(3, 11, 9)
    modules = [drawn(lambda way=each: with_attention(Block(4, 20, way))) for each in (WAYS[0], way)]
    expected, found = (explain(each, image, "", 2, depth="input", follow=1) for each in modules)
    assert found.value == pytest.approx(expected.value, rel=1e-6)
    assert walked(found) == walked(expected)
    # The scale stands elsewhere: at the queries, or at the scores. All else is the same.
    ours, theirs = (
        {pair for pair in below(each) if pair[0] in ("softmax", "conv", "layernorm")} for each in (found, expected)
    )
    assert ours == theirs


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["unet_bilinear", "non_local", "coatnet"])
def test_other_types_of_numbers(name: str, dtype: torch.dtype) -> None:
    """A cast of numbers between two layers ends the way down; what is above it is right."""
    module, image = drawn(ELSEWHERE[name][0]).to(dtype), noise(*ELSEWHERE[name][1]).to(dtype)
    todo = [explain(module, image, "", 1, depth="input", follow=2)]
    for found in todo:
        assert found.agrees, found.text()
        todo += [each.found for each in found.below if isinstance(each.found, Explanation)]
    assert len(todo) > 5
