"""Which operations may lie between the pixels and a layer: everything else is refused by name.

What an operation makes of an image-dependent value has one of four forms. `MAPS` are activations: they may be moved,
added, filtered, scaled by constants and pooled. A normalization divides them by something made of their squares,
x / (k + mean(x²))^β, which is no activation function and is followed back by its Jacobian: `SQUARES` must be summed or
averaged into `MOMENTS`, a power of which (`DIVISOR` if it is negative) may scale maps, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, final

from striate.inside.projections.marks import module_of, node_name


class Form(Enum):
    """What a value is, as the module says."""

    MAPS, SQUARES, MOMENTS, DIVISOR = range(4)


@final
@dataclass(frozen=True)
class Value:
    """A value that depends on the image.

    Attributes:
        form: what it is.
        said: how it was made, for a message, where it is not maps.
        beside: whether it holds maps side by side with constants or with each other along rows, columns or a dimension
            of their own, so that a maximum over it could be a rectification.
        mixed: whether it holds constants beside maps as further channels.
    """

    form: Form
    said: str = ""
    beside: bool = False
    mixed: bool = False


MAPS = Value(Form.MAPS)

PRODUCT = "a product of two values that depend on the image"


class Bent(Exception):  # noqa: N818  (no error of the program: what an operation turned out to be)
    """An operation that bends its input; the message says which, in words."""


_TORCH = "torch.nn.modules._functions"
"""Where PyTorch defines operations in Python: `CrossMapLRN2d`."""

Inputs = Sequence[Value | None]
"""What goes into an operation; None for constants."""


def form_after(node: Any, inputs: Inputs) -> Value:
    """The form of what a node of autograd's graph has made.

    Arguments:
        inputs: one for each of its inputs; not all None.

    Raises:
        Bent: if the operation has no place among those above.
    """
    name = node_name(node)
    if module_of(node) not in ("", _TORCH):
        raise Bent(f"the custom function {name}")
    rule = _RULES.get(name)
    if rule is None:
        raise Bent(name.lower())
    return rule(node, inputs)


def is_mean(node: Any, output: int) -> bool:
    """Whether this is the second of two results, the mean beside a variance."""
    return output == 1 and node_name(node) in ("StdMean", "VarMean")


def _moved(node: Any, inputs: Inputs) -> Value:
    """Elements change place or are added up with constant factors: what comes out is what went in."""
    found = [value for value in inputs if value is not None]
    mixed = any(value.mixed for value in found)
    beside = any(value.beside for value in found) or (mixed and node_name(node) in _RESHAPING)
    forms = {value.form for value in found}
    if len(forms) == 1:
        return replace(found[0], beside=beside, mixed=mixed)
    if forms <= {Form.SQUARES, Form.MOMENTS}:  # a variance: mean(x²) - mean(x)²
        return Value(Form.MOMENTS, _said(found))
    raise Bent(_said(found))


_RESHAPING = ("View", "UnsafeView", "ReshapeAlias", "AsStrided", "T", "Transpose", "Permute", "Unfold", "Im2Col")
"""What may turn channels into rows and columns."""


def _filtered(node: Any, inputs: Inputs) -> Value:
    """As `_moved`; sums over many elements, so that squares become moments and neighbours are mixed."""
    found = _moved(node, inputs)
    return replace(found, beside=False, mixed=False, form=Form.MOMENTS if found.form is Form.SQUARES else found.form)


def _joined(node: Any, inputs: Inputs) -> Value:
    """Values side by side."""
    found = _moved(node, inputs)
    if node_name(node) == "Cat" and _signed(node._saved_dim) in (0, 1):
        return replace(found, mixed=found.mixed or None in inputs)
    return replace(found, beside=True)


def _product(*factors: int, then: Callable[[Any, Inputs], Value] = _filtered) -> Callable[[Any, Inputs], Value]:
    """A bilinear operation, of whose factors only one may depend on the image."""

    def rule(node: Any, inputs: Inputs) -> Value:
        if sum(inputs[k] is not None for k in factors) > 1:
            raise Bent(PRODUCT)
        return then(node, inputs)

    return rule


def _multiplied(node: Any, inputs: Inputs) -> Value:
    first, second = _both(inputs)
    if first is None or second is None:
        return _moved(node, inputs)
    if first.form is Form.MAPS and node.next_functions[0] == node.next_functions[1]:
        return Value(Form.SQUARES, PRODUCT)
    for maps, other in ((first, second), (second, first)):
        if maps.form is Form.MAPS and other.form is Form.DIVISOR:
            return maps
    raise Bent(PRODUCT)


def _divided(node: Any, inputs: Inputs) -> Value:
    above, below = _both(inputs)
    if getattr(node, "_saved_rounding_mode", None) is not None:
        raise Bent("a rounded division")
    if below is None:
        return _moved(node, inputs)
    if below.form is not Form.MOMENTS:
        raise Bent("a division by a value that depends on the image")
    if above is None:
        return replace(below, form=Form.DIVISOR)
    if above.form is not Form.MAPS:
        raise Bent(above.said)
    return above


def _power(node: Any, inputs: Inputs) -> Value:
    value, exponent = _only(inputs), getattr(node, "_saved_exponent", None)
    if not isinstance(exponent, float | int):
        raise Bent("pow")
    if value.form is Form.MAPS and exponent == 2:
        return Value(Form.SQUARES, "pow")
    if exponent == 1:
        return value
    return _of_moments(exponent)(node, inputs)


def _of_moments(exponent: float) -> Callable[[Any, Inputs], Value]:
    """A power of moments; anything else is bent by it."""

    def rule(node: Any, inputs: Inputs) -> Value:
        value = _only(inputs)
        if value.form not in (Form.MOMENTS, Form.DIVISOR):
            raise Bent(node_name(node).lower())
        turned = Form.DIVISOR if value.form is Form.MOMENTS else Form.MOMENTS
        return value if exponent > 0 else replace(value, form=turned)

    return rule


def _guarded(node: Any, inputs: Inputs) -> Value:
    """A lower bound that keeps a divisor from 0, as in `F.normalize`."""
    if getattr(node, "_saved_max", None) is not None:
        raise Bent("clamp")
    return _of_moments(1)(node, inputs)


def _deviation(node: Any, inputs: Inputs) -> Value:
    """A norm, variance or standard deviation of maps."""
    said = node_name(node).lower()
    if _only(inputs).form is not Form.MAPS or getattr(node, "_saved_ord", 2) != 2:
        raise Bent(said)
    return Value(Form.MOMENTS, said)


def _pooled(node: Any, inputs: Inputs) -> Value:
    """A max pool: each value comes from one place; but max(x, 0), side by side, would be a rectification."""
    value = _only(inputs)
    if value.form is not Form.MAPS:
        raise Bent(value.said)
    if value.beside:
        raise Bent(f"{node_name(node).lower()} over values put side by side")
    return value


def _maximum(node: Any, inputs: Inputs) -> Value:
    """The maximum along one dimension is a max pool if it is one of rows and columns."""
    shape = getattr(node, "_saved_self_sym_sizes", ())
    if len(shape) not in (3, 4) or _signed(node._saved_dim) % len(shape) < 2:
        raise Bent("max")
    return _pooled(node, inputs)


def _normed(node: Any, inputs: Inputs) -> Value:
    """A normalization called by its name; scale and shift must be constant."""
    first, *others = inputs
    if any(other is not None for other in others):
        raise Bent(PRODUCT)
    assert first is not None
    if first.form is not Form.MAPS:
        raise Bent(first.said)
    return first


def _both(inputs: Inputs) -> tuple[Value | None, Value | None]:
    """The operands of an operation with two; a number has no place in autograd's graph."""
    first, *rest = inputs
    return first, (rest[0] if rest else None)


def _only(inputs: Inputs) -> Value:
    (value,) = (value for value in inputs if value is not None)
    return value


def _said(values: Sequence[Value]) -> str:
    return ", ".join(sorted({value.said for value in values if value.said}))


def _signed(dim: int) -> int:
    """Autograd saves a dimension of -1 as 2^64 - 1."""
    return dim - 2**64 if dim >= 2**63 else dim


def _names(rule: Callable[[Any, Inputs], Value], names: str) -> dict[str, Callable[[Any, Inputs], Value]]:
    return dict.fromkeys(names.split(), rule)


_RULES: dict[str, Callable[[Any, Inputs], Value]] = {
    **_names(
        _moved,
        "View UnsafeView ReshapeAlias AsStrided Alias T Transpose Permute Expand Squeeze Unsqueeze Slice Select "
        "Split SplitWithSizes UnsafeSplit Unbind Diagonal Flip Roll Rot90 Repeat Index IndexSelect Gather Take "
        "TakeAlongDim UnsafeIndex Unfold Im2Col PixelShuffle PixelUnshuffle ChannelShuffle NativeChannelShuffle "
        "Clone ToCopy Copy CopySlices Contiguous Identity ConstantPadNd ReflectionPad1D ReflectionPad2D "
        "ReplicationPad1D ReplicationPad2D UpsampleNearest1D UpsampleNearest2D UpsampleNearestExact2D Add Sub Rsub "
        "Neg NativeDropout FusedDropout Where MaskedFill IndexPut IndexAdd IndexCopy IndexFill Scatter ScatterAdd "
        "Fill Zero Tril Triu MaxUnpool2D ToMkldnn MkldnnReshape",
    ),
    **_names(
        _filtered,
        "Sum Mean AvgPool2D AvgPool3D AdaptiveAvgPool2D AdaptiveAvgPool3D MkldnnAdaptiveAvgPool2D Cumsum Col2Im "
        "UpsampleLinear1D UpsampleBilinear2D UpsampleBilinear2DAa UpsampleBicubic2D UpsampleBicubic2DAa Trace",
    ),
    **_names(_joined, "Cat Stack"),
    **_names(
        _product(0, 1),
        "Convolution ConvolutionOverrideable CudnnConvolution CudnnConvolutionTranspose MiopenConvolution "
        "MkldnnConvolution MpsConvolution SlowConv2D ConvDepthwise2D Mm Bmm Mv Dot Vdot Linear MkldnnLinear "
        "GridSampler2D Trilinear",
    ),
    **_names(_product(1, 2), "Addmm Addmv Baddbmm Addbmm Addr"),
    **_names(_product(1, 2, then=_moved), "Addcmul"),
    **_names(_multiplied, "Mul"),
    **_names(_divided, "Div"),
    **_names(_power, "Pow"),
    **_names(_of_moments(1), "Sqrt"),
    **_names(_of_moments(-1), "Rsqrt Reciprocal"),
    **_names(_guarded, "Clamp ClampMin"),
    **_names(_deviation, "Norm LinalgVectorNorm Std Var StdMean VarMean"),
    **_names(
        _pooled,
        "MaxPool2DWithIndices MaxPool2D MaxPool3DWithIndices MkldnnMaxPool2D AdaptiveMaxPool2D AdaptiveMaxPool3D "
        "FractionalMaxPool2D",
    ),
    **_names(_maximum, "Max"),
    **_names(
        _normed,
        "NativeBatchNorm NativeBatchNormLegit NativeBatchNormLegitNoTraining CudnnBatchNorm MiopenBatchNorm "
        "NativeLayerNorm NativeGroupNorm FusedRmsNorm CrossMapLRN2d",
    ),
}
"""Names of autograd's nodes -> what they make. Batch, layer, group and instance normalization come as one node."""
