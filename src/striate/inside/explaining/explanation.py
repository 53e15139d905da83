"""An explanation as a value: one number of a layer, its terms, and what the largest of them are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from striate.inside.explaining import html, text
from striate.inside.explaining.ends import Pixel, Stop
from striate.inside.explaining.rounding import Rounding
from striate.inside.watching.plain import plain
from striate.layers.terms import Source, Terms
from striate.layers.values import Pair

if TYPE_CHECKING:
    from striate.inside.explaining.text import Line
    from striate.layers.layer import Shape


@final
@dataclass(frozen=True, eq=False)
class Below:
    """One term, followed down: the source it is, and what that number is made of."""

    source: Source
    found: Explanation | Pixel | Stop


@final
@dataclass(frozen=True, eq=False)
class Explanation:
    """What one number of a layer is made of. Notebooks show it as tables; `print(explanation.text())` as text.

    Attributes:
        layer: name of the layer.
        kind: its text form, such as `conv 20 5x5`.
        input: shape of what reached it, for one image.
        unit: number of the feature map, or feature.
        position: row and column on the feature map; None in a vector.
        terms: the terms of the layer's equation: `Products`, `Dot`, `Pooled` or `Formula` of `striate.layers.terms`.
        module_value: the number that the module itself gave. Of what lies within a call that shows its result alone, as
            `kind` then says, the number that the calls give by which PyTorch defines it.
        rounding: in which type of numbers it gave it, and what difference that explains.
        below: the largest terms, followed down.
    """

    layer: str
    kind: str
    input: Shape
    unit: int
    position: Pair | None
    terms: Terms = field(repr=False)
    module_value: float
    rounding: Rounding = field(repr=False)
    below: tuple[Below, ...] = field(default=(), repr=False)

    @property
    def value(self) -> float:
        """The number, worked out from its terms in float64."""
        return self.terms.value

    @property
    def difference(self) -> float:
        """value − module_value; 0 also where both are the same infinity, or no number."""
        same = self.value == self.module_value or (math.isnan(self.value) and math.isnan(self.module_value))
        return 0.0 if same else self.value - self.module_value

    @property
    def scale(self) -> float:
        """The size of what was added up (for a plain value: of the value), by which rounding is measured."""
        return max(abs(self.module_value), self.terms.scale, self.rounding.underflow)

    @property
    def relative(self) -> float:
        """|difference| / scale."""
        return abs(self.difference) / self.scale if self.difference else 0.0

    @property
    def agrees(self) -> bool:
        """Whether the module gave the same number but for rounding in its type of numbers: in float32, to 1e-5."""
        return self.relative <= self.rounding.tolerance

    def as_json(self) -> dict[str, Any]:
        """Everything under the names of the attributes; `terms` also says its `form`."""
        whole = _numbers_json(self)
        unfinished: list[tuple[Explanation, dict[str, Any]]] = [(self, whole)]
        for found, held in unfinished:  # which grows meanwhile: it may be deeper than functions can call themselves
            for below in found.below:
                kept = {"source": plain(below.source), **_below_json(below.found)}
                held["below"].append(kept)
                if isinstance(below.found, Explanation):
                    unfinished.append((below.found, kept["explanation"]))
        return whole

    def text(self, width: int = 100, most: int = 16) -> str:
        """As text to follow by hand.

        Arguments:
            width: columns; grids stand side by side where they fit, else one below the other, and what is wider still a
                few columns at a time.
            most: how many input channels, or terms of a dense layer, are written out, beside those that are followed
                down; the rest are summed and counted.
        """
        return "\n".join("".join(span.text for span in line).rstrip() for line in self.lines(width, most))

    def lines(self, width: int = 100, most: int = 16) -> list[Line]:
        """The lines of `text` in spans that say what they are, for a terminal with colours."""
        return text.lines(self, width, most)

    def _repr_html_(self) -> str:  # pyright: ignore[reportUnusedFunction] - notebooks call it
        return html.page(self)


def _numbers_json(found: Explanation) -> dict[str, Any]:
    """What `as_json` has of a number, before what lies below it."""
    return {
        "layer": found.layer,
        "kind": found.kind,
        "unit": found.unit,
        "position": plain(found.position),
        "value": plain(found.value),
        "module_value": plain(found.module_value),
        "difference": plain(found.difference),
        "scale": plain(found.scale),
        "relative": plain(found.relative),
        "dtype": found.rounding.dtype,
        "tolerance": found.rounding.tolerance,
        "agrees": found.agrees,
        "input": plain(found.input),
        "terms": _terms_json(found.terms),
        "below": [],
    }


def _terms_json(terms: Terms) -> dict[str, Any]:
    return {"form": type(terms).__name__.lower(), **plain(terms)}


def _below_json(found: Explanation | Pixel | Stop) -> dict[str, Any]:
    if isinstance(found, Explanation):
        return {"explanation": _numbers_json(found)}
    if isinstance(found, Pixel):
        return {"pixel": plain(found)}
    return {"stop": found.reason}
