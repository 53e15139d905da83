"""Where fields do not move in equal steps, atlas and evolution still show all that a unit looks at, where it lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.inside import atlas, project, receptive_fields
from striate.inside.studies.evolution import evolution


class Moved(nn.Module):
    """Moves rows and columns about."""

    def __init__(self, way: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x)


BETWEEN: dict[str, Callable[[], nn.Module]] = {
    "flipped": lambda: Moved(lambda x: x.flip(3)),
    "adaptively pooled": lambda: nn.AdaptiveAvgPool2d(5),
    "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "nearest": lambda: nn.Upsample(scale_factor=2),
    "transposed convolution": lambda: nn.ConvTranspose2d(4, 4, 3, 2),
    "reflected": lambda: nn.ReflectionPad2d(1),
    "halves exchanged": lambda: Moved(lambda x: torch.cat([x[..., 4:], x[..., :4]], 3)),
}


@pytest.fixture(params=BETWEEN)
def net(request: pytest.FixtureRequest) -> nn.Sequential:
    torch.manual_seed(0)
    last = nn.Conv2d(4, 3, 3)
    nn.init.constant_(last.bias, 5.0)  # pyright: ignore[reportArgumentType]  (no unit is dead)
    return nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), BETWEEN[request.param](), last)


IMAGES = torch.rand((8, 1, 17, 18), generator=torch.Generator().manual_seed(3))


def test_the_atlas_shows_whole_fields_and_projections(net: nn.Sequential, tmp_path: Path) -> None:
    made, field = atlas(net, IMAGES, tmp_path / "atlas", layers=["2"]), receptive_fields(net, (1, 17, 18))["2"]
    assert not field.regular
    for unit in range(3):
        for place, (top, shown) in enumerate(
            zip(made.unit("2", unit)["top"], made.projections("2", unit), strict=True)
        ):
            position = tuple(top["position"])
            box = field.box(position)
            assert tuple(top["box"]) == box
            whole = project(net, IMAGES[top["image"]], "2", unit, position).numpy()
            (row, column), (rows, columns) = top["shown"], shown.shape[1:]
            for begin, length, axis in ((row, rows, 0), (column, columns, 1)):
                assert begin <= box[axis]
                assert box[axis + 2] <= begin + length
            found = np.zeros((1, 17 + 2 * rows, 18 + 2 * columns), np.float32)
            found[:, row + rows : row + 2 * rows, column + columns : column + 2 * columns] = shown
            np.testing.assert_allclose(found[:, rows : rows + 17, columns : columns + 18], whole, atol=2e-6)
            assert np.abs(found).sum() == pytest.approx(np.abs(whole).sum(), rel=1e-4)
            assert place < 9


def test_the_evolution_has_pictures_of_one_size(net: nn.Sequential) -> None:
    field = receptive_fields(net, (1, 17, 18))["2"]
    found = evolution([(1, net), (2, net)], IMAGES, "2", [0, 1, 2])
    for moment in found.of(0) + found.of(1) + found.of(2):
        assert moment.box == field.box(moment.position)
        whole = project(net, IMAGES[moment.image], "2", moment.unit, moment.position)
        assert np.abs(moment.projection).sum() == pytest.approx(float(whole.abs().sum()), rel=1e-4)
    assert found.sheet().ndim == 3


def test_frames_hold_every_field_and_are_of_one_size(net: nn.Sequential) -> None:
    field = receptive_fields(net, (1, 17, 18))["2"]
    for position in np.ndindex(len(field.rows), len(field.columns)):
        box, frame = field.box(position), field.frame(position)
        assert (frame.bottom - frame.top, frame.right - frame.left) == field.size
        assert (frame.top <= box.top) & (frame.left <= box.left) & (box.bottom <= frame.bottom)
        assert box.right <= frame.right
