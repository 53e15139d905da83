"""Layers made of layers: a block sends its input through branches and joins what comes out.

A block's numbers are those of its branches together. Its branches are sequences, so `sequence.py` does the work; how
the outputs are joined is all that a kind of block adds.
"""

from __future__ import annotations

import abc
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, ClassVar

from striate.errors import ShapeError
from striate.layers import sequence
from striate.layers.layer import Array, Layer, Parameters, Shape, shape_text
from striate.layers.window import Field, Window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


class Block(Layer):
    """A layer made of branches of layers, written `word(... | ...)`."""

    branch_names: ClassVar[tuple[str, ...]] = ()
    """Names of the branches in the module; where there are more branches than names, branch1, branch2, ..."""

    def __post_init__(self) -> None:
        """Checks that every branch is a tuple of layers, so that a block made in Python is as sound as a parsed one."""
        if not _is_tuple(self.branches):
            raise ValueError(f"the branches of {self.word} must be a tuple, found {self.branches!r}")
        for branch in self.branches:
            if not _is_tuple(branch, Layer):
                raise ValueError(f"a branch of {self.word} must be a tuple of layers, found {branch!r}")

    @property
    @abc.abstractmethod
    def branches(self) -> tuple[tuple[Layer, ...], ...]:
        """The layers of each branch as the text form has them, in order."""

    @classmethod
    @abc.abstractmethod
    def of(cls, branches: tuple[tuple[Layer, ...], ...]) -> Self:
        """The block with these branches. Raises ValueError, saying how many branches it takes."""

    @property
    def names_of_branches(self) -> tuple[str, ...]:
        """The name of each of `branches` in the module."""
        numbered = (f"branch{number}" for number in range(1, len(self.branches) + 1))
        return (self.branch_names or tuple(numbered))[: len(self.branches)]

    def parts(self, input: Shape) -> dict[str, tuple[Layer, ...]]:
        """Every branch that `input` goes through, under its name in the module.

        A block may add branches that the text form leaves out because they follow from the shapes. A branch without
        layers is the identity.
        """
        del input
        return dict(zip(self.names_of_branches, self.branches, strict=True))

    def __str__(self) -> str:
        return f"{self.word}({' | '.join(', '.join(map(str, branch)) for branch in self.branches)})"

    def parameters(self, input: Shape) -> int:
        return sum(sequence.parameters(part, input) for part in self.parts(input).values())

    def multiply_adds(self, input: Shape) -> int:
        return sum(sequence.multiply_adds(part, input) for part in self.parts(input).values())

    def window(self, input: Shape) -> Window | None:
        """The smallest window that holds those of all branches; None where one of them looks at everything."""
        output = self.output(input)
        if len(input) != 3 or len(output) != 3:
            return None
        own = self.field(input, Field())
        if 0 in own.stride:
            return None
        before = (-own.start[0], -own.start[1])
        rows, columns = (
            max((positions - 1) * stride + size + start - side, 0)
            for positions, stride, size, start, side in zip(
                output[1:], own.stride, own.size, own.start, input[1:], strict=True
            )
        )
        return Window(own.size, own.stride, before, (rows, columns))

    def field(self, input: Shape, incoming: Field) -> Field:
        """The hull of the branches' fields."""
        output = self.output(input)
        rows, columns = output[1:] if len(output) == 3 else (1, 1)
        fields = [sequence.field(part, input, incoming) for part in self.parts(input).values()]
        return reduce(lambda one, other: one.hull(other, (rows, columns)), fields)

    def outputs(self, input: Shape) -> dict[str, Shape]:
        """The shape that leaves each written branch. Raises ShapeError that names the branch and the layer in it."""
        return dict(zip(self.names_of_branches, _outputs(self, input), strict=True))

    def branch_values(self, x: Array, theta: Mapping[str, Array], *, training: bool) -> list[Array]:
        """What leaves each part, by the equations."""
        return [
            sequence.forward(part, x, sequence.below(theta, name), training=training)[-1]
            for name, part in self.parts(x.shape[1:]).items()
        ]

    def branch_gradients(
        self, x: Array, dys: list[Array], theta: Mapping[str, Array], *, training: bool
    ) -> tuple[Array, Parameters]:
        """dL/dx, summed over the parts, and dL/dtheta, from dL/dy of what leaves each part."""
        dx, gradients = x * 0, Parameters()
        for (name, part), dy in zip(self.parts(x.shape[1:]).items(), dys, strict=True):
            own_dx, own = sequence.backward(part, x, dy, sequence.below(theta, name), training=training)
            dx = dx + own_dx
            gradients |= {f"{name}.{key}": value for key, value in own.items()}
        return dx, gradients


# Kept, because every question to a block asks for the shapes in it, and so does each of the blocks around it: without
# the cache the time grows sixfold with every level of nesting (13 s at eight levels).
@lru_cache(maxsize=10_000)
def _outputs(block: Block, input: Shape) -> tuple[Shape, ...]:
    """The shape that leaves each written branch."""
    found: list[Shape] = []
    for name, branch in zip(block.names_of_branches, block.branches, strict=True):
        try:
            found.append(sequence.output(branch, input))
        except ShapeError as fault:
            raise ShapeError(f"in {name}, {fault}") from None
    return tuple(found)


def _is_tuple(value: object, of: type = object) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, of) for item in value)


def differ(shapes: dict[str, Shape]) -> str:
    """The shapes of branches in words: body gives 8x4x4, shortcut gives 4x4x4."""
    return ", ".join(f"{name} gives {shape_text(shape)}" for name, shape in shapes.items())
