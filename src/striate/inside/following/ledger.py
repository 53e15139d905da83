"""The book of a pass: where every tensor comes from, and which ones do not depend on the image at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from torch import Tensor, nn

from striate.inside.following.origins import CONSTANT, OVERWRITTEN, Origin, numbers, unknown
from striate.inside.following.steps import Padding, Reached, one_image
from striate.inside.watching.tensors import Tensors
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


class Entry(NamedTuple):
    """Where a tensor comes from; with `padding`, which zeros were put around it last."""

    origin: Origin
    padding: Padding | None = None


_CONSTANT = Entry(unknown(CONSTANT))
"""What is known of all constants."""


@final
class Ledger:
    """Where every tensor of a pass comes from.

    A tensor that the module holds is a constant, and so is what is made of constants alone. Of a tensor that turns up
    in the pass and was not seen being made nothing is known.

    Attributes:
        left: the call by which numbers of the image have left the tensors; "" where none has.
    """

    def __init__(self, module: nn.Module) -> None:
        self._entries = Tensors[Entry]()
        for tensor in _held(module):
            self.put_constant(tensor)
        self._named = Tensors[str]()
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            self._named.put(tensor, name)
        self.left = ""

    def put(self, tensor: Tensor, origin: Origin, padding: Padding | None = None) -> None:
        """Remembers where a tensor comes from; with `padding`, which zeros were put around it last."""
        self._entries.put(tensor, Entry(origin, padding))

    def put_constant(self, tensor: Tensor) -> None:
        """Remembers that a tensor does not depend on the image."""
        self._entries.put(tensor, _CONSTANT)

    def overwrite(self, tensor: Tensor, told: Sequence[Tensor]) -> None:
        """Remembers that numbers of the image may have been written into a tensor, and so into all that lie in its
        memory: what is said of these no longer holds, but where their numbers are as before.

        `told`: those of them that were put since.
        """
        for each in self._entries.beside(tensor):
            entry = self._entries.get(each)
            if entry is None or any(each is other for other in told):
                continue
            if entry is _CONSTANT:
                self.put(each, unknown("it was put together part by part, in place"))
            elif not entry.origin.gives(each):
                self.put(each, unknown(OVERWRITTEN))

    def origin(self, tensor: object) -> Origin | None:
        """Where a tensor comes from; None where that was not seen."""
        entry = self._entries.get(tensor)
        return entry and entry.origin

    def reached(self, tensor: Tensor) -> Reached:
        """What reaches a call as this argument, as it is now."""
        origin, padding = self._entries.get(tensor) or Entry(unknown("it is made where calls are not seen"))
        x = one_image(tensor)
        return Reached(x, origin if of_one_image(tensor) else origin.shaped(x.shape), padding)

    def seen(self, tensor: object) -> bool:
        """Whether it is a tensor that depends on the image, or may."""
        return self._entries.get(tensor) not in (None, _CONSTANT)

    def follows(self, tensors: Sequence[Any]) -> bool:
        """Whether all of these are batches of the one image that were seen being made."""
        return all(isinstance(each, Tensor) and self.seen(each) and of_one_image(each) for each in tensors)

    def has(self, tensor: object) -> bool:
        """Whether a tensor is a batch of the one image, or has its numbers in another shape: the heads of an attention,
        say, may stand where the images of a batch do."""
        if self.follows([tensor]):
            return True
        origin = self.origin(tensor) if self.seen(tensor) else None
        return origin is not None and origin.index is not None and origin.index.ndim > 1

    def constant(self, value: object) -> bool:
        """Whether a number or a tensor is one that does not depend on the image."""
        if isinstance(value, Tensor):
            return self._entries.get(value) is _CONSTANT
        plain = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        return plain and not self.left

    def held(self, value: float | Tensor) -> Constant:
        """A constant; what is a part or a view of a parameter or a buffer has its name."""
        if not isinstance(value, Tensor):
            return Constant(np.asarray(value, dtype=np.float64), "")
        named = map(self._named.get, self._named.beside(value))
        return Constant(numbers(value), next(filter(None, named), ""))

    def made_of_constants(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether a call is given nothing of the image, and so makes constants."""
        given = [*(args[1:] if name in _SHAPED else args), *kwargs.values()]
        return not self.left and all(map(self.constant, _tensors(given)))

    def note(self, func: Callable[..., Any], args: Sequence[Any]) -> None:
        """Remembers that numbers have left the tensors, where this call takes them out."""
        name = getattr(func, "__name__", "")
        if name in _LEAVING and any(map(self.seen, args)):
            self.left = name.strip("_")


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
