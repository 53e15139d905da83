"""Probabilities from every form in which a classifier gives its scores."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.errors import DataError, Failure, ModelError
from striate.inside import correspondence, equivariance, grad_cam, invariance, occlude, project, project_many
from striate.inside.atlases.streams import stream
from striate.inside.studies.looking import look
from striate.inside.studies.peaks import peaks
from striate.inside.studies.responses import responses
from striate.inside.watching.answers import one_image, probabilities, require_classes, some_images
from striate.model import Model
from striate.report.look_sheet import sheet


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_logits_log_probabilities_and_probabilities_are_one_answer(dtype: torch.dtype) -> None:
    logits = torch.randn((5, 7), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = logits.exp() / logits.exp().sum(1, keepdim=True)
    for outputs in (logits, logits.log_softmax(1), logits.softmax(1)):
        answer = probabilities(outputs.to(dtype))
        assert answer.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert torch.allclose(
            answer.double(), expected, atol={torch.float64: 1e-12, torch.float32: 1e-6}.get(dtype, 0.02)
        )


@pytest.mark.parametrize("outputs", [torch.zeros(2, 3, 4), torch.zeros(3), (torch.zeros(1, 2),)])
def test_what_is_no_row_of_scores_is_refused(outputs: object) -> None:
    with pytest.raises(ModelError, match="one row of class scores per image"):
        probabilities(outputs)


class Binary(nn.Sequential):
    """A classifier that gives the probability of one of two classes."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 1), nn.Sigmoid())


class ManyLabels(nn.Module):
    """A classifier whose classes do not exclude each other: three sigmoids, computed where nobody sees it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.dense = nn.Conv2d(1, 2, 3), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.conv(x).flatten(1)).sigmoid()


def test_a_sigmoid_of_each_class_is_its_probability() -> None:
    net, image = ManyLabels(), torch.rand(1, 6, 6)
    expected = net(image[None])[0, 1].item()
    model = Model.foreign(net, (1, 6, 6), classes=("a", "b", "c"))
    for asked in (net, model):
        assert occlude(asked, image, "conv", 1).probability_before == pytest.approx(expected)
        shown = invariance(asked, image, "conv", amounts=[0], true_classes=[1]).probability
        assert shown is not None
        assert float(shown[0, 0]) == pytest.approx(expected)
    pixels = (image * 255).round().to(torch.uint8).numpy()
    shares = look(model, pixels, layers=["conv"]).probabilities
    assert shares is not None
    np.testing.assert_allclose(shares, model.predict(pixels[None])[0], atol=1e-6)


@pytest.mark.parametrize("end", [nn.Identity(), nn.Sigmoid()])
def test_one_number_is_shown_as_the_probability_of_the_one_class(end: nn.Module) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 1), end)
    pixels = np.full((1, 6, 6), 128, np.uint8)
    model = Model.foreign(net, (1, 6, 6), classes=("rain",))
    looked = look(model, pixels)
    assert looked.probabilities == pytest.approx(model.predict(pixels[None])[0])
    assert looked.occlusion is None
    assert looked.said == ("there is one class, and no other to tell it from: no occlusion, no Grad-CAM",)
    assert look(Model.foreign(net, (1, 6, 6)), pixels).probabilities is None
    sheet(looked)


def test_outputs_that_may_be_probabilities_are_said_to_be_taken_for_scores() -> None:
    pixels = np.full((1, 6, 6), 128, np.uint8)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 3), nn.Hardsigmoid())
    assert any("their softmax is shown" in line for line in look(Model.foreign(net, (1, 6, 6)), pixels).said)
    for end in (nn.Sigmoid(), nn.Softmax(1)):
        net[3] = end
        assert look(Model.foreign(net, (1, 6, 6)), pixels).said == ()


class TwoClasses(nn.Module):
    """The wrapper that the refusal of one number advises."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        p = self.net(x)
        return torch.cat([1 - p, p], 1)


def test_one_number_has_no_classes_and_what_to_wrap_is_said() -> None:
    net, image = Binary(), torch.rand(1, 6, 6)
    for asked in (lambda: occlude(net, image, "1", 0), lambda: invariance(net, image, "1", true_classes=[0])):
        with pytest.raises(ModelError, match=re.escape("torch.cat([1 - p, p], 1)")):
            asked()
    found = occlude(TwoClasses(net), image, "net.1", 1)
    assert found.probability_before == pytest.approx(net(image[None]).item())


def test_infinite_scores_may_exclude_classes_and_no_more() -> None:
    assert probabilities(torch.tensor([[0.0, -torch.inf]])).tolist() == [[1.0, 0.0]]
    for wrong in (torch.nan, torch.inf):
        with pytest.raises(Failure, match="class scores are not finite numbers"):
            probabilities(torch.tensor([[0.0, wrong]]))


def broken(value: float) -> nn.Sequential:
    """A network one of whose first filters is no number."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(32, 3))
    net.get_parameter("0.weight").data[0] = value
    return net


IMAGES = torch.rand((2, 1, 6, 6), generator=torch.Generator().manual_seed(0))
STUDIES: dict[str, Callable[[nn.Module], object]] = {
    "occlude": lambda net: occlude(net, IMAGES[0], "1", 0),
    "occlude another unit": lambda net: occlude(net, IMAGES[0], "1", 0, unit=1),
    "project": lambda net: project(net, IMAGES[0], "1", 0),
    "project another unit": lambda net: project(net, IMAGES[0], "1", 1),
    "project_many": lambda net: project_many(net, IMAGES, "2", [0, 1]),
    "invariance": lambda net: invariance(net, IMAGES, "2"),
    "invariance of the answer": lambda net: invariance(net, IMAGES, [], true_classes=[0, 1]),
    "equivariance": lambda net: equivariance(net, "2", IMAGES),
    "correspondence": lambda net: correspondence(net, IMAGES, {"part": [(0, 0, 3, 3)] * 2}, "2"),
    "responses": lambda net: responses(net, IMAGES[0]),
    "peaks": lambda net: peaks(net, stream(IMAGES), [("2", [0])], batch=2),
}


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("study", STUDIES)
def test_what_is_not_finite_is_refused_by_every_study(study: str, value: float) -> None:
    with pytest.raises(Failure, match=r"not (a )?finite number"):
        STUDIES[study](broken(value))


class TwoHeads(nn.Module):
    """A module with two outputs: a score for every position, and a row of scores."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.body, self.row, self.kind = nn.Conv2d(1, 3, 3), nn.Linear(3, 4), kind

    def forward(self, x: Tensor) -> object:
        maps = self.body(x).relu()
        row = self.row(maps.mean((2, 3)))
        return {"dict": {"out": maps, "aux": row}, "tuple": (row, maps), "maps": maps, "text": "none"}[self.kind]


class Wrapped(nn.Module):
    """A module around another one that returns what a sentence advises."""

    def __init__(self, net: nn.Module, advice: str) -> None:
        super().__init__()
        self.net, self.advice = net, advice

    def forward(self, x: Tensor) -> Tensor:
        return eval(self.advice, {"net": self.net, "x": x})


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("dict", "dict of ['out'] (1, 3, 6, 6), ['aux'] (1, 4)"),
        ("tuple", "tuple of [0] (1, 4), [1] (1, 3, 6, 6)"),
        ("maps", "(1, 3, 6, 6)"),
    ],
)
def test_where_several_outputs_are_refused_the_advice_works(kind: str, found: str) -> None:
    net, image = TwoHeads(kind), torch.rand((1, 8, 8), generator=torch.Generator().manual_seed(0))
    with pytest.raises(ModelError) as refusal:
        grad_cam(net, image, "body", 0)
    with pytest.raises(ModelError, match=re.escape(str(refusal.value))):
        occlude(net, image, "body", 0)
    before, _, advice = str(refusal.value).rpartition(", as ")
    assert before.endswith(f"found {found}: wrap it in one whose forward returns such a row")
    wrapped = Wrapped(net, advice)
    assert grad_cam(wrapped, image, "net.body", 0).score == pytest.approx(float(wrapped(image[None])[0, 0].detach()))
    assert 0 < occlude(wrapped, image, "net.body", 0).probability_before < 1


def test_where_no_output_can_be_advised_none_is() -> None:
    with pytest.raises(ModelError, match=r"found str: wrap it in one whose forward returns such a row$"):
        grad_cam(TwoHeads("text"), torch.zeros(1, 8, 8), "body")


def test_classes_are_counted_from_zero() -> None:
    require_classes([0, 9], 10)
    with pytest.raises(DataError, match="class 10 is not one of the network's 10: 0 to 9"):
        require_classes([3, 10], 10)


def test_images_come_as_batches() -> None:
    assert one_image(torch.zeros(3, 4, 5)).shape == one_image(torch.zeros(1, 3, 4, 5)).shape == (1, 3, 4, 5)
    assert some_images(torch.zeros(2, 3, 4, 5)).shape == (2, 3, 4, 5)
    with pytest.raises(DataError, match=r"one image is needed.*found shape \(2, 3, 4, 5\)"):
        one_image(torch.zeros(2, 3, 4, 5))
    with pytest.raises(DataError, match=r"images are needed.*found shape \(0, 3, 4, 5\)"):
        some_images(torch.zeros(0, 3, 4, 5))
