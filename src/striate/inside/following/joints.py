"""Where two ways through a network meet, written as functions: concatenations, as steps; and the names of the ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from striate.inside.following.origins import CONSTANT, Origin, Step
from striate.inside.following.steps import Reached, one_image
from striate.layers.concat import chosen
from striate.layers.layer import Array
from striate.layers.terms import Spot, Terms


def concatenation(reached: Sequence[Reached], output: Tensor) -> Step:
    """Tensors one after another by unit."""
    named = ways([each.origin for each in reached])
    parts: Mapping[str, Array] = {name: each.x for name, each in zip(named, reached, strict=True)}

    def terms(at: Spot) -> Terms:
        return chosen(parts, at)

    y = one_image(output)
    return Step("concat", "concat", reached[0].x.shape, y, named, terms, function=True, dtype=output.dtype)


def ways(origins: Sequence[Origin]) -> dict[str, Origin]:
    """Where each part comes from, by the name of the layer that it comes from; a number where one comes twice."""
    found: dict[str, Origin] = {}
    for origin in origins:
        name = origin.step.name if origin.step else _NAMELESS.get(origin.reason, "what is not known")
        found[f"{name} ({len(found) + 1})" if name in found else name] = origin
    return found


_NAMELESS = {"": "the image", CONSTANT: "a constant"}
"""What numbers that no step made are called."""
