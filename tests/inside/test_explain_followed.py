"""What is followed down is among what is written out above it, however little that is: as text, and as HTML."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest
import torch
from explained import Calls, drawn, noise
from torch import Tensor, nn

from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation
from striate.inside.explaining.written import written
from striate.layers.terms import Dot, Formula, Products


def cancelling() -> tuple[nn.Module, Tensor]:
    """Twenty channels of which the last has the largest products by far, and they add up to 0."""
    conv, image = nn.Conv2d(20, 1, 3), torch.ones(20, 3, 3)
    with torch.no_grad():
        conv.weight.fill_(0.01)
        conv.weight[0, 19] = torch.tensor([[9.0, -9.0, 8.0], [-8.0, 0.0, 7.0], [-7.0, 6.0, -6.0]])
    return nn.Sequential(nn.ReLU(), conv), image


def shown(found: Explanation, most: int) -> tuple[str, str]:
    """What stands above the terms that are followed, as text and as HTML."""
    page = unescape(found._repr_html_())  # pyright: ignore[reportPrivateUsage]
    return found.text(80, most).partition("\n1  ")[0], page.partition("<details>")[0]


def test_the_channel_of_a_product_that_is_followed_is_written_out_though_its_sum_is_small() -> None:
    module, image = cancelling()
    found = explain(module, image, "1", 0, (0, 0), depth=1)
    assert [below.source.at[0] for below in found.below] == [19, 19, 19]
    text, page = shown(found, most=2)
    assert re.findall(r"channel (\d+)", text) == ["0", "1", "19"]
    assert "the other 17 channels together" in text
    assert re.findall(r"channel (\d+)", page) == [*map(str, range(16)), "19"]
    for said in (text, page):
        assert len(re.findall(r"[ >]−?9\.0+\b", said)) == 4  # two weights, and their products with 1
    alone = explain(module, image, "1", 0, (0, 0))
    assert re.findall(r"channel (\d+)", alone.text(80, 2)) == ["0", "1"]


@pytest.mark.parametrize("follow", [1, 3, 7])
def test_as_many_terms_are_written_out_as_are_followed(follow: int) -> None:
    """The largest, so that what is said of them stays true; of a softmax its own number has a letter."""
    products = explain(drawn("input 30, relu, dense 2"), noise(30).abs(), "dense1", 1, depth=1, follow=follow)
    dot = explain(Calls(lambda x: x @ x.mT), noise(2, 5, 9), "", 1, (2, 3), depth=1, follow=follow)
    softmax = explain(nn.Sequential(nn.ReLU(), nn.Softmax(1)), noise(30).abs(), "1", 3, depth=1, follow=follow)
    assert isinstance(dot.terms, Dot)
    assert isinstance(softmax.terms, Formula)
    for found, count in ((products, follow), (dot, (follow + 1) // 2)):
        assert f"largest {count} of " in shown(found, most=1)[0]
    text, _ = shown(softmax, most=1)
    written = [float(x) for x in re.findall(r"x_d = +([\d.]+)", text)]
    assert f"largest {len(written)}:" in text
    others = [below.source.x for below in softmax.below[1:]]
    assert all(any(abs(x - each) < 1e-3 for each in written) for x in others)
    whole = sorted(noise(30).abs().tolist(), reverse=True)[: len(written)]
    assert written == pytest.approx(whole, abs=1e-3)


def test_what_is_written_out_and_the_rest_add_up() -> None:
    found = explain(drawn("input 30, relu, dense 2"), noise(30).abs(), "dense1", 1, depth=1, follow=5)
    assert isinstance(found.terms, Products)
    rest = re.search(r"rest +(\S+), the other 25 terms", shown(found, most=2)[0])
    assert rest is not None
    smallest = np.sort(np.abs(found.terms.sums))[:25]
    assert sum(x for x in found.terms.sums if abs(x) in smallest) == pytest.approx(
        float(rest[1].replace("−", "-")), rel=1e-5
    )


@pytest.mark.parametrize("seed", range(30))
def test_the_largest_are_written_out_down_to_the_last_that_is_followed(seed: int) -> None:
    """Among equal ones those that stand first; what is no number comes last. All of them sorted say the same."""
    random = np.random.default_rng(seed)
    count, most = int(random.integers(2, 12)), int(random.integers(1, 14))
    W = random.integers(-3, 4, count).astype(float)
    W[random.integers(count)] = (1.0, np.inf, np.nan)[seed % 3]
    terms = Products("", np.ones(count), W, None, np.arange(count)[:, None], np.ones(count, dtype=bool))
    sizes = [-1.0 if np.isnan(weight) else abs(weight) for weight in W]
    order = sorted(range(count), key=lambda k: -sizes[k])
    followed = [source for source in terms.sources if not np.isnan(source.x * source.adds)][: seed % 4]
    last = max((order.index(source.at[0]) for source in followed), default=0)
    assert written(terms, followed, most) == order[: max(most, last + 1)]
