"""Atlases made by as many processes as torchrun begins: torchrun ... shared_atlases.py FOLDER BESIDE.

BESIDE is how many of them take themselves to stand on the first one's host.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from small_networks import gray_images, small_net
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (as everybody calls it)

from striate import Ranks, inside
from striate.inside.atlases import survey


class Branching(nn.Module):
    """Two layers that take windows, two that take whole images."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.stem, self.inner, self.side = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(torch.relu(self.stem(x)), 2)
        return torch.cat([(x + self.inner(x)).relu(), self.side(x).relu()], 1).mean((2, 3))


def make_all(out: Path, ranks: Ranks) -> None:
    """Every way through an atlas: ties, labels, whole images, batches, a coarse pass, marks kept and scarce."""
    net, images = small_net(), gray_images(400)
    labels = torch.arange(400) % 4 - 1
    batches = list(zip(images.split(30), labels.split(30), strict=True))
    inside.atlas(net, batches, out / "labelled", ranks=ranks)
    inside.atlas(net, images, out / "dense", ["3", "7"], 3, stored="float16", ranks=ranks)
    inside.atlas(net, images, out / "guided", rule="guided", ranks=ranks)
    inside.atlas(net, images, out / "coarse", precision="bfloat16", ranks=ranks)
    inside.atlas(net, images[:50], out / "one block", ranks=ranks)
    inside.atlas(Branching(), images, out / "branching", top=4, ranks=ranks)
    survey.MARKS = 20_000  # of about 30 images
    inside.atlas(net, images, out / "scarce marks", ranks=ranks)


if __name__ == "__main__":
    os.environ["LOCAL_WORLD_SIZE"] = sys.argv[2]
    make_all(Path(sys.argv[1]), Ranks.joined())
