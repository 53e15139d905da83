"""How an explanation is shown: as text of any width, as JSON, as HTML."""

from __future__ import annotations

import json
import math
import re
from html import unescape
from typing import Any

import numpy as np
import pytest
import torch
from explained import TEXTS, drawn, noise
from torch import nn

from striate.inside.explaining.ends import Pixel
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation
from striate.inside.explaining.figures import preprocessed
from striate.model import Model, Preprocessing
from striate.network import Network


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("width", [60, 80, 140])
def test_text_keeps_to_its_width(text: str, width: int) -> None:
    network = Network.parse(text)
    assert network.input is not None
    shown = explain(drawn(text), noise(*network.input), network.names[-1], 0, depth="input").text(width)
    assert max(map(len, shown.splitlines())) <= width
    assert shown.count("module   ") > 1


LONG = {
    "transposed": (nn.ConvTranspose2d(2, 3, 3, stride=2), (2, 5, 4)),
    "convolution": (nn.Conv2d(2, 3, 3), (2, 5, 4)),
    "group norm": (nn.GroupNorm(1, 2), (2, 5, 4)),
    "bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), (2, 5, 4)),
}


@pytest.mark.parametrize(("part", "shape"), LONG.values(), ids=LONG.keys())
@pytest.mark.parametrize("width", [40, 60, 80])
def test_equations_break_where_their_parts_end(part: nn.Module, shape: tuple[int, ...], width: int) -> None:
    found = explain(nn.Sequential(part), noise(*shape), "0", 0, (1, 1))
    lines = found.text(width).splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith(("y = ", "y[")))
    equation = lines[first : lines.index("")]
    assert " ".join(" ".join(equation).split()) == " ".join(found.terms.equation.split())
    broken_well(equation, width)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_steps_break_before_a_sign(width: int) -> None:
    lines = explain(nn.Sequential(nn.GroupNorm(1, 2)), noise(2, 5, 4), "0", 0, (1, 1)).text(width).splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("  σ² = "))
    last = next(k for k, line in enumerate(lines) if line.startswith("μ is"))
    broken_well(lines[first:last], width)


def broken_well(lines: list[str], width: int) -> None:
    """Lines of an equation: no bracket goes over from one to the next, and no sign stands alone at the end."""
    for line in lines:
        assert len(line) <= width
        assert (line.count("("), line.count("[")) == (line.count(")"), line.count("]"))
        assert not line.endswith(("=", "+", "−", "·", "/"))


def test_the_letters_of_a_long_equation_stand_below_it() -> None:
    up = explain(nn.ConvTranspose2d(2, 3, 3, stride=2), noise(2, 5, 4), "", 0, (1, 1))
    for width in (60, 80):
        assert up.text(width).splitlines()[2:5] == [
            "y[o,i,j] = b[o] + Σ_c Σ_h Σ_w W[c,o,u,v] · x[c,h,w],",
            "  u = (i + p − h·s) / d,  v = (j + p − w·s) / d",
            "",
        ]
    assert up.text(100).splitlines()[3] == ""


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


def html(found: Explanation) -> str:
    return unescape(found._repr_html_())  # pyright: ignore[reportPrivateUsage]


def test_pages_say_what_is_left_out_and_where_a_window_lies() -> None:
    page = html(explain(nn.Sequential(nn.Softmax(1)), noise(40), "0", 3))
    assert "largest 16 of 40 numbers, each adds e^(x_d − m)" in page
    x = noise(40).double()
    powers = (x - x.max()).exp().sort(descending=True).values
    rest = re.search(r"the other 24 together add ([\d.]+)", page)
    assert rest is not None
    assert float(rest[1]) == pytest.approx(float(powers[16:].sum()), rel=1e-5)
    assert "Tables are rounded" in page
    assert "largest 16 of 40 products" in html(explain(nn.Sequential(nn.Linear(40, 2)), noise(40), "0", 1))
    pooled = explain(nn.Sequential(nn.MaxPool2d(2)), noise(1, 6, 6), "0", 0, (1, 2))
    for shown in (pooled.text(), html(pooled)):
        assert "window: rows 2, 3 and columns 4, 5 of unit 0" in shown


def test_a_sign_goes_to_the_next_line_with_the_table_behind_it() -> None:
    page = html(explain(nn.Sequential(nn.Conv2d(2, 1, 3)), noise(2, 6, 6), "0", 0, (1, 2)))
    signed = re.findall(r'<div class="signed"><span class="sign">(.)</span><table><caption>(\w+)</caption>', page)
    assert signed == [("·", "filter"), ("=", "products")] * 2
    assert page.count('class="sign"') == len(signed)


def test_numbers_of_a_vector_are_at_no_channel() -> None:
    found = explain(nn.Sequential(nn.Linear(3, 1)), torch.tensor([1.0, 2.0, 3.0]), "0", 0, depth="input")
    for shown in (found.text(), html(found)):
        assert "x = 2 is feature 1 of what went in" in shown
        assert "channel" not in shown


def test_a_pixel_that_the_module_takes_rounded_is_told_so() -> None:
    """What stands behind an equals sign is what the formula before it gives."""
    for dtype, words in ((torch.float32, ""), (torch.bfloat16, ", rounded to −1.30469 as the module takes it")):
        model = Model.foreign(nn.Sequential(nn.Conv2d(1, 1, 1)).to(dtype), (1, 4, 4), mean=(0.3,), std=(0.2,))
        image = torch.full((1, 4, 4), 10, dtype=torch.uint8)
        found = explain(model, image, "0", 0, (1, 2), depth="input")
        wanted = f"(pixel / 255 − mean) / std = (10 / 255 − 0.3) / 0.2 = −1.30392{words}"
        assert wanted in " ".join(found.text().split())
        assert f"{wanted}</p>" in html(found)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.485, 0.229), (0.5, 0.001), (51 / 255, 0.25)])
def test_in_float32_the_formula_of_a_pixel_holds_for_every_level(mean: float, std: float) -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    values = Preprocessing((256,), (mean,) * 256, (std,) * 256).normalize(levels[None])[0].tolist()
    for level, value in enumerate(values):
        assert "rounded" not in preprocessed(Pixel(0, (0, 0), value, level, mean, std))


def pieced(text: str) -> dict[str, np.ndarray]:
    """The tables of one channel by the first word of their titles, their pieces put beside one another again."""
    found: dict[str, list[list[list[float]]]] = {}
    rows: list[list[float]] = []
    tables = re.split(r"\n(?:sum|value) |\n  Σ =", text)[0]
    for line in tables.replace("−", "-").splitlines():
        if title := re.fullmatch(r"  (channel|filter|products|x)( \d)?(,.*)?", line):
            rows = []
            found.setdefault(title[1], []).append(rows)
        elif re.fullmatch(r"( +-?\d+\.\d+)+", line):
            rows.append([float(number) for number in line.split()])
    return {title: np.hstack(pieces) for title, pieces in found.items()}


@pytest.mark.parametrize("width", [30, 40, 60, 80])
def test_a_window_wider_than_the_text_stands_in_pieces(width: int) -> None:
    module, image = nn.Sequential(nn.Conv2d(1, 1, 11)), noise(1, 15, 15)
    shown = explain(module, image, "0", 0, (2, 3)).text(width)
    assert max(map(len, shown.splitlines())) <= width
    x, W = image[0, 2:13, 3:14].numpy(), module.state_dict()["0.weight"][0, 0].numpy()
    tables = pieced(shown)
    assert tables["channel"] == pytest.approx(x, abs=6e-4)
    assert tables["filter"] == pytest.approx(W, abs=6e-5)
    assert tables["products"] == pytest.approx(x * W, abs=6e-4)
    total = re.search(r"Σ = (\S+)\s+of\s+121\s+products", shown)
    assert total is not None
    assert float(total[1].replace("−", "-")) == pytest.approx(float((x * W).sum()), rel=1e-5)


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("pool", [nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)])
def test_a_pooled_map_wider_than_the_text_stands_in_pieces(pool: nn.Module, width: int) -> None:
    image = noise(2, 28, 28)
    shown = explain(nn.Sequential(pool), image, "0", 1, (0, 0)).text(width)
    assert max(map(len, shown.splitlines())) <= width
    assert pieced(shown)["x"] == pytest.approx(image[1].numpy(), abs=6e-4)


@pytest.mark.parametrize("part", [nn.GroupNorm(1, 2), nn.Softmax(1), nn.LocalResponseNorm(2)])
@pytest.mark.parametrize("width", [40, 60])
def test_numbers_of_a_sum_say_where_they_stand_in_any_width(part: nn.Module, width: int) -> None:
    found = explain(nn.Sequential(part), noise(2, 15, 15) / 1e4, "0", 1, (12, 13), depth=1)
    narrow, wide = (" ".join(found.text(columns).split()) for columns in (width, 1000))
    assert re.findall(r"unit \d+", narrow) == re.findall(r"unit \d+", wide)
