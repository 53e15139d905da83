"""Calls that pool, as layers: windows, windows that adapt to the map, and means and maxima over whole maps."""

from __future__ import annotations

from collections.abc import Callable

from striate.inside.following.arguments import Given, pair, require
from striate.inside.following.steps import Translated
from striate.layers.adaptivepool import AdaptiveAvgPool, AdaptiveMaxPool
from striate.layers.globalpool import GlobalAvgPool
from striate.layers.layer import Shape
from striate.layers.pool import AvgPool, MaxPool
from striate.layers.values import Pair


def maximum(given: Given, input: Shape) -> Translated:
    """`F.max_pool2d`."""
    (kernel, step), dilation = _window(given), pair(given["dilation"])
    return Translated(MaxPool(kernel, step, pair(given["padding"]), bool(given["ceil_mode"]), dilation))


def mean(given: Given, input: Shape) -> Translated:
    """`F.avg_pool2d`."""
    divisor = given["divisor_override"]
    require(divisor is None, f"divisor_override={divisor}; explained is the mean")
    (kernel, step), pad, ceil = _window(given), pair(given["padding"]), bool(given["ceil_mode"])
    pool = AvgPool(kernel, step, pad, ceil)
    if any(pad) and given["count_include_pad"]:  # with ceil_mode, windows that begin below or right of the map are none
        return Translated(AvgPool(kernel, step, ceil=ceil), border=pad, output=pool.output(input))
    return Translated(pool)


def _window(given: Given) -> tuple[Pair, Pair | None]:
    """Kernel and stride; no stride where it is the kernel's."""
    kernel = pair(given["kernel_size"])
    step = pair(given["stride"]) if given["stride"] not in (None, [], ()) else kernel
    return kernel, None if step == kernel else step


def adaptive(kind: type[AdaptiveAvgPool | AdaptiveMaxPool]) -> Callable[[Given, Shape], Translated]:
    """`F.adaptive_avg_pool2d` and `F.adaptive_max_pool2d`."""

    def translate(given: Given, input: Shape) -> Translated:
        wanted, sides = given["output_size"], input[-2:]
        wanted = wanted if isinstance(wanted, list | tuple) else [wanted, wanted]
        return Translated(kind(pair([side if n is None else n for n, side in zip(wanted, sides, strict=True)])))

    return translate


def over_positions(kind: type[AvgPool | MaxPool]) -> Callable[[Given, Shape], Translated]:
    """A mean or a maximum along rows, columns, or both, of maps; along the last axis of (units, positions)."""

    def translate(given: Given, input: Shape) -> Translated:
        dims = given["dim"]
        dims = dims if isinstance(dims, list | tuple) else [dims]
        require(None not in dims and len(dims) > 0, "no dim; explained is one over rows and columns")
        axes = {int(dim) % (len(input) + 1) for dim in dims}
        require(
            axes <= {2, 3} and len(input) in (2, 3), f"dim={given['dim']} of {len(input) + 1}; explained are 2 and 3"
        )
        maps = input if len(input) == 3 else (input[0], 1, input[1])
        axes = axes if len(input) == 3 else {2, 3}
        if kind is AvgPool and axes == {2, 3} and not given["keepdim"]:
            return Translated(GlobalAvgPool(), shape=maps)
        return Translated(kind((maps[1] if 2 in axes else 1, maps[2] if 3 in axes else 1)), shape=maps)

    return translate
