"""How the processes that torchrun started share a batch: each computes some of its rows, and all know the whole.

A batch is the recipe's, however many processes there are. Each takes its rows of it through the network; the outputs
of all are gathered, so that every process has the loss of the whole batch, and from it the gradients that came through
its own rows. The sum of these over all processes is the gradient that one process finds, but for the order of a sum.
What is drawn at random is drawn for the whole batch in every process, which takes its rows of that.

Without torchrun there is one process, its rows are all rows, and nothing here computes anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, final

import torch

from striate.data.batches import share
from striate.errors import Failure, UserError
from striate.ranks import Ranks

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from torch import Tensor, nn

PATIENCE = timedelta(minutes=10)
"""How long one process waits for what another has to say; a lost connection is noticed at once, a lost host then."""


@final
class Sharing:
    """How this process and the others share a batch.

    Arguments:
        ranks: the processes; all must come here.
        device: where the tensors lie that are added up: sums go by gloo on CPUs, by NCCL on CUDA (the latter has not
            been measured or tested yet: no machine with several GPUs was at hand).

    Attributes:
        ranks: as given.
        images: in the whole batch that is at work.
        rows: which of them are this process's.

    Raises:
        UserError: the processes cannot each compute on such a device.
        Failure: they do not reach each other.

    Example:
        >>> alone = Sharing()
        >>> alone.begin(32, of=32)
        >>> alone.rows, alone.any(True, False)
        (slice(0, 32, None), [True, False])
    """

    def __init__(self, ranks: Ranks | None = None, device: torch.device | str = "cpu") -> None:
        self.ranks = ranks or Ranks()
        self.images = 0
        self.rows = slice(0, 0)
        self._groups: dict[str, Any] = {}
        device = torch.device(device)
        if self.together:
            _refuse_device(device)
        store = self.ranks.meet()
        if store is not None:
            self._groups = _groups(store, self.ranks, device)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def together(self) -> bool:
        """Whether there are other processes."""
        return self.ranks.size > 1

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.ranks.first

    def begin(self, images: int, *, of: int) -> None:
        """A batch of so many images comes to work; a full one has `of`."""
        self.images, self.rows = images, share(of, (self.ranks.rank, self.ranks.size))

    def whole(self, own: Tensor) -> Tensor:
        """The whole batch's rows from those of every process; gradients go back to this process's own alone."""
        if not self.together:
            return own
        whole = own.new_zeros((self.images, *own.shape[1:]))
        whole[self.rows] = own.detach()
        self.add(whole)
        whole[self.rows] = own
        return whole

    def add_gradients(self, module: nn.Module) -> None:
        """Makes every parameter's gradient the sum over all processes."""
        if not self.together:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        total = self.add(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        for gradient, part in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def any(self, *told: bool) -> list[bool]:
        """Of each question whether one of the processes, at the same place in its work, answers yes."""
        if not self.together:
            return list(told)
        return [count > 0 for count in self.add(torch.tensor(told, dtype=torch.int32)).tolist()]

    def firsts(self, *values: float) -> list[float]:
        """The numbers that the first process gives here, in every process."""
        if not self.together:
            return list(values)
        given = torch.tensor(values, dtype=torch.float64)
        return self.add(given if self.first else torch.zeros_like(given)).tolist()

    def meet(self) -> None:
        """Waits until all processes have come here."""
        self.any(False)

    def agree(self, *said: object) -> None:
        """Raises Failure where the processes were told different things."""
        if self.together and self.ranks.agreed(list(map(str, said))) != list(map(str, said)):
            raise Failure("the processes that work together were given different commands, or see different data")

    def add(self, own: Tensor) -> Tensor:
        """The sum over all processes, in place and returned; equal in all of them to the last bit."""
        with _answered():
            self._groups[own.device.type].allreduce([own]).wait()
        return own

    def close(self) -> None:
        """Parts from the others; who waits for this process then hears of it."""
        for group in self._groups.values():
            group.shutdown()
        self._groups = {}


def digest(tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> str:
    """A name for the content of tensors: other names or numbers, another digest."""
    found = hashlib.sha256()
    for name, tensor in dict(tensors).items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _refuse_device(device: torch.device) -> None:
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"processes that work together compute on cpu or cuda, found {device.type}; say --device cpu")
    if device.type == "cuda" and str(device) != "cuda":
        raise UserError(f"each process computes on a GPU of its own; say cuda instead of {device}")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type == "cuda" and here > torch.cuda.device_count():
        raise UserError(
            f"each process computes on a GPU of its own; torchrun began {here} where there are "
            f"{torch.cuda.device_count()}: begin one for each, or say --device cpu"
        )


def _groups(store: Any, ranks: Ranks, device: torch.device) -> dict[str, Any]:
    """By the kind of device what adds up its tensors; words between the processes go by that of the CPU."""
    from torch._C._distributed_c10d import PrefixStore
    from torch.distributed import ProcessGroupGloo

    with _connected():
        found: dict[str, Any] = {"cpu": ProcessGroupGloo(store, ranks.rank, ranks.size, PATIENCE)}
        if device.type == "cuda":
            from torch.distributed import ProcessGroupNCCL

            options = ProcessGroupNCCL.Options()
            found["cuda"] = ProcessGroupNCCL(PrefixStore("cuda", store), ranks.rank, ranks.size, options)
    return found


@contextlib.contextmanager
def _connected() -> Generator[None]:
    try:
        yield
    except RuntimeError as fault:
        raise Failure(
            f"the processes that work together do not reach each other: {str(fault).splitlines()[0]}; "
            "GLOO_SOCKET_IFNAME names the network they should use"
        ) from None


@contextlib.contextmanager
def _answered() -> Generator[None]:
    """Raises Failure where another process does not take part."""
    try:
        yield
    except RuntimeError as fault:  # torch has no class of its own for it
        raise Failure("another of the processes that work together had a fault, or is gone") from fault
