"""How an explanation is shown: as text of any width, as JSON, as HTML."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from explained import TEXTS, drawn, noise
from torch import nn

from striate.inside.explaining.explain import explain
from striate.network import Network


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("width", [60, 80, 140])
def test_text_keeps_to_its_width(text: str, width: int) -> None:
    network = Network.parse(text)
    assert network.input is not None
    shown = explain(drawn(text), noise(*network.input), network.names[-1], 0, depth="input").text(width)
    assert max(map(len, shown.splitlines())) <= width
    assert shown.count("module   ") > 1


def test_what_is_not_written_out_is_summed_and_counted() -> None:
    module, image = drawn("input 30, dense 2"), noise(30)
    shown = explain(module, image, "dense1", 1).text(most=4)
    assert "largest 4 of 30 products" in shown
    assert "the other 26 terms together" in shown
    weights, bias = module.state_dict()["dense1.weight"][1].double(), float(module.state_dict()["dense1.bias"][1])
    products = sorted((weights * image.double()).tolist(), key=abs, reverse=True)
    rest = next(line for line in shown.splitlines() if line.startswith("rest"))
    assert float(rest.split()[1].strip(",").replace("−", "-")) == pytest.approx(math.fsum(products[4:]), rel=1e-5)
    value = next(line for line in shown.splitlines() if line.startswith("value"))
    assert float(value.split("= ")[1].replace("−", "-")) == pytest.approx(math.fsum(products) + bias, rel=1e-5)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_json_holds_everything_and_its_numbers_add_up(text: str) -> None:
    network = Network.parse(text)
    assert network.input is not None
    found = explain(drawn(text), noise(*network.input), network.names[-1], 0, depth="input")
    held = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert added_up(held) >= 1


def added_up(held: dict[str, Any]) -> int:
    """How many explanations there are; those that are sums are added up again."""
    terms = held["terms"]
    if terms["form"] == "products":
        total = float(np.sum(np.array(terms["W"]) * np.array(terms["x"])) + (terms["b"] or 0))
        assert total == pytest.approx(held["value"], rel=1e-9, abs=1e-12)
    assert {"layer", "unit", "position", "module_value", "difference", "relative", "agrees"} <= held.keys()
    return 1 + sum(added_up(below["explanation"]) for below in held["below"] if "explanation" in below)


def test_html_is_whole_escaped_and_loads_nothing() -> None:
    module = nn.Sequential()
    module.add_module("<script>alert(1)</script>", nn.Conv2d(1, 1, 3))
    module.add_module("pool", nn.MaxPool2d(2))
    module.add_module("flat", nn.Flatten())
    module.add_module("dense", nn.Linear(4, 2))
    module.add_module("softmax", nn.Softmax(1))
    page = explain(module, noise(1, 6, 6), "softmax", 0, depth="input")._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page
    assert "light-dark(#fbfaf7, #15171a)" in page
    for tag in ("div", "table", "tr", "td", "details", "p"):
        assert page.count(f"<{tag}>") + page.count(f"<{tag} ") == page.count(f"</{tag}>")
