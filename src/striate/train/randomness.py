"""Randomness by counting: what a step draws depends on (seed, epoch, step) alone, never on what was drawn before.

So a run that was killed draws after its resumption what it would have drawn anyway. While a training works, it uses a
random state of its own; the caller's is untouched.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, final

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Generator


@final
class Randomness:
    """The random state of one training: PyTorch's default generator (dropout draws from it) and one for augmentation.

    Arguments:
        seed: the recipe's.
        device: where the training computes.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed = seed
        self.device = device
        self.augmentation = torch.Generator(device)
        self.states = _states(device)

    def at(self, epoch: int, step: int) -> None:
        """Sets both generators to where step `step` of epoch `epoch` finds them."""
        dropout, augmentation = step_seeds(self.seed, epoch, step)
        torch.default_generator.manual_seed(dropout)
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(dropout)
        self.augmentation.manual_seed(augmentation)

    @contextlib.contextmanager
    def ours(self) -> Generator[None]:
        """Inside, PyTorch's default generators are this training's; after, the caller's, as they were."""
        theirs = _states(self.device)
        _set(self.states, self.device)
        try:
            yield
        finally:
            self.states = _states(self.device)
            _set(theirs, self.device)


def step_seeds(seed: int, epoch: int, step: int) -> tuple[int, int]:
    """Two independent 63-bit seeds for one step, for dropout and for augmentation.

    Example:
        >>> step_seeds(0, 0, 0) == step_seeds(0, 0, 0), step_seeds(0, 0, 1) == step_seeds(0, 1, 0)
        (True, False)
    """
    first, second = np.random.SeedSequence((seed, epoch, step)).generate_state(2, np.uint64)
    return int(first >> 1), int(second >> 1)


def _states(device: torch.device) -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set(states: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
