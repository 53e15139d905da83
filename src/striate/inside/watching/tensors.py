"""What is known of the tensors of a pass: each by itself, until the memory that it lies in is written into.

Several tensors may look at one memory: views, `x.data`, `x.detach()`, an array's tensor. What is written into one of
them changes the others, of which something else is true from then on. PyTorch counts what is written into a tensor and
its views, not what is written into `x.data`; here it is counted by memory.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Generic, TypeVar, cast, final

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from striate.inside.watching.each_call import tensors_in, unwatched

T = TypeVar("T")


@final
class Tensors(Generic[T]):
    """What is known of each of some tensors, for as long as it lives: no two are ever taken for one.

    Example:
        >>> import torch
        >>> y = torch.ones(1, 2)
        >>> known, part = Tensors[str](), y.data[:, :1]
        >>> known.put(y, "ones")
        >>> with overwriting(part) as overwritten:
        ...     _ = part.zero_()
        >>> known.wrote(*overwritten)
        >>> known.get(y), known.stale(y), len(known.beside(part))
        ('ones', True, 1)
    """

    def __init__(self) -> None:
        self._known = WeakTensorKeyDictionary()
        """Tensors -> what is known of them, and how often their memory had been written into by then."""
        self._writes = dict[int, int]()
        """Memories -> how often they have been written into."""

    def put(self, tensor: Tensor, known: T) -> None:
        """Says what is known of a tensor from now on."""
        self._known[tensor] = known, self._writes.get(_memory(tensor), 0)

    def get(self, tensor: object) -> T | None:
        """What is known of a tensor; None where nothing is."""
        return cast("tuple[T, int]", self._known[tensor])[0] if tensor in self else None

    def __contains__(self, tensor: object) -> bool:
        return isinstance(tensor, Tensor) and tensor in self._known

    def beside(self, tensor: Tensor) -> list[Tensor]:
        """Those that lie in the same memory and of which something is known; the tensor itself too, if it is."""
        memory = _memory(tensor)
        return [each for each in self._known if _memory(each) == memory]

    def wrote(self, *tensors: Tensor) -> None:
        """Remembers that these were overwritten, and so what lies in their memory."""
        for memory in set(map(_memory, tensors)):
            self._writes[memory] = self._writes.get(memory, 0) + 1

    def stale(self, tensor: Tensor) -> bool:
        """Whether its memory was written into since what is known of it was said; of others, whether ever."""
        before = self._known[tensor][1] if tensor in self else 0
        return self._writes.get(_memory(tensor), 0) != before


@contextmanager
def overwriting(given: object) -> Generator[list[Tensor]]:
    """Inside, a call is made with these arguments; afterwards the list has those tensors that it has overwritten."""
    tensors, overwritten = list(tensors_in(given)), list[Tensor]()
    with unwatched():
        versions = list(map(_version, tensors))
    yield overwritten
    with unwatched():
        overwritten += [each for each, before in zip(tensors, versions, strict=True) if _version(each) != before]


def _version(tensor: Tensor) -> int:
    """How often PyTorch knows it to have been overwritten; it does not count in inference mode."""
    return -1 if tensor.is_inference() else tensor._version


def _memory(tensor: Tensor) -> int:
    """What tensors have in common whose numbers lie in one memory; its own where that cannot be told, as of a sparse
    one."""
    try:
        storage = tensor.untyped_storage()
        return storage.data_ptr() or storage._cdata  # pyright: ignore[reportPrivateUsage]
    except RuntimeError:
        return id(tensor)
