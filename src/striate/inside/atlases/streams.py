"""Images as a stream of equal blocks, in the order of the data set, whatever they come as and however they were
batched.

Blocks have one size whatever the source, because float32 sums may depend on how many images a convolution is given at
once: the numbers then depend on the images alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast, final

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy.typing import NDArray
from torch import Tensor

from striate.data.dataset import DataSet, Split
from striate.data.joined import Joined
from striate.errors import DataError
from striate.inside.watching.inputs import normalized
from striate.model import Preprocessing

_WHOLE = (np.ndarray, Tensor, Joined)
"""What can be asked for any of its images; anything else is gone through in batches."""

MOST_CLASSES = 2**16
"""Labels from here on are no class numbers: every class has a row in tables."""

COMPARED = 8
"""Images of the first batch that tell whether batches come in the same order again."""


class Block(NamedTuple):
    """Some images, with their indices in the data set (ascending) and their labels, if there are any."""

    indices: Int[Tensor, " batch"]
    images: Shaped[Tensor, "batch channel row column"]
    labels: Int[Tensor, " batch"] | None


@final
@dataclass(frozen=True, eq=False)
class Stream:
    """A data set that can be gone through again and again, without ever being in memory as a whole.

    Attributes:
        source: an array, joined arrays or a tensor (N, C, H, W), indexed as needed; or an iterable of batches, of
            images or of (images, labels).
        labels: int64 (N,) or None.
        sources: where each image came from, or ().
        classes: names, or ().
        preprocessing: how uint8 images are normalized; None where only floats are taken.
        beginning: the first few images of batches, once they have been gone through.
    """

    source: Any
    labels: Tensor | None
    sources: Sequence[str]
    classes: tuple[str, ...]
    preprocessing: Preprocessing | None
    beginning: list[Tensor] = field(default_factory=list[Tensor])

    @property
    def count(self) -> int | None:
        """How many images there are; None where only going through them tells."""
        return len(self.source) if isinstance(self.source, _WHOLE) else None

    def blocks(
        self, size: int, only: Sequence[int] | NDArray[np.int64] | None = None, turns: slice = slice(None)
    ) -> Iterator[Block]:
        """The images in blocks of `size` (the last one may be smaller): all, or those of ascending indices `only`; of
        these blocks, numbered from 0, those in `turns`."""
        if isinstance(self.source, _WHOLE):
            wanted = range(len(self.source)) if only is None else only
            for start in range(0, len(wanted), size)[turns]:
                indices = torch.as_tensor(list(wanted[start : start + size]), dtype=torch.long)
                yield self._indexed(indices, contiguous=only is None)
        else:
            yield from itertools.islice(_regrouped(self._batches(only), size), turns.start, turns.stop, turns.step)

    def _indexed(self, indices: Tensor, contiguous: bool) -> Block:
        where = slice(int(indices[0]), int(indices[-1]) + 1) if contiguous else indices
        taken = self.source[where if isinstance(where, slice) or isinstance(self.source, Tensor) else indices.numpy()]
        images = taken if isinstance(taken, Tensor) else torch.from_numpy(np.array(taken))
        return Block(indices, images, None if self.labels is None else self.labels[indices])

    def _batches(self, only: Sequence[int] | NDArray[np.int64] | None) -> Iterator[Block]:
        number, wanted = 0, None if only is None else torch.as_tensor(list(only), dtype=torch.long)
        shape: tuple[int, ...] = ()
        for batch in self.source:
            images, labels = _parts(batch)
            shape = shape or tuple(images.shape[1:])
            if tuple(images.shape[1:]) != shape:
                found = f"image {number} has the shape {tuple(images.shape[1:])}, those before it {shape}"
                raise DataError(f"all images must have one shape, (channels, rows, columns); {found}")
            if number == 0:
                self._check_again(images)
            indices = torch.arange(number, number + len(images))
            number += len(images)
            if wanted is not None:
                kept = torch.isin(indices, wanted)
                indices, images, labels = indices[kept], images[kept], labels if labels is None else labels[kept]
            yield Block(indices, images, labels)

    def _check_again(self, images: Tensor) -> None:
        """Raises DataError if batches that were gone through before now begin with other images."""
        if not self.beginning:
            self.beginning.append(images[:COMPARED].clone())
        elif not _equal(self.beginning[0], images[:COMPARED]):
            raise DataError(
                "the data give other images each time they are gone through: turn off shuffling (shuffle=False) and "
                "random transformations"
            )

    def normalized(
        self, images: Shaped[Tensor, "batch channel row column"]
    ) -> Float[Tensor, "batch channel row column"]:
        """What the module takes: uint8 images normalized, floats as they are."""
        if images.dtype != torch.uint8:
            return images
        if self.preprocessing is None:
            raise DataError("uint8 images need a Model, which says how to normalize them; a bare module takes floats")
        return normalized(self.preprocessing, images)

    def pictures(self, images: Shaped[Tensor, "batch channel row column"]) -> NDArray[np.uint8]:
        """uint8 (batch, channel, row, column) to look at: uint8 as they are; floats with the normalization undone, or,
        where that is unknown, each image stretched from its least to its greatest value."""
        if images.dtype == torch.uint8:
            return images.numpy()
        x = images.detach().float().cpu()
        if self.preprocessing is not None:
            mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (self.preprocessing.mean, self.preprocessing.std))
            x = x * std + mean
        else:
            low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
            x = (x - low) / (high - low).clamp(min=1e-12)
        return (x * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def stream(data: object, preprocessing: Preprocessing | None = None, classes: tuple[str, ...] = ()) -> Stream:
    """A stream over `data`.

    Arguments:
        data: a `Split`; a `DataSet`, whose test split is taken; an array or tensor (N, C, H, W), uint8 or
            preprocessed floats;
            or an iterable of batches that can be gone through more than once, in the same order: each a tensor or
            array, or (images, labels, ...). Labels are class numbers, below 0 where the class is not known; anything
            else in their place is not looked at.
        preprocessing: of the model; None for a bare module.
        classes: names of the classes.

    Raises:
        DataError: if it is none of these, is empty, or can be gone through only once; later, if batches come in
            another order when they are gone through again.

    Example:
        >>> [len(block.images) for block in stream(torch.zeros(5, 1, 4, 4)).blocks(2)]
        [2, 2, 1]
    """
    if isinstance(data, DataSet):
        return stream(data.test, preprocessing, classes or data.classes)
    if isinstance(data, Split):
        labels = torch.as_tensor(np.asarray(data.labels)) if data.labels.dtype == np.int64 else None
        found = Stream(data.images, labels, data.sources, classes, preprocessing)
    else:
        found = Stream(data, None, (), classes, preprocessing)
    _check(found.source)
    return found


def _check(source: object) -> None:
    if isinstance(source, _WHOLE):
        shape = tuple(cast("Tensor", source).shape)
        if len(shape) != 4:
            raise DataError(f"images must have the shape (N, channels, rows, columns), found {shape}")
        if shape[0] == 0:
            raise DataError("there are no images: the data set is empty")
        return
    if isinstance(source, Iterator):
        raise DataError("an iterator can be gone through only once: give a list of batches, a DataLoader, or an array")
    if not isinstance(source, Iterable):
        raise DataError(
            f"the data must be a data set of striate's, an array, a tensor or batches, found {type(source).__name__}; "
            "a DataLoader makes batches of a Dataset of torch's"
        )


def _parts(batch: object) -> tuple[Tensor, Tensor | None]:
    parts = cast("Sequence[Any]", batch) if isinstance(batch, list | tuple) else [batch]
    images, labels = (*parts, None, None)[:2]
    if not isinstance(images, Tensor | np.ndarray) or images.ndim != 4:
        raise DataError(
            f"a batch must be images of the shape (n, channels, rows, columns), found {type(images).__name__}"
        )
    return torch.as_tensor(images), _class_numbers(labels, len(images))


def _class_numbers(labels: object, images: int) -> Tensor | None:
    """Labels that are class numbers, one for each image; None if they are something else: masks, boxes, numbers to be
    predicted."""
    if not isinstance(labels, Tensor | np.ndarray | list | tuple):
        return None
    try:
        found = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError):  # names, or rows of several lengths
        return None
    if found.shape != (images,) or found.is_floating_point() or found.is_complex():
        return None
    if len(found) and int(found.max()) >= MOST_CLASSES:
        raise DataError(f"labels must be class numbers from 0 to {MOST_CLASSES - 1}, found {int(found.max())}")
    return found.long()


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether two batches of images are the same, bit for bit; what is not a number equals itself."""
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a.nan_to_num(), b.nan_to_num())


def _regrouped(batches: Iterable[Block], size: int) -> Iterator[Block]:
    """The same images in blocks of `size`."""
    held: list[Block] = []
    for batch in batches:
        held.append(batch)
        while sum(len(block.indices) for block in held) >= size:
            joined = _joined(held)
            yield _part(joined, slice(0, size))
            held = [_part(joined, slice(size, None))]
    if held and sum(len(block.indices) for block in held):
        yield _joined(held)


def _part(block: Block, rows: slice) -> Block:
    return Block(block.indices[rows], block.images[rows], None if block.labels is None else block.labels[rows])


def _joined(blocks: Sequence[Block]) -> Block:
    labels = [block.labels for block in blocks if block.labels is not None]
    return Block(
        torch.cat([block.indices for block in blocks]),
        torch.cat([block.images for block in blocks]),
        torch.cat(labels) if len(labels) == len(blocks) else None,
    )
