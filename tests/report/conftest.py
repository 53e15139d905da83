"""A small run of stripes and a small atlas, made once, with names that try to break a page; and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from atlases import make_small
from browsing import opened

from striate import train
from striate.data import DataSet, Findings, Split
from striate.inside.atlases.folder import Atlas
from striate.network import Network
from striate.report.atlas import atlas_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from striate.train import Evaluation, Run

CHROMIUM = Path("/usr/bin/chromium")

CLASSES = ("<script>alert(1)</script>", "猫 & $x$", "a class with a very long name indeed")


@dataclass(frozen=True)
class Trained:
    """A run, its data, and its evaluation on the test split."""

    run: Run
    data: DataSet
    evaluation: Evaluation


def _split(n: int, seed: int) -> Split:
    """Horizontal stripes, vertical stripes, noise; in color."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    stripes = np.zeros((n, 3, 12, 12))
    stripes[labels == 0, :, ::2] = 160
    stripes[labels == 1, :, :, ::2] = 160
    images = (stripes + rng.integers(0, 96, stripes.shape)).astype(np.uint8)
    return Split(images, labels.astype(np.int64), [f'photos/"{i}"\udcff.png' for i in range(n)])


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    findings = Findings(images=150, hidden=(".DS_Store",), notes=("<b>bold</b> was decided",))
    data = DataSet("stripes", CLASSES, _split(90, 0), _split(30, 1), _split(60, 2), findings, "0" * 64)
    network = Network.parse("input 3x12x12, conv 4 3x3, relu, residual(conv 4 3x3 pad=1), maxpool 2x2, dense 3")
    recipe = train.Recipe(epochs=2, batch_size=30, precision="float32")
    run = train.run(
        network,
        data,
        recipe,
        out=tmp_path_factory.mktemp("runs") / "stripes run",
        source={"name_or_path": "my photos", "seed": 0},
    )
    return Trained(run, data, train.evaluate(run.model(), data.test))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    made = make_small(tmp_path_factory.mktemp("atlas") / "small atlas")
    atlas_page(made.path)
    return made


@pytest.fixture(scope="session")
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
