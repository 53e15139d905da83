"""The module that is built: plain torch, drawn layer by layer from named seeds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from striate.network import Network

from .strategies import fitting_networks

TEXT = (
    "input 1x12x12, conv 4 3x3, batchnorm, relu, maxpool 2x2, {}"
    "residual(conv 4 3x3 pad=1, relu), dense 8, relu, dense 3"
)


def weights(text: str, seed: int = 0) -> dict[str, torch.Tensor]:
    return dict(Network.parse(text).build(seed).state_dict())


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_it_is_plain_torch() -> None:
    module = Network.preset("vanilla").build()
    assert type(module) is nn.Sequential
    assert type(module.conv1) is nn.Conv2d
    assert module.conv1.weight.dtype == torch.float32
    assert all(parameter.requires_grad and parameter.device.type == "cpu" for parameter in module.parameters())
    assert module.training


def test_same_seed_same_weights_other_seed_others() -> None:
    assert equal(weights(TEXT.format("")), weights(TEXT.format("")))
    other = weights(TEXT.format(""), seed=1)
    assert not torch.equal(other["conv1.weight"], weights(TEXT.format(""))["conv1.weight"])


def test_layers_do_not_share_their_draws() -> None:
    drawn = weights("input 4, dense 4, dense 4")
    assert not torch.equal(drawn["dense1.weight"], drawn["dense2.weight"])


def test_a_layer_put_in_changes_no_other_draw() -> None:
    assert equal(weights(TEXT.format("")), weights(TEXT.format("dropout 0.5, ")))
    plain, deeper = weights(TEXT.format("")), weights(TEXT.format("") + ", relu, dense 3")
    assert equal(plain, {name: value for name, value in deeper.items() if name in plain})


def test_the_draws_are_those_of_torch_under_the_named_seed() -> None:
    """Known by construction: the generator is seeded with the first 8 bytes of SHA-256 of "seed/name"."""
    import hashlib

    built = Network.parse("input 5, dense 3").build(7)
    seed = int.from_bytes(hashlib.sha256(b"7/dense1").digest()[:8], "big")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected = nn.Linear(5, 3)
    assert torch.equal(dict(built.named_parameters())["dense1.weight"], expected.weight)
    assert torch.equal(dict(built.named_parameters())["dense1.bias"], expected.bias)


def test_global_random_state_is_untouched() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    Network.parse(TEXT.format("")).build(5)
    assert torch.equal(torch.get_rng_state(), before)


@settings(max_examples=40)
@given(fitting_networks())
def test_every_number_is_set(network: Network) -> None:
    """Built twice from memory that holds other things, the same comes out."""
    one, other = network.build(1), network.build(1)
    assert equal(dict(one.state_dict()), dict(other.state_dict()))
    assert all(torch.isfinite(value).all() for value in one.state_dict().values())


@pytest.mark.parametrize("name", ["vanilla", "tiny-vgg", "resnet18"])
def test_children_are_named_as_the_layers(name: str) -> None:
    network = Network.preset(name)
    children = [child for child, _ in network.build().named_children()]
    assert [child for child in children if child in network.names] == list(network.names)
    assert {child.split("_")[1] for child in children if child not in network.names} <= {"flatten", "pad"}
