"""One pass over a stream of images: the strongest activations of every unit, its statistics, and the marks of the
pools.

The pass reads each layer's activations as they arise and keeps none of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate.inside.atlases.selectivity import Statistics
from striate.inside.atlases.steps import Marks, MaxPool
from striate.inside.atlases.streams import Block, Stream
from striate.inside.atlases.topk import Top
from striate.inside.atlases.windows import Chain
from striate.inside.watching.answers import require_finite
from striate.inside.watching.calls import Reading, Trace, run
from striate.inside.watching.inputs import as_input

BLOCK_BYTES = 256 * 2**20
"""Memory for the two largest maps of one block of images, in bytes."""

LARGEST_BLOCK = 64
"""Images; on 2 cores larger blocks were no faster."""


MARKS = 512 * 2**20
"""Memory for the marks of whole images, in bytes: those of 3,000 images of 224x224 in AlexNet."""


def block_size(trace: Trace) -> int:
    """How many images are computed at once: a function of the module and the image size only, so that results are."""
    sizes = sorted((int(np.prod(call.shape[1:])) * 4 for call in trace.calls), reverse=True)
    fitting = BLOCK_BYTES // max(sum(sizes[:2]), 1)
    return 1 << (min(max(fitting, 1), LARGEST_BLOCK).bit_length() - 1)


@final
class MarkStore:
    """The marks of whole images, for as many images as fit into `limit` bytes, `MARKS` by default.

    Attributes:
        marks: image -> call number -> marks (rows, columns, channels).
        elsewhere: images whose marks another process holds.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.marks: dict[int, dict[int, Marks]] = {}
        self.elsewhere: set[int] = set()
        self.limit, self.bytes, self._of_one = MARKS if limit is None else limit, 0, 0

    def has_room(self, images: int) -> bool:
        """Whether the marks of so many more images fit, going by those of earlier ones."""
        return self.bytes + images * self._of_one <= self.limit

    @property
    def capacity(self) -> int:
        """How many images' marks fit, at least 1; without limit where none are needed."""
        return max(self.limit // self._of_one, 1) if self._of_one else sys.maxsize

    def lacks(self, images: Iterable[int]) -> set[int]:
        """Those of the images whose marks no process holds."""
        return set(images) - self.marks.keys() - self.elsewhere

    def add(self, images: Sequence[int], marks: Mapping[int, Marks]) -> None:
        """Keeps the marks of images, where they are not held yet: call number -> (batch, rows, columns, channels)."""
        lacking = self.lacks(images)
        for k, image in enumerate(images):
            if image in lacking:
                self.marks[image] = {number: mark[k] for number, mark in marks.items()}
        if lacking:
            self._of_one = sum(mark[0].numel() * mark.element_size() for mark in marks.values())
        self.bytes += len(lacking) * self._of_one

    def keep_only(self, images: Iterable[int]) -> None:
        """Forgets the marks of all other images."""
        wanted = set(images)
        self.marks = {image: marks for image, marks in self.marks.items() if image in wanted}
        self.elsewhere &= wanted
        self.bytes = len(self.marks) * self._of_one

    def listed(self) -> dict[str, Tensor]:
        """Which images' marks are held, and the bytes of one's, for `note`."""
        return {"marked": torch.tensor(list(self.marks), dtype=torch.long), "bytes": torch.tensor(self._of_one)}

    def note(self, listed: Mapping[str, Tensor]) -> None:
        """Takes note of what another process has `listed`."""
        self.elsewhere.update(listed["marked"].tolist())
        self._of_one = max(self._of_one, int(listed["bytes"]))

    def tensors(self) -> dict[str, Tensor]:
        """All marks that this process holds, for `take`: images, and for each call (image, row, column, channel)."""
        calls = next(iter(self.marks.values()), {})
        stacked = {str(call): torch.stack([marks[call] for marks in self.marks.values()]) for call in calls}
        return {"images": torch.tensor(list(self.marks), dtype=torch.long), **stacked}

    def take(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Takes up the `tensors` of another process."""
        marks = {int(call): mark.to(device) for call, mark in tensors.items() if call != "images"}
        images = tensors["images"].tolist()
        self.elsewhere.difference_update(images)
        self.add(images, marks)


@final
@dataclass(frozen=True)
class Layer:
    """A layer under survey.

    Attributes:
        name: of the layer.
        call: number of the call that gives its activations.
        shape: of the activations of one image: (units, rows, columns), or (units,).
        rectified: whether that call is a ReLU, capped or not.
        chain: the way from the images, where it is one that windows can follow.
    """

    name: str
    call: int
    shape: tuple[int, ...]
    rectified: bool
    chain: Chain | None


@final
@dataclass(frozen=True)
class Survey:
    """What one pass has found.

    Attributes:
        tops, statistics: layer name -> its strongest activations, and its statistics.
        looked_at: how many images it has gone through.
    """

    tops: dict[str, Top]
    statistics: dict[str, Statistics]
    looked_at: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, for `take`."""
        return {
            f"{number} {kind} {name}": tensor
            for number, kind, part in self._parts()
            for name, tensor in part.tensors().items()
        } | {"looked at": torch.tensor(self.looked_at)}

    def take(self, tensors: Mapping[str, Tensor]) -> Survey:
        """With the `tensors` of a survey of other images taken up."""
        for number, kind, part in self._parts():
            part.take({name: tensors[f"{number} {kind} {name}"] for name in part.tensors()})
        return replace(self, looked_at=self.looked_at + int(tensors["looked at"]))

    def _parts(self) -> Iterator[tuple[int, str, Top | Statistics]]:
        """Number of the layer, kind and part; names of layers may be anything."""
        for number, name in enumerate(self.tops):
            yield number, "top", self.tops[name]
            yield number, "statistics", self.statistics[name]

    def images(self) -> NDArray[np.int64]:
        """The indices of all images that hold a place, ascending."""
        held = np.unique(np.concatenate([top.images.numpy().ravel() for top in self.tops.values()]))
        return held[held >= 0]


def survey(
    module: nn.Module,
    trace: Trace,
    layers: Sequence[Layer],
    images: Stream,
    *,
    top: int,
    classes: int = 0,
    precision: str = "float32",
    only: NDArray[np.int64] | None = None,
    turns: slice = slice(None),
    store: MarkStore | None = None,
    progress: Callable[[int], None] | None = None,
) -> Survey:
    """Goes through the images once.

    Arguments:
        module: as `undisturbed` lends it.
        trace: its calls.
        top: how many places each unit has.
        classes: how many classes the labels name; 0 for none.
        precision: `float32`, or `bfloat16` for a faster, coarser pass.
        only: ascending indices of the images to look at; all by default.
        turns: which blocks of them; all by default.
        store: where the marks of images are kept while there is room.
        progress: told how many more images are done.

    Raises:
        Failure: if an activation is not a number.
    """
    size, looked_at = block_size(trace), 0
    found = Survey(
        {layer.name: Top(layer.shape[0], top) for layer in layers},
        {layer.name: Statistics(layer.shape[0], classes, rectified=layer.rectified) for layer in layers},
    )
    for block in images.blocks(size, only, turns):
        x, count = padded(as_input(module, images.normalized(block.images)), size)
        kept = dict[int, Marks]()
        keeping = store is not None and store.has_room(count)
        readers = _readers(layers, found, block, count)
        reading = Reading(trace, readers, marking(layers, kept) if keeping else {})
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            run(module, x, reading)
        if keeping and store is not None:
            store.add(block.indices.tolist(), {number: mark[:count] for number, mark in kept.items()})
            if not store.has_room(size):
                store.keep_only(found.images().tolist())
        looked_at += count
        if progress:
            progress(count)
    return replace(found, looked_at=looked_at)


def padded(x: Tensor, size: int) -> tuple[Tensor, int]:
    """The block filled up to `size` images by repeating the last one, channels_last; and how many images count."""
    count = len(x)
    if count < size:
        x = torch.cat([x, x[-1:].expand(size - count, *x.shape[1:])])
    return (x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x), count


def _readers(layers: Sequence[Layer], found: Survey, block: Block, count: int) -> dict[int, Callable[[Tensor], None]]:
    """Call -> what takes up its activations; layers may share a call: a convolution and its ReLU, both named."""

    def sharing(call: int) -> Callable[[Tensor], None]:
        readers = [_reader(layer, found, block, count) for layer in layers if layer.call == call]

        def read(activations: Tensor) -> None:
            for reader in readers:
                reader(activations)

        return read

    return {layer.call: sharing(layer.call) for layer in layers}


def _reader(layer: Layer, found: Survey, block: Block, count: int) -> Callable[[Tensor], None]:
    def read(activations: Tensor) -> None:
        activations = activations[:count]
        highest = found.statistics[layer.name].add(activations, block.labels)
        require_finite(layer.name, highest, block.indices)
        found.tops[layer.name].offer(highest, activations, block.indices)

    return read


def marking(layers: Sequence[Layer], kept: dict[int, Marks]) -> dict[int, Callable[..., Tensor]]:
    """For every step of the layers' chains that needs marks: its call, made so that they are put into `kept`."""
    steps = {step.call: step for layer in layers if layer.chain for step in layer.chain.steps if step.marked}

    def pool(step: MaxPool) -> Callable[..., Tensor]:
        def call(func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            del func, args, kwargs
            window = step.window
            values, indices = torch.nn.functional.max_pool2d(
                x, window.kernel, window.stride, window.before, window.dilation, step.ceil, return_indices=True
            )
            kept[step.call] = step.offsets(indices)
            return values

        return call

    def rectify(number: int) -> Callable[..., Tensor]:
        def call(func: Any, *args: Any, **kwargs: Any) -> Tensor:
            result: Tensor = func(*args, **kwargs)
            kept[number] = (result > 0).permute(0, 2, 3, 1)
            return result

        return call

    return {n: pool(step) if isinstance(step, MaxPool) else rectify(n) for n, step in steps.items()}
