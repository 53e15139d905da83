"""The engine: on what, in which precision and memory layout a training computes. Said in one line, forcible.

What is chosen never changes what is learned but for rounding. Knows nothing of networks or data.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

import torch

from striate.cores import allowed_cores, share_of_cores
from striate.errors import RecipeError
from striate.memory import can_keep_freed_memory, keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from torch import Tensor, nn

Precision = Literal["float32", "bfloat16"]


@final
@dataclass(frozen=True)
class Engine:
    """What computes, and how.

    Attributes:
        device: `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: of convolutions and matrix products; weights, losses and optimizer stay float32.
        channels_last: whether maps lie in memory pixel by pixel (NHWC) instead of channel by channel.
        threads: of the CPU's arithmetic; results are bit-identical only between runs with equally many.
        keep_memory: whether freed memory stays with the process instead of going back to the system (Linux, glibc).
        why: the reason for each choice, in the order above.
    """

    device: str
    precision: Precision
    channels_last: bool
    threads: int
    keep_memory: bool
    why: tuple[str, ...] = ()

    @classmethod
    def choose(
        cls,
        *,
        device: str | None = None,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        channels_last: bool | None = None,
        threads: int | None = None,
        keep_memory: bool | None = None,
    ) -> Engine:
        """The engine for this machine; whatever is given is taken as it is.

        Raises:
            RecipeError: the device is not there, or `threads` is below 1.

        Example:
            >>> engine = Engine.choose(device="cpu", precision="float32", threads=1)
            >>> engine.device, engine.precision, engine.threads
            ('cpu', 'float32', 1)
        """
        if threads is not None and threads < 1:
            raise RecipeError(f"threads must be at least 1, found {threads}")
        place, why_place = (_present(device), "asked for") if device else _best_device()
        kind = torch.device(place).type
        chosen, why_precision = _asked_precision(precision, kind) if precision != "auto" else _best_precision(kind)
        layout = (channels_last, "asked for") if channels_last is not None else _best_layout(kind)
        count = (threads, "asked for") if threads is not None else _best_threads()
        memory = (keep_memory, "asked for") if keep_memory is not None else _best_memory(kind)
        why = (why_place, why_precision, layout[1], count[1], memory[1])
        return cls(place, chosen, layout[0], count[0], memory[0], why)

    @classmethod
    def of_json(cls, held: Mapping[str, object]) -> Engine:
        """The engine that `as_json` wrote. Raises RecipeError where its device is not there."""
        precision: Precision = "bfloat16" if held["precision"] == "bfloat16" else "float32"
        return cls(
            _present(str(held["device"])),
            precision,
            bool(held["channels_last"]),
            int(str(held["threads"])),
            bool(held["keep_memory"]),
            ("as the run began",) * 5,
        )

    def as_json(self) -> dict[str, object]:
        """The choices, without the reasons."""
        return {
            "device": self.device,
            "precision": self.precision,
            "channels_last": self.channels_last,
            "threads": self.threads,
            "keep_memory": self.keep_memory,
        }

    def __str__(self) -> str:
        """One line: every choice with its reason."""
        choices = (
            self.device,
            self.precision,
            "channels last" if self.channels_last else "channels first",
            f"{self.threads} thread{'s' * (self.threads > 1)}",
            "freed memory kept" if self.keep_memory else "freed memory returned",
        )
        reasons = self.why or ("",) * len(choices)
        return ", ".join(f"{c} ({w})" if w else c for c, w in zip(choices, reasons, strict=True))

    @property
    def emulates(self) -> bool:
        """Whether it computes in bfloat16 on a CPU that has no instructions for it: right, but slower than float32."""
        return _emulated(self.precision, torch.device(self.device).type)

    @contextlib.contextmanager
    def running(self, *, deterministic: bool = False) -> Generator[None]:
        """Inside, PyTorch works with this engine's threads; after, with as many as before. Kept memory stays kept."""
        threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        fill = torch.utils.deterministic.fill_uninitialized_memory  # pyright: ignore[reportAttributeAccessIssue]
        if self.keep_memory:
            keep_freed_memory()
        try:
            torch.set_num_threads(self.threads)
            if deterministic:
                torch.use_deterministic_algorithms(True)
                torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)
            torch.utils.deterministic.fill_uninitialized_memory = fill  # pyright: ignore[reportAttributeAccessIssue]

    def arithmetic(self) -> torch.autocast:
        """The context in which the module is called: convolutions and matrix products in `precision`."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bfloat16")

    def place(self, module: nn.Module) -> nn.Module:
        """Moves the module to the device, in the engine's memory layout. Its numbers stay as they are."""
        module = module.to(self.device)
        return module.to(memory_format=torch.channels_last) if self.channels_last else module  # pyright: ignore[reportCallIssue]

    def arrange(self, x: Tensor) -> Tensor:
        """The batch in the engine's memory layout."""
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last and x.dim() == 4 else x


def _present(device: str) -> str:
    """`device`, if this machine has it."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # AssertionError: torch built without CUDA
        here = ["cpu", *(["cuda"] if torch.cuda.is_available() else []), *(["mps"] if _has_mps() else [])]
        raise RecipeError(f"device must be one this machine has ({', '.join(here)}), found {device!r}") from None
    return device


def _best_device() -> tuple[str, str]:
    if torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name()
    return ("mps", "Apple GPU") if _has_mps() else ("cpu", "no GPU here")


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _best_precision(kind: str) -> tuple[Precision, str]:
    if kind == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bfloat16", "the GPU has it") if fast else ("float32", "the GPU has no bfloat16")
    if kind != "cpu":
        return "float32", "safe everywhere"
    found = _bfloat16_instructions()
    return ("bfloat16", f"the CPU has {found[0]}") if found else ("float32", "the CPU has no bfloat16 instructions")


def _asked_precision(precision: Precision, kind: str) -> tuple[Precision, str]:
    slow = "; the CPU has no instructions for it and computes float32 many times faster"
    return precision, "asked for" + slow * _emulated(precision, kind)


def _emulated(precision: Precision, kind: str) -> bool:
    # A step of the networks of claims 8 and 13 took 14 to 16 times as long as in float32 on a CPU with AVX2, 1 thread.
    return precision == "bfloat16" and kind == "cpu" and not _bfloat16_instructions()


def _bfloat16_instructions() -> list[str]:
    return [name for name in ("amx_bf16", "avx512_bf16") if name in _cpu_flags()]


def _best_layout(kind: str) -> tuple[bool, str]:
    # 1.3 to 1.6 times faster than channels first, measured on an AVX-512 CPU; on GPUs it is what tensor cores read.
    return (False, "as the GPU reads it") if kind == "mps" else (True, "convolutions read it fastest")


def _best_threads() -> tuple[int, str]:
    allowed, own = allowed_cores(), torch.get_num_threads()
    if "LOCAL_WORLD_SIZE" in os.environ and own == share_of_cores():
        return own, "this process's share of the cores"
    if own <= allowed:
        return own, "one per core" if "OMP_NUM_THREADS" not in os.environ else "OMP_NUM_THREADS"
    return allowed, "as many cores as this process may use"


def _best_memory(kind: str) -> tuple[bool, str]:
    if kind != "cpu":
        return False, "the device has memory of its own"
    return (True, "fewer page faults") if can_keep_freed_memory() else (False, "only glibc can keep it")


@cache
def _cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(word for line in lines if line.startswith("flags") for word in line.split())
