"""A network for other data: the input's shape and the number of outputs, changed. `Network.adapted` uses it."""

from __future__ import annotations

from dataclasses import replace

from striate.errors import NetworkError
from striate.layers import Layer, Shape
from striate.layers.conv import Conv
from striate.layers.dense import Dense


def with_input(input: Shape | None, channels: int | None, size: tuple[int, int] | None) -> Shape | None:
    """`input` with other channels and another size."""
    if channels is None and size is None:
        return input
    if size is not None and not (isinstance(size, tuple) and len(size) == 2):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise NetworkError(f"the size of the images must be (rows, columns), found {size!r}")
    if channels is not None and input is not None and len(input) == 1 and size is None:
        return (channels,)
    if input is None or len(input) == 1:
        if channels is None or size is None:
            raise NetworkError("a network that takes no images yet needs both the channels and the size of the images")
        return (channels, *size)
    return (input[0] if channels is None else channels, *(size or input[1:]))


def with_outputs(layers: tuple[Layer, ...], classes: int) -> tuple[Layer, ...]:
    """`layers` with `classes` outputs of the last dense layer, or of the last convolution where no dense layer is."""
    last = max((at for at, layer in enumerate(layers) if isinstance(layer, Dense)), default=None)
    if last is None:
        last = max((at for at, layer in enumerate(layers) if isinstance(layer, Conv)), default=None)
    if last is None:
        raise NetworkError(
            f"this network has no dense layer and no convolution whose outputs could become {classes};"
            f" let it end in dense {classes}"
        )
    layer = layers[last]
    assert isinstance(layer, Dense | Conv)
    try:
        ending = replace(layer, outputs=classes) if isinstance(layer, Dense) else replace(layer, channels=classes)
    except ValueError as fault:
        raise NetworkError(str(fault)) from None
    return (*layers[:last], ending, *layers[last + 1 :])
