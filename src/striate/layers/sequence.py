"""Layers one after another: their names, shapes, module and equation. Networks and blocks are made of these.

Legend: a sequence is a tuple of layers; `theta` is keyed as the module's state dict is, e.g. `conv1.weight`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.errors import ShapeError
from striate.layers.layer import Array, Layer, Parameters, Shape, shape_text
from striate.layers.window import Field

__all__ = [
    "backward",
    "below",
    "field",
    "forward",
    "module",
    "multiply_adds",
    "names",
    "output",
    "parameters",
    "shape_text",
    "shapes",
    "walk",
]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import nn


def names(layers: Sequence[Layer]) -> tuple[str, ...]:
    """The automatic names: conv1, relu1, pool1, conv2, ...; counted per label, as in the papers."""
    counts: dict[str, int] = {}
    named: list[str] = []
    for layer in layers:
        counts[layer.label] = counts.get(layer.label, 0) + 1
        named.append(f"{layer.label}{counts[layer.label]}")
    return tuple(named)


def shapes(layers: Sequence[Layer], input: Shape) -> tuple[Shape, ...]:
    """The output shape of every layer. Raises ShapeError that names the layer and the shape that reached it."""
    reached = input
    found: list[Shape] = []
    for name, layer in zip(names(layers), layers, strict=True):
        try:
            reached = layer.output(reached)
        except ShapeError as fault:
            raise ShapeError(f"{name} ({layer}) cannot take {shape_text(reached)}: {fault}") from None
        found.append(reached)
    return tuple(found)


def walk(layers: Sequence[Layer], input: Shape) -> Iterator[tuple[str, Layer, Shape]]:
    """Every layer with its name and the shape that reaches it."""
    reached = (input, *shapes(layers, input))
    yield from zip(names(layers), layers, reached[:-1], strict=True)


def output(layers: Sequence[Layer], input: Shape) -> Shape:
    """The shape that leaves the last layer; `input` where there are no layers."""
    return (input, *shapes(layers, input))[-1]


def parameters(layers: Sequence[Layer], input: Shape) -> int:
    """How many numbers the layers learn together."""
    return sum(layer.parameters(reached) for _, layer, reached in walk(layers, input))


def multiply_adds(layers: Sequence[Layer], input: Shape) -> int:
    """How many products the layers add up for one image."""
    return sum(layer.multiply_adds(reached) for _, layer, reached in walk(layers, input))


def field(layers: Sequence[Layer], input: Shape, incoming: Field) -> Field:
    """The receptive field of the last layer's units, given that of the units that feed the first."""
    for _, layer, reached in walk(layers, input):
        incoming = layer.field(reached, incoming)
    return incoming


def module(layers: Sequence[Layer], input: Shape) -> nn.Sequential:
    """A plain nn.Sequential with one child per layer under its name; a child `NAME_flatten` or `NAME_pad` stands
    before a layer that needs its input prepared."""
    from collections import OrderedDict

    from torch import nn

    children: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer, reached in walk(layers, input):
        for step, preparation in layer.before(reached).items():
            children[f"{name}_{step}"] = preparation
        children[name] = layer.module(reached)
    return nn.Sequential(children)


def forward(layers: Sequence[Layer], x: Array, theta: Mapping[str, Array], *, training: bool = False) -> list[Array]:
    """The equations one after another: x and then every layer's output."""
    values = [x]
    for name, layer in zip(names(layers), layers, strict=True):
        values.append(layer.forward(values[-1], below(theta, name), training=training))
    return values


def backward(
    layers: Sequence[Layer], x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
) -> tuple[Array, Parameters]:
    """The chain rule through the sequence: dL/dx and dL/dtheta from dL/dy."""
    values = forward(layers, x, theta, training=training)
    gradients: Parameters = {}
    for name, layer, reached in reversed(list(zip(names(layers), layers, values[:-1], strict=True))):
        dy, own = layer.backward(reached, dy, below(theta, name), training=training)
        gradients |= {f"{name}.{key}": value for key, value in own.items()}
    return dy, gradients


def below(theta: Mapping[str, Array], name: str) -> Parameters:
    """The part of `theta` that belongs to the child `name`, under the child's own keys."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in theta.items() if key.startswith(prefix)}
