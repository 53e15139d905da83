"""The module that PyTorch lacks for a layer norm of maps. This file imports torch, so it is imported only when a
module is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


@final
class ChannelNorm(nn.LayerNorm):
    """torch's layer norm, over the channels at each position of maps (Liu et al. 2022, ConvNeXt)."""

    def forward(self, input: Float[Tensor, "batch channel row column"]) -> Float[Tensor, "batch channel row column"]:
        """Channels are moved to the end, where torch's layer norm looks for them, and back."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
