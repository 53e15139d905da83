"""Arithmetic between layers, as steps: sums, products, powers and their inverses, with constants or of two ways.

Shapes that differ are broadcast as PyTorch does: a gate of one number per channel stands at every position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from striate.inside.following.arguments import Untranslatable, require
from striate.inside.following.joints import ways
from striate.inside.following.ledger import Constant, Ledger
from striate.inside.following.origins import Origin, Step, channels_first, made
from striate.inside.following.steps import Reached, one_image, shown
from striate.layers.equations.arithmetic import Operand, combined, negative, product_added, root
from striate.layers.gate import multiplied, scaled
from striate.layers.layer import Array, Shape
from striate.layers.residual import added
from striate.layers.terms import Spot, Terms
from striate.layers.values import Pair


def combines(name: str) -> bool:
    """Whether a function of this name is arithmetic."""
    return name in _SIGNS or name in _OF_ONE or name == "addcmul"


@final
@dataclass(frozen=True, eq=False)
class Combination:
    """A call that is arithmetic.

    Attributes:
        sign: what is done: + − · / ^, +· for a product added to a third, or "neg" or "root" of one operand.
        operands: what reached it where that is followed, else the constant.
        factor: α, by which the right operand of a sum or a difference is multiplied first.
    """

    sign: str
    operands: Sequence[Reached | Constant]
    factor: float = 1.0

    def origin(self, result: Tensor) -> Origin:
        """Where the numbers of what it makes come from: `result`, of the one image."""
        output = one_image(result)
        followed = [each for each in self.operands if isinstance(each, Reached)]
        alike = [each.origin.sides for each in followed if each.x.shape == output.shape]
        stand = _Standing(output.shape, next(filter(None, alike), None))
        whole = [each.origin.spread(output.shape) for each in followed]
        spread = {"": whole[0]} if len(followed) == 1 else ways(whole)
        named = {name: stand.origin(origin) for name, origin in spread.items()}
        branches = iter(named)
        held = [stand.numbers(_repeated(each, output.shape)) for each in self.operands]
        called = [(None, each.name) if isinstance(each, Constant) else (next(branches), "") for each in self.operands]

        def terms(at: Spot) -> Terms:
            return self._terms([Operand(float(x[at]), *names) for x, names in zip(held, called, strict=True)], at)

        largest = max((each.x for each in followed), key=lambda x: x.size)
        y = stand.numbers(output)
        shape = y.shape if largest.shape == output.shape else largest.shape
        step = Step(_NOUNS[self.sign], self._text, shape, y, named, terms, function=True, dtype=result.dtype)
        return stand.back(made(step), tuple(result.shape))

    @property
    def _text(self) -> str:
        if self._adds_two:
            return "residual"
        alone = all(isinstance(each, Reached) for each in self.operands)
        return _NOUNS[self.sign] + ("" if alone else f" {_WITH[self.sign]} a constant")

    @property
    def _adds_two(self) -> bool:
        """Whether it is the sum of two ways, as in a residual block."""
        return self.sign == "+" and self.factor == 1 and all(isinstance(each, Reached) for each in self.operands)

    def _terms(self, operands: Sequence[Operand], at: Spot) -> Terms:
        if self._adds_two:
            return added({str(each.branch): each.value for each in operands}, at)
        if self.sign == "neg":
            return negative(operands[0].value, at)
        if self.sign == "root":
            return root(operands[0].value, at)
        if self.sign == "·":
            return _product(operands, at)
        if self.sign == "+·":
            return product_added(*operands, at=at, factor=self.factor)
        left, right = operands
        return combined(self.sign, left, right, at, self.factor)  # pyright: ignore[reportArgumentType]


@final
@dataclass(frozen=True)
class _Standing:
    """How numbers of one shape are looked at: as maps or vectors.

    Attributes:
        shape: the shape that they have, for the one image.
        sides: rows and columns of the maps that they are, where the channels stand last; else None.
    """

    shape: Shape
    sides: Pair | None

    def numbers(self, x: Array) -> Array:
        """Numbers of the shape, as they are looked at."""
        return x.reshape(self._seen) if self.sides is None else channels_first(x, self.sides)

    def origin(self, origin: Origin) -> Origin:
        """Where they come from, likewise."""
        if self.sides is None:
            return origin if self.shape == self._seen else origin.shaped(self._seen)
        return origin.first(self.sides)

    def back(self, origin: Origin, shape: Shape) -> Origin:
        """What is looked at in this way, as a tensor of its own shape."""
        if self.sides is not None:
            return origin.last(shape)
        return origin if shape == (1, *self._seen) else origin.whole(shape)

    @property
    def _seen(self) -> Shape:
        return self.shape if len(self.shape) < 4 else shown(self.shape)


def _product(operands: Sequence[Operand], at: Spot) -> Terms:
    followed = {each.branch: each.value for each in operands if each.branch is not None}
    if len(followed) == len(operands):
        return multiplied(followed, dict.fromkeys(followed, at))
    (k,) = (each for each in operands if each.branch is None)
    return scaled(followed[""], k.value, at, k.name)


def _repeated(operand: Reached | Constant, shape: Shape) -> Array:
    """An operand as large as what it makes: numbers that stand for several places are repeated."""
    (x,) = np.broadcast_to(operand.x if isinstance(operand, Reached) else operand.values, (1, *shape))
    return x


def read(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], ledger: Ledger) -> Combination:
    """The arithmetic of a call, as it is before the call runs.

    Raises:
        Untranslatable: one of its operands is neither followed nor a constant; or it rounds what it gives.
    """
    given = dict(zip(("input", "other"), args, strict=False)) | dict(kwargs)
    left = given.get("input", given.get("self"))
    if name == "addcmul":
        return _product_added(args, kwargs, ledger)
    if name in _OF_ONE:
        sign, right = _OF_ONE[name]
    else:
        sign, right = _SIGNS[name], given.get("other", given.get("exponent"))
    rounding, factor = given.get("rounding_mode"), args[2] if len(args) > 2 else given.get("alpha", 1)
    require(rounding is None, f"rounding_mode={rounding!r}; explained is the quotient as it is")
    require(isinstance(factor, int | float), "a third argument; explained are two operands")
    operands = [left] if right is None else [right, left] if name in _REVERSED else [left, right]
    found = [_operand(each, ledger) for each in operands]
    require(any(isinstance(each, Reached) for each in found), "nothing that comes from the image")
    require(name not in _REVERSED or factor == 1, f"alpha={factor}; explained is 1")
    return Combination(sign, found, float(factor))


def _product_added(args: Sequence[Any], kwargs: Mapping[str, Any], ledger: Ledger) -> Combination:
    """`torch.addcmul`."""
    given = dict(zip(("input", "tensor1", "tensor2"), args, strict=False)) | dict(kwargs)
    operands = [_operand(given.get(name), ledger) for name in ("input", "tensor1", "tensor2")]
    require(any(isinstance(each, Reached) for each in operands), "nothing that comes from the image")
    return Combination("+·", operands, float(given.get("value", 1)))


def _operand(value: object, ledger: Ledger) -> Reached | Constant:
    if ledger.has(value):
        assert isinstance(value, Tensor)
        return ledger.reached(value)
    if ledger.constant(value):
        return ledger.held(value)  # pyright: ignore[reportArgumentType] - a number or a tensor, as `constant` says
    if not isinstance(value, Tensor):
        taken = f" after {ledger.left} took numbers of the image out of their tensors" if ledger.left else ""
        raise Untranslatable(f"a {type(value).__name__}{taken}")
    if ledger.seen(value):
        raise Untranslatable(f"a tensor of shape {tuple(value.shape)}; explained is a batch of one image")
    raise Untranslatable("a tensor that the module does not hold")


_SIGNS: dict[str, str] = {
    **dict.fromkeys(("add", "iadd", "radd"), "+"),
    **dict.fromkeys(("sub", "subtract", "isub", "rsub"), "−"),
    **dict.fromkeys(("mul", "multiply", "imul", "rmul"), "·"),
    **dict.fromkeys(("div", "divide", "true_divide", "truediv", "idiv", "itruediv", "rdiv", "rtruediv"), "/"),
    **dict.fromkeys(("pow", "ipow", "rpow"), "^"),
}
"""What each function does with its two operands."""

_REVERSED = frozenset({"rsub", "rdiv", "rtruediv", "rpow", "reciprocal"})
"""Functions whose second operand stands first."""

_OF_ONE: dict[str, tuple[str, float | None]] = {
    "neg": ("neg", None),
    "negative": ("neg", None),
    "sqrt": ("root", None),
    "square": ("^", 2.0),
    "rsqrt": ("^", -0.5),
    "reciprocal": ("/", 1.0),
}
"""Functions of one operand: what they do, and the constant beside it where they have one."""

_NOUNS: dict[str, str] = {
    "+": "sum",
    "+·": "sum with a product",
    "−": "difference",
    "·": "product",
    "/": "quotient",
    "^": "power",
    "neg": "negative",
    "root": "root",
}

_WITH: dict[str, str] = {"−": "from"} | dict.fromkeys(("+", "·", "/", "^"), "with") | {"+·": "and"}
