"""What a network is, in numbers: shapes, counts and receptive fields of every layer, as data. No text is read here,
nothing is built, and every number is exact, however large.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, final

from striate.layers import Block, Field, Layer, Shape
from striate.layers.conv import Conv
from striate.layers.dense import Dense
from striate.layers.sequence import walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@final
@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        name: its path in the module, e.g. `conv1`, or `residual1.body.conv1` inside a block.
        text: its text form; a block's own layers are left to their own rows: `residual(...)`.
        depth: blocks around it.
        input: the shape that reaches it.
        output: the shape that leaves it.
        parameters: weights and biases it learns; a block's are those of its layers together.
        dense_parameters: for layers of weighted sums (conv, dense) the parameters that a fully connected layer with the
            same outputs would have, (inputs + 1) * outputs; else None.
        field: receptive field of its units in input pixels; None where the network's input is no image, or where the
            branches of a block move over it in different steps.
        multiply_adds: products added up for one image.
    """

    name: str
    text: str
    depth: int
    input: Shape
    output: Shape
    parameters: int
    dense_parameters: int | None
    field: Field | None
    multiply_adds: int

    def as_json(self) -> dict[str, object]:
        """The attributes under their names, for JSON; `field` as size, stride and start, each [rows, columns]."""
        return asdict(self)


@final
@dataclass(frozen=True)
class Description:
    """A row for every layer, a block's own row before those of its layers, and the totals.

    Attributes:
        input: the shape of one image.
        rows: the layers in order.
    """

    input: Shape
    rows: tuple[Row, ...]

    @property
    def layers(self) -> tuple[Row, ...]:
        """The rows of the network's own layers, without those inside blocks."""
        return tuple(row for row in self.rows if row.depth == 0)

    @property
    def output(self) -> Shape:
        return self.layers[-1].output

    @property
    def parameters(self) -> int:
        """Weights and biases that are learned."""
        return sum(row.parameters for row in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Products added up for one image, in inference."""
        return sum(row.multiply_adds for row in self.layers)

    @property
    def activations(self) -> int:
        """Numbers that the input and all layers' outputs together hold for one image; training keeps most of them."""
        return math.prod(self.input) + sum(math.prod(row.output) for row in self.rows)

    @property
    def dense_parameters(self) -> int:
        """Parameters if every layer of weighted sums were fully connected."""
        return sum(row.dense_parameters or 0 for row in self.rows)

    def as_json(self) -> dict[str, object]:
        """`input`, `output`, `rows` (as `Row.as_json`) and the totals under their names."""
        totals = {
            name: getattr(self, name) for name in ("parameters", "dense_parameters", "multiply_adds", "activations")
        }
        return {"input": self.input, "output": self.output, **totals, "rows": [row.as_json() for row in self.rows]}


def describe(layers: Sequence[Layer], input: Shape) -> Description:
    """Describes layers that images of shape `input` go through. Raises ShapeError where they cannot."""
    field = Field() if len(input) == 3 else None
    return Description(input, tuple(_rows(layers, input, field)))


def _rows(
    layers: Sequence[Layer], input: Shape, field: Field | None, within: str = "", depth: int = 0
) -> Iterator[Row]:
    for name, layer, reached in walk(layers, input):
        below = field
        field = _field(layer, reached, below)
        yield Row(
            name=f"{within}{name}",
            text=f"{layer.word}(...)" if isinstance(layer, Block) else str(layer),
            depth=depth,
            input=reached,
            output=layer.output(reached),
            parameters=layer.parameters(reached),
            dense_parameters=_dense_parameters(layer, reached),
            field=field,
            multiply_adds=layer.multiply_adds(reached),
        )
        if isinstance(layer, Block):
            for part_name, part in layer.parts(reached).items():
                yield from _rows(part, reached, below, f"{within}{name}.{part_name}.", depth + 1)


def _dense_parameters(layer: Layer, input: Shape) -> int | None:
    if not isinstance(layer, Conv | Dense):
        return None
    return (math.prod(input) + 1) * math.prod(layer.output(input))


def _field(layer: Layer, input: Shape, incoming: Field | None) -> Field | None:
    return None if incoming is None else layer.field(input, incoming)
