"""Footprints: for every element of a tensor, the first and last row and column of the image that it depends on.

They are held as four tensors of the tensor's own shape, (-first row, last row, -first column, last column), so that
joining two footprints is taking the maximum; -inf means that nothing of the image is looked at. Here stands, for every
operation that convolutional networks are made of, what it does to footprints; each of the four is treated alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Quad = tuple[Tensor, Tensor, Tensor, Tensor]

NOTHING = -math.inf


class Untraceable(BaseException):
    """An operation whose dependencies are not known; the message is its name.

    No `Exception`, so that no handler in a module's own code swallows it on its way to us.
    """


@final
@dataclass(frozen=True)
class Operation:
    """One operation that PyTorch has carried out.

    Attributes:
        func: the ATen operator.
        given: its arguments by name, defaults filled in.
        tensors: the tensors among them.
        results: the tensors that came out.
    """

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    given: dict[str, Any]
    tensors: tuple[Tensor, ...]
    results: tuple[Tensor, ...]

    @classmethod
    def of(cls, func: Any, args: Sequence[Any], kwargs: dict[str, Any], result: object) -> Operation:
        arguments = func._schema.arguments
        given = {a.name: a.default_value for a in arguments if a.has_default_value()}
        given |= {a.name: value for a, value in zip(arguments, args, strict=False)} | kwargs
        tensors = tuple(_tensors([*args, *kwargs.values()]))
        return cls(func, tuple(args), kwargs, given, tensors, tuple(_tensors([result])))

    @property
    def name(self) -> str:
        """The operator's name without namespace, overload and the underscore of what overwrites its input."""
        return str(self.func._schema.name).partition("::")[2].removesuffix("_")

    @property
    def overwrites(self) -> bool:
        """Whether the first argument is overwritten."""
        return str(self.func._schema.name).endswith("_")

    @property
    def makes_new(self) -> bool:
        """Whether what comes out has memory of its own."""
        return all(result.alias_info is None for result in self.func._schema.returns)


def of_image(shape: tuple[int, ...]) -> Quad:
    """Every pixel depends on itself; every feature of a vector counts as a column."""
    *_, rows, columns = (1, *shape[2:]) if len(shape) > 2 else (1, *shape[1:])
    row = torch.arange(float(rows))[:, None].expand(rows, columns)
    column = torch.arange(float(columns))[None].expand(rows, columns)
    if len(shape) == 2:
        row, column = row[0], column[0]
    return (-row).expand(shape), row.expand(shape), (-column).expand(shape), column.expand(shape)


def nothing(shape: tuple[int, ...]) -> Quad:
    """Footprints that hold nothing yet and can be written into."""
    top, bottom, left, right = (torch.full(shape, NOTHING) for _ in range(4))
    return top, bottom, left, right


def after(operation: Operation, quads: dict[int, Quad]) -> list[Quad]:
    """The footprints of everything that came out of `operation`.

    Arguments:
        quads: footprints of the tensors that went in, by id; those that are missing depend on nothing.

    Raises:
        Untraceable: the operation is not known here.
    """
    rule = _RULES.get(operation.name) or (_pointwise if torch.Tag.pointwise in operation.func.tags else None)
    if rule is None:
        raise Untraceable(operation.name)

    def one(index: int) -> list[Tensor]:
        def footprint(tensor: Tensor) -> Tensor:
            quad = quads.get(id(tensor))
            return torch.full((), NOTHING).expand(tensor.shape) if quad is None else quad[index]

        try:
            made = list(_tensors([rule(operation, footprint)]))
        except (IndexError, KeyError, RuntimeError, TypeError, ValueError):
            raise Untraceable(operation.name) from None  # a form of the operation that its rule does not know
        return [_fitted(made[min(k, len(made) - 1)], result) for k, result in enumerate(operation.results)]

    return list(zip(one(0), one(1), one(2), one(3), strict=True))


Footprint = Callable[[Tensor], Tensor]


def _moved(operation: Operation, footprint: Footprint) -> Any:
    """Elements change place only."""
    kwargs = {
        key: value for key, value in operation.kwargs.items() if key not in ("dtype", "device", "layout", "pin_memory")
    }
    return operation.func(*_exchanged(operation.args, footprint), **kwargs)


def _viewed(operation: Operation, footprint: Footprint) -> Tensor:
    """As `_moved`; footprints may lie otherwise in memory than their tensor, where a view cannot be had."""
    return footprint(operation.tensors[0]).reshape(operation.results[0].shape)


def _kept(operation: Operation, footprint: Footprint) -> Tensor:
    """Each element of the first argument becomes one element at the same place, beside numbers that are fixed."""
    return footprint(operation.tensors[0])


def _copied(operation: Operation, footprint: Footprint) -> Tensor:
    return footprint(operation.tensors[0]).clone()


def _written(operation: Operation, footprint: Footprint) -> Tensor:
    """The second argument is written over the first."""
    return footprint(operation.tensors[1])


def _erased(operation: Operation, footprint: Footprint) -> Tensor:
    return torch.full((), NOTHING)


def _pointwise(operation: Operation, footprint: Footprint) -> Tensor:
    """Elements at the same place are combined."""
    return _joined(footprint(tensor) for tensor in operation.tensors)


def _convolved(operation: Operation, footprint: Footprint) -> Tensor:
    x, weight = operation.given["input"], operation.given["weight"]
    if x.dim() != 4:
        raise Untraceable(f"{x.dim() - 2}-D convolution")
    if operation.given["transposed"]:
        return _convolved_back(operation, footprint)
    groups, outputs = operation.given["groups"], weight.shape[0]
    grouped = _thin(footprint(x), groups).unflatten(1, (groups, -1)).amax(2)
    seen = _windows(operation, grouped, tuple(weight.shape[2:]), operation.given["padding"])
    return seen.unsqueeze(2).expand(-1, -1, outputs // groups, -1, -1).flatten(1, 2)


def _convolved_back(operation: Operation, footprint: Footprint) -> Tensor:
    """A transposed convolution: input row i goes to the output rows i·s - p + k·d."""
    given, seen = operation.given, footprint(operation.given["input"])
    groups, outputs = given["groups"], operation.results[0].shape[1]
    grouped = seen.unflatten(1, (groups, -1)).amax(2)
    for axis in (0, 1):
        sides = grouped.shape[axis + 2], operation.results[0].shape[axis + 2]
        offset = torch.arange(sides[1])[None] - torch.arange(sides[0])[:, None] * given["stride"][axis]
        tap = offset + given["padding"][axis]
        kernel, dilation = given["weight"].shape[axis + 2], given["dilation"][axis]
        reaches = (tap >= 0) & (tap % dilation == 0) & (tap // dilation < kernel)
        grouped = _linked(grouped, reaches, axis)
    return grouped.unsqueeze(2).expand(-1, -1, outputs // groups, -1, -1).flatten(1, 2)


def _interpolated(operation: Operation, footprint: Footprint) -> Tensor:
    """An upsampling mixes rows, and columns, with fixed weights: those that are not 0 are found by trying."""
    x, seen = operation.tensors[0], footprint(operation.tensors[0])
    for axis in (0, 1):
        side = x.shape[axis + 2]
        lines = torch.eye(side).view(side, 1, *((side, 1) if axis == 0 else (1, side))).expand(side, 1, *x.shape[2:])
        weights = operation.func(lines, *operation.args[1:], **operation.kwargs)
        seen = _linked(seen, weights.select(3 - axis, 0)[:, 0] != 0, axis)
    return seen


def _linked(x: Tensor, reaches: Tensor, axis: int) -> Tensor:
    """Joins along one axis, where `reaches` (before, after) says which line goes to which."""
    lines = x.movedim(axis + 2, -1)
    joined = [torch.where(reaches[:, k], lines, NOTHING).amax(-1) for k in range(reaches.shape[1])]
    return torch.stack(joined, -1).movedim(-1, axis + 2)


def _pooled(operation: Operation, footprint: Footprint) -> Tensor:
    x, kernel = operation.given["self"], operation.given["kernel_size"]
    return _windows(operation, _thin(footprint(x)), kernel, operation.given["padding"], x.dim() - 2)


def _windows(operation: Operation, x: Tensor, kernel: Sequence[int], padding: Sequence[int], axes: int = 2) -> Tensor:
    """The join over each window; as many windows as came out."""
    kernel, padding = spread(kernel, axes), spread(padding, axes)
    stride = spread(operation.given["stride"] or kernel, axes)
    dilation = spread(operation.given.get("dilation") or (1,), axes)
    sides = list(zip(x.shape[2:], operation.results[0].shape[2:], kernel, stride, padding, dilation, strict=True))
    ends = [max((n - 1) * s + d * (k - 1) + 1 - p - side, 0) for side, n, k, s, p, d in sides]
    around = [amount for p, end in zip(reversed(padding), reversed(ends), strict=True) for amount in (p, end)]
    pool = F.max_pool2d if axes == 2 else F.max_pool3d
    seen = pool(F.pad(x, around, value=NOTHING), kernel, stride, 0, dilation)
    return seen[(..., *(slice(n) for n in operation.results[0].shape[2:]))]


def _thin(x: Tensor, channels: int = 1) -> Tensor:
    """Where all channels are one in memory, as behind a convolution, so many of them tell all."""
    return x[:, :channels] if x.dim() > 2 and x.stride(1) == 0 else x


def _adaptively_pooled(operation: Operation, footprint: Footprint) -> Tensor:
    return F.adaptive_max_pool2d(_thin(footprint(operation.tensors[0])), tuple(operation.results[0].shape[-2:]))


def _padded(operation: Operation, footprint: Footprint) -> Tensor:
    return F.pad(footprint(operation.tensors[0]), operation.given["pad"], value=NOTHING)


def _reduced(operation: Operation, footprint: Footprint) -> Tensor:
    """Elements along some dimensions are combined into one."""
    x, dim = footprint(operation.tensors[0]), operation.given.get("dim")
    dims = list(range(x.dim())) if dim is None or dim == [] else [dim] if isinstance(dim, int) else list(dim)
    return x.amax(dims, keepdim=bool(operation.given.get("keepdim", False)))


def _mixed(operation: Operation, footprint: Footprint) -> Tensor:
    """Every element along one dimension depends on all of them, as in a softmax."""
    x = footprint(operation.tensors[0])
    return x.amax(operation.given["dim"], keepdim=True).expand(x.shape)


def _layer_normed(operation: Operation, footprint: Footprint) -> Tensor:
    x, over = footprint(operation.tensors[0]), len(operation.given["normalized_shape"])
    return x.amax(list(range(-over, 0)), keepdim=True).expand(x.shape)


def _group_normed(operation: Operation, footprint: Footprint) -> Tensor:
    x = footprint(operation.tensors[0])
    grouped = x.unflatten(1, (operation.given["group"], -1)).flatten(2).amax(2)
    spread_out = grouped.repeat_interleave(x.shape[1] // operation.given["group"], 1)
    return spread_out.view(*spread_out.shape, *[1] * (x.dim() - 2)).expand(x.shape)


def _batch_normed(operation: Operation, footprint: Footprint) -> Tensor:
    """With running statistics each element is scaled alone; with those of the image it depends on its whole map."""
    x = footprint(operation.given["input"])
    if not by_image(operation):
        return x
    return x.amax([0, *range(2, x.dim())], keepdim=True).expand(x.shape)


BATCH_NORMS = (
    "native_batch_norm",
    "cudnn_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "_batch_norm_no_update",
)


def by_image(operation: Operation) -> bool:
    """Whether a batch normalization takes mean and variance from the image itself."""
    return bool(operation.given.get("training", operation.name.endswith("no_stats")))


def _multiplied(operation: Operation, footprint: Footprint) -> Tensor:
    """Row i of one matrix meets column j of the other."""
    first, second = operation.tensors[-2:]
    if operation.name == "linear":
        first, second = operation.tensors[0], operation.tensors[1].mT
    rows, columns = footprint(first).amax(-1, keepdim=True), footprint(second).amax(-2, keepdim=True)
    product = torch.maximum(rows, columns)
    return (
        product
        if operation.name in ("mm", "bmm", "linear")
        else torch.maximum(product, footprint(operation.tensors[0]))
    )


def _names(rule: Callable[[Operation, Footprint], Any], names: str) -> dict[str, Callable[[Operation, Footprint], Any]]:
    return dict.fromkeys(names.split(), rule)


_RULES = {
    **_names(
        _moved,
        "permute transpose t slice select expand unsqueeze squeeze cat stack "
        "detach alias split split_with_sizes unbind flip roll index_select repeat unfold diagonal narrow "
        "pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle reflection_pad2d replication_pad2d "
        "upsample_nearest2d _unsafe_index",
    ),
    **_names(_viewed, "view _unsafe_view reshape _reshape_alias"),
    **_names(_copied, "clone _to_copy contiguous lift_fresh"),
    **_names(_written, "copy"),
    **_names(_erased, "fill zero"),
    **_names(_pointwise, "hardswish prelu"),  # PyTorch does not mark these two as what they are
    **_names(_kept, "native_dropout dropout"),
    **_names(_convolved, "convolution"),
    **_names(_pooled, "max_pool2d_with_indices max_pool2d avg_pool2d avg_pool3d max_pool3d_with_indices"),
    **_names(_adaptively_pooled, "_adaptive_avg_pool2d adaptive_max_pool2d"),
    **_names(_interpolated, "upsample_bilinear2d upsample_bicubic2d"),
    **_names(_padded, "constant_pad_nd"),
    **_names(_reduced, "mean sum amax amin var std prod max min linalg_vector_norm norm logsumexp argmax var_mean"),
    **_names(_mixed, "_softmax _log_softmax"),
    **_names(_layer_normed, "native_layer_norm"),
    **_names(_group_normed, "native_group_norm"),
    **_names(_batch_normed, " ".join(BATCH_NORMS)),
    **_names(_multiplied, "mm addmm bmm baddbmm linear"),
}


def _joined(parts: Iterable[Tensor]) -> Tensor:
    first, *others = parts
    for other in others:
        first = torch.maximum(first, other)
    return first


def _fitted(made: Tensor, result: Tensor) -> Tensor:
    """Footprints in the shape of what came out; side results of another shape are taken to depend on everything."""
    try:
        return made.expand(result.shape)
    except RuntimeError:
        return made.amax().expand(result.shape)


def spread(sizes: Sequence[int], axes: int) -> list[int]:
    """One number for each axis, where one may stand for all."""
    return list(sizes) * axes if len(sizes) == 1 else list(sizes)


def _tensors(values: Iterable[object]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _exchanged(values: Iterable[Any], footprint: Footprint) -> list[Any]:
    """The arguments with every tensor's footprint in its place."""
    return [
        footprint(value)
        if isinstance(value, Tensor)
        else _exchanged(value, footprint)
        if isinstance(value, list | tuple)
        else value
        for value in values
    ]
