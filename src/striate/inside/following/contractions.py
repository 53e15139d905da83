"""Calls that multiply two tensors and add up, as steps: matrix products and Einstein's sums, as attention uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from striate.inside.following.arguments import Untranslatable, require
from striate.inside.following.joints import ways
from striate.inside.following.ledger import Constant, Ledger
from striate.inside.following.origins import Origin, Step, made, numbers
from striate.inside.following.steps import Reached, shown
from striate.layers.equations.contraction import Contraction, Factor
from striate.layers.layer import Array, Shape
from striate.layers.terms import Spot, Terms


@final
@dataclass(frozen=True, eq=False)
class _Operand:
    """One of the two tensors: its shape, and what reached the call where that is followed, else the constant."""

    shape: Shape
    given: Reached | Constant

    @property
    def values(self) -> Array:
        """Its numbers, in its own shape."""
        return (self.given.x if isinstance(self.given, Reached) else self.given.values).reshape(self.shape)

    def factor(self, branch: str | None) -> Factor:
        """It as the equation takes it; `branch`: the name of what gave it."""
        name = self.given.name if isinstance(self.given, Constant) else ""
        return Factor(self.values, shown(self.shape), branch, name)


@final
@dataclass(frozen=True, eq=False)
class Contracted:
    """A call that multiplies two tensors and adds up.

    Attributes:
        word: what it is called.
        contraction: which axes are multiplied and added up.
        operands: the two.
    """

    word: str
    contraction: Contraction
    operands: Sequence[_Operand]

    def origin(self, result: Tensor) -> Origin:
        """Where the numbers of what it makes come from."""
        followed = [each for each in self.operands if isinstance(each.given, Reached)]
        origins = [each.given.origin.shaped(shown(each.shape)) for each in followed if isinstance(each.given, Reached)]
        named = ways(origins) if len(origins) > 1 else {"": origins[0]}
        names = iter(named)
        A, B = (each.factor(next(names) if isinstance(each.given, Reached) else None) for each in self.operands)
        whole = tuple(result.shape)
        y = numbers(result).reshape(shown(whole))

        def terms(at: Spot) -> Terms:
            place = np.unravel_index(np.ravel_multi_index(at, y.shape), whole)
            return self.contraction.terms(A, B, tuple(map(int, place)))

        step = Step(self.word, self.word, shown(followed[0].shape), y, named, terms, True, dtype=result.dtype)
        return made(step) if whole == (1, *y.shape) else made(step).whole(whole)


def contracts(name: str) -> bool:
    """Whether a function of this name multiplies two tensors and adds up."""
    return name in _MATRICES or name == "einsum"


def read(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], ledger: Ledger) -> Contracted:
    """The products of a call, as it is before the call runs.

    Raises:
        Untranslatable: one of its tensors is neither followed nor a constant; or it is another sum than of two.
    """
    if name == "einsum":
        equation, *tensors = [*args, *kwargs.values()]
        tensors = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
        found = Contraction.einsum(equation) if isinstance(equation, str) else None
        if found is None:
            raise Untranslatable(f"{equation!r}; explained are sums of two tensors, with a letter for every axis")
        return Contracted(f"einsum {equation.replace(' ', '')}", found, [_operand(each, ledger) for each in tensors])
    given = [*args, *(kwargs[key] for key in ("input", "self", "other", "mat2") if key in kwargs)]
    require(len(given) == 2, f"{len(given)} arguments; explained are two tensors")
    first, second = (_operand(each, ledger) for each in given)
    return Contracted("matmul", Contraction.matmul(len(first.shape), len(second.shape)), [first, second])


def _operand(value: object, ledger: Ledger) -> _Operand:
    require(isinstance(value, Tensor), f"a {type(value).__name__}; explained are two tensors")
    assert isinstance(value, Tensor)
    if ledger.has(value):
        return _Operand(tuple(value.shape), ledger.reached(value))
    if ledger.constant(value):
        return _Operand(tuple(value.shape), ledger.held(value))
    if ledger.seen(value):
        raise Untranslatable(f"a tensor of shape {tuple(value.shape)} that cannot be followed")
    raise Untranslatable("a tensor that the module does not hold")


_MATRICES = frozenset({"matmul", "bmm", "mm"})
"""Functions that are matrix products."""
