"""The page of an atlas, opened from the disk in a browser: a small real atlas, and one of 4,000 units."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from atlases import CLASSES, DEAD, NAME, make_small, write_large
from browsing import OUTLINE, PLATE_AND_WORD, UNNAMED, address, go, opened, screenshot, shown
from PIL import Image

from striate.errors import DataError
from striate.inside.atlases.folder import Atlas
from striate.report.atlas import atlas_page
from striate.report.sprites import projected

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
FIRST_PAINT, SORTED = 4.0, 1.5
"""Seconds that 4,000 units may take, with the test's own. In the page: 0.1 to 0.25, 0.03 to 0.15 on two busy cores."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    made = make_small(tmp_path_factory.mktemp("atlas") / "small atlas")
    atlas_page(made.path)
    return made


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return atlas_page(write_large(tmp_path_factory.mktemp("large"), units=4000))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Browser, made: Atlas) -> Iterator[Page]:
    """The small atlas in a wide window; whatever the console says, or is asked of a network, fails the test."""
    page, complaints = opened(browser, made.path / "index.html")
    yield page
    page.close()
    assert complaints == []


# --- the files


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


# --- in the browser


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


def test_the_cells_hold_patch_and_projection(tab: Page, made: Atlas) -> None:
    go(tab, "#conv2/5")
    where = ".large button >> nth=7"
    factor = tab.locator(where).bounding_box()["width"] / 8  # type: ignore[index]
    assert factor == int(factor) > 1, "conv2 sees 8x8 pixels"
    patch = made.patches("conv2", 5)[7].transpose(1, 2, 0)
    top, left = made.unit("conv2", 5)["top"][7]["shown"]
    rows, columns = (slice(max(0, -s), 8 - max(0, s + 8 - 12)) for s in (top, left))
    inside = np.zeros((8, 8), bool)
    inside[rows, columns] = True
    large = np.kron(inside, np.ones((int(factor), int(factor)))).astype(bool)
    drawn = screenshot(tab, where)
    expected = patch.repeat(int(factor), 0).repeat(int(factor), 1)
    np.testing.assert_allclose(drawn[large].astype(int), expected[large], atol=1)
    tab.keyboard.press("p")
    tab.mouse.move(0, 0)
    projection = projected(made.projections("conv2", 5)[7:8])[0][0].repeat(int(factor), 0).repeat(int(factor), 1)
    np.testing.assert_allclose(screenshot(tab, where)[large].astype(int), projection[large], atol=1)
    tab.hover(where)
    np.testing.assert_allclose(screenshot(tab, where)[large].astype(int), expected[large], atol=1)


def test_hover_flips_a_unit_and_p_flips_all(tab: Page) -> None:
    visible = (
        "u => getComputedStyle(document.querySelector(`a[data-unit='${u}'] .projection`)).visibility === 'visible'"
    )
    tab.mouse.move(0, 0)
    assert not tab.evaluate(visible, 1)
    tab.hover("a[data-unit='1']")
    assert tab.evaluate(visible, 1)
    assert not tab.evaluate(visible, 0)
    tab.keyboard.press("p")
    assert not tab.evaluate(visible, 1)
    assert tab.evaluate(visible, 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_receptive_field_is_drawn_at_its_pixels(browser: Browser, made: Atlas, scheme: str) -> None:
    """A conv2 unit sees, of rows: pooled rows r-1..r+1, so conv1 rows 2r-2..2r+3, so pixels 2r-3..2r+4."""
    tab, complaints = opened(browser, made.path / "index.html", "#conv2/5", color_scheme=scheme)
    accent = np.array([15, 107, 143] if scheme == "light" else [91, 182, 217])
    for number in (1, 4, 9):
        go(tab, f"#conv2/5/{number}")
        row, column = made.unit("conv2", 5)["top"][number - 1]["position"]
        tab.locator(".whole").scroll_into_view_if_needed()
        tab.wait_for_timeout(50)
        image, whole = (tab.locator(q).bounding_box() or {} for q in (".whole img", ".whole"))
        scale = image["width"] / 12
        assert scale == int(scale)
        origin = np.rint([image["y"] - whole["y"], image["x"] - whole["x"]])
        y, x = round(whole["y"]), round(whole["x"])
        window = np.array(Image.open(io.BytesIO(tab.screenshot())).convert("RGB"))
        figure = window[y : y + round(whole["height"]), x : x + round(whole["width"])]
        marked = np.argwhere(np.all(figure == accent, axis=2))
        first = origin + np.array([2 * row - 3, 2 * column - 3]) * scale
        np.testing.assert_allclose(marked.min(0), first - 2, err_msg="the line lies outside of the field, 2 px wide")
        np.testing.assert_allclose(marked.max(0) + 1, first + 8 * scale + 2)
        assert len(marked) == (8 * scale + 4) ** 2 - (8 * scale) ** 2
        text = re.sub(r"−", "-", tab.inner_text("#inspector"))
        assert f"rows {2 * row - 3}…{2 * row + 4}, columns {2 * column - 3}…{2 * column + 4}" in text
    assert complaints == []
    tab.close()


def test_what_lies_outside_the_image_is_hatched(tab: Page, made: Atlas) -> None:
    places = [(u["unit"], k + 1, p) for u in made.layer("conv2")["units"] for k, p in enumerate(u["top"])]
    unit, number, place = next(entry for entry in places if min(entry[2]["box"]) < 0)
    go(tab, f"#conv2/{unit}/{number}")
    beyond, image = (tab.locator(q).bounding_box() or {} for q in (".whole .beyond", ".whole img"))
    top, left = place["box"][:2]
    scale = image["width"] / 12
    assert beyond["y"] - image["y"] == pytest.approx(top * scale)
    assert beyond["x"] - image["x"] == pytest.approx(left * scale)
    assert "repeating-linear-gradient" in tab.evaluate(
        "getComputedStyle(document.querySelector('.beyond')).backgroundImage"
    )


def test_a_dead_unit_is_an_empty_plate_with_the_word(tab: Page, made: Atlas) -> None:
    dead = [unit["unit"] for unit in made.layer("conv2")["units"] if unit["dead"]]
    assert DEAD in dead
    go(tab, f"#conv2/{DEAD}")
    assert tab.inner_text(f"a[data-unit='{DEAD}'] .plate") == "dead"
    assert tab.inner_text("#inspector .plate") == "dead"
    plate, word = tab.evaluate(PLATE_AND_WORD)
    assert word == pytest.approx(plate, abs=2), "in the middle"
    assert tab.locator(f"a[data-unit='{DEAD}'] b").count() == 0
    assert "dead" in (tab.get_attribute(f"a[data-unit='{DEAD}']", "aria-label") or "")
    assert "100%" in tab.inner_text("#inspector")
    tab.click("button[data-set='dead'][value='only']")
    assert shown(tab) == dead
    go(tab, "#conv1?dead=only")
    assert tab.inner_text("#nothing p") == "No unit of this layer is dead."
    tab.click("#nothing button")
    assert shown(tab) == [0, 1, 2, 3, 4, 5]


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


def test_the_numbers_are_the_atlas_s(tab: Page, made: Atlas) -> None:
    unit = made.unit("conv2", 5)
    go(tab, "#conv2/5/2")
    whole = tab.evaluate("[...document.querySelectorAll('#inspector .facts [title]')].map(e => e.title)")
    for value in (unit["top"][1]["value"], unit["maximum"], unit["mean"], unit["zeros"], unit["selectivity"]["index"]):
        assert any(re.match(r"^[\d.e-]+$", t) and float(t) == pytest.approx(value, rel=1e-6) for t in whole)
    text = tab.inner_text("#inspector")
    assert unit["top"][1]["source"] in text
    assert unit["top"][1]["class"] in text
    means_of = np.sort(made.array("conv2", "class_means")[:, 5])[::-1]
    bars = tab.evaluate("[...document.querySelectorAll('.bars [title].num')].map(e => +e.title)")
    np.testing.assert_allclose(bars, means_of, rtol=1e-6)


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


def test_the_scale_of_the_projections_can_be_switched(tab: Page, made: Atlas) -> None:
    limits = np.stack([projected(made.projections("conv1", u))[1] for u in range(6)])
    go(tab, "#conv1/1/3?show=projections")
    for scale, limit in (("own", limits[1, 2]), ("unit", limits[1].max()), ("layer", limits.max())):
        tab.click(f".scales button[data-key='scale {scale}']")
        assert tab.evaluate("document.activeElement.dataset.key") == f"scale {scale}", "the focus stays"
        assert float(tab.locator(".ramp .num >> nth=1").get_attribute("title") or 0) == pytest.approx(limit, rel=1e-5)
        tab.mouse.move(0, 0)
        middle = screenshot(tab, ".large button >> nth=2").astype(float)
        levels = 127.5 + 127.5 * np.clip(made.projections("conv1", 1)[2], -limits[1, 2], limits[1, 2]) / limit
        side = middle.shape[0] // 3
        drawn = middle[side // 2 :: side, side // 2 :: side]
        np.testing.assert_allclose(drawn[1, 1], levels[:, 1, 1], atol=2)


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
