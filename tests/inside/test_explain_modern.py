"""Networks of today, taken apart: any number of any layer, to the pixels, against the module run in float64."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch
from explained import noise, walked
from modern_networks import MODERN, drawn
from torch import Tensor, nn
from zoo import ZOO

from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation

LAST = {
    "convnext": r"[13]\.block\.[1-5]",
    "mamba_out": r"[12]\.(norm|fc1|act|fc2)",
    "se_resnet": r"block2\.(norm|pwconv1|act|pwconv2)",
}
"""Layers that give maps with the channels last."""


def outputs(name: str, module: nn.Module, image: Tensor) -> dict[str, np.ndarray]:
    """What every submodule gives in float64, by plain hooks; maps always with the channels first."""
    found: dict[str, np.ndarray] = {}

    def keep(layer: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(part: nn.Module, inputs: object, output: Tensor) -> None:
            del part, inputs
            last = re.fullmatch(LAST.get(name, "-"), layer)
            found[layer] = (output.permute(0, 3, 1, 2) if last else output)[0].detach().numpy().copy()

        return hook

    twin = copy.deepcopy(module).double()
    for layer, part in twin.named_modules():
        part.register_forward_hook(keep(layer))
    twin(image.double()[None])
    return found


@pytest.mark.parametrize("name", MODERN)
def test_every_layer_is_taken_apart_to_the_pixels(name: str) -> None:
    make, shape = MODERN[name]
    module, image, random = drawn(make), 50 * noise(*shape), np.random.default_rng(3)
    truth = outputs(name, module, image)
    assert len(truth) == len(list(module.modules()))
    for layer, output in 2 * list(truth.items()):
        at = tuple(int(random.integers(side)) for side in output.shape)
        found = explain(module, image, layer, at[0], (at[1], at[2]) if len(at) == 3 else None, depth="input", follow=2)
        assert found.value == pytest.approx(output[at], rel=1e-4, abs=1e-5)
        assert (found.unit, *(found.position or ())) == at or found.layer != layer
        pixels = walked(found)
        assert pixels, layer
        assert all(pixel.value == float(image[(pixel.unit, *(pixel.position or ()))]) for pixel in pixels)


@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", MODERN)
def test_a_traced_network_is_explained_as_the_one_it_was_made_from(name: str) -> None:
    module, image = drawn(MODERN[name][0]), 50 * noise(*MODERN[name][1])
    traced = cast("nn.Module", torch.jit.trace(module, image[None]))
    expected, found = (explain(each, image, "", 2, depth="input", follow=2) for each in (module, traced))
    pixels = walked(found)
    assert pixels
    assert pixels == walked(expected)
    assert found.value == pytest.approx(expected.value, rel=1e-6)


@pytest.mark.parametrize("name", [name for name in ZOO if name != "lenet"])
def test_networks_with_what_projections_know_too(name: str) -> None:
    module, image = drawn(ZOO[name][0]), noise(*ZOO[name][1])
    with torch.no_grad():
        truth = module(image[None])[0]
    unit = int(truth.flatten(1).amax(1).argmax()) if truth.dim() == 3 else 1
    found = explain(module, image, "", unit, depth="input", follow=2)
    expected = truth[unit].max() if truth.dim() == 3 else truth[unit]
    assert found.value == pytest.approx(float(expected), rel=1e-4, abs=1e-5)
    assert walked(found)


def kinds(found: Explanation) -> set[str]:
    """The kinds of layers met on the way down."""
    below = [each.found for each in found.below]
    return {found.kind.split()[0]}.union(*(kinds(each) for each in below if isinstance(each, Explanation)))


def test_what_stands_in_the_networks_is_met_on_the_way() -> None:
    met: set[str] = set()
    for make, shape in MODERN.values():
        module = drawn(make)
        for layer in [name for name, _ in module.named_children()]:
            met |= kinds(explain(module, noise(*shape), layer, 1, depth="input"))
    assert {"product", "hardswish", "hardsigmoid", "silu", "gelu", "layernorm", "groupnorm"} <= met
    assert {"adaptiveavgpool", "residual", "difference", "quotient", "relu6", "elu", "sigmoid"} <= met


def test_a_branch_left_out_in_training_is_a_product_with_what_was_drawn() -> None:
    module, image = drawn(MODERN["efficientnet"][0]), noise(3, 12, 12)
    seen = [explain(module, image, "1.block.4", 0, (1, 1), training=True, seed=seed) for seed in range(12)]
    assert all(each.agrees and each.kind == "product with a constant" for each in seen)
    drawn_factors = {round(each.as_json()["terms"]["known"]["k"], 6) for each in seen}
    assert drawn_factors == {0.0, 1.25}
