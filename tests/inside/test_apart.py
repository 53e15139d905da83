"""What is shown of an image does not depend on the images that are computed with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import ModelError
from striate.inside import activations, atlas, correspondence, equivariance, invariance, occlude, project, project_many
from striate.inside.studies.evolution import evolution


class Functional(nn.Module):
    """Goes by the batch although it has running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("var", torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.mean, self.var, training=True)  # pyright: ignore[reportArgumentType]


class Crops(nn.Module):
    """Normalizes the two halves of an image as two of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, rows, columns = x.shape
        halves = x.reshape(n, channels, 2, rows // 2, columns).transpose(1, 2).flatten(0, 1)
        return self.norm(halves).reshape(n, 2, channels, rows // 2, columns).transpose(1, 2).reshape(x.shape)


NORMS = {
    "no statistics": lambda: nn.BatchNorm2d(2, track_running_stats=False),
    "synchronized": lambda: nn.SyncBatchNorm(2, track_running_stats=False),
    "functional": Functional,
    "parts of images": Crops,
}


def build(norm: str = "no statistics") -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 3), NORMS[norm](), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(32, 3)
    return nn.Sequential(*layers)


@pytest.fixture
def images() -> Tensor:
    scales = torch.tensor([1.0, 3.0, 0.2, 1.5, 2.0]).reshape(-1, 1, 1, 1)
    return scales * torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("norm", NORMS)
def test_activations_and_projections_are_those_of_each_image_alone(norm: str, images: Tensor) -> None:
    net = build(norm)
    alone = torch.cat([net.eval()(image[None]) for image in images])
    assert not torch.allclose(net(images), alone), "together they would answer something else"
    torch.testing.assert_close(activations(net, images)["5"], alone)
    units = [0, 1, 0, 1, 0]
    projections = project_many(net, images, "3", units)
    for image, unit, projection in zip(images, units, projections, strict=True):
        torch.testing.assert_close(project(net, image, "3", unit), projection)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_scripted_modules_too(images: Tensor) -> None:
    traced = torch.jit.trace(build().eval(), images[:1])
    assert isinstance(traced, nn.Module)
    torch.testing.assert_close(activations(traced, images)["5"], activations(build(), images)["5"])


@pytest.mark.parametrize("norm", NORMS)
def test_the_size_of_a_batch_changes_no_study(norm: str, images: Tensor) -> None:
    net = build(norm)
    one, many = (occlude(net, images[0], "2", 0, batch=batch) for batch in (1, 64))
    np.testing.assert_allclose(one.probability, many.probability, rtol=1e-5)
    np.testing.assert_allclose(one.activity, many.activity, rtol=1e-5)
    few, all_ = (invariance(net, images, "3", amounts=[1], true_classes=[0] * 5, batch=batch) for batch in (1, 5))
    np.testing.assert_allclose(few.distance, all_.distance, rtol=1e-4)
    assert few.probability is not None
    assert all_.probability is not None
    np.testing.assert_allclose(few.probability, all_.probability, rtol=1e-5)
    if norm != "parts of images":
        small, large = (equivariance(net, "2", images, amounts=[1], batch=batch) for batch in (1, 5))
        np.testing.assert_allclose(small.whole, large.whole, rtol=1e-4)


def test_correspondence_of_two_images_is_the_same_beside_a_third(images: Tensor) -> None:
    boxes = [(1, 1, 4, 4)] * 3
    two = correspondence(build(), images[:2], {"eye": boxes[:2]}, "3")
    three = correspondence(build(), images[:3], {"eye": boxes}, "3")
    assert three.pairs[0] == (0, 1)
    assert three.change[0, 0, 0] == two.change[0, 0, 0]


def test_an_atlas_and_an_evolution_hold_what_each_image_gives_alone(images: Tensor, tmp_path: Path) -> None:
    net = build()
    made = atlas(net, images, tmp_path / "atlas", layers=["3"])
    found = evolution([(1, net)], images, "3", [0, 1])
    for unit in (0, 1):
        alone = torch.cat([activations(net, image[None])["3"][:, unit].flatten(1) for image in images]).amax(1)
        best = made.unit("3", unit)["top"][0]
        assert best["image"] == int(alone.argmax())
        assert best["value"] == pytest.approx(float(alone.max()), rel=1e-5)
        assert found.of(unit)[0].value == pytest.approx(float(alone.max()), rel=1e-5)
        single = project(net, images[best["image"]], "3", unit, tuple(best["position"]))
        np.testing.assert_allclose(made.projections("3", unit)[0], single.numpy(), rtol=1e-4, atol=1e-6)


def test_vectors_that_have_no_statistics_alone_are_refused_in_one_sentence(images: Tensor) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4, track_running_stats=False))
    with pytest.raises(ModelError, match=r"takes its statistics from the whole batch, .* in the shape 5x4: its answer"):
        activations(net, images)


def test_running_statistics_are_left_alone(images: Tensor) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
    assert torch.equal(activations(net, images)["1"], net(images))
