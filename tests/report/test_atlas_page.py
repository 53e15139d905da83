"""The page of an atlas, opened from the disk in a browser: its files, addresses, keys and layout; and 4,000 units."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from atlases import CLASSES, NAME, write_large
from browsing import OUTLINE, UNNAMED, address, go, opened, shown

from striate.errors import DataError
from striate.inside.atlases.folder import Atlas
from striate.report.atlas import atlas_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FIRST_PAINT, SORTED = 4.0, 1.5
"""Seconds that 4,000 units may take, with the test's own. In the page: 0.1 to 0.25, 0.03 to 0.15 on two busy cores."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return atlas_page(write_large(tmp_path_factory.mktemp("large"), units=4000))


def test_the_folder_needs_nothing_else(made: Atlas) -> None:
    source = (made.path / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"https?://", source)
    assert not re.findall(r'(?:src|href)="(?!#|data:)', source)
    assert "default-src 'none'" in source
    named = re.findall(r'"(page/[^"]+\.(?:js|webp))"', source)
    assert named
    assert all((made.path / name).is_file() for name in named)
    assert atlas_page(made.path) == made.path / "index.html", "again, over the old one"
    assert not list(made.path.glob(".page*"))


def test_no_atlas_no_page(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no atlas"):
        atlas_page(tmp_path)


def test_every_state_has_an_address(tab: Page) -> None:
    assert address(tab) == ""
    tab.click("#layers a:has-text('conv2')")
    tab.wait_for_selector("#layers [aria-current]:has-text('conv2')")
    tab.click("a[data-unit='5'] .caption")
    assert address(tab) == "#conv2/5"
    tab.click("a[data-unit='4'] [data-place='3']")
    assert address(tab) == "#conv2/4/4"
    assert tab.inner_text("#inspector h3 >> nth=0") == "Place 4 of 9"
    tab.go_back()
    tab.wait_for_selector("a[data-unit='5'][aria-current]")
    assert tab.inner_text("#inspector h2") == "conv2/5"
    tab.go_forward()
    tab.wait_for_selector("a[data-unit='4'][aria-current]")
    tab.select_option("#sort", "maximum")
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.press("p")
    before = address(tab)
    assert before == "#conv2/4/4?sort=maximum&show=projections"
    tab.reload()
    tab.wait_for_selector("a[data-unit='4'][aria-current]")
    assert address(tab) == before
    assert tab.evaluate("document.body.dataset.show") == "projections"
    assert tab.input_value("#sort") == "maximum"
    assert tab.inner_text("#inspector h3 >> nth=0") == "Place 4 of 9"


def test_keys(tab: Page) -> None:
    for key, expected in (
        ("ArrowRight", "#conv1/0"), ("ArrowRight", "#conv1/1"), ("ArrowDown", "#conv2/1"), ("ArrowLeft", "#conv2/0"),
        ("ArrowLeft", "#conv2/0"), ("3", "#conv2/0/3"), ("g", "#conv2/0/3?scale=unit"), ("g", "#conv2/0/3?scale=layer"),
        ("g", "#conv2/0/3"), ("s", "#conv2/0/3?sort=selectivity"), ("r", "#conv2/0/3?sort=selectivity&order=reversed"),
        ("Escape", "#conv2/0?sort=selectivity&order=reversed"), ("Escape", "#conv2?sort=selectivity&order=reversed"),
        ("r", "#conv2?sort=selectivity"), ("d", "#conv2?sort=selectivity&dead=hidden"),
        ("ArrowUp", "#conv1?sort=selectivity&dead=hidden"),
    ):  # fmt: skip
        tab.keyboard.press(key)
        tab.wait_for_timeout(30)
        assert address(tab) == expected, key
    tab.keyboard.press("?")
    assert "previous and next layer" in tab.inner_text("#keys")
    tab.keyboard.press("?")
    assert not tab.is_visible("#keys")
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "find"
    tab.keyboard.type("p")
    assert "find=p" in address(tab), "letters that are typed are no keys"
    assert "show" not in address(tab)


@pytest.mark.parametrize("sort", ["selectivity", "maximum", "mean", "zeros"])
def test_sorting(tab: Page, made: Atlas, sort: str) -> None:
    def value(unit: dict[str, Any]) -> float:
        if sort == "selectivity":
            return -1 if unit[sort] is None else unit[sort]["index"]
        return unit[sort]

    units = made.layer("conv2")["units"]
    go(tab, f"#conv2?sort={sort}")
    assert shown(tab) == [u["unit"] for u in sorted(units, key=lambda u: (-value(u), u["unit"]))]
    tab.click("#order")
    order = sorted(units, key=lambda u: (value(u) == -1, value(u), u["unit"]))
    assert shown(tab) == [u["unit"] for u in order]


def test_classes_and_search(tab: Page, made: Atlas) -> None:
    units = made.layer("conv2")["units"]

    def classes(unit: dict[str, Any]) -> list[str]:
        favoured = [unit["selectivity"]["name"]] if unit["selectivity"] else []
        return favoured + [place["class"] for place in unit["top"]]

    tab.click("#layers a:has-text('conv2')")
    tab.wait_for_selector("a[data-unit='8']")  # conv1 has fewer
    for name in CLASSES:
        tab.fill("#class", name)
        assert shown(tab) == [unit["unit"] for unit in units if name in classes(unit)]
    tab.fill("#class", "")
    source = units[4]["top"][0]["source"]
    tab.fill("#find", source)
    assert shown(tab) == [u["unit"] for u in units if source in [p["source"] for p in u["top"]]]
    tab.fill("#find", "7")
    assert shown(tab) == [7]
    tab.fill("#find", "conv1/3")
    tab.keyboard.press("Enter")
    assert address(tab) == "#conv1/3"
    tab.fill("#find", "no such thing")
    assert tab.inner_text("#nothing p") == "No unit of this layer is like that."


def test_names_cannot_break_the_page(tab: Page) -> None:
    assert tab.inner_text("h1") == NAME
    assert tab.evaluate("document.querySelectorAll('h1 *, #inspector script').length") == 0
    assert tab.evaluate("document.querySelector('#classes option').value") == CLASSES[0]


def test_addresses_that_lead_nowhere_say_so(tab: Page) -> None:
    tab.evaluate("location.hash = '#conv9/1'")
    tab.wait_for_selector("#nothing button")
    assert "no layer conv9" in tab.inner_text("#nothing")
    tab.click("#nothing button")
    tab.wait_for_selector(".unit")
    go(tab, "#conv1/77")
    assert "units 0 to 5" in tab.inner_text("#inspector")


def test_a_folder_that_is_not_complete_says_so(browser: Browser, made: Atlas, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made.path, tmp_path / "copy"))
    (copy / "page" / "conv2.js").unlink()
    tab, _ = opened(browser, copy / "index.html", "#conv2")
    assert "page/conv2.js cannot be read" in tab.inner_text("#nothing")
    tab.close()


def test_light_and_dark(browser: Browser, made: Atlas) -> None:
    tab, complaints = opened(browser, made.path / "index.html", color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(background) == "rgb(21, 23, 26)"
    tab.keyboard.press("t")
    assert tab.evaluate(background) == "rgb(251, 250, 247)"
    assert complaints == []
    tab.close()


def test_the_focus_can_be_seen_and_everything_has_a_name(tab: Page) -> None:
    go(tab, "#conv2/5")
    tab.keyboard.press("Tab")
    for _ in range(30):
        tab.keyboard.press("Tab")
        assert tab.evaluate(OUTLINE) == "solid 2px"
    assert tab.evaluate(UNNAMED) == []


def test_nothing_moves_where_less_motion_is_wanted(browser: Browser, made: Atlas) -> None:
    tab, _ = opened(browser, made.path / "index.html", reduced_motion="reduce")
    assert tab.evaluate("getComputedStyle(document.querySelector('.layer')).transitionDuration") == "0s"
    tab.close()


@pytest.mark.parametrize("width", [1440, 1361, 1280, 1024])
def test_what_is_asked_of_the_units_stands_on_one_line(browser: Browser, made: Atlas, width: int) -> None:
    tab, _ = opened(browser, made.path / "index.html", width=width)
    boxes = tab.evaluate("[...document.querySelectorAll('.asked label')].map((e) => e.getBoundingClientRect())")
    assert len({box["top"] for box in boxes}) == 1
    assert all(before["right"] < box["left"] for before, box in itertools.pairwise(boxes))
    tab.close()


@pytest.mark.parametrize("width", [1440, 1024, 390, 320])
def test_it_fits(browser: Browser, made: Atlas, width: int) -> None:
    tab, complaints = opened(browser, made.path / "index.html", "#conv2/5", width)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    inner = "q => { const e = document.querySelector(q); return e.scrollWidth <= e.clientWidth; }"
    assert all(tab.evaluate(inner, panel) for panel in ("#stage", "#inspector", "#layers-panel"))
    assert complaints == []
    tab.close()


def test_on_a_phone_there_are_three_tabs(browser: Browser, made: Atlas) -> None:
    tab, complaints = opened(browser, made.path / "index.html", width=390, has_touch=True, is_mobile=True)
    panels = ("#layers-panel", "#stage", "#inspector")
    assert [tab.is_visible(panel) for panel in panels] == [False, True, False]
    tab.tap("#tabs a[data-tab='layers']")
    assert address(tab) == "#conv1?tab=layers"
    assert [tab.is_visible(panel) for panel in panels] == [True, False, False]
    tab.tap("#layers a:has-text('conv2')")
    tab.wait_for_selector("a[data-unit='8']")
    tab.tap("a[data-unit='1'] .caption")
    assert address(tab) == "#conv2/1"
    assert [tab.is_visible(panel) for panel in panels] == [False, False, True]
    tab.go_back()
    tab.wait_for_selector("#stage", state="visible")
    assert complaints == []
    tab.close()


def test_four_thousand_units(browser: Browser, large: Path) -> None:
    began = time.perf_counter()
    tab, complaints = opened(browser, large)
    painted = time.perf_counter() - began
    assert painted < FIRST_PAINT
    assert tab.evaluate("document.querySelectorAll('.unit').length") < 200
    values = [unit["maximum"] for unit in json.loads((large.parent / "atlas.json").read_text())["layers"][0]["units"]]
    began = time.perf_counter()
    tab.select_option("#sort", "maximum")
    assert shown(tab)[0] == int(np.argmax(values))
    assert time.perf_counter() - began < SORTED
    tab.evaluate("document.getElementById('stage').scrollTop = 1e6")
    tab.wait_for_selector(f"a[data-unit='{int(np.argmin(values))}']")
    go(tab, "#wide/3999")
    tab.wait_for_selector("a[data-unit='3999'][aria-current]")
    box, stage = (tab.locator(q).bounding_box() or {} for q in ("a[data-unit='3999']", "#stage"))
    assert stage["y"] <= box["y"] <= stage["y"] + stage["height"], "the chosen unit is in sight"
    drawn = tab.evaluate("getComputedStyle(document.querySelector(`a[data-unit='3999'] .patch`)).backgroundImage")
    assert "wide-patches-124.webp" in drawn
    assert complaints == []
    tab.close()
