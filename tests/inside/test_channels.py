"""Layers that carry their channels last, as in ConvNeXt and Swin: their units are the channels all the same."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from projection_networks import assert_same, awake
from torch import Tensor, nn

from striate.inside.atlases.atlas import atlas
from striate.inside.projections.projection import project
from striate.inside.receptive.fields import receptive_fields
from striate.inside.studies.activations import activations
from striate.inside.watching.watch import layer_shapes, undisturbed, watch


class Block(nn.Module):
    """ConvNeXt's, with ReLUs: by depth, then channels last, and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.pwconv1, self.act, self.pwconv2 = nn.Linear(width, 3 * width), nn.ReLU(), nn.Linear(3 * width, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.gamma * self.pwconv2(self.act(self.pwconv1(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


class Twin(nn.Module):
    """The same function with its channels in dimension 1 throughout."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block, self.wide, self.act = block, nn.Identity(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        b = self.block
        y = b.dwconv(x)
        y = (y - y.mean(1, True)) / (y.var(1, correction=0, keepdim=True) + b.norm.eps).sqrt()
        y = y * b.norm.weight[:, None, None] + b.norm.bias[:, None, None]
        y = self.act(self.wide(F.conv2d(y, b.pwconv1.weight[:, :, None, None], b.pwconv1.bias)))
        y = F.conv2d(y, b.pwconv2.weight[:, :, None, None], b.pwconv2.bias)
        return x + b.gamma[:, None, None] * y


def convnext() -> nn.Sequential:
    return awake(nn.Sequential(nn.Conv2d(2, 4, 2, 2), Block(4), nn.Conv2d(4, 3, 2, 2)))


def twin(net: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(net[0], Twin(cast("Block", net[1])), net[2]).eval()


def pictures(count: int = 3) -> Tensor:
    return torch.randn(count, 2, 12, 16, generator=torch.Generator().manual_seed(4))


def test_activations_are_units_by_rows_by_columns() -> None:
    net, images = convnext(), pictures()
    found, expected = activations(net, images), activations(twin(net), images)
    torch.testing.assert_close(found["1.pwconv1"], expected["1.wide"])
    torch.testing.assert_close(found["1.act"], expected["1.act"])
    torch.testing.assert_close(found["1"], expected["1"])
    assert found["1.norm"].shape == (3, 4, 6, 8)
    assert layer_shapes(net, images)["1.pwconv1"] == (12, 6, 8)


def test_projections() -> None:
    net, image = convnext(), pictures()[0]
    other = twin(net)
    assert_same(project(net, image, "1.act", 7), project(other, image, "1.act", 7))
    assert_same(project(net, image, "1.pwconv1", 11, (5, 2)), project(other, image, "1.wide", 11, (5, 2)))
    assert_same(project(net, image, "2", 1), project(other, image, "2", 1))


def test_receptive_fields() -> None:
    net = convnext()
    fields = receptive_fields(net, (2, 12, 16))
    assert fields["1.pwconv1"].box((0, 0)) == fields["1.dwconv"].box((0, 0)) == (0, 0, 4, 4)
    assert fields["1.act"].box((3, 4)) == fields["1.dwconv"].box((3, 4)) == (4, 6, 10, 12)


def test_the_atlas(tmp_path: Path) -> None:
    net, images = convnext(), pictures(12)
    made = atlas(net, images, tmp_path / "atlas", ["1.act"], top=3)
    maps = activations(twin(net), images)["1.act"]
    assert made.layer("1.act")["shape"] == [12, 6, 8]
    for unit in range(12):
        order = maps[:, unit].amax((1, 2)).sort(descending=True, stable=True).indices
        for place, item in enumerate(made.unit("1.act", unit)["top"]):
            image = int(order[place])
            position = divmod(int(maps[image, unit].argmax()), 8)
            assert (item["image"], tuple(item["position"])) == (image, position)
            expected = project(twin(net), images[image], "1.act", unit, position)
            scale = float(made.array("1.act", "projection_scales")[unit, place])
            assert abs(scale - float(expected.abs().max())) <= 1e-5 * scale


def test_what_is_kept_can_be_differentiated_on_both_sides() -> None:
    net, images = convnext(), pictures(1).requires_grad_()
    with undisturbed(net) as still, watch(still, ["1.pwconv1"]) as seen:
        y = still(images)
        (above,) = torch.autograd.grad(y.sum(), seen["1.pwconv1"], retain_graph=True)
        (below,) = torch.autograd.grad(seen["1.pwconv1"].sum(), images)
    other = twin(net)
    with undisturbed(other) as still, watch(still, ["1.wide"]) as seen:
        y = still(images)
        (expected_above,) = torch.autograd.grad(y.sum(), seen["1.wide"], retain_graph=True)
        (expected_below,) = torch.autograd.grad(seen["1.wide"].sum(), images)
    torch.testing.assert_close(above, expected_above)
    torch.testing.assert_close(below, expected_below)


class Windows(nn.Module):
    """Swin's: tokens, a grid with channels last, windows, attention by heads, patches merged."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.grid = nn.Conv2d(2, 4, 2, 2), nn.LayerNorm(4), nn.Identity()
        self.qkv, self.heads, self.drop = nn.Linear(4, 12), nn.Identity(), nn.Dropout()
        self.merged, self.reduction, self.pooled = nn.Identity(), nn.Linear(16, 5, bias=False), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = self.grid(self.norm(x).view(len(x), 6, 8, 4))
        q, k, v = self.qkv(x.reshape(len(x), 48, 4)).view(len(x), 48, 3, 2, 2).permute(2, 0, 3, 1, 4).unbind(0)
        y = self.heads(self.drop((q @ k.mT).softmax(-1)) @ v).transpose(1, 2).reshape(len(x), 6, 8, 4)
        x = torch.roll(x + y, (1, 1), (1, 2))
        merged = torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)
        return self.pooled(self.reduction(self.merged(merged)).mean([1, 2]))


def test_views_that_keep_or_take_apart_the_channels() -> None:
    shapes = layer_shapes(awake(Windows()), pictures())
    assert shapes["grid"] == (4, 6, 8)
    assert shapes["drop"] == (2, 48, 48), "heads stand first, as the module has them"
    assert shapes["merged"] == (16, 3, 4)
    assert shapes["reduction"] == (5, 3, 4)
    assert shapes["pooled"] == (5,)
