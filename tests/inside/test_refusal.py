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
from striate.layers import kinds
from striate.network import Network


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    first, second = x.split(3, 1)
    return torch.cat([first, second], 1), torch.cat([second, first], 1)


def beside_zeros(x: Tensor, dim: int) -> Tensor:
    return torch.stack([x, torch.zeros_like(x)], dim)


def with_its_own_norm(x: Tensor) -> Tensor:
    return (x + x[None].norm(dim=0)) / 2  # pyright: ignore[reportUnknownMemberType]


def overwritten_data(x: Tensor) -> Tensor:
    y = x.clone()
    y.data.view(-1).clamp_(min=0)
    return y


def overwritten_without_gradient(x: Tensor) -> Tensor:
    y = x.clone()
    with torch.no_grad():
        y[y < 0] = 0
    return y


def rectified_without_gradient(x: Tensor) -> Tensor:
    y = x.clone()
    F.relu(y.detach(), inplace=True)
    return y


def rectified_out_of_sight(x: Tensor) -> Tensor:
    y = x.clone()
    torch.clamp(x.detach(), min=0, out=y.data)
    return y


def rectified_in_an_array(x: Tensor) -> Tensor:
    y = x.clone()
    torch.from_numpy(y.detach().numpy()).clamp_(min=0)
    return y


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
    "among the channels": (
        "side by side",
        lambda x: F.max_pool1d(beside_zeros(x.flatten(1), 1).flatten(1).view(1, 2, -1).mT, 2).view(x.shape),
    ),
    "as channels": (
        "side by side",
        lambda x: F.max_pool1d(torch.cat([x.view(1, 1, -1), torch.zeros(1, 1, x.numel())], 1).mT, 2).view(x.shape),
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
    "the negative part added": ("detached", lambda x: x + F.relu(-x.detach())),
    "overwritten data": ("clamp without gradient", overwritten_data),
    "overwritten without gradient": ("an assignment under a mask", overwritten_without_gradient),
    "rectified without gradient": ("relu without gradient", rectified_without_gradient),
    "rectified out of sight": ("clamp without gradient", rectified_out_of_sight),
    "rectified in an array": ("clamp without gradient", rectified_in_an_array),
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
    "exponential": ("exp", lambda x: (x / 100).exp()),
}
"""How to spell it -> what it is called when it is refused, and the function."""


OURS = {
    **dict.fromkeys(("elu", "gelu", "silu", "sigmoid", "tanh", "hardsigmoid", "hardswish", "leakyrelu", "softmax")),
    "logsoftmax": None,
    **dict.fromkeys(("adaptiveavgpool 3x4", "adaptivemaxpool 3x4", "avgpool 2x2", "maxpool 2x2", "globalavgpool"), ""),
    **dict.fromkeys(("batchnorm", "layernorm", "groupnorm 2", "lrn 3", "dropout 0.5", "relu", "relu6", "flatten"), ""),
    **dict.fromkeys(("conv 3 3x3", "dense 3", "residual(conv 6 1x1)", "concat( | relu)"), ""),
    "gate(conv 6 1x1)": "a product of two values",
}
"""Every kind of layer of ours -> what it is called when it is refused: by its own word if None, not at all if empty."""


def test_every_kind_of_ours_is_either_followed_back_or_refused() -> None:
    assert {text.split("(")[0].split()[0] for text in OURS} == kinds().keys()


@pytest.mark.parametrize("text", OURS)
def test_our_kinds_are_followed_back_or_refused_by_name(text: str) -> None:
    net = awake(Network.parse(f"input 2x9x9, conv 6 3x3, {text}, dense 2").build(1))
    image, last = picture(side=9)[0], "dense1" if "dense" not in text else "dense2"
    said = text if OURS[text] is None else OURS[text]
    if said:
        with pytest.raises(ModelError, match=f"{said}.* has no deconvnet rule"):
            project(net, image, last, 1)
    assert project(net, image, last, 1, others="gradient" if said else None).abs().max() > 0


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


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x**2

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return grads[0]


class Clone(Square):
    """Named as an operation that passes."""


class Rectify(Square):
    """Named as the one that follows the rule."""


@pytest.mark.parametrize("function", [Square, Clone, Rectify])
def test_custom_functions_are_refused(function: type[Square]) -> None:
    net = Spelled(function.apply)
    with pytest.raises(ModelError, match=f"custom function {function.__name__} has no deconvnet rule"):
        project(net, picture()[0], "conv3", 1)
    assert project(awake(net), picture()[0], "conv3", 1, others="gradient").abs().max() > 0


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
