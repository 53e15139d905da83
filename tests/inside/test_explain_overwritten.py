"""What is said of a tensor ends where its memory is written into; weights are the module's; layers keep their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from explained import noise, walked
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import ModelError
from striate.inside.atlases.atlas import atlas
from striate.inside.explaining.ends import Stop
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation
from striate.inside.studies.activations import activations

Call = Callable[["Parts", Tensor], Tensor]


class Parts(nn.Module):
    """A call of one's own that uses what the module holds, on one channel of 6x6."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.last = nn.Conv2d(1, 2, 3), nn.Conv2d(4, 1, 1)
        self.draw, self.scale = nn.Linear(1, 9), nn.Linear(1, 1)
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self, x)


def ending(overwrite: Callable[[Tensor], object]) -> Call:
    """A convolution whose output is overwritten before it is given back."""

    def call(m: Parts, x: Tensor) -> Tensor:
        y = m.conv(x)
        overwrite(y)
        return y

    return call


def multiplied(y: Tensor) -> None:
    y[:, 0] *= 2


OVERWRITTEN: dict[str, Callable[[Tensor], object]] = {
    "an assignment": lambda y: y.__setitem__((slice(None), 0), 0),
    "an assignment under a mask": lambda y: y.__setitem__(y < 0, 0),
    "a product in a view": multiplied,
    "a ReLU of a view": lambda y: F.relu(y[:, :], inplace=True),
    "a ReLU of its data": lambda y: y.data.clamp_(min=0),
    "a ReLU of its array": lambda y: torch.from_numpy(y.numpy()).relu_(),
    "into an array": lambda y: y.numpy().fill(1),
}


@pytest.mark.parametrize("name", OVERWRITTEN)
def test_what_was_overwritten_is_not_explained_as_it_was_before(name: str) -> None:
    net, image = nn.Sequential(Parts(ending(OVERWRITTEN[name])), nn.Conv2d(2, 1, 1)), noise(1, 6, 6)
    with pytest.raises(ModelError, match="layer 0 cannot be explained: it was overwritten or rounded after it was"):
        explain(net, image, "0", 0, (1, 1))
    for layer in ("0.conv", "1"):
        found = explain(net, image, layer, 0, (1, 1))
        assert found.agrees
        assert found.module_value == pytest.approx(float(activations(net, image[None], [layer])[layer][0, 0, 1, 1]))
    (below, *_) = explain(net, image, "1", 0, (1, 1), depth=1).below
    assert isinstance(below.found, Stop)
    assert "overwritten or rounded" in below.found.reason


def test_a_function_that_overwrites_without_saying_so_in_its_name_is_named() -> None:
    net = Parts(lambda m, x: F.threshold(m.conv(x), 0.1, 20.0, True))
    with pytest.raises(ModelError, match="by the function threshold, which no layer's equation describes"):
        explain(net, noise(1, 6, 6), "", 0)


def test_of_two_parts_only_the_one_that_was_overwritten_is_lost() -> None:
    def call(m: Parts, x: Tensor) -> Tensor:
        first, last = m.conv(x).chunk(2, 1)
        first.relu_()
        return torch.cat([first, last], 1)

    net, image = Parts(call), noise(1, 6, 6)
    found = [explain(net, image, "", unit, (1, 1), depth=1).below[0].found for unit in (0, 1)]
    assert [each.layer for each in found if isinstance(each, Explanation)] == ["relu", "conv"]
    assert walked(explain(net, image, "", 0, None, depth="input"))
    assert walked(explain(net, image, "", 1, None, depth="input"))


def test_zeros_that_were_filled_part_by_part_are_no_constant() -> None:
    def call(m: Parts, x: Tensor) -> Tensor:
        whole = torch.zeros(1, 4, 6, 6)
        whole[:, :1].copy_(x)
        whole[:, 1:2].add_(x)
        return m.last(whole)

    (stop, *_) = explain(Parts(call), noise(1, 6, 6), "last", 0, (1, 1), depth="input").below
    assert stop.found == Stop("the way down ends here: it was put together part by part, in place")


def scaled(m: Parts, x: Tensor) -> Tensor:
    return m.scale(x.mean((2, 3))).flatten()


FROM_THE_IMAGE: dict[str, Call] = {
    "conv2d": lambda m, x: F.conv2d(x, m.draw(x.mean((2, 3))).view(1, 1, 3, 3)),
    "conv2d, bias": lambda m, x: F.conv2d(x, m.conv.weight[:1], scaled(m, x)),
    "linear": lambda m, x: F.linear(x.mean((2, 3)), scaled(m, x)[:, None]),
    "batch_norm": lambda m, x: F.batch_norm(x, torch.zeros(1), torch.ones(1), scaled(m, x)),
    "batch_norm, mean": lambda m, x: F.batch_norm(x, scaled(m, x), torch.ones(1)),
    "instance_norm": lambda m, x: F.instance_norm(x, weight=scaled(m, x)),
    "group_norm": lambda m, x: F.group_norm(x, 1, scaled(m, x)),
    "layer_norm": lambda m, x: F.layer_norm(x.mean((2, 3)), (1,), bias=scaled(m, x)),
    "prelu": lambda m, x: F.prelu(x, scaled(m, x).sigmoid()),
}


@pytest.mark.parametrize("name", FROM_THE_IMAGE)
def test_weights_that_come_from_the_image_are_no_layers(name: str) -> None:
    function = name.partition(",")[0]
    with pytest.raises(ModelError, match=f"by the function {function} with weights that depend on the image, or may"):
        explain(Parts(FROM_THE_IMAGE[name]), noise(1, 6, 6), "", 0)


def test_running_statistics_that_training_overwrites_are_not_asked_for() -> None:
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1))
    net.append(net[0])
    found = explain(net, noise(2, 5, 5), "0@2", 1, (1, 1), training=True)
    assert (found.kind, found.agrees) == ("batchnorm", True)


class Twice(nn.Module):
    """A submodule that is called as the convolutions without one are, after one of these."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d, self.weight = nn.Conv2d(1, 1, 3, padding=1), nn.Parameter(noise(1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2d(self.conv2d(F.conv2d(x, self.weight)))


def test_a_submodule_called_conv2d_hides_no_other_convolution(tmp_path: Path) -> None:
    net, images = Twice(), noise(4, 1, 6, 6)
    with torch.no_grad():
        made = F.conv2d(images, net.weight)
        truth = {"conv2d@3": made, "conv2d@1": net.conv2d(made), "conv2d@2": net(images)}
    found = atlas(net, images, tmp_path / "a")
    assert set(found.layers) == set(truth)
    for layer, maps in truth.items():
        assert found.unit(layer, 0)["maximum"] == pytest.approx(float(maps.max()), rel=1e-5)
        assert explain(net, images[0], layer, 0, (2, 3)).value == pytest.approx(float(maps[0, 0, 2, 3]), rel=1e-5)
    with pytest.raises(ModelError, match="conv2d is called 2 times in one pass: name one of conv2d@1, conv2d@2"):
        explain(net, images[0], "conv2d", 0, (2, 3))


def test_a_submodule_that_fails_may_be_stood_in_for() -> None:
    class Trying(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Sequential(nn.ReLU(), nn.Linear(5, 5)), nn.Conv2d(1, 1, 3)

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.first(x)
            except RuntimeError:
                return self.second(x)

    net, image = nn.Sequential(Trying(), nn.ReLU()), noise(1, 6, 6)
    found = explain(net, image, "1", 0, depth="input")
    assert walked(found)
    assert found.value == pytest.approx(float(net(image[None]).detach().max()), rel=1e-5)


def test_a_submodule_with_two_names_is_known_by_both() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Sequential(nn.Conv2d(1, 1, 3))
            self.b = self.a

        def forward(self, x: Tensor) -> Tensor:
            return self.b(x)

    net, image = Shared(), noise(1, 6, 6)
    names = ("a.0", "b.0", "a", "b")
    assert len({explain(net, image, name, 0, (1, 2)).value for name in names}) == 1
    assert explain(net, image, "b", 0).layer == "b"
