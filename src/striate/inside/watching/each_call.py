"""Seeing each call of a torch function while a block of code runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class EachCall(TorchFunctionMode):
    """In a `with` block, `called` stands between every call of a torch function and its result.

    Functions, methods of tensors and reads of their attributes are calls alike. What `called` itself calls is not
    shown to it again, but to modes that were entered before it; `unwatched` hides it from all.

    Example:
        >>> class Names(EachCall):
        ...     def called(self, func, args, kwargs):
        ...         print(func.__name__)
        ...         return func(*args, **kwargs)
        >>> with Names():
        ...     _ = torch.ones(2).add(1).relu()
        ones
        add
        relu
    """

    @abstractmethod
    def called(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Gives what the caller shall get instead of, or as, the call's result."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self.called(func, args, kwargs or {})


def unwatched() -> AbstractContextManager[None]:
    """Inside, no mode sees any call: even reading an attribute of a tensor is one."""
    return torch._C.DisableTorchFunction()  # pyright: ignore[reportPrivateUsage]


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors in a call's arguments or result."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors_in(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
