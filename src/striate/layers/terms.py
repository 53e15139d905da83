"""What one number of a layer is made of: the terms of the layer's equation, as values that can be followed by hand.

Four forms are enough for all kinds of layers: `Products` (weights times inputs, added up), `Dot` (inputs times inputs,
added up), `Pooled` (one number of a window) and `Formula` (a few numbers, and steps worked out one after another). Each
says its `value`, worked out from the terms it shows and from nothing else, and its `sources`: the inputs it was made
of, largest share first, by which an explanation goes on to the layers before. Everything is float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias, final, overload

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = NDArray[np.float64]

Spot = tuple[int, ...]
"""Where a number stands in one image's activations: (unit, row, column) on maps, (unit,) in a vector; from 0."""


@final
@dataclass(frozen=True)
class Source:
    """One input that a number was made of.

    Attributes:
        at: where it stands in the layer's input; in what leaves a branch where `branch` names one.
        x: its value.
        adds: what it adds to the result, as far as the equation is a sum; else its value. Orders the sources by size.
        branch: of a block: the branch whose output it is; "" for the layer's own input.
    """

    at: Spot
    x: float
    adds: float
    branch: str = ""


@final
@dataclass(frozen=True, eq=False)
class Sources(Sequence[Source]):
    """Sources of which there may be millions, as of a norm over whole maps, by the size of what they add; equal ones in
    reading order. Each is made when it is asked for.

    Attributes:
        x: the numbers.
        adds: what each adds, as of `Source`.
        places: where each stands.
        own: which of them stands first whatever it adds; None where none does.

    Example:
        >>> found = Sources(np.array([3.0, 4.0]), np.array([9.0, 16.0]), np.array([[0], [1]]))
        >>> len(found), found[0]
        (2, Source(at=(1,), x=4.0, adds=16.0, branch=''))
    """

    x: Float[np.ndarray, " n"]
    adds: Float[np.ndarray, " n"]
    places: Int[np.ndarray, "n axes"]
    own: int | None = None

    @cached_property
    def order(self) -> Int[np.ndarray, " n"]:
        """Which of them is the first, the second, ..."""
        order = np.argsort(-np.abs(self.adds), kind="stable")
        return order if self.own is None else np.concatenate([[self.own], order[order != self.own]])

    def __len__(self) -> int:
        return len(self.x)

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Source]: ...
    def __getitem__(self, index: int | slice) -> Source | Sequence[Source]:
        if isinstance(index, slice):
            return tuple(self[k] for k in range(len(self))[index])
        k = self.order[index]
        return Source(tuple(self.places[k].tolist()), float(self.x[k]), float(self.adds[k]))


@final
@dataclass(frozen=True, eq=False)
class Products:
    """y = b + Σ W·x: a convolution's window, channel by channel, or a dense layer's whole input.

    Attributes:
        equation: as the layer's file has it.
        x: inputs; 0 where a window reaches into the padding.
        W: weights, one for each.
        b: bias; None where the layer has none.
        places: where each input stands.
        inside: whether it exists; the others are padding.
        called: what the weights of a window are called together.
        remark, size: as of `Formula`.

    Example:
        >>> x, W = np.array([2.0, 1.0]), np.array([3.0, -1.0])
        >>> Products("y = b + Σ W·x", x, W, 0.5, np.array([[0], [1]]), np.array([True, True])).value
        5.5
    """

    equation: str
    x: Float[np.ndarray, "*window"]
    W: Float[np.ndarray, "*window"]
    b: float | None
    places: Int[np.ndarray, "*window axes"]
    inside: Bool[np.ndarray, "*window"]
    called: str = "filter"
    remark: str = ""
    size: float = 0.0

    @property
    def products(self) -> Float[np.ndarray, "*window"]:
        """W·x, one by one."""
        return self.W * self.x

    @property
    def sums(self) -> Float[np.ndarray, " channel"]:
        """Of a window: Σ W·x of each input channel. Of a vector: each product is its own sum."""
        return self.products.reshape(len(self.x), -1).sum(1)

    @property
    def value(self) -> float:
        """The sums, added up, and the bias."""
        return float(self.sums.sum()) + (self.b or 0.0)

    @property
    def scale(self) -> float:
        """The size of what is added up, Σ |W·x| + |b|: what a difference from rounding is measured by."""
        return max(self.size, float(np.abs(self.products).sum()) + abs(self.b or 0.0))

    @property
    def sources(self) -> tuple[Source, ...]:
        """The inputs that exist, largest product first."""
        return _by_size(self.places, self.x, self.products, self.inside)


@final
@dataclass(frozen=True, eq=False)
class Dot:
    """y = Σ_k a_k·b_k: a dot product of two vectors that both come from the image, as in attention.

    Attributes:
        equation: as the layer's file has it.
        a, b: the vectors.
        places_a, places_b: where the numbers of each stand.
        branches: the names of what gave A, and of what gave B.

    Example:
        >>> first, second = np.array([2.0, 1.0]), np.array([3.0, -1.0])
        >>> places = np.array([[0], [1]])
        >>> dot = Dot("y = Σ_k a_k·b_k", first, second, places, places, ("q", "k"))
        >>> dot.value, dot.sources[1]
        (5.0, Source(at=(0,), x=3.0, adds=6.0, branch='k'))
    """

    equation: str
    a: Float[np.ndarray, " k"]
    b: Float[np.ndarray, " k"]
    places_a: Int[np.ndarray, "k axes"]
    places_b: Int[np.ndarray, "k axes"]
    branches: tuple[str, str]

    @property
    def products(self) -> Float[np.ndarray, " k"]:
        """a·b, one by one."""
        return self.a * self.b

    @property
    def value(self) -> float:
        """The products, added up."""
        return float(self.products.sum())

    @property
    def scale(self) -> float:
        """Σ |a·b|: what a difference from rounding is measured by."""
        return float(np.abs(self.products).sum())

    @property
    def sources(self) -> tuple[Source, ...]:
        """Both factors of every product, largest product first."""
        taken = np.ones(len(self.a), dtype=bool)
        sides = (self.places_a, self.a), (self.places_b, self.b)
        both = [_by_size(places, x, self.products, taken) for places, x in sides]
        pairs = zip(*both, strict=True)
        return tuple(
            replace(source, branch=name) for pair in pairs for source, name in zip(pair, self.branches, strict=True)
        )


@final
@dataclass(frozen=True, eq=False)
class Pooled:
    """One number of a window of one map: its maximum or its mean, y = Σ share·x.

    Attributes:
        equation: as the layer's file has it.
        x: the pixels under the window, those that exist, (rows, columns).
        shares: how much of each goes on: 1 for the maximum and 0 for the others, or 1/n for each of n.
        places: where each stands, (unit, row, column).
    """

    equation: str
    x: Float[np.ndarray, "rows columns"]
    shares: Float[np.ndarray, "rows columns"]
    places: Int[np.ndarray, "rows columns axes"]

    @property
    def taken(self) -> Bool[np.ndarray, "rows columns"]:
        """Which pixels take part in the value."""
        return self.shares > 0

    @property
    def mean(self) -> bool:
        """Whether all pixels take part alike: a mean, not a maximum. Of a single pixel both are the same."""
        return bool(self.taken.all())

    @property
    def value(self) -> float:
        """Σ share·x, over those that take part."""
        return float((self.shares[self.taken] * self.x[self.taken]).sum())

    @property
    def scale(self) -> float:
        """Σ |share·x|."""
        return float(np.abs(self.shares[self.taken] * self.x[self.taken]).sum())

    @property
    def sources(self) -> tuple[Source, ...]:
        """The pixels that take part, largest share of the result first."""
        return _by_size(self.places, self.x, np.where(self.taken, self.shares * self.x, 0.0), self.taken)


@final
@dataclass(frozen=True)
class Step:
    """One step of a formula: letter = formula, worked out with the letters known so far."""

    letter: str
    formula: str
    value: float


@final
@dataclass(frozen=True, eq=False)
class Summed:
    """A sum over several inputs inside a formula; its total is the letter Σ.

    Attributes:
        formula: what is done to each input x_d before it is added, as in softmax's e^(x_d − m).
        x: the inputs.
        added: what each adds.
        places: where each stands.
    """

    formula: str
    x: Float[np.ndarray, " terms"]
    added: Float[np.ndarray, " terms"]
    places: Int[np.ndarray, "terms axes"]

    @property
    def total(self) -> float:
        """Σ."""
        return float(self.added.sum())


@final
@dataclass(frozen=True, eq=False)
class Formula:
    """Known numbers, and steps from them to the value.

    In formulas stand the letters, numbers, + − · / ^ √( ) max( , ) min( , ), e^, ln( ) and Φ( ); nothing else.

    Attributes:
        equation: as the layer's file has it.
        known: letter -> number: inputs, parameters, settings.
        steps: in order; the last one gives the value.
        sources: the inputs it was made of, the most important first.
        summed: what Σ stands for, where the formulas have one.
        remark: what else a reader should know, as a sentence; or "".
        size: the largest of what is added up or taken from one another on the way, in the unit of the value, where a
            rounding machine loses more than it does of the value itself; else 0.

    Example:
        >>> Formula("y = max(0, x)", {"x": -1.0}, (Step("y", "max(0, x)", 0.0),), ()).value
        0.0
    """

    equation: str
    known: Mapping[str, float]
    steps: tuple[Step, ...]
    sources: Sequence[Source]
    summed: Summed | None = None
    remark: str = ""
    size: float = 0.0

    @property
    def letters(self) -> dict[str, float]:
        """Every letter that a step may use, with its number."""
        total = {} if self.summed is None else {"Σ": self.summed.total}
        return {**self.known, **total, **{step.letter: step.value for step in self.steps}}

    @property
    def value(self) -> float:
        """What the last step gives."""
        return self.steps[-1].value

    @property
    def scale(self) -> float:
        """The size of the value, or of what it was made of by sums: what a difference from rounding is measured by."""
        return max(self.size, abs(self.value))


Terms: TypeAlias = Products | Dot | Pooled | Formula
"""What one number of a layer is made of."""


def single(
    equation: str, known: Mapping[str, float], at: Spot, *steps: Step, remark: str = "", size: float = 0.0
) -> Formula:
    """The formula of a function of one number, the letter x in `known`, that stands at `at` in the input."""
    return Formula(equation, known, steps, (Source(at, known["x"], known["x"]),), remark=remark, size=size)


def grid(*axes: Sequence[int] | Int[np.ndarray, " n"]) -> Int[np.ndarray, "*window axes"]:
    """The places that these axes span.

    Example:
        >>> grid(range(1), range(2, 4)).tolist()
        [[[0, 2], [0, 3]]]
    """
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def read(x: Array, places: Int[np.ndarray, "*window axes"]) -> tuple[Array, Bool[np.ndarray, "*window"]]:
    """One image's numbers at `places`, 0 outside of it; and which places are inside.

    Example:
        >>> read(np.array([5.0, 6.0]), np.array([[1], [2]]))
        (array([6., 0.]), array([ True, False]))
    """
    inside = np.asarray(np.all((places >= 0) & (places < x.shape), axis=-1))
    clipped = np.clip(places, 0, np.array(x.shape) - 1)
    return np.where(inside, x[tuple(np.moveaxis(clipped, -1, 0))], 0.0), inside


def _by_size(
    places: Int[np.ndarray, "*window axes"], x: Array, adds: Array, taken: Bool[np.ndarray, "*window"]
) -> tuple[Source, ...]:
    """Those taken as sources, by the size of what they add; equal ones in reading order."""
    order = np.argsort(-np.abs(adds), axis=None, kind="stable")
    order = order[taken.ravel()[order]]
    spots = places.reshape(-1, places.shape[-1])[order].tolist()
    values = zip(spots, x.ravel()[order].tolist(), adds.ravel()[order].tolist(), strict=True)
    return tuple(Source(tuple(spot), value, share) for spot, value, share in values)
