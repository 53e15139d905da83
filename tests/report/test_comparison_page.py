"""The page of a comparison says, row by row and ring by ring, what was measured."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from striate.claims.comparing.comparison import Comparison, Measured, judged
from striate.claims.comparing.figures import Figure, differences, pair_table
from striate.claims.comparing.metrics import ACCURACY, Metric, steps_metric
from striate.claims.comparing.tuning import Tuned
from striate.claims.comparing.variants import variant
from striate.data import load
from striate.report.claim_plots import drawn
from striate.report.comparison import comparison_page
from striate.train import Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

VALUES = {
    "<b>one</b>": ("conv 4 3x3, relu, dense 10", [0.90, 0.92, 0.91, 0.905]),
    "two": ("conv 4 3x3, tanh, dense 10", [0.88, 0.89, 0.90, 0.87]),
    "three": ("dense 10", [0.70, 0.75, 0.72, 0.71]),
}


def _comparison(metric: Metric = ACCURACY) -> Comparison:
    data, rates = load("digits"), (0.01, 0.03)
    measured = tuple(
        Measured(
            variant(text, data, Recipe(epochs=7, batch_size=50)),
            Tuned(rates, (0.5, 0.6), 0.03, at_edge=True),
            tuple(_record(value) for value in values),
            tuple(values),
        )
        for text, values in VALUES.values()
    )
    named = tuple(
        Measured(type(one.variant)(name, one.variant.network, one.variant.recipe), one.tuned, one.records, one.values)
        for name, one in zip(VALUES, measured, strict=True)
    )
    return Comparison(metric, (3, 4, 5, 6), named, judged(named, metric))


def _named(*names: str) -> Comparison:
    """The comparison, of variants with these names."""
    first = _comparison()
    ones = [first.measured[at % 3] for at in range(len(names))]
    named = tuple(replace(one, variant=replace(one.variant, name=name)) for one, name in zip(ones, names, strict=True))
    return Comparison(first.metric, first.seeds, named, judged(named, first.metric))


def _record(value: float) -> dict[str, Any]:
    epochs = [{"epoch": k, "accuracy": value - 0.1 / k} for k in (1, 2, 3)]
    curve = [{"step": k, "training_error": 1 / (k + 1)} for k in range(6)]
    return {"test": {"accuracy": value, "count": 1000}, "epochs": epochs, "curve": curve}


def test_the_page_holds_every_pair_and_repeats_itself(tmp_path: Path) -> None:
    page = comparison_page(_comparison(), load("digits"), tmp_path / "out.html", command="striate compare 'a b' c")
    text = page.read_text()
    assert "<b>one</b>" not in text
    assert "&lt;b&gt;one&lt;/b&gt;" in text
    assert "striate compare &#39;a b&#39; c" in text
    assert "n&nbsp;=&nbsp;4 seeds from 3" in text
    assert "epochs 7, batch size 50" in text
    assert "0.03, tuned by validation accuracy: 0.01, 0.03 were tried (at the edge)" in text
    edge = "three (0.03) are the largest tried: larger ones might do better"
    assert text.count(edge) == 1
    assert edge in text.partition("</ul>")[0], "beside the verdicts"
    assert text.count('class="worse"') + text.count('class="open"') == 3
    kept = json.loads((tmp_path / "plots" / "out-differences.json").read_text())
    assert [len(line["values"]) for line in kept["lines"]] == [4, 4, 4]
    for other in ("values", "curves"):
        assert (tmp_path / "plots" / f"out-{other}.svg").exists()


def test_names_as_long_as_a_network_leave_room_for_the_plots(tmp_path: Path) -> None:
    text = "conv 20 5x5 pad=2, {}, maxpool 2x2, conv 40 5x5 pad=2, {}, maxpool 2x2, dense 100, {}, dropout 0.5, dense 3"
    names = [text.format(f, f, f) for f in ("relu", "tanh")]
    comparison_page(_named(*names), load("digits"), tmp_path / "out.html")  # a layout that fails warns
    for plot in ("values", "curves"):
        svg = (tmp_path / "plots" / f"out-{plot}.svg").read_text()
        words = " ".join(re.findall(r">([^<>]+)</text>", svg))
        assert all(name in words for name in names), "folded, not cut"


def test_each_of_six_lines_has_a_look_of_its_own(tmp_path: Path) -> None:
    page = comparison_page(_named(*"abcdef"), load("digits"), tmp_path / "out.html").read_text()
    svg = (tmp_path / "plots" / "out-curves.svg").read_text()
    legend = svg[svg.index("legend_1") :]
    looks = re.findall(r'style="(fill: none; stroke[^"]*)"', legend)
    assert len(looks) == len(set(looks)) == 6
    assert "Of 15 pairs, neighbours in the order given; the table has all." in page


def test_test_images_are_counted_where_they_are_looked_at(tmp_path: Path) -> None:
    pages = [
        comparison_page(_comparison(metric), load("digits"), tmp_path / f"{at}.html").read_text()
        for at, metric in enumerate((ACCURACY, steps_metric()))
    ]
    assert ["to report on" in page for page in pages] == [True, False]


def test_a_page_may_begin_with_a_figure(tmp_path: Path) -> None:
    page = comparison_page(_comparison(), load("digits"), tmp_path / "2layers-vs-3.5.html").read_text()
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    asked = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)
    assert asked
    assert {"".join(one) for one in asked} <= ids


def test_the_verdict_is_seen_without_scrolling(browser: Browser, tmp_path: Path) -> None:
    """On a screen of 1280 pixels the table of pairs fits, with the differences of eight seeds."""
    found = _named("conv 20 5x5 pad=2, relu, maxpool 2x2, dense 10", "tanh for relu")
    longer = tuple(replace(one, records=one.records * 2, values=one.values * 2) for one in found.measured)
    found = Comparison(found.metric, tuple(range(8)), longer, judged(longer, found.metric))
    page = comparison_page(found, load("digits"), tmp_path / "out.html")
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(page.as_uri())
    assert tab.evaluate("[...document.querySelectorAll('.wide')].every((e) => e.scrollWidth <= e.clientWidth)")
    assert tab.locator("#differences thead th").all_inner_texts()[:2] == ["pair", "verdict"]
    tab.close()


def test_no_share_above_all_of_them_is_on_an_axis() -> None:
    row = {"name": "a", "value": 0.9, "low": 0.7, "high": 1.1, "mark": ""}
    line = {"name": "a", "x": [1, 2], "y": [0.9, 0.9], "low": [0.7, 0.7], "high": [1.1, 1.1]}
    figures = (Figure("bars", "", "", "", [row], percent=True), Figure("curves", "", "", "", [line], percent=True))
    for figure in figures:
        svg = drawn("a", asdict(figure)).svg
        ticks = [float(tick) for tick in re.findall(r">([0-9.]+)%</text>", svg)]
        assert len(ticks) >= 3
        assert max(ticks) <= 100


def test_one_epoch_has_its_interval_too() -> None:
    def extent(low: float, high: float) -> tuple[float, ...]:
        """From the top to the bottom of what is drawn in the accent colour."""
        lines = [{"name": "a", "x": [1], "y": [0.9], "low": [low], "high": [high]}, {"name": "b", "x": [1], "y": [0.5]}]
        png = drawn("a", asdict(Figure("curves", "Accuracy", "epoch", "right", lines, percent=True))).png
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
        rows = np.flatnonzero(((pixels[..., 2] - pixels[..., 0]) > 40).any(axis=1))
        return rows.min(), rows.max()

    (top, bottom), (higher, lower) = extent(0.9, 0.9), extent(0.7, 0.97)
    assert lower - higher > 2 * (bottom - top)


def test_names_in_other_scripts_are_drawn_without_a_warning() -> None:
    row = {"name": "写真", "value": 0.9, "low": 0.8, "high": 1.0, "mark": ""}
    assert "写真" in drawn("a", asdict(Figure("bars", "Accuracy", "", "", [row], percent=True))).svg


def test_an_axis_of_factors_can_be_read_however_narrow(tmp_path: Path) -> None:
    comparison_page(_comparison(steps_metric()), load("digits"), tmp_path / "out.html")  # factors of 0.9 to 1
    for plot in ("differences", "values"):
        svg = (tmp_path / "plots" / f"out-{plot}.svg").read_text()
        axis = svg[svg.index("matplotlib.axis_1") : svg.index("matplotlib.axis_2")]
        ticks = re.findall(r">([0-9.]+)</text>", axis)
        assert len(ticks) == len(set(ticks)) >= 3, plot


@pytest.mark.parametrize("span", [(3e-6, 2e-5), (30, 180), (4e-6, 2e-4), (1e-5, 1e-2)])
def test_an_axis_of_powers_has_a_scale(span: tuple[float, float]) -> None:
    lines = [{"name": "a", "x": [1, 2], "y": list(span)}]
    figure = Figure("curves", "Gradients", "layer", "root mean square", lines, log="y")
    svg = drawn("a", asdict(figure)).svg
    axis = svg[svg.index("matplotlib.axis_2") :]
    assert len(re.findall(r"<text [^>]*text-anchor: end[^>]*>", axis)) >= 2


def test_rows_are_what_scipy_says_of_the_differences() -> None:
    headings, rows = pair_table(_comparison())
    row = dict(zip(headings, rows[0], strict=True))
    d = np.subtract(VALUES["two"][1], VALUES["<b>one</b>"][1])
    low, high = stats.t.interval(0.95, 3, d.mean(), stats.sem(d))
    assert row["pair"] == "two against <b>one</b>"
    assert row["difference"] == f"\N{MINUS SIGN}{-100 * d.mean():.1f} points"  # ± 1.8 points
    assert row["95% by t"].replace("\N{MINUS SIGN}", "-") == f"{100 * low:+.1f} to {100 * high:+.1f} points"
    assert row["p"] == f"{stats.ttest_rel(VALUES['two'][1], VALUES['<b>one</b>'][1]).pvalue:.3f}"
    g = d.mean() / d.std(ddof=1) * (1 - 3 / (4 * 3 - 1))
    assert float(row["Hedges' g"].replace("\N{MINUS SIGN}", "-")) == pytest.approx(g, rel=0.02)
    assert [len(each["by seed"].split()) for each in (dict(zip(headings, r, strict=True)) for r in rows)] == [4, 4, 4]


def test_differences_are_drawn_in_the_readers_unit() -> None:
    points = differences(_comparison())
    assert points.lines[0]["values"] == pytest.approx([-2, -3, -1, -3.5])
    assert points.lines[0]["matters"] == [-0.5, 0.5]
    assert points.lines[0]["none"] == 0
    factors = differences(_comparison(steps_metric()))
    d = np.subtract(VALUES["two"][1], VALUES["<b>one</b>"][1])
    assert factors.lines[0]["values"] == pytest.approx(2**d)
    assert factors.lines[0]["none"] == 1
    assert factors.log == "x"
