"""What the processes that make one atlas give each other: files in its draft, written once by one and read by all.

The first process begins the draft and puts it in its place. Whatever depends on images is shared by blocks of images,
whatever is written into the files of a layer by its pieces; so every process computes exactly what one alone would, in
the same blocks and pieces, and the files are the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from striate.errors import Failure
from striate.inside.atlases.draft import drafted
from striate.ranks import Ranks


@final
class Exchange:
    """Between the processes that fill one draft; alone, nothing is written and nothing is waited for.

    Attributes:
        draft: the folder that all fill.
        ranks: the processes.
        hands: which of things in a row this process does, where they are written into files that others write into
            too: none on another host than the first process, as network file systems do not keep such writes apart.
    """

    def __init__(self, draft: Path, ranks: Ranks) -> None:
        self.draft, self.ranks = draft, ranks
        beside = min(ranks.size, int(ranks.agreed([os.environ.get("LOCAL_WORLD_SIZE", str(ranks.size))])[0]))
        self.hands = slice(ranks.rank, None, beside) if ranks.rank < beside else slice(0)
        self._folder = draft / "exchange"
        self._number, self._written = 0, list[Path]()

    def others(self, make: Callable[[], Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
        """What every other process makes here, in the order of their ranks; waits for all."""
        if self.ranks.size > 1:
            self._number += 1
            self._write(make(), self._place(self.ranks.rank))
        self.ranks.meet()
        for path in self._written[:-1]:  # all have read it, or they would not be here
            path.unlink(missing_ok=True)
        del self._written[:-1]
        return [self._read(self._place(rank)) for rank in range(self.ranks.size) if rank != self.ranks.rank]

    @contextlib.contextmanager
    def first_ahead(self) -> Generator[None]:
        """What stands in this block is done by the first process before the others begin with it."""
        if not self.ranks.first:
            self.ranks.meet()
        yield
        if self.ranks.first:
            self.ranks.meet()

    def check_alike(self, said: object, tensors: Iterable[Tensor]) -> None:
        """Raises Failure unless all processes say the same and have the same tensors, bit for bit."""
        if self.ranks.size == 1:
            return
        mark = hashlib.sha256(repr(said).encode())
        for tensor in tensors:
            mark.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
        if self.ranks.agreed([mark.hexdigest()]) != [mark.hexdigest()]:
            raise Failure("the processes that work together were given different networks, images or options")

    def close(self) -> None:
        """Waits until all processes have done with it; nothing of it stays in the draft."""
        self.ranks.meet()
        if self.ranks.first:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self, rank: int) -> Path:
        return self._folder / f"{self._number}-{rank}.safetensors"

    def _write(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        self._folder.mkdir(exist_ok=True)
        self._written.append(path)
        try:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
        except SafetensorError as fault:
            raise Failure(f"{path} cannot be written: {fault}") from None

    def _read(self, path: Path) -> dict[str, Tensor]:
        try:
            return load_file(self.ranks.seen(path, _there))
        except SafetensorError as fault:
            raise Failure(f"{path} cannot be read: {fault}") from None


@contextlib.contextmanager
def exchanging(out: Path, ranks: Ranks) -> Generator[Exchange]:
    """The draft of `out` for all processes to fill; it takes its place when all have done so, else it is removed.

    Raises:
        Failure: another process had a fault, or does not see the folder.
    """
    # Inside, a fault is told before the draft is removed, which others would meet as a fault of their own; outside, one
    # of making or placing the draft itself.
    with ranks.telling(), _draft(out, ranks) as draft, ranks.telling():
        exchange = Exchange(draft, ranks)
        yield exchange
        exchange.close()
    ranks.meet()


@contextlib.contextmanager
def _draft(out: Path, ranks: Ranks) -> Generator[Path]:
    """The draft of the first process. After a fault each removes it: what one writes last, no other has seen."""
    if ranks.first:
        with drafted(out) as draft:
            ranks.agreed([str(draft)])
            yield draft
        return
    draft = ranks.seen(Path(ranks.agreed([])[0]), _there)
    try:
        yield draft
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _there(path: Path) -> Path | None:
    return path if path.exists() else None
