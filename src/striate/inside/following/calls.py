"""Calls read before they run: what each will make of what reaches it, and where the numbers of its results come from.

It is decided before the call runs, since a call may overwrite what it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from striate.inside.following import arithmetic, contractions, joints, moves, statistics
from striate.inside.following.arguments import input_of, require
from striate.inside.following.ledger import Entry, Ledger, of_one_image
from striate.inside.following.origins import FIRST, LAST, Origin, made
from striate.inside.following.steps import Padding, Reached, Translated, in_any_shape, made_by
from striate.inside.following.translation import (
    is_at_each_position,
    is_in_any_shape,
    is_translated,
    translated,
)
from striate.inside.watching.spellings import rectified_by, spelling
from striate.layers.dropout import Dropout
from striate.layers.rectifiers import Relu
from striate.layers.values import Pair

Finish = Callable[[Sequence[Tensor]], Sequence[Entry | None]]
"""What to make of a call's results; None for one that the equation does not give."""


@final
@dataclass(frozen=True, eq=False)
class Call:
    """A call of a function of PyTorch.

    Attributes:
        func: the function.
        args, kwargs: what it is given.
    """

    func: Callable[..., Any]
    args: Sequence[Any]
    kwargs: dict[str, Any]

    @property
    def name(self) -> str:
        """The bare name of the function; of a property such as `x.T`, that of the property."""
        name = spelling(self.func)[0]
        if name == "get":
            return str(getattr(getattr(self.func, "__self__", None), "__name__", name))
        return _DISPATCHED.get(self.func, name)

    def foreseen(self, ledger: Ledger) -> Finish | None:
        """What it will make; None where no equation describes it.

        Raises:
            Untranslatable: one does, but not with these arguments.
        """
        x, name = input_of(self.args, self.kwargs), self.name
        rectified = rectified_by(self.func, self.args, self.kwargs)
        if rectified is not None and ledger.has(rectified[0]):
            reached = ledger.reached(rectified[0])
            return _layer(in_any_shape(Translated(Relu()), reached.x.shape), reached, reached.origin.sides)
        if x is not None and ledger.seen(x) and moves.moves(name, self.args, self.kwargs):
            return self._move(x, ledger)
        if (joint := self._of_several(ledger)) is not None:
            return joint
        if x is None or not (of_one_image(x) or (ledger.has(x) and is_in_any_shape(name))):
            shape = () if x is None else tuple(x.shape)
            require(not is_translated(name), f"an input of shape {shape}; explained is a batch of one image")
            return None
        return self._computed(x, ledger)

    def _of_several(self, ledger: Ledger) -> Finish | None:
        """What a call makes of several tensors; None where it is none of these."""
        name = self.name
        if arithmetic.combines(name):
            return _combined(arithmetic.read(name, self.args, self.kwargs, ledger))
        if contractions.contracts(name):
            return _combined(contractions.read(name, self.args, self.kwargs, ledger))
        if name in ("cat", "concat", "concatenate"):
            return _joined(*_parts(self.args, self.kwargs), ledger)
        return None

    def _computed(self, x: Tensor, ledger: Ledger) -> Finish | None:
        """What a layer, or a statistic, makes of x."""
        reached = ledger.reached(x)
        name, kwargs = self.name, {_NUMPYS.get(key, key): value for key, value in self.kwargs.items()}
        taken = statistics.read(name, self.args, kwargs, reached)
        if taken is not None:
            return lambda results: [Entry(taken.origin(results[0]))]
        sides = _sides(name, x, reached.origin)
        shape = reached.x.shape if sides is None else (x.shape[-1], *sides)
        stands: dict[str, Any] = {"axes": x.dim(), "channels_last": sides is not None}
        found = translated(self.func, name, self.args, kwargs, shape, seen=ledger.seen, **stands)
        if found is None:
            return None
        if found.training and isinstance(found.layer, Dropout):
            drawn = self._drawn(x)
            found = replace(
                found, held={"mask": _first(drawn, sides) if sides else drawn.reshape(1, *found.taken(shape))}
            )
        return _layer(found, reached, sides)

    def _move(self, x: Tensor, ledger: Ledger) -> Finish:
        origin, args = ledger.origin(x), (x, *self.args[1:])
        assert origin is not None, "it was seen being made"
        sides = moves.zeros_around(self.name, args, self.kwargs)
        others = {key: value for key, value in self.kwargs.items() if key not in ("input", "self")}
        padding = Padding(ledger.reached(x), sides) if sides and of_one_image(x) and x.dim() == 4 else None
        return lambda results: [
            Entry(each, padding) for each in moves.moved(self.func, self.name, args, others, origin)
        ]

    def _drawn(self, x: Tensor) -> Tensor:
        """What a dropout will draw: ones sent through it with the generator where it stands now; it stays there."""
        with torch.random.fork_rng([x.device] if x.is_cuda else []):
            others = {key: value for key, value in self.kwargs.items() if key not in ("input", "self")}
            return (self.func(torch.ones_like(x), *self.args[1:], **others) != 0).double()


def _sides(name: str, x: Tensor, origin: Origin) -> Pair | None:
    """Rows and columns of what a call takes as maps with the channels last; None where it takes it as it stands.

    What computes the same at every position may take it so. What weighs the channels must, also of (positions,
    channels) that no maps are behind: each matrix of these is a row. Of maps of a batch of one it is not known which
    axis was meant.
    """
    if not is_at_each_position(name):
        return None
    meant = name in ("linear", "layer_norm") and not (len(x) == 1 and x.dim() in (2, 4)) and x.dim() > 1
    if meant and origin.sides is None:
        return math.prod(x.shape[:-2]), x.shape[-2]
    return origin.sides


def _layer(found: Translated, reached: Reached, sides: Pair | None = None) -> Finish:
    """What a layer makes; where sides are given, of maps with the channels last, and such maps."""

    def finish(results: Sequence[Tensor]) -> Sequence[Entry | None]:
        word, y = found.layer.word, results[0]
        if sides is None:
            origin = made_by(word, found, reached, y, function=True)
            return [origin and Entry(origin)]
        origin = made_by(word, found, reached.first(sides), _first(y, sides), function=True)
        return [origin and Entry(origin.last(tuple(y.shape)))]

    return finish


def _first(x: Tensor, sides: Pair) -> Tensor:
    """A tensor with the channels last as maps of so many rows and columns."""
    return x.reshape(1, -1, x.shape[-1]).mT.reshape(1, x.shape[-1], *sides)


def _combined(found: arithmetic.Combination | contractions.Contracted) -> Finish:
    def finish(results: Sequence[Tensor]) -> Sequence[Entry | None]:
        (result,) = results
        return [Entry(found.origin(result)) if result.dim() > 1 else None]

    return finish


def _joined(parts: object, dim: object, ledger: Ledger) -> Finish | None:
    if not isinstance(parts, list | tuple) or not isinstance(dim, int):
        return None
    if not all(ledger.follows([part]) or (ledger.constant(part) and of_one_image(part)) for part in parts):
        return None
    reached, axis = [ledger.reached(part) for part in parts], dim % parts[0].dim()
    if axis == 3 and all(each.origin.channels_last for each in reached):
        first = [each.first(each.x.shape[:2]) for each in reached]
        return lambda results: [Entry(made(joints.concatenation(first, results[0].permute(*FIRST))).transposed(*LAST))]
    require(axis == 1, f"dim={dim}; explained is dim=1, by unit")
    return lambda results: [Entry(made(joints.concatenation(reached, results[0])))]


def _parts(args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[object, object]:
    """The tensors and the dimension of a concatenation."""
    given = dict(zip(("tensors", "dim"), args, strict=False)) | kwargs
    return given.get("tensors"), given.get("dim", given.get("axis", 0))


_NUMPYS = {"axis": "dim", "keepdims": "keepdim"}
"""Names of arguments that PyTorch takes as NumPy has them."""

_DISPATCHED: dict[Callable[..., Any], str] = {
    function: name
    for name, function in vars(F).items()
    if getattr(function, "__qualname__", "").endswith("<locals>.fn")
}
"""Functions of torch.nn.functional that are made by a function, and so do not know their names."""
