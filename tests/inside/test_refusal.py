"""What has no deconvnet rule is refused by name: a projection is never silently the plain gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from projection_networks import Spelled, assert_same, awake, picture
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from striate.errors import ModelError
from striate.inside.projections.projection import project
from striate.inside.projections.rules import backward_rule, follow_back


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    first, second = x.split(3, 1)
    return torch.cat([first, second], 1), torch.cat([second, first], 1)


def beside_zeros(x: Tensor, dim: int) -> Tensor:
    return torch.stack([x, torch.zeros_like(x)], dim)


def with_its_own_norm(x: Tensor) -> Tensor:
    return (x + x[None].norm(dim=0)) / 2  # pyright: ignore[reportUnknownMemberType]


REFUSED: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "gelu": ("gelu", nn.GELU()),
    "silu": ("silu", F.silu),
    "elu": ("elu", nn.ELU()),
    "leaky relu": ("leakyrelu", nn.LeakyReLU()),
    "hard tanh": ("hardtanh", nn.Hardtanh()),
    "sigmoid": ("sigmoid", torch.sigmoid),
    "tanh in place": ("tanh", lambda x: x.tanh_()),
    "softplus": ("softplus", nn.Softplus()),
    "mish": ("mish", nn.Mish()),
    "hardswish": ("hardswish", nn.Hardswish(inplace=True)),
    "prelu": ("prelu", nn.PReLU()),
    "softmax": ("softmax", nn.Softmax(1)),
    "clamp at 1": ("clamp", lambda x: x.clamp(-1, 1)),
    "ceiling only": ("clamp", lambda x: x.clamp(max=6)),
    "where": ("where", lambda x: torch.where(x > 0, x, 0.0)),
    "mask": ("a product with a mask", lambda x: x * (x > 0)),
    "threshold": ("threshold", lambda x: F.threshold(x, 0.5, 0)),
    "maximum": ("maximum", lambda x: torch.maximum(x, 0.1 * x)),
    "minimum": ("minimum", lambda x: torch.minimum(x, torch.tensor(6.0))),
    "sin": ("sin", torch.sin),
    "sign": ("sign", lambda x: x * (x.sign() + 1) / 2),
    "tanh on a view": ("tanh", lambda x: x.view(len(x), -1).tanh_().view(x.shape)),
    "a square on a view": ("pow", lambda x: x.view(len(x), -1).pow_(2).view(x.shape)),
    "beside zeros": ("amax", lambda x: beside_zeros(x, 0).amax(0)),
    "beside zeros, with places": ("max", lambda x: beside_zeros(x, 0).max(0).values),
    "beside zeros, last": ("max", lambda x: beside_zeros(x.flatten(1), 2).max(2).values.view(x.shape)),
    "beside zeros, along": ("side by side", lambda x: F.max_pool1d(beside_zeros(x.flatten(1), 2), 2).view(x.shape)),
    "joined with zeros": (
        "max",
        lambda x: torch.cat([x.flatten(1)[:, None], torch.zeros(1, 1, x[0].numel())], 1).max(1)[0].view(x.shape),
    ),
    "sorted": ("sort", lambda x: beside_zeros(x, 0).sort(0)[0][1]),
    "the highest": ("topk", lambda x: beside_zeros(x, 0).topk(1, 0)[0][0]),
    "absolute": ("abs", lambda x: (x + x.abs()) / 2),
    "root of the square": ("sqrt", lambda x: (x + (x * x).sqrt()) / 2),
    "power of the square": ("pow", lambda x: (x + (x**2) ** 0.5) / 2),
    "over its root": ("a division", lambda x: (x + (x**2) / (x**2 + 1e-9)) / 2),
    "with its own norm": ("linalgvectornorm", with_its_own_norm),
    "ceil": ("detached", lambda x: x * x.clamp(0, 1).ceil().detach()),
    "straight through": ("detached", lambda x: x - x.detach().clamp(max=0)),
    "of a statistic": ("detached", lambda x: x - x.detach().mean()),
    "without gradient": ("a product with a mask", lambda x: x * torch.no_grad()(lambda: (x > 0) + 0.0)()),
    "where it is highest": ("gather", lambda x: beside_zeros(x, 0).gather(0, beside_zeros(x, 0).argmax(0)[None])[0]),
    "almost 0": ("clamp", lambda x: x.clamp(min=1e-6)),
    "silu by hand": ("sigmoid", lambda x: x * x.sigmoid()),
    "gated": ("a product of two values", lambda x: halves(x)[0] * halves(x)[1]),
    "squared": ("a product of two values", lambda x: x * x),
    "gated on a view": ("a product of two values", lambda x: x.clone()[:, :3].mul_(x[:, 3:]).repeat(1, 2, 1, 1)),
    "squeezed and excited": ("a product of two values", lambda x: x * x.mean((2, 3), keepdim=True)),
    "attention": ("attention", lambda x: F.scaled_dot_product_attention(x, x, x)),
    "attention by hand": ("a product of two values", lambda x: x @ x.mT @ x),
    "filters of its own": ("a product of two values", lambda x: F.conv2d(x, x.view(6, -1, 1, 1)[:, :6])),
    "rounded down": ("a rounded division", lambda x: x.div(0.1, rounding_mode="floor")),
    "scaled by its response": ("a product of two values", lambda x: x * x.pow(2).mean(1, keepdim=True)),
    "exponential": ("exp", lambda x: x.exp()),
}
"""How to spell it -> what it is called when it is refused, and the function."""


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_refused_by_name_or_passed_by_its_gradient(name: str) -> None:
    said, bend = REFUSED[name]
    net = awake(Spelled(bend))
    image = picture()
    with pytest.raises(ModelError, match=f"{said}.* has no deconvnet rule"):
        project(net, image[0], "conv3", 1)
    image.requires_grad_()
    (expected,) = torch.autograd.grad(cast("Tensor", net(image.clone()))[0, 1, 0, 0], image)
    found = project(net, image[0].detach(), "conv3", 1, (0, 0), others="gradient")
    if expected.abs().max() > 0:
        assert_same(found, expected[0])
    assert project(net, image[0].detach(), "conv1", 1).abs().max() > 0, "it is not on the way"


def assigned(x: Tensor) -> Tensor:
    y = x.clone()
    y[y < 0] = 0
    return y


def assigned_in_a_view(x: Tensor) -> Tensor:
    y = x.clone()
    y.view(-1)[y.view(-1) < 0] = 0
    return y


def assigned_by_place(x: Tensor) -> Tensor:
    return x.index_put((x < 0).nonzero(as_tuple=True), torch.tensor(0.0))


def a_mask_filled_in(x: Tensor) -> Tensor:
    mask = torch.zeros_like(x)
    mask[x > 0] = 1
    return x * mask


MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "as floats": lambda x: x * (x > 0).float(),
    "of the type": lambda x: (x.detach() > 0).type_as(x) * x,
    "in place": lambda x: x.clone().mul_(x.gt(0).to(x.dtype)),
    "taken away": lambda x: x - x * (x < 0).double().float(),
    "filled in": a_mask_filled_in,
    "step": lambda x: x * torch.heaviside(x.data, torch.tensor(0.0)),
    "added": lambda x: torch.addcmul(torch.zeros(1), x, (x > 0).float()),
    "assigned": assigned,
    "assigned in a view": assigned_in_a_view,
    "assigned by place": assigned_by_place,
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_made_of_activations_are_refused(name: str) -> None:
    net = awake(Spelled(MASKS[name]))
    image = picture()
    with pytest.raises(ModelError, match="mask has no deconvnet rule"):
        project(net, image[0], "conv3", 1)
    image.requires_grad_()
    (expected,) = torch.autograd.grad(net(image)[0, 1, 0, 0], image)
    assert_same(project(net, image[0].detach(), "conv3", 1, (0, 0), others="gradient"), expected[0])


def beside_a_constant(x: Tensor) -> Tensor:
    x, constant = cast("tuple[Tensor, Tensor]", torch.broadcast_tensors(x, torch.full((1,), 0.5)))
    return x * constant


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
}


@pytest.mark.parametrize("name", PASSING)
def test_what_is_linear_passes(name: str) -> None:
    assert project(awake(Spelled(PASSING[name])), picture()[0], "conv3", 1).abs().max() > 0


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x**2

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return grads[0]


def test_custom_functions_are_refused() -> None:
    net = Spelled(Square.apply)  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(ModelError, match="custom function Square has no deconvnet rule"):
        project(net, picture()[0], "conv3", 1)


class Recomputed(Spelled):
    def __init__(self, reentrant: bool) -> None:
        super().__init__(torch.relu)
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", checkpoint(super().forward, x, use_reentrant=self.reentrant))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_modules_are_refused(reentrant: bool) -> None:
    outer = nn.Sequential(Recomputed(reentrant), nn.Conv2d(4, 1, 1))
    with pytest.raises(ModelError, match=r"(?i)checkpoint"):
        project(outer, picture()[0], "1", 0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_modules_that_branch_are_refused() -> None:
    scripted = cast("nn.Module", torch.jit.script(nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU())))
    with pytest.raises(ModelError, match="TorchScript module contains"):
        project(scripted, picture()[0], "1", 0)


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


def fused_relu(x: Tensor) -> Tensor:
    return torch.relu(x + 1.0)


def fused_mask(x: Tensor) -> Tensor:
    return (x * (x > 0).to(torch.float32)).view(x.shape)


def fused_scaling(x: Tensor) -> Tensor:
    return x * 2.0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("function", [fused_relu, fused_mask, fused_scaling])
@pytest.mark.parametrize("others", [None, "gradient"])
def test_compiled_functions_are_refused_whatever_others_pass_by(
    function: Callable[[Tensor], Tensor], others: Literal["gradient"] | None
) -> None:
    net = awake(Spelled(cast("Callable[[Tensor], Tensor]", torch.jit.script(function))))
    with pytest.raises(ModelError, match=r"what compiled code calls .* cannot be given the rule deconvnet"):
        project(net, picture()[0], "conv3", 1, others=others)


def test_a_relu_inside_of_another_function_is_refused() -> None:
    with pytest.raises(ModelError, match=r"relu.* cannot be given the rule"):
        project(awake(Spelled(lambda x: F.lp_pool2d(x, 2, 2, 1))), picture()[0], "conv3", 1, others="gradient")


@pytest.mark.parametrize("cut", [torch.Tensor.detach, torch.zeros_like])
def test_layers_that_nothing_leads_to_are_refused(cut: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ModelError, match="nothing can be followed back"):
        project(awake(Spelled(cut)), picture()[0], "conv3", 1)


def test_trainable_parameters_are_no_activations() -> None:
    net, image = nn.Conv2d(1, 2, 3), torch.rand(1, 1, 5, 5, requires_grad=True)
    scale = nn.Parameter(torch.tensor([2.0, 3.0]))
    with backward_rule("deconvnet"):
        y = (net(image.clone()) * scale.exp()[:, None, None]).relu()
    expected = net.weight[:1].detach() * float(scale[0].detach().exp())
    found = follow_back(y, torch.eye(9)[4].view(1, 1, 3, 3) * torch.tensor([1.0, 0])[:, None, None], image,
                        rule="deconvnet")  # fmt: skip
    assert_same(found[:, :, 1:4, 1:4], expected)
