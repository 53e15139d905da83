"""The book of a pass: where every tensor comes from, and which ones do not depend on the image at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor, nn

from striate.inside.following.origins import CONSTANT, Origin, numbers, unknown
from striate.inside.following.steps import Padding, Reached, one_image
from striate.layers.layer import Array

_LEAVING = frozenset({"item", "tolist", "numpy", "__array__", "__float__"})
"""Calls by which numbers leave the tensors, after which a plain number may be one of the image."""

_SHAPED = frozenset(
    {
        "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like",
        "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor",
    }
)  # fmt: skip
"""Calls that take no number of their first argument, only its shape and its kind."""


@final
@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers that do not depend on the image; `name`: what the module calls them, "" where it has no name for them."""

    values: Array
    name: str


@final
class Ledger:
    """Where every tensor of a pass comes from; keeps them all, so that no two have one identity.

    A tensor that the module holds is a constant, and so is what is made of constants alone. Of a tensor that turns up
    in the pass and was not seen being made nothing is known.

    Attributes:
        left: the call by which numbers of the image have left the tensors; "" where none has.
    """

    def __init__(self, module: nn.Module) -> None:
        held = list(_held(module))
        self._origins: dict[int, Origin] = {}
        self._paddings: dict[int, Padding] = {}
        self._kept = held
        self._constants = set(map(id, held))
        named = [*module.named_parameters(), *module.named_buffers()]
        self._names = {_memory(tensor): name for name, tensor in reversed(named)} | {0: ""}
        self.left = ""

    def put(self, tensor: Tensor, origin: Origin, padding: Padding | None = None) -> None:
        """Remembers where a tensor comes from; with `padding`, which zeros were put around it last."""
        self._origins[id(tensor)] = origin
        self._paddings.pop(id(tensor), None)
        if padding is not None:
            self._paddings[id(tensor)] = padding
        self._kept.append(tensor)

    def put_constant(self, tensor: Tensor) -> None:
        """Remembers that a tensor does not depend on the image."""
        self._constants.add(id(tensor))
        self._kept.append(tensor)

    def origin(self, tensor: object) -> Origin | None:
        """Where a tensor comes from; None where that was not seen."""
        if id(tensor) not in self._origins and self.constant(tensor):
            return unknown(CONSTANT)
        return self._origins.get(id(tensor))

    def reached(self, tensor: Tensor) -> Reached:
        """What reaches a call as this argument, as it is now."""
        origin = self.origin(tensor) or unknown("it is made where calls are not seen")
        return Reached(one_image(tensor), origin, self._paddings.get(id(tensor)))

    def seen(self, tensor: object) -> bool:
        """Whether it is a tensor that depends on the image, or may."""
        return id(tensor) in self._origins

    def follows(self, tensors: Sequence[Any]) -> bool:
        """Whether all of these are tensors of the one image that were seen being made."""
        return all(isinstance(each, Tensor) and self.seen(each) and of_one_image(each) for each in tensors)

    def constant(self, value: object) -> bool:
        """Whether a number or a tensor is one that does not depend on the image."""
        if isinstance(value, Tensor):
            return id(value) in self._constants and not self.seen(value)
        plain = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        return plain and not self.left

    def held(self, value: float | Tensor) -> Constant:
        """A constant; what is a part or a view of a parameter or a buffer has its name."""
        if not isinstance(value, Tensor):
            return Constant(np.asarray(value, dtype=np.float64), "")
        return Constant(numbers(value), self._names.get(_memory(value), ""))

    def made_of_constants(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether a call is given nothing of the image, and so makes constants."""
        given = [*(args[1:] if name in _SHAPED else args), *kwargs.values()]
        return not self.left and all(map(self.constant, _tensors(given)))

    def note(self, func: Callable[..., Any], args: Sequence[Any]) -> None:
        """Remembers that numbers have left the tensors, where this call takes them out."""
        name = getattr(func, "__name__", "")
        if name in _LEAVING and any(map(self.seen, args)):
            self.left = name.strip("_")


def _memory(tensor: Tensor) -> int:
    """Where a tensor and its views keep their numbers; 0 where it cannot be told, as of a sparse one."""
    try:
        return tensor.untyped_storage().data_ptr()
    except RuntimeError:
        return 0


def of_one_image(tensor: Tensor) -> bool:
    """Whether it is a batch of one."""
    return tensor.dim() > 1 and len(tensor) == 1


def _held(module: nn.Module) -> Iterator[Tensor]:
    """The tensors that a module has: parameters, buffers, other attributes, and those that its file has by a name."""
    kinds = {type(part) for part in module.modules()}
    files = {kind.__module__ for kind in kinds} & sys.modules.keys()
    yield from _tensors([vars(part) for part in module.modules()])
    for named in (*kinds, *(sys.modules[file] for file in files)):
        yield from _tensors(vars(named).values(), depth=1)


def _tensors(given: Iterable[Any], depth: int = 3) -> Iterator[Tensor]:
    """The tensors among these, also those in lists and dictionaries, so many levels down: some hold themselves."""
    for each in given:
        if isinstance(each, Tensor):
            yield each
        elif depth and isinstance(each, list | tuple):
            yield from _tensors(each, depth - 1)
        elif depth and type(each) is dict:
            yield from _tensors(list(each.values()), depth - 1)
