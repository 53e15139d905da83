"""What every kind of layer says about itself: the abstract `Layer`. Layers made of layers stand on `block.py`.

A kind of layer is a frozen dataclass in a file of this folder. It says, in one place, its text form and bounds, its
output shape, its counts, its window, its PyTorch module (what runs) and its equation (what it means: plain NumPy in
float64, as a textbook prints it, never tuned; the module is tested against it and `explain` prints it).

Legend of index letters used in every equation: n image of the batch, c input channel, o output channel,
i row, j column of the output, h row, w column of the input, u row, v column of the window.
"""

from __future__ import annotations

import abc
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Protocol, get_type_hints

from striate.errors import ShapeError
from striate.layers.terms import Array, Spot, Terms
from striate.layers.values import Value
from striate.layers.window import Field as ReceptiveField
from striate.layers.window import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

Shape = tuple[int, ...]
"""Shape of one image's activations, without the batch: (channels, rows, columns) of maps, (features,) of a vector."""

Parameters = dict[str, Array]
"""What an equation needs besides x, under the names of the module's state dict: weights, biases, running statistics;
and what a training pass has drawn at random (`mask` of dropout)."""


class Equation(Protocol):
    """What a number can be explained by: the part of `Layer` that says what a computation means.

    Computations that networks from elsewhere contain, and no text form has, are this much and no more.

    Class attributes:
        word: what it is called, e.g. `convtranspose`.
    """

    word: ClassVar[str]

    def output(self, input: Shape) -> Shape:
        """As `Layer.output`."""
        ...

    def terms(self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False) -> Terms:
        """As `Layer.terms`."""
        ...


class Layer(abc.ABC):
    """One kind of layer. Subclasses are final, frozen dataclasses whose fields carry their bounds in `Annotated`.

    Class attributes:
        word: the word that opens its text form, e.g. `maxpool`.
        label: the stem of its automatic names, as in the papers, e.g. `pool` for pool1, pool2.
    """

    word: ClassVar[str]
    label: ClassVar[str]

    def __post_init__(self) -> None:
        """Checks every field against its bounds, so that a layer made in Python is as sound as a parsed one."""
        faults = [
            f"{name} of {self.word} must be {value.allowed}, found {getattr(self, name)!r}"
            for name, value in text_fields(type(self)).items()
            if not (value.accepts(getattr(self, name)) or _left_out(self, name))
        ]
        if faults:
            raise ValueError("; ".join(faults))

    def __str__(self) -> str:
        """The text form; parsing it gives an equal layer. Options that stand at their default are left out."""
        words = [self.word]
        for name, value in text_fields(type(self)).items():
            found = getattr(self, name)
            default = defaults(type(self)).get(name, MISSING)
            if default is MISSING:
                words.append(value.write(found))
            elif found != default:
                words.append(f"{name}={value.write(found)}")
        return " ".join(words)

    @abc.abstractmethod
    def output(self, input: Shape) -> Shape:
        """The shape that comes out when `input` goes in. Raises ShapeError where that shape cannot go in."""

    def parameters(self, input: Shape) -> int:
        """How many numbers are learned: weights and biases."""
        del input
        return 0

    def multiply_adds(self, input: Shape) -> int:
        """How many products are added up for one image, in inference: sums of products of weights and activations.

        Counted are conv, dense and the normalizations that scale (batchnorm, layernorm, groupnorm: one product an
        element). Comparisons, sums and products without weights and functions of one number (pooling, activations,
        lrn, softmax, a residual's addition) count nothing.
        """
        del input
        return 0

    def window(self, input: Shape) -> Window | None:
        """Which input positions one output position looks at; None where it looks at all of them.

        Where no one window says so exactly (branches, adaptive pooling), the smallest one that holds them.
        """
        del input
        return Window()

    def field(self, input: Shape, incoming: ReceptiveField) -> ReceptiveField:
        """The receptive field in input pixels of this layer's units, given that of the units that feed it."""
        window = self.window(input)
        if window is not None:
            return incoming.through(window)
        rows, columns = input[1:] if len(input) == 3 else (1, 1)
        return incoming.over((rows, columns))

    def before(self, input: Shape) -> dict[str, nn.Module]:
        """What must happen to the input first, since the module cannot do it itself (flattening, one-sided padding)."""
        del input
        return {}

    @abc.abstractmethod
    def module(self, input: Shape) -> nn.Module:
        """The PyTorch module that computes this layer on batches (n, *input); weights freshly drawn as torch does."""

    @abc.abstractmethod
    def forward(self, x: Array, theta: Mapping[str, Array], *, training: bool = False) -> Array:
        """The equation: y of a batch x of shape (n, *input), with `theta` as `Parameters` says."""

    @abc.abstractmethod
    def backward(
        self, x: Array, dy: Array, theta: Mapping[str, Array], *, training: bool = False
    ) -> tuple[Array, Parameters]:
        """The equation's derivative: given dL/dy, returns dL/dx and dL/dtheta for every learned parameter."""

    @abc.abstractmethod
    def terms(self, x: Array, theta: Mapping[str, Array], at: Spot, *, image: int = 0, training: bool = False) -> Terms:
        """What the equation makes one number of: `forward(x, theta)[image][at]`, term by term.

        Arguments:
            x: a batch (n, *input), as `forward` takes it.
            theta: as `forward` takes it.
            at: (unit, row, column) on maps, (unit,) in a vector, within the layer's output.
            image: which image of the batch.
            training: whether the terms of training are asked for.
        """


@cache
def text_fields(kind: type[Layer]) -> dict[str, Value]:
    """The fields of a kind that stand in its text form, in order: name -> how it is written and bounded.

    Example:
        >>> from striate.layers.conv import Conv
        >>> text_fields(Conv)["kernel"].allowed
        'a size such as 3x3 or 3, each side from 1 to 1024'
    """
    hints = get_type_hints(kind, include_extras=True)
    described = {f.name: getattr(hints[f.name], "__metadata__", ()) for f in fields(kind)}  # pyright: ignore[reportArgumentType]
    return {name: metadata[0] for name, metadata in described.items() if metadata}


@cache
def defaults(kind: type[Layer]) -> dict[str, object]:
    """The default of every field that has one; these are the options of the text form, the rest its arguments."""
    all_fields: tuple[Field[object], ...] = fields(kind)  # pyright: ignore[reportArgumentType]
    return {f.name: f.default for f in all_fields if f.default is not MISSING}


def _left_out(layer: Layer, name: str) -> bool:
    """Whether an option whose default is None, "deduced from the rest", was not given."""
    return getattr(layer, name) is None and defaults(type(layer)).get(name, MISSING) is None


def maps(input: Shape, word: str) -> tuple[int, int, int]:
    """Channels, rows and columns of `input`. Raises ShapeError where it is a vector, which `word` cannot take."""
    if len(input) != 3:
        raise ShapeError(f"{word} takes maps (channels x rows x columns), not a vector of {input[0]} features")
    channels, rows, columns = input
    return channels, rows, columns


def shape_text(shape: Shape) -> str:
    """A shape as the text form writes it: 1x28x28."""
    return "x".join(map(str, shape))
