"""The pictures and numbers on the page of an atlas, pixel by pixel."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from atlases import DEAD
from browsing import PLATE_AND_WORD, go, opened, screenshot, shown
from PIL import Image
from torch import nn

from striate.inside.atlases.atlas import atlas
from striate.inside.atlases.folder import Atlas
from striate.report.atlas import atlas_page
from striate.report.sprites import projected

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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


def test_an_empty_place_is_not_outside_of_an_image(browser: Browser, tmp_path: Path) -> None:
    few = atlas(nn.Sequential(nn.Conv2d(1, 2, 3)), torch.rand(3, 1, 8, 8), tmp_path / "atlas", top=4)
    tab, complaints = opened(browser, atlas_page(few.path))
    drawn = "q => getComputedStyle(document.querySelector(`a[data-unit='1'] ${q}`)).backgroundImage"
    assert tab.evaluate(drawn, ".cell.none") == "none"
    assert "repeating" in tab.evaluate(drawn, ".cell:not(.none)")
    assert complaints == []
    tab.close()


def test_images_that_are_kept_smaller_say_so(browser: Browser, tmp_path: Path) -> None:
    images = torch.rand((3, 1, 300, 400), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    large = atlas(nn.Sequential(nn.Conv2d(1, 2, 3)), images, tmp_path / "atlas", top=1)
    tab, complaints = opened(browser, atlas_page(large.path), "#0/1")
    facts = tab.inner_text("#inspector section .facts")
    with Image.open(large.path / large.unit("0", 1)["top"][0]["picture"]) as kept:
        assert large.contents["kept"] == [kept.height, kept.width] == [192, 256]
    assert re.search(r"kept at\s+192×256 of 300×400 px", facts)
    assert "image-rendering: auto" in tab.evaluate(
        "`image-rendering: ${getComputedStyle(document.querySelector('.whole img')).imageRendering}`"
    )
    assert complaints == []
    tab.close()


def test_images_that_are_kept_as_they_are_say_nothing(tab: Page, made: Atlas) -> None:
    assert made.contents["kept"] == [12, 12]
    go(tab, "#conv1/0")
    assert "kept at" not in tab.inner_text("#inspector")
