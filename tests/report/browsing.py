"""What tests of the atlas's page do in a browser, and what they ask of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OUTLINE = """() => {
  const focused = document.activeElement;
  const style = getComputedStyle(focused.matches(".unit") ? focused.firstChild : focused);
  return `${style.outlineStyle} ${style.outlineWidth}`;
}"""
"""How the focus is drawn; a unit's is drawn around its plate."""

UNNAMED = """() => [...document.querySelectorAll("a, button, input, select, img")]
  .filter((e) => !e.hidden && !(e.ariaLabel || e.alt || e.textContent.trim() || e.labels?.length))
  .map((e) => e.outerHTML)"""
"""What a screen reader would have no name for."""

PLATE_AND_WORD = """() => {
  const plate = document.querySelector("#inspector .plate"), word = document.createRange();
  word.selectNodeContents(plate);
  return [plate, word].map((e) => e.getBoundingClientRect()).map((r) => [r.x + r.width / 2, r.y + r.height / 2]);
}"""
"""Where the middles are of a plate and of the word on it."""


def opened(browser: Browser, index: Path, address: str = "", width: int = 1440, **more: Any) -> tuple[Page, list[str]]:
    tab = browser.new_page(viewport={"width": width, "height": 900}, **more)
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else complaints.append(r.url))
    tab.goto(index.as_uri() + address)
    tab.wait_for_selector(".unit, #nothing button", state="attached")
    return tab, complaints


def address(tab: Page) -> str:
    return tab.evaluate("location.hash")


def go(tab: Page, to: str) -> None:
    tab.evaluate("to => { location.hash = to; }", to)
    layer = to.strip("#").split("/")[0].split("?")[0]
    tab.wait_for_function("layer => document.getElementById('title').textContent === layer", arg=layer)
    tab.wait_for_timeout(50)


def shown(tab: Page) -> list[int]:
    """The numbers of the units as they stand, row by row."""
    items = "[...document.querySelectorAll('#units li')].map(li => [+li.ariaPosInSet, +li.firstChild.dataset.unit])"
    return [unit for _, unit in sorted(tab.evaluate(items))]


def screenshot(tab: Page, selector: str) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(tab.locator(selector).screenshot())).convert("RGB"))
