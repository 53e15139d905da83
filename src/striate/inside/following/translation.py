"""PyTorch's functions in the words of this package: the layer whose equation a call computes, and its numbers.

PyTorch's modules compute by calling these functions, with what they hold as arguments, so that a module, a subclass of
it and a call written in its place are one and the same here. Only what an equation says exactly is translated;
everything else is refused by name, with what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.inside.following import norms, pointwise, pools, resizing
from striate.inside.following.arguments import Given, Untranslatable, held, pair, require
from striate.inside.following.steps import Translated, in_any_shape, shown
from striate.layers.adaptivepool import AdaptiveAvgPool, AdaptiveMaxPool
from striate.layers.conv import Conv
from striate.layers.dense import Dense
from striate.layers.dropout import Dropout
from striate.layers.equations.functions import Mish
from striate.layers.equations.positionwise import DenseAtEachPosition
from striate.layers.equations.transposed import TransposedConv
from striate.layers.flatten import Flatten
from striate.layers.globalpool import GlobalAvgPool
from striate.layers.layer import Shape
from striate.layers.pool import AvgPool, MaxPool
from striate.layers.rectifiers import Relu6
from striate.layers.selfgated import HardSwish, Silu
from striate.layers.sigmoids import HardSigmoid, Sigmoid, Tanh
from striate.layers.softmax import LogSoftmax, Softmax, SoftmaxAlong


@final
@dataclass(frozen=True)
class _Function:
    """A function that is translated.

    Attributes:
        translate: what it computes on inputs of a shape, for one image.
        arguments: name -> default of each argument after the first, in order.
    """

    translate: Callable[[Given, Shape], Translated]
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


def is_translated(name: str) -> bool:
    """Whether a function of this name is a layer on some inputs."""
    return name in _FUNCTIONS


def is_at_each_position(name: str) -> bool:
    """Whether a function computes the same at every position of maps whose channels stand last."""
    return name in _AT_EACH_POSITION


def is_in_any_shape(name: str) -> bool:
    """Whether a function takes tensors that are no batch of images, such as the heads of an attention."""
    return name in _AT_EACH_NUMBER or name in ("linear", "layer_norm", "softmax", "log_softmax")


def translated(
    func: Callable[..., Any],
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    input: Shape,
    *,
    seen: Callable[[Tensor], bool],
    axes: int,
    channels_last: bool = False,
) -> Translated | None:
    """The layer whose equation a call computes on an input of this shape; None where no layer does.

    Arguments:
        func, name, args, kwargs: the call.
        input: shape of what reaches it, for one image.
        seen: whether a tensor depends on the image, or may, as no layer's own numbers do.
        axes: how many axes the tensor has that reaches it.
        channels_last: the call has its maps as (rows, columns, channels); `input` has the channels first all the same.

    Raises:
        Untranslatable: the function is known, but not with these arguments.

    Example:
        >>> import torch
        >>> x, W = torch.zeros(1, 3, 8, 8), torch.zeros(8, 3, 3, 3)
        >>> given = {"stride": 2, "padding": 1}
        >>> str(translated(F.conv2d, "conv2d", (x, W), given, (3, 8, 8), seen=lambda tensor: tensor is x, axes=4).layer)
        'conv 8 3x3 stride=2x2 pad=1x1 bias=no'
    """
    # torch.batch_norm has its arguments in another order than F.batch_norm; so has torch.instance_norm.
    own = func in (F.batch_norm, F.instance_norm)
    function = _FUNCTIONS.get(f"F.{name}" if own else name)
    if function is None:
        return None
    positional = dict(zip(function.arguments, args[1:], strict=False)) if args else {}
    try:
        stands = {"channels_last": channels_last, "axes": axes}
        given = {**function.arguments, **positional, **kwargs, **stands}
        require(not any(map(seen, _numbers(function, given))), "weights that depend on the image, or may")
        found = function.translate(given, input)
        found = in_any_shape(found, input) if name in _AT_EACH_NUMBER else found
        found.layer.output(found.taken(input))
    except Untranslatable:
        raise
    except ValueError as fault:
        raise Untranslatable(str(fault)) from None
    return found


def _numbers(function: _Function, given: Given) -> list[Tensor]:
    """The tensors that a call takes besides its input; running statistics only where it reads them."""
    anew = bool(given.get("training") or given.get("use_input_stats"))
    names = (name for name in function.arguments if not (anew and name.startswith("running_")))
    return [given[name] for name in names if isinstance(given[name], Tensor)]


def translated_module(part: nn.Module, input: Shape) -> Translated | None:
    """The layer of a module that is more than the call it makes: flattening, and our own global average pooling."""
    if type(part) is nn.Flatten and part.start_dim == 1 and part.end_dim in (-1, len(input)):
        return Translated(Flatten())
    if type(part) is nn.Sequential and len(input) == 3:
        sizes = [getattr(child, "output_size", None) for child in part]
        whole = [type(child) for child in part] == [nn.AdaptiveAvgPool2d, nn.Flatten] and sizes[0] in (1, (1, 1))
        return Translated(GlobalAvgPool()) if whole else None
    return None


# --- weighted sums -----------------------------------------------------------------------------------------------


def _convolution(given: Given, input: Shape) -> Translated:
    if given.get("transposed"):
        return _transposed(given, input)
    weight, padding = given["weight"], given["padding"]
    require(weight.dim() == 4, f"a window of {weight.dim() - 2} dimensions; explained are 1 and 2")
    tensors = held(weight=weight, bias=given["bias"])
    pad = padding if padding == "same" else (0, 0) if padding == "valid" else pair(padding)
    stride, dilation = pair(given["stride"]), pair(given["dilation"])
    channels, *kernel = (int(side) for side in (weight.shape[0], *weight.shape[2:]))
    return Translated(Conv(channels, pair(kernel), stride, pad, dilation, given["groups"], "bias" in tensors), tensors)


def _transposed(given: Given, input: Shape) -> Translated:
    """`F.conv_transpose2d`."""
    weight, groups = given["weight"], int(given["groups"])
    require(weight.dim() == 4, f"a window of {weight.dim() - 2} dimensions; explained are 1 and 2")
    tensors = held(weight=weight, bias=given["bias"])
    kernel = pair([int(side) for side in weight.shape[2:]])
    stride, pad, extra, dilation = (pair(given[name]) for name in _SIDES)
    channels, biased = int(weight.shape[1]) * groups, "bias" in tensors
    return Translated(TransposedConv(channels, kernel, stride, pad, extra, dilation, groups, biased), tensors)


def _line(over_maps: Callable[[Given, Shape], Translated]) -> Callable[[Given, Shape], Translated]:
    """A convolution along one axis: one of maps of one row."""

    def translate(given: Given, input: Shape) -> Translated:
        require(len(input) == 2, f"an input of {len(input)} dimensions; explained are 2")
        sides = {name: given[name] for name in _SIDES if name in given}
        wide = {name: side if isinstance(side, str) else (_ACROSS[name], pair(side)[0]) for name, side in sides.items()}
        maps = (input[0], 1, input[1])
        return replace(over_maps({**given, **wide, "weight": given["weight"][:, :, None]}, maps), shape=maps)

    return translate


_ACROSS = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}
"""What a convolution along one axis has across it."""

_SIDES = tuple(_ACROSS)


def _dense(given: Given, input: Shape) -> Translated:
    """A dense layer, of a vector, or of the channels at each position of tokens and maps."""
    tensors = held(weight=given["weight"], bias=given["bias"])
    dense = Dense(len(tensors["weight"]), "bias" in tensors)
    if given["channels_last"]:
        return Translated(DenseAtEachPosition(dense), tensors)
    require(len(input) == 1, f"an input of {len(input)} dimensions; explained is a vector of features")
    return Translated(dense, tensors)


# --- dropout, softmax -------------------------------------------------------------------------------------------------


def _dropout(given: Given, input: Shape) -> Translated:
    return Translated(Dropout(given["p"]), training=bool(given.get("train", given["training"])))


def _softmax(layer: Softmax | LogSoftmax) -> Callable[[Given, Shape], Translated]:
    """Over the units, or, as in attention, along another axis."""

    def translate(given: Given, input: Shape) -> Translated:
        dim, axes = given["dim"], given["axes"]
        require(dim is not None, "no dim; explained is one that is named")
        along = dim % axes - axes  # counted from the last
        if along == -len(input) and len(input) < 4:
            return Translated(layer)
        require(-len(input) < along and along in (-1, -2), f"dim={dim} of {axes}; explained are dim=1 and the last two")
        return Translated(SoftmaxAlong(along, layer), shape=shown(input) if len(input) > 3 else ())

    return translate


_PLACED = {"stride": 1, "padding": 0, "dilation": 1}
_SPREAD = {"weight": None, "bias": None, "stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1}
_RESIZED = {"output_size": None, "align_corners": False, "scales": None, "scales_w": None}
_MAXIMUM = _Function(pools.maximum, {"kernel_size": 1, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False})
_NORM = {"weight": None, "bias": None, "running_mean": None, "running_var": None}
_SCALE = {"momentum": 0.1, "eps": 1e-5}
_DROP = _Function(_dropout, {"p": 0.5, "training": True})

_FUNCTIONS: dict[str, _Function] = {
    "conv2d": _Function(_convolution, {"weight": None, "bias": None, **_PLACED, "groups": 1}),
    "conv1d": _Function(_line(_convolution), {"weight": None, "bias": None, **_PLACED, "groups": 1}),
    "conv_transpose2d": _Function(_transposed, _SPREAD),
    "conv_transpose1d": _Function(_line(_transposed), _SPREAD),
    "convolution": _Function(
        _convolution,
        {"weight": None, "bias": None, **_PLACED, "transposed": False, "output_padding": 0, "groups": 1},
    ),
    "interpolate": _Function(
        resizing.interpolate,
        {
            "size": None,
            "scale_factor": None,
            "mode": "nearest",
            "align_corners": None,
            "recompute_scale_factor": None,
            "antialias": False,
        },
    ),
    "upsample_linear1d": _Function(resizing.upsample("linear"), _RESIZED),
    "upsample_bilinear2d": _Function(resizing.upsample("bilinear"), _RESIZED),
    "upsample_bicubic2d": _Function(resizing.upsample("bicubic"), _RESIZED),
    "linear": _Function(_dense, {"weight": None, "bias": None}),
    "max_pool2d": _MAXIMUM,
    "max_pool2d_with_indices": _MAXIMUM,
    "avg_pool2d": _Function(
        pools.mean,
        {
            "kernel_size": 1,
            "stride": None,
            "padding": 0,
            "ceil_mode": False,
            "count_include_pad": True,
            "divisor_override": None,
        },
    ),
    "adaptive_avg_pool2d": _Function(pools.adaptive(AdaptiveAvgPool), {"output_size": 1}),
    "adaptive_max_pool2d": _Function(pools.adaptive(AdaptiveMaxPool), {"output_size": 1}),
    "mean": _Function(pools.over_positions(AvgPool), {"dim": None, "keepdim": False}),
    "amax": _Function(pools.over_positions(MaxPool), {"dim": None, "keepdim": False}),
    "batch_norm": _Function(norms.batch, {**_NORM, "training": False, **_SCALE}),
    "F.batch_norm": _Function(
        norms.batch,
        {"running_mean": None, "running_var": None, "weight": None, "bias": None, "training": False, **_SCALE},
    ),
    "dropout": _DROP,
    "dropout2d": _DROP,
    "feature_dropout": _DROP,
    "local_response_norm": _Function(norms.local, {"size": 1, "alpha": 1e-4, "beta": 0.75, "k": 1.0}),
    "softmax": _Function(_softmax(Softmax()), {"dim": None}),
    "log_softmax": _Function(_softmax(LogSoftmax()), {"dim": None}),
    "layer_norm": _Function(norms.layer, {"normalized_shape": (), "weight": None, "bias": None, "eps": 1e-5}),
    "group_norm": _Function(norms.group, {"num_groups": 1, "weight": None, "bias": None, "eps": 1e-5}),
    "F.instance_norm": _Function(
        norms.instance,
        {"running_mean": None, "running_var": None, "weight": None, "bias": None, "use_input_stats": True, **_SCALE},
    ),
    "instance_norm": _Function(norms.instance, {**_NORM, "use_input_stats": True, **_SCALE}),
    "relu6": _Function(pointwise.always(Relu6())),
    "hardtanh": _Function(pointwise.bounded("min_val", "max_val"), {"min_val": -1.0, "max_val": 1.0}),
    "clamp": _Function(pointwise.bounded("min", "max"), {"min": None, "max": None}),
    "clip": _Function(pointwise.bounded("min", "max"), {"min": None, "max": None}),
    "clamp_min": _Function(pointwise.bounded("min", "max"), {"min": None}),
    "clamp_max": _Function(pointwise.bounded("min", "max"), {"max": None}),
    "softplus": _Function(pointwise.softplus, {"beta": 1.0, "threshold": 20.0}),
    "mish": _Function(pointwise.always(Mish())),
    "elu": _Function(pointwise.elu, {"alpha": 1.0, "scale": 1, "input_scale": 1}),
    "prelu": _Function(pointwise.prelu, {"weight": None}),
    "silu": _Function(pointwise.always(Silu())),
    "hardsigmoid": _Function(pointwise.always(HardSigmoid())),
    "hardswish": _Function(pointwise.always(HardSwish())),
    "gelu": _Function(pointwise.gelu, {"approximate": "none"}),
    "leaky_relu": _Function(pointwise.leaky_relu, {"negative_slope": 0.01}),
    "sigmoid": _Function(pointwise.always(Sigmoid())),
    "tanh": _Function(pointwise.always(Tanh())),
}
"""Each function's name, as it is called anywhere in PyTorch; `F.` where that of torch.nn.functional differs."""

_AT_EACH_NUMBER = frozenset(
    {
        "relu", "relu6", "hardtanh", "clamp", "clip", "clamp_min", "clamp_max", "leaky_relu", "elu", "gelu", "silu",
        "sigmoid", "tanh", "hardsigmoid", "hardswish", "softplus", "mish", "dropout",
    }
)  # fmt: skip
"""Functions of one number."""

_AT_EACH_POSITION = _AT_EACH_NUMBER | {"prelu", "layer_norm", "linear"}
"""Functions that compute the same at every position of maps, so that channels may stand last."""
