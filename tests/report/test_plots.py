"""Plots: what they carry is what they were given, what is drawn can be read back from the SVG, and nothing leaks."""

from __future__ import annotations

import io
import itertools
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate.report import plots
from striate.report.plots import Curve, Plot

SVG = "{http://www.w3.org/2000/svg}"


def words(plot: Plot) -> list[str]:
    return ["".join(text.itertext()).strip() for text in ElementTree.fromstring(plot.svg).iter(f"{SVG}text")]


def two_lines() -> Plot:
    training = Curve("training", [1, 2, 3], [2.0, 1.0, float("nan")], [1.5, 0.5, 0.1], [2.5, 1.5, 0.4])
    return plots.curves(
        "loss", [training, Curve("validation", [1, 2, 3], [2.1, 1.2, 0.9])], title="Loss", x="epoch", y="nats"
    )


def test_lines_are_named_at_their_ends_and_data_lies_beside(tmp_path: Path) -> None:
    plot = two_lines()
    assert {"training", "validation", "Loss", "epoch", "nats"} <= set(words(plot))
    path = plot.save_svg(tmp_path)
    assert path == tmp_path / "loss.svg"
    held = json.loads((tmp_path / "loss.json").read_text())
    assert held["lines"][0] == {
        "name": "training", "x": [1.0, 2.0, 3.0], "y": [2.0, 1.0, None], "low": [1.5, 0.5, 0.1], "high": [2.5, 1.5, 0.4]
    }  # fmt: skip
    assert plot.save_png(tmp_path) == tmp_path / "loss.png"


def test_png_has_two_pixels_per_css_pixel_and_no_date() -> None:
    plot = two_lines()
    image = Image.open(io.BytesIO(plot.png))
    svg = ElementTree.fromstring(plot.svg)
    points = float(svg.attrib["width"].removesuffix("pt"))
    assert image.size[0] == pytest.approx(points * 96 / 72 * 2, abs=1)
    assert "Date" not in image.info
    assert two_lines() == plot, "the same numbers give the same bytes"


def test_matplotlibs_own_settings_stay() -> None:
    before = dict(mpl.rcParams)
    two_lines()
    assert dict(mpl.rcParams) == before


def test_in_a_page_colours_are_the_stylesheets_and_ids_its_own() -> None:
    inline = two_lines().inline
    assert ElementTree.fromstring(inline).attrib["role"] == "img"
    assert "validation ends at 0.900" in inline
    assert not re.search(r"#(?:fbfaf7|1c1f23|666a70|dedbd3|0f6b8f|b3402a|2e7d4f)", inline)
    ids = re.findall(r'\bid="([^"]+)"', inline)
    assert ids
    assert all(name.startswith("loss-") for name in ids)
    used = re.findall(r'(?:url\(|href=")#([^")]+)', inline)
    assert set(used) <= set(ids)


def test_a_confusion_matrix_shows_every_count_but_zeros() -> None:
    matrix = np.array([[50, 2, 0], [0, 47, 1], [9, 0, 33]])
    plot = plots.confusion("confusion", matrix, ["cat", "$dog$", "猫"])
    assert sorted(int(w) for w in words(plot) if w.isdigit()) == sorted(int(n) for n in matrix.ravel() if n)
    assert words(plot).count("cat") == words(plot).count("$dog$") == words(plot).count("猫") == 2
    assert plot.data == {"classes": ["cat", "$dog$", "猫"], "counts": matrix.tolist()}
    assert "130 of 142" in plot.text


def test_a_confusion_matrix_of_many_classes_is_an_image() -> None:
    plot = plots.confusion("confusion", np.eye(100, dtype=int) * 7, [f"class {k}" for k in range(100)])
    assert "<image" in plot.svg
    assert "7" not in words(plot)


def test_calibration_carries_scipys_intervals() -> None:
    from scipy import stats

    plot = plots.calibration("calibration", [(0.0, 0, 0), (0.55, 20, 9), (0.97, 300, 297)])
    bins = plot.data["bins"]
    assert isinstance(bins, list)
    assert len(bins) == 2, "empty bins are no points"
    theirs = stats.binomtest(9, 20).proportion_ci(0.95, method="wilson")
    assert (bins[0]["low"], bins[0]["high"]) == pytest.approx((theirs.low, theirs.high))


def test_bars_say_their_values() -> None:
    plot = plots.bars(
        "recall", ["a", "b"], [0.5, 1.0], [(0.4, 0.6), (0.9, 1.0)], title="Recall", x="found", percent=True
    )
    assert {"50.0%", "100.0%", "a", "b"} <= set(words(plot))
    few = plots.bars("recall", ["a", "b"], [0.5, 1.0], title="Recall", x="found", percent=True, of=[8, 1000])
    assert {"50%", "100.0%"} <= set(words(few))
    assert few.text == "Recall: a 50%, b 100.0%."
    none = plots.bars("n", ["a"], [0.0], title="n", x="images")
    assert none.data["bars"] == [{"label": "a", "value": 0.0}]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_names_of_lines_keep_apart_and_in_order(heights: list[float]) -> None:
    moved = plots.spread(heights, apart=0.1)
    order = np.argsort(heights, kind="stable")
    gaps = [b - a for a, b in itertools.pairwise(moved[k] for k in order)]
    assert all(gap >= 0.1 - 1e-9 for gap in gaps)
    assert sum(moved) == pytest.approx(sum(heights))
    apart = [b - a for a, b in itertools.pairwise(sorted(heights))]
    if all(gap >= 0.1 for gap in apart):
        assert moved == pytest.approx(heights), "nothing moves without need"
