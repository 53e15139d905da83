"""Networks and texts for property tests, made from what the kinds of layers say about their own fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from striate.errors import NetworkError, ShapeError
from striate.layers import Block, Layer, Shape, kinds
from striate.layers.layer import defaults, text_fields
from striate.layers.values import Padding, Real, Size, Value, Whole, YesNo
from striate.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES = st.one_of(st.tuples(st.integers(1, 6)), st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12)))


def values(value: Value) -> st.SearchStrategy[object]:
    """Anything that `value` accepts, small where it has no bound that matters."""
    match value:
        case Whole(least, most):
            return st.integers(least, min(most, least + 7))
        case Size(least, most):
            side = st.integers(least, min(most, least + 3))
            return st.tuples(side, side)
        case Padding(most):
            side = st.integers(0, min(most, 2))
            return st.one_of(st.just("same"), st.tuples(side, side))
        case Real(least, most, open_least, open_most):
            return st.floats(
                max(least, -1e300), min(most, 1e300), exclude_min=open_least, exclude_max=open_most, allow_nan=False
            )
        case YesNo():
            return st.booleans()
        case _:
            raise AssertionError(f"no strategy for {value}")


@st.composite
def plain_layers(draw: st.DrawFn) -> Layer:
    """A layer that is no block, with any of its options set or left."""
    plain = [kind for kind in kinds().values() if not issubclass(kind, Block)]
    kind = draw(st.sampled_from(plain))
    fields: dict[str, object] = {}
    for name, value in text_fields(kind).items():
        if name not in defaults(kind) or draw(st.booleans()):
            fields[name] = draw(values(value))
    return made(lambda: kind(**fields)) or draw(plain_layers())


@st.composite
def blocks(draw: st.DrawFn, inner: st.SearchStrategy[Layer]) -> Layer:
    """A block of one to three branches of inner layers."""
    kind = draw(st.sampled_from([kind for kind in kinds().values() if issubclass(kind, Block)]))
    branch = st.lists(inner, max_size=3).map(tuple)
    branches = tuple(draw(st.lists(branch, min_size=1, max_size=3)))
    return made(lambda: kind.of(branches)) or draw(plain_layers())


def made(make: Callable[[], Layer]) -> Layer | None:
    """The layer, or None where its fields do not go together."""
    try:
        return make()
    except ValueError:
        return None


LAYERS = st.recursive(plain_layers(), blocks, max_leaves=6)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Any network that can be written; it has an input where one fits."""
    layers = tuple(draw(st.lists(LAYERS, min_size=1, max_size=6)))
    try:
        return Network(layers, draw(st.none() | SHAPES))
    except NetworkError:
        return Network(layers)


@st.composite
def fitting_networks(draw: st.DrawFn) -> Network:
    """A network whose layers take what reaches them."""
    shape: Shape = draw(SHAPES)
    reached = shape
    layers: list[Layer] = []
    for layer in draw(st.lists(LAYERS, min_size=1, max_size=8)):
        try:
            reached = layer.output(reached)
        except ShapeError:
            continue
        layers.append(layer)
    return Network(tuple(layers) or Network.parse("dense 2").layers, shape)
