"""What rectifies nothing passes on the way down as the transpose of its Jacobian: nothing ordinary is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from projection_networks import Spelled, assert_same, awake, picture
from torch import Tensor, nn

from striate.inside.projections.projection import project
from striate.inside.projections.rules import backward_rule, follow_back


def beside_a_constant(x: Tensor) -> Tensor:
    x, constant = cast("tuple[Tensor, Tensor]", torch.broadcast_tensors(x, torch.full((1,), 0.5)))
    return x * constant


def further(x: Tensor) -> Tensor:
    return torch.cat([x, torch.zeros_like(x[:, :2])], 1)


def unpooled(x: Tensor) -> Tensor:
    y, switches = F.max_pool2d_with_indices(x, [2, 2])
    return F.max_unpool2d(y, switches, [2, 2], output_size=list(x.shape))


PASSING: dict[str, Callable[[Tensor], Tensor]] = {
    "by place": lambda x: x * (torch.arange(x.shape[-1]) >= 0).float(),
    "by chance": lambda x: x * (torch.rand_like(x) > 0.5).float(),
    "of ones": lambda x: x * (torch.ones_like(x) > 0).float(),
    "of its shape": lambda x: x * torch.full((1,), 0.5).expand_as(x) * torch.ones(1).to(x),
    "by chance, with a mask": lambda x: x.masked_fill(torch.rand_like(x) > 0.5, 0.0),
    "scaled in a view": lambda x: x.clone()[:, :3].mul_(2.0).repeat(1, 2, 1, 1),
    "beside": beside_a_constant,
    "unpooled": unpooled,
    "pooled with further channels": lambda x: F.max_pool2d(F.pad(x, (0, 0, 0, 0, 0, 2)) + further(x), 3, 1, 1)[:, :6],
}


@pytest.mark.parametrize("name", PASSING)
def test_what_is_linear_passes(name: str) -> None:
    assert project(awake(Spelled(PASSING[name])), picture()[0], "conv3", 1).abs().max() > 0


def response_norm(x: Tensor) -> Tensor:
    """As carried by networks that were converted from Caffe."""
    squares = F.avg_pool3d(x.pow(2)[:, None], (5, 1, 1), 1, (2, 0, 0))[:, 0]
    return x.div(squares.mul(0.5).add(1.0).pow(0.75))


def layer_norm(x: Tensor) -> Tensor:
    mean = x.mean(1, keepdim=True)
    return (x - mean) / torch.sqrt((x - mean).pow(2).mean(1, keepdim=True) + 1e-6)


def standardized(x: Tensor) -> Tensor:
    variance, mean = torch.var_mean(x, (2, 3), keepdim=True)
    return (x - mean) * torch.rsqrt(variance + 1e-5)


def of_moments(x: Tensor) -> Tensor:
    return x / ((x * x).mean((2, 3), True) - x.mean((2, 3), True).square() + 1e-5).sqrt()


WITHOUT_RECTIFICATION: dict[str, Callable[[Tensor], Tensor]] = {
    "response norm": lambda x: F.local_response_norm(x, 3, 0.5),
    "response norm across maps": nn.CrossMapLRN2d(3, 0.5),
    "response norm by hand": response_norm,
    "layer norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "layer norm by hand": layer_norm,
    "group norm": lambda x: F.group_norm(x, 2),
    "instance norm": F.instance_norm,
    "standardized": standardized,
    "of moments": of_moments,
    "root mean square": lambda x: F.rms_norm(x, x.shape[2:]),
    "normalized": F.normalize,
    "deviation": lambda x: x / (x.std(1, keepdim=True) + 0.1),
    "inverse": lambda x: x * (1 / (1 + x.square().sum(1, keepdim=True))),
    "largest of rows, of columns": lambda x: x.max(3)[0].max(2)[0][:, :, None, None].expand(x.shape),
    "largest of all places": lambda x: x.view(*x.shape[:2], -1).max(-1).values[:, :, None, None].expand(x.shape),
    "largest": lambda x: x.amax((2, 3), keepdim=True).expand(x.shape),
    "largest, flat": lambda x: x.amax(dim=(-1, -2))[:, :, None, None].repeat(1, 1, *x.shape[2:]),
    "resized": lambda x: F.interpolate(F.interpolate(x, scale_factor=2.0), size=x.shape[2:], mode="bilinear"),
    "reflected": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "around": lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
    "shuffled": lambda x: F.pixel_unshuffle(F.pixel_shuffle(torch.cat([x, x, x, x], 1), 2), 2)[:, ::4],
    "by channel": lambda x: F.channel_shuffle(x, 3).roll(1, 1).flip(2).transpose(2, 3),
    "folded": lambda x: F.fold(F.unfold(x, 3, padding=1), x.shape[2:], 3, padding=1),
    "by einsum": lambda x: torch.einsum("nchw,ck->nkhw", x, torch.arange(36.0).view(6, 6).sin()),
    "written into": lambda x: torch.zeros_like(x).index_add(1, torch.tensor([5, 3, 1, 0, 2, 4]), x),
    "transposed convolution": lambda x: F.conv_transpose2d(x, torch.arange(54.0).view(6, 1, 3, 3).cos(), groups=6),
}


@pytest.mark.parametrize("name", WITHOUT_RECTIFICATION)
def test_what_rectifies_nothing_passes_by_its_jacobian(name: str) -> None:
    net, image = awake(Spelled(WITHOUT_RECTIFICATION[name])), picture()
    image.requires_grad_()
    (expected,) = torch.autograd.grad(cast("Tensor", net(image))[0, 1, 0, 0], image)
    assert_same(project(net, image[0].detach(), "conv3", 1, (0, 0)), expected[0])


def test_the_first_of_equal_maxima_of_a_map() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), Whole())
    image = torch.zeros(1, 3, 3)
    image[0, 1, 2] = image[0, 2, 0] = 1
    net[0].weight.data.fill_(1)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue, reportUnknownMemberType]
    assert project(net, image, "1", 0).nonzero().tolist() == [[0, 1, 2]]


class Whole(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3))


def test_trainable_parameters_are_no_activations() -> None:
    net, image = nn.Conv2d(1, 2, 3), torch.rand(1, 1, 5, 5, requires_grad=True)
    scale = nn.Parameter(torch.tensor([2.0, 3.0]))
    with backward_rule("deconvnet"):
        y = (net(image.clone()) * scale.exp()[:, None, None]).relu()
    expected = net.weight[:1].detach() * float(scale[0].detach().exp())
    found = follow_back(y, torch.eye(9)[4].view(1, 1, 3, 3) * torch.tensor([1.0, 0])[:, None, None], image,
                        rule="deconvnet")  # fmt: skip
    assert_same(found[:, :, 1:4, 1:4], expected)
