"""The modules that PyTorch lacks: a sum of branches, a concatenation of branches, and a gate.

This file imports torch, so it is imported only when a module is built. All are plain modules of children and one
line of arithmetic: they trace, copy, save and export as any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float


@final
class ResidualSum(nn.Module):
    """body(x) + shortcut(x); without a shortcut, body(x) + x."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The sum, of shape (batch, channels, rows, columns) or (batch, features)."""
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


@final
class Gated(nn.Module):
    """x · body(x).

    Arguments:
        body: gives factors in the shape of x, (batch, channels, 1, 1), or where `flat` (batch, channels).
    """

    def __init__(self, body: nn.Module, flat: bool) -> None:
        super().__init__()
        self.body = body
        self.flat = flat

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The product, of the shape of x."""
        s = self.body(x)
        return x * (s[:, :, None, None] if self.flat else s)


@final
class Concatenation(nn.Module):
    """What leaves the branches, one after another by channel (maps) or by feature (vectors)."""

    def __init__(self, branches: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The concatenation along dimension 1."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)
