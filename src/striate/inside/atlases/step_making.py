"""The steps of a chain, made from the calls of a module; None where a call cannot be cut into windows exactly."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from striate.inside.atlases.steps import AvgPool, Filter, MaxPool, Pass, Rectify, Scale, Step
from striate.inside.projections.rules import Rule
from striate.inside.watching.calls import Call
from striate.layers.values import Pair
from striate.layers.window import Window


def step_of(number: int, call: Call, size: Pair, rule: Rule) -> Step | None:
    """The step that a call is, from an input map of `size` (rows, columns), under a rule."""
    if call.convolves:
        return _filter(number, call, size)
    if call.rectifies or (call.capped and rule == "deconvnet"):  # which alone asks nothing of the forward pass
        return Rectify(number, size, Window(), rule)
    make = {"batch_norm": _scale, "max_pool2d": _max_pool, "avg_pool2d": _avg_pool, "pad": _pad}.get(call.name)
    if make is not None:
        return make(number, call, size)
    if call.name in ("contiguous", "clone", "detach", "identity"):
        return Pass(number, size, Window())
    if call.name in ("dropout", "dropout2d", "feature_dropout", "alpha_dropout"):
        still = call.given("input", "p", "training", training=True)["training"] is False
        return Pass(number, size, Window()) if still else None
    return None


def _filter(number: int, call: Call, size: Pair) -> Step | None:
    names = ("input", "weight", "bias", "stride", "padding", "dilation")
    last = ("transposed", "output_padding", "groups") if call.name == "convolution" else ("groups",)
    given = call.given(*names, *last, stride=1, padding=0, dilation=1, groups=1)
    weight = given["weight"]
    if not isinstance(weight, Tensor):
        return None
    kernel, stride, dilation = _pair(weight.shape[2:]), _pair(given["stride"]), _pair(given["dilation"])
    around = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    padding = (
        {"same": [a // 2 for a in around], "valid": [0, 0]}.get(given["padding"])
        if isinstance(given["padding"], str)
        else list(_pair(given["padding"]))
    )
    if padding is None:
        return None
    before = _pair(padding)
    after = _pair([a - p for a, p in zip(around, before, strict=True)]) if given["padding"] == "same" else before
    window = Window(kernel, stride, before, after, dilation)
    return Filter(number, size, window, weight.detach().float(), int(given["groups"]))


def _scale(number: int, call: Call, size: Pair) -> Step | None:
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    if len(call.args) == 9:  # torch.batch_norm, as TorchScript calls it, has another order than F.batch_norm
        names = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps", "cudnn")
    given = call.given(*names, training=False, eps=1e-5, weight=None)
    variance, weight = given["running_var"], given["weight"]
    if given["training"] or not isinstance(variance, Tensor):
        return None
    factor = (variance.detach().float() + given["eps"]).rsqrt()
    factor = factor if weight is None else factor * weight.detach().float()
    return Scale(number, size, Window(), factor[:, None, None])


def _max_pool(number: int, call: Call, size: Pair) -> Step | None:
    given = call.given(
        *("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
        **{"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False},
    )
    kernel = _pair(given["kernel_size"])
    before, dilation = _pair(given["padding"]), _pair(given["dilation"])
    return MaxPool(
        number, size, Window(kernel, _pair(given["stride"] or kernel), before, before, dilation), given["ceil_mode"]
    )


def _avg_pool(number: int, call: Call, size: Pair) -> Step | None:
    names = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    given = call.given(*names, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None)
    kernel, before = _pair(given["kernel_size"]), _pair(given["padding"])
    if given["ceil_mode"] or (max(before) and not given["count_include_pad"]):
        return None  # the divisor would differ from position to position
    divisor = int(given["divisor_override"] or kernel[0] * kernel[1])
    return AvgPool(number, size, Window(kernel, _pair(given["stride"] or kernel), before, before), divisor)


def _pad(number: int, call: Call, size: Pair) -> Step | None:
    given = call.given("input", "pad", "mode", "value", mode="constant", value=0)
    pad = list(given["pad"])
    if given["mode"] != "constant" or given["value"] or len(pad) != 4 or min(pad) < 0:
        return None
    return Pass(number, size, Window(before=(pad[2], pad[0]), after=(pad[3], pad[1])))


def _pair(value: int | Sequence[int]) -> Pair:
    """Rows and columns of a size as PyTorch takes it: one number, a sequence of one, or of two."""
    if isinstance(value, int):
        return value, value
    return int(value[0]), int(value[-1])
