"""Where two ways through a network meet, written as functions: sums and concatenations, as steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from striate.inside.explaining.origins import Origin, Step
from striate.layers.concat import chosen
from striate.layers.layer import Array
from striate.layers.residual import added
from striate.layers.terms import Spot, Terms


def sum_of(values: Sequence[Array], origins: Sequence[Origin], output: Array) -> Step:
    """x + y of two tensors of one shape."""
    F, S = values
    named = _named(origins)

    def terms(at: Spot) -> Terms:
        return added({name: float(x[at]) for name, x in zip(named, (F, S), strict=True)}, at)

    return Step("sum", "residual", F.shape, output, named, terms, function=True)


def concatenation(values: Sequence[Array], origins: Sequence[Origin], output: Array) -> Step:
    """Tensors one after another by unit."""
    named = _named(origins)
    parts: Mapping[str, Array] = dict(zip(named, values, strict=True))

    def terms(at: Spot) -> Terms:
        return chosen(parts, at)

    return Step("concat", "concat", values[0].shape, output, named, terms, function=True)


def _named(origins: Sequence[Origin]) -> dict[str, Origin]:
    """Where each part comes from, by the name of the layer that it comes from; a number where one comes twice."""
    found: dict[str, Origin] = {}
    for origin in origins:
        name = origin.step.name if origin.step else "what is not known" if origin.reason else "the image"
        found[f"{name} ({len(found) + 1})" if name in found else name] = origin
    return found
