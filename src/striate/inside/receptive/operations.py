"""Operations as windows: what one looks at, and what that makes of the receptive field of its input."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from striate.inside.receptive.footprints import BATCH_NORMS, Operation, by_image, spread
from striate.layers.window import Field, Window


def window_of(operation: Operation) -> Window | None:
    """The window of a convolution, a pooling or a padding; None for other operations."""
    given, name = operation.given, operation.name
    if name == "convolution" and not given["transposed"]:
        return _window(operation, given["input"], given["weight"].shape[2:])
    if name in _POOLS:
        return _window(operation, given["self"], given["kernel_size"])
    if name == "constant_pad_nd":
        left, right, top, bottom = [*given["pad"], 0, 0][:4]
        return Window(before=(top, left), after=(bottom, right)) if len(given["pad"]) <= 4 else None
    if name in ("_adaptive_avg_pool2d", "adaptive_max_pool2d"):
        sides = list(zip(operation.tensors[0].shape[-2:], operation.results[0].shape[-2:], strict=True))
        if all(side % n == 0 for side, n in sides):
            rows, columns = (side // n for side, n in sides)
            return Window((rows, columns), (rows, columns))
    return None


_POOLS = ("max_pool2d_with_indices", "max_pool2d", "avg_pool2d", "avg_pool3d", "max_pool3d_with_indices")


def _window(operation: Operation, x: Tensor, kernel: Sequence[int]) -> Window:
    """The window along rows and columns; `after` is how far the last window reaches."""
    axes = x.dim() - 2
    sizes = [
        kernel,
        operation.given["stride"] or kernel,
        operation.given["padding"],
        operation.given.get("dilation") or (1,),
    ]
    (k, m), (s, t), (p, q), (d, e) = (spread(list(size), axes)[-2:] for size in sizes)
    rows, columns = operation.results[0].shape[-2:]
    below = (rows - 1) * s + d * (k - 1) + 1 - p - x.shape[-2]
    right = (columns - 1) * t + e * (m - 1) + 1 - q - x.shape[-1]
    return Window((k, m), (s, t), (p, q), (max(below, p), max(right, q)), (d, e))


def field_after(operation: Operation, before: Sequence[tuple[Tensor, Field | None]]) -> Field | None:
    """The receptive field of what came out, given those of what went in; None where positions do not share one."""
    joined = _hull([field for _, field in before], _most_places([tensor for tensor, _ in before]))
    if joined is None or joined.stride == (0, 0):  # where all see the same, whatever is made of it sees that too
        return joined
    x, y = before[0][0], operation.results[0]
    window = window_of(operation)
    if window is not None:
        whole = operation.name.startswith(("_adaptive", "adaptive")) and tuple(y.shape[-2:]) == (1, 1)
        return joined.over(_places(x)) if whole else joined.through(window)
    if _looks_at_whole_maps(operation):
        return joined.over(_places(x)) if x.dim() == 4 else None
    if _is_one_position(x) and _is_one_position(y) and x.dim() != y.dim():
        return joined
    if y.dim() <= 2 or (x.dim() == 4 and y.dim() == 4 and tuple(y.shape[2:]) == (1, 1)):
        return joined.over(_places(x))
    reached = zip(*(tensor.shape[-2:] for tensor, _ in before), strict=False)
    keeps = operation.name not in _TURNING and not _mixes_positions(operation, x)
    return joined if keeps and tuple(map(max, reached)) == tuple(y.shape[-2:]) else None


def field_beside_channels(
    operation: Operation, before: Sequence[tuple[Tensor, Field | None, bool]]
) -> tuple[Field | None, bool]:
    """As `field_after`, where channels may have been moved to the end; and whether they are there then.

    Arguments:
        before: of each tensor that went in also whether its channels are the last dimension, behind rows and columns.
    """
    (x, field, last), *others = before
    if operation.name == "permute" and x.dim() == 4:
        order = [dim % 4 for dim in operation.given["dims"]]
        turned = {(0, 2, 3, 1): not last, (0, 3, 1, 2): last}.get(tuple(order), False)
        return (field, not last) if turned else (None, False)
    if not last and not any(other_last for *_, other_last in others):
        return field_after(operation, [(tensor, of_it) for tensor, of_it, _ in before]), False
    alone = operation.name == "native_layer_norm" and len(operation.given["normalized_shape"]) == 1
    return (field, True) if alone or operation.name in ("clone", "_to_copy", "contiguous") else (None, False)


def _is_one_position(x: Tensor) -> bool:
    """Whether a tensor has one position alone: a vector, or maps of one row and one column."""
    return x.dim() > 1 and all(side == 1 for side in x.shape[2:])


def _looks_at_whole_maps(operation: Operation) -> bool:
    """Whether each number depends on whole maps of its image, as in normalizations by what the image itself holds."""
    return operation.name == "native_group_norm" or (operation.name in BATCH_NORMS and by_image(operation))


def _mixes_positions(operation: Operation, x: Tensor) -> bool:
    """Whether it goes along rows or columns: each number depends on all there, or comes from any place there."""
    return operation.name in ("_softmax", "_log_softmax", "index_select") and operation.given["dim"] % x.dim() >= max(
        x.dim() - 2, 2
    )


def _most_places(tensors: Sequence[Tensor]) -> tuple[int, int]:
    """Rows and columns of what several tensors make together, of which some may stand for all positions."""
    rows, columns = zip(*map(_places, tensors), strict=True)
    return max(rows), max(columns)


def _hull(fields: Sequence[Field | None], positions: tuple[int, int]) -> Field | None:
    joined = fields[0]
    for field in fields[1:]:
        if field is None or joined is None:
            return None
        joined = joined.hull(field, positions)
    return joined


_TURNING = ("permute", "transpose", "t", "flip", "roll", "mm", "bmm", "addmm", "baddbmm", "linear", "native_layer_norm")
"""Operations after which the last two dimensions need not be rows and columns of the same places."""


def _places(x: Tensor) -> tuple[int, int]:
    return (int(x.shape[-2]), int(x.shape[-1])) if x.dim() > 2 else (1, 1)
