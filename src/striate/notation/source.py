"""A text that has been read: its layers, each with the place where it stands, so that later faults can show it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from striate.errors import ShapeError
from striate.layers import Block, Layer, Shape
from striate.layers.sequence import names, shape_text
from striate.notation.faults import Fault
from striate.notation.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Sequence


@final
@dataclass(frozen=True)
class Item:
    """A layer and where it stands in the text.

    Attributes:
        layer: the layer.
        token: its word.
        branches: for a block, the same of every branch; else ().
    """

    layer: Layer
    token: Token
    branches: tuple[tuple[Item, ...], ...] = ()


@final
@dataclass(frozen=True)
class Source:
    """A text that has been read.

    Attributes:
        text: the text.
        input: the shape in its input line, or None where it has none.
        items: its layers in order, repeats written out.
    """

    text: str
    input: Shape | None
    items: tuple[Item, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(item.layer for item in self.items)


def misfit(items: Sequence[Item], input: Shape, within: str = "") -> Fault | None:
    """The first layer that cannot take the shape that reaches it, looked for inside blocks too; None where all fit.

    Arguments:
        items: the layers.
        input: the shape that reaches the first.
        within: what stands before the layers' names, e.g. `residual1.body.`.
    """
    reached = input
    for name, item in zip(names([item.layer for item in items]), items, strict=True):
        try:
            reached = item.layer.output(reached)
        except ShapeError as fault:
            return _misfit_inside(item, reached, f"{within}{name}.") or Fault(
                item.token, f"{within}{name} cannot take {shape_text(reached)}: {fault}"
            )
    return None


def _misfit_inside(item: Item, reached: Shape, within: str) -> Fault | None:
    if not isinstance(item.layer, Block):
        return None
    found = (
        misfit(branch, reached, f"{within}{name}.")
        for name, branch in zip(item.layer.names_of_branches, item.branches, strict=True)
    )
    return next((fault for fault in found if fault is not None), None)
