"""What every number inside a network depends on, found by running it once and following each operation.

Beside every tensor goes its **footprint**: for each of its elements the first and last row and column of the image
that it depends on. An operation that only moves elements (a view, a slice, a concatenation) moves footprints the same
way; one that combines elements (a sum, a convolution, a maximum) joins theirs. So branches, views, channel shuffles and
operations called without a module are all followed, whatever the Python around them does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from striate.inside.receptive import footprints
from striate.inside.receptive.footprints import Operation, Quad, Untraceable
from striate.inside.receptive.operations import field_beside_channels
from striate.layers.window import Field


@final
@dataclass(frozen=True)
class Known:
    """What is known of one tensor.

    Attributes:
        quad: its footprints, as `footprints` holds them.
        field: the receptive field of its positions where that is the same everywhere, not clipped; otherwise None.
        channels_last: whether its rows and columns are dimensions 1 and 2, and not 2 and 3.
    """

    quad: Quad
    field: Field | None
    channels_last: bool = False


@final
class Tracer(TorchDispatchMode):
    """Follows every operation of a forward pass from `image`, (1, channels, rows, columns) or (1, features).

    Raises:
        Untraceable: from inside the pass, at an operation whose dependencies are not known.

    Example:
        >>> image = torch.zeros(1, 1, 8, 8)
        >>> with torch.no_grad(), Tracer(image) as tracer:
        ...     y = torch.nn.functional.max_pool2d(image, 3, 2)
        >>> tracer.of(y).field
        Field(size=(3, 3), stride=(2, 2), start=(0, 0))
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self._known = {_key(image): Known(footprints.of_image(tuple(image.shape)), Field())}
        self._kept: list[object] = [image]  # so that no storage is used twice
        self._owned: set[int] = set()

    def of(self, tensor: Tensor) -> Known | None:
        """What is known of a tensor; None if it does not depend on the image."""
        return self._known.get(_key(tensor))

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self._kept.append(result)
        operation = Operation.of(func, args, kwargs or {}, result)
        if not operation.tensors or operation.name.endswith("_like") or operation.name.startswith("new_"):
            self._note_new(operation)
        elif any(self.of(tensor) for tensor in operation.tensors):
            self._note(operation)
        return result

    def _note_new(self, operation: Operation) -> None:
        """A tensor made of nothing depends on nothing, until something is written into it."""
        for tensor in operation.results:
            self._known[_key(tensor)] = Known(self._writable(footprints.nothing(tuple(tensor.shape))), None)

    def _note(self, operation: Operation) -> None:
        before = [(tensor, known) for tensor in operation.tensors if (known := self.of(tensor))]
        found = footprints.after(operation, {id(tensor): known.quad for tensor, known in before})
        if operation.overwrites and self._shares(operation.results[0]):
            self._write(operation.results[0], found[0])
            return
        field, last = field_beside_channels(operation, [(tensor, t.field, t.channels_last) for tensor, t in before])
        for tensor, quad in zip(operation.results, found, strict=True):
            apart = self._apart(quad) if operation.makes_new else quad
            self._known[_key(tensor)] = Known(apart, field, last)

    def _shares(self, tensor: Tensor) -> bool:
        """Whether other tensors look at the same memory, so that writing here changes what they hold."""
        storage = _key(tensor)[0]
        return any(key[0] == storage and key != _key(tensor) for key in self._known)

    def _write(self, tensor: Tensor, quad: Quad) -> None:
        """Writes footprints into those of `tensor`, whose memory other tensors share."""
        known = self.of(tensor)
        if known and all(torch.equal(old, new) for old, new in zip(known.quad, quad, strict=True)):
            return
        if known is None or not all(_key(old)[0] in self._owned for old in known.quad):
            raise Untraceable("writing into part of a tensor")
        for old, new in zip(known.quad, quad, strict=True):
            old.copy_(new)

    def _writable(self, quad: Quad) -> Quad:
        """Remembers that these footprints belong to one tensor and its views, so that they may be written into."""
        self._owned |= {_key(part)[0] for part in quad}
        self._kept.append(quad)
        return quad

    def _apart(self, quad: Quad) -> Quad:
        """Footprints for a tensor of its own: a copy of what may yet be written into."""
        if not any(_key(part)[0] in self._owned for part in quad):
            return quad
        top, bottom, left, right = (part.clone() for part in quad)
        return self._writable((top, bottom, left, right))


def _key(tensor: Tensor) -> tuple[int, int, tuple[int, ...], tuple[int, ...]]:
    """What stays the same when autograd wraps a tensor anew: its place in memory and its shape."""
    storage = tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]
    return storage, int(tensor.storage_offset()), tuple(tensor.shape), tuple(tensor.stride())
