from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import ModelError
from striate.inside.atlases.atlas import atlas
from striate.inside.atlases.folder import Atlas
from striate.inside.atlases.projecting import Pairs, Projections, project_windows
from striate.inside.atlases.survey import Layer, MarkStore, marking
from striate.inside.atlases.windows import chain
from striate.inside.projections.projection import project
from striate.inside.projections.rules import RULES, Rule, backward_rule, follow_back
from striate.inside.watching.calls import Reading, run, trace
from striate.inside.watching.watch import undisturbed


def chains() -> Iterator[tuple[str, nn.Sequential, tuple[int, ...]]]:
    torch.manual_seed(5)
    yield "overlapping pools", nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=2, padding=2), nn.ReLU(True), nn.MaxPool2d(3, 2), nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(), nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(8, 5, 3, padding=1), nn.ReLU(),
    ), (3, 41, 37)  # fmt: skip
    yield "ceil mode, dilation, groups", nn.Sequential(
        nn.Conv2d(2, 8, (3, 5), padding=(2, 0), dilation=(2, 1), bias=False), nn.ReLU(),
        nn.MaxPool2d(2, 2, ceil_mode=True), nn.Conv2d(8, 8, 3, padding="same", groups=4), nn.Dropout(), nn.ReLU(),
        nn.MaxPool2d((2, 3), (2, 1), dilation=(1, 2)), nn.Conv2d(8, 4, 3, groups=2, dilation=2, padding=2), nn.ReLU(),
    ), (2, 23, 31)  # fmt: skip
    norm = nn.BatchNorm2d(4)
    nn.init.uniform_(norm.weight, -1, 1)
    assert norm.running_var is not None
    nn.init.uniform_(norm.running_var, 0.5, 2)
    yield "batch norm of either sign, average pools", nn.Sequential(
        nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(1, 4, 4, stride=(2, 1)), norm, nn.ReLU(), nn.AvgPool2d(2, padding=1),
        nn.Conv2d(4, 6, 2, stride=2), nn.ReLU(), nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6), nn.ReLU(),
    ), (1, 22, 19)  # fmt: skip


CHAINS = list(chains())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("net", "shape"), [c[1:] for c in CHAINS], ids=[c[0] for c in CHAINS])
def test_windows_equal_whole_images_at_every_position(net: nn.Sequential, shape: tuple[int, ...], rule: Rule) -> None:
    """Every position, in the middle and at every border, against autograd on the whole image."""
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    with undisturbed(net) as still:
        traced = trace(still, images)
        number = len(traced.calls) - 1
        followed = chain(traced, number, rule)
        assert followed is not None
        layer = Layer("last", number, traced.calls[number].shape[1:], True, followed)
        store, kept = MarkStore(2**30), dict[int, Tensor]()
        run(still, images, Reading(traced, {}, marking([layer], kept)))
        store.add([0, 1], {k: mark.detach() for k, mark in kept.items()})
        image = images.clone().requires_grad_()
        with backward_rule(rule):
            activations = still(image)
    active = (activations.detach() > 0).nonzero()
    assert len(active) > 20
    pairs = Pairs(active[:, 1].numpy(), np.zeros(len(active), np.int64), active[:, 0].numpy(), active[:, 2:].numpy())
    projected = list[Projections]()
    for piece in project_windows(followed, pairs, store, torch.device("cpu"), projected.append):
        piece()
    assert sorted(np.concatenate([done.rows for done in projected]).tolist()) == list(range(len(pairs)))
    for done in projected:
        for row, start, values in zip(done.rows, done.starts, done.values, strict=True):
            seed = torch.zeros_like(activations)
            seed[tuple(active[row])] = 1
            expected = follow_back(activations, seed, image, rule=rule)[active[row, 0]]
            found = torch.zeros_like(expected)
            rows, columns = values.shape[1:]
            found[:, start[0] : start[0] + rows, start[1] : start[1] + columns] = values
            scale = float(expected.abs().max())
            assert float((found - expected).abs().max()) <= 1e-6 * max(scale, 1e-12)


def test_what_is_no_chain_is_not_cut_into_windows() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x + self.conv(x))

    for net in (
        Residual(),
        nn.Sequential(nn.Conv2d(2, 2, 3), nn.Sigmoid()),
        nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")),
    ):
        traced = trace(net.eval(), torch.zeros(1, 2, 8, 8))
        assert chain(traced, len(traced.calls) - 1, "deconvnet") is None


OVERWRITING: dict[str, tuple[Callable[[Tensor], object], str | None]] = {
    "by a mask": (lambda y: y.__setitem__(y < 0, 0), "an assignment under a mask"),
    "by a view": (lambda y: F.relu(y.view(y.shape), inplace=True), None),
    "by a part": (lambda y: y[:, :2].clamp_(min=0), None),
    "by its data": (lambda y: y.data.clamp_(min=0), "clamp without gradient"),
    "by its data, into": (lambda y: torch.clamp(y.detach(), min=0, out=y.data), "clamp without gradient"),
    "by an array": (lambda y: torch.from_numpy(y.detach().numpy()).relu_(), "relu without gradient"),
}


class Overwriting(nn.Module):
    """A convolution whose output is overwritten through another tensor before the next one takes it."""

    def __init__(self, overwrite: Callable[[Tensor], object]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.last, self.overwrite = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 3, 3), overwrite

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        self.overwrite(y)
        return self.last(y)


@pytest.mark.parametrize("name", OVERWRITING)
def test_what_was_overwritten_on_the_way_is_not_cut_into_windows(name: str, tmp_path: Path) -> None:
    overwrite, refused = OVERWRITING[name]
    net, images = Overwriting(overwrite).eval(), torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        traced = trace(net, images[:1])
    assert chain(traced, traced.layers["last"], "deconvnet") is None
    if refused:
        with pytest.raises(ModelError, match=refused):
            atlas(net, images, tmp_path / "a", ["last"])
        return
    made = atlas(net, images, tmp_path / "a", ["last"], top=1)
    for unit, found in enumerate(made.layer("last")["units"]):
        (item,) = found["top"]
        (top, left), cell = item["shown"], made.projections("last", unit)[0]
        expected = project(net, images[item["image"]], "last", unit, tuple(item["position"])).numpy()
        assert np.abs(cell - expected[:, top : top + cell.shape[1], left : left + cell.shape[2]]).max() <= 2e-6


def test_what_overwrites_its_own_input_is_cut_into_windows() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 3, 3)).eval()
    traced = trace(net, torch.rand(1, 1, 8, 8))
    assert chain(traced, traced.layers["2"], "deconvnet") is not None


def test_a_block_whose_output_was_overwritten_is_not_the_layer_that_it_ends_in() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            y[:, 0] = 0
            return y

    traced = trace(nn.Sequential(Block(), nn.ReLU()).requires_grad_(False), torch.rand(1, 1, 8, 8))
    assert list(traced.layers) == ["0.conv", "1"]
    assert traced.activation("0.conv") == traced.layers["0.conv"]


def test_capped_relus_need_no_whole_images_under_the_deconvnet_rule(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU6(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.ReLU6())
    with torch.no_grad():
        for part in (net[0], net[3]):
            part.weight.mul_(9)  # pyright: ignore[reportOperatorIssue, reportCallIssue]  so that some are capped
    images = torch.randn(6, 2, 12, 12, generator=torch.Generator().manual_seed(1))
    methods = {rule: atlas(net, images, tmp_path / rule, top=2, rule=rule).layer("3")["method"] for rule in RULES}
    assert methods == {"deconvnet": "windows", "guided": "whole images", "gradient": "whole images"}
    made, seen = Atlas.open(tmp_path / "deconvnet"), net(images)
    assert made.layer("3")["activation"] == "after relu"
    assert float(seen.detach().max()) == 6
    for unit in made.layer("3")["units"]:
        for item, cell in zip(unit["top"], made.projections("3", unit["unit"]), strict=True):
            expected = project(net, images[item["image"]], "3", unit["unit"], tuple(item["position"])).numpy()
            (top, left), (rows, columns) = item["shown"], cell.shape[1:]
            assert np.abs(cell - expected[:, top : top + rows, left : left + columns]).max() <= 2e-6
