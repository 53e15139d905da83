"""The report of a real, small run: what it says is checked against the run, how it behaves in a browser."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from striate import data, train
from striate.data.findings import Findings
from striate.network import Network
from striate.report import evaluation_pictures, training_report
from striate.report.architecture import fields, first_filters, sentences
from striate.report.numbers import count, percent
from striate.report.training import repeat_command

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from tests.report.conftest import Trained


class Elements(HTMLParser):
    """Every element with its attributes, and the text outside of styles and scripts."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._hidden = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._hidden else data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def page(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training_report(trained.run, trained.evaluation, trained.data, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def elements(page: Path) -> Elements:
    return Elements(page.read_text(encoding="utf-8"))


def test_nothing_is_loaded_from_anywhere(page: Path, elements: Elements) -> None:
    addresses = [a[key] or "" for _, a in elements.found for key in ("src", "href", "xlink:href", "action") if key in a]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    source = page.read_text(encoding="utf-8")
    outside = set(re.findall(r"https?://[^\"'\s)<]+", source)) - {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not outside
    assert "@import" not in source
    assert "url(" not in re.sub(r"url\(#", "", source)


def test_names_cannot_break_the_page(elements: Elements) -> None:
    assert len(elements.all("script")) == 1
    assert not elements.all("b")
    assert "<script>alert(1)</script>" in elements.text
    assert "猫 & $x$" in elements.text
    assert "<b>bold</b> was decided" in elements.text


def test_every_picture_has_words_and_every_id_is_one(elements: Elements) -> None:
    assert all(image.get("alt") for image in elements.all("img"))
    assert all(svg.get("aria-label") for svg in elements.all("svg"))
    ids = [a["id"] for _, a in elements.found if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_numbers_are_the_runs(trained: Trained, elements: Elements) -> None:
    predicted = trained.run.model().predict(trained.data.test.images).argmax(1)
    right = int((predicted == trained.data.test.labels).sum())
    theirs = stats.binomtest(right, 60).proportion_ci(0.95, method="wilson")
    text = re.sub(r"[ \n]+", " ", elements.text)
    assert f"{right} of 60 test images are classified right: {percent(right / 60, 60)}" in text
    assert f"95% Wilson interval {percent(theirs.low, 60)} to {percent(theirs.high, 60)}" in text
    parameters = sum(p.numel() for p in trained.run.model().module.parameters())
    assert count(parameters) in text
    assert count((3 * 144 + 1) * 400) in text, "a fully connected layer in place of conv1"
    assert "residual1.body.conv1" in text


def test_the_lectures_numbers() -> None:
    said = " ".join(sentences(Network.preset("nielsen-1conv").describe())).replace("\u202f", "")
    assert "520 parameters" in said
    assert "23550" in said
    assert "6×6 of the image's 28×28" in said


def test_small_pictures_are_shown_at_whole_multiples(elements: Elements) -> None:
    for image in elements.all("img"):
        if "width" in image:
            uri, width, height = image["src"] or "", int(image["width"] or 0), int(image["height"] or 0)
            shown = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
            assert width % shown.width == height % shown.height == 0
            assert width // shown.width == height // shown.height
            assert (image.get("class") == "hard") == (width > shown.width)


def test_around_an_image_with_a_receptive_field_the_page_is_seen_light_or_dark() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 8)).astype(np.uint8)
    network = Network.parse("input 3x8x8, conv 2 7x7 pad=3, conv 2 3x3 pad=1")
    first, seen = fields(network.describe(), image)
    assert (first.layer, first.line) == ("conv1", "7×7, every pixel")
    # Of the 8 positions the fourth stands in the middle: 9 x 9 pixels from row and column −1, one too many.
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(seen.shown.uri.partition(",")[2]))))
    whole, line = 8 * 18, tuple(pixels[0, 0])
    opaque, on_image = pixels[..., 3] == 255, np.zeros(pixels.shape[:2], bool)
    on_image[2 + 18 : 2 + 18 + whole, 2 + 18 : 2 + 18 + whole] = True
    assert pixels.shape == (2 + whole + 18 + 2, 2 + whole + 18 + 2, 4)
    assert opaque[on_image].all()
    assert {tuple(pixel) for pixel in pixels[~on_image & opaque]} == {line}
    assert (pixels[~on_image & ~opaque, 3] == 0).all()
    assert (~opaque).sum() > 18 * whole, "between the lines of the hatching"


def test_what_was_odd_about_the_images_is_told_as_the_training_found_it(trained: Trained, tmp_path: Path) -> None:
    anew = replace(trained.data, findings=Findings(images=150, hidden=(".DS_Store",)))  # at the size that is known now
    page = training_report(trained.run, trained.evaluation, anew, tmp_path)
    assert "<b>bold</b> was decided" in Elements(page.read_text(encoding="utf-8")).text


def test_filters_are_drawn_in_the_inputs_colours(trained: Trained) -> None:
    module = trained.run.model().module
    filters = first_filters(module)
    assert filters is not None
    weights = dict(module.named_parameters())["conv1.weight"].detach().numpy()
    limit = np.abs(weights).max()
    for unit, shown in zip(weights, filters.shown, strict=True):
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(shown.uri.partition(",")[2]))).convert("RGB"))
        np.testing.assert_allclose(pixels.transpose(2, 0, 1), (unit / limit + 1) * 127.5, atol=0.5 + 1e-4)


def test_filters_without_biases_are_not_said_to_leave_them_out() -> None:
    for bias, said in (("yes", ", without their biases. "), ("no", "")):
        filters = first_filters(Network.parse(f"input 1x8x8, conv 4 3x3 bias={bias}, dense 2").build())
        assert filters is not None
        assert filters.caption == f"The 4 filters of conv1, 3×3 weights each{said or '. '}"


def test_filters_have_the_numbers_that_explain_takes(trained: Trained) -> None:
    filters = first_filters(trained.run.model().module)
    assert filters is not None
    assert [shown.alt for shown in filters.shown][:3] == ["conv1, unit 0", "conv1, unit 1", "conv1, unit 2"]


def test_one_epoch_is_one(trained: Trained, tmp_path: Path) -> None:
    recipe = trained.run.recipe.changed(epochs=1)
    run = train.run(trained.run.network, trained.data, recipe, out=tmp_path / "run")
    assert "1 epoch of batches" in Elements(training_report(run, trained.evaluation, trained.data).read_text()).text


def test_the_command_repeats_it(trained: Trained) -> None:
    command = repeat_command(trained.run)
    assert command is not None
    words = shlex.split(command)
    assert words[:3] == ["striate", "train", "my photos"]
    assert Network.read(words[words.index("--net") + 1]) == trained.run.network
    assert train.Recipe.read(words[words.index("--recipe") + 1]) == trained.run.recipe


def test_data_divided_by_another_seed_are_repeated_in_python_alone(trained: Trained, tmp_path: Path) -> None:
    for seed, known in ((0, True), (5, False)):
        source = {"name_or_path": "my photos", "seed": seed}
        recipe = trained.run.recipe.changed(epochs=1, seed=0)
        run = train.run(trained.run.network, trained.data, recipe, out=tmp_path / str(seed), source=source)
        assert (repeat_command(run) is not None) == known


def test_plots_lie_beside_the_page_with_their_numbers(page: Path, trained: Trained) -> None:
    names = {path.stem for path in (page.parent / "plots").glob("*.svg")}
    assert names == {"loss", "accuracy", "confusion", "calibration", "recall"}
    held = {name: json.loads((page.parent / "plots" / f"{name}.json").read_text(encoding="utf-8")) for name in names}
    assert held["confusion"]["counts"] == trained.evaluation.confusion.tolist()
    epochs = [line for line in trained.run.metrics() if line["kind"] == "epoch"]
    assert held["accuracy"]["lines"][0]["y"] == [line["accuracy"] for line in epochs]


def test_evaluation_pictures(trained: Trained, tmp_path: Path) -> None:
    evaluation = trained.evaluation
    written = evaluation_pictures(evaluation, trained.data.test, trained.data.classes, tmp_path)
    assert {p.name for p in written} >= {"confusion.png", "calibration.svg", "losses.png"}
    assert all(p.with_suffix(".json").is_file() for p in written)
    losses = json.loads((tmp_path / "losses.json").read_text(encoding="utf-8"))
    probabilities = trained.run.model().predict(trained.data.test.images)
    own = -np.log(probabilities[np.arange(60), trained.data.test.labels])
    assert [entry["loss"] for entry in losses[:5]] == pytest.approx(np.sort(own)[::-1][:5], rel=1e-4)
    assert losses[0]["source"] == f'photos/"{losses[0]["index"]}"\\xff.png'
    sheet = np.array(Image.open(tmp_path / "losses.png").convert("RGB"))
    first = trained.data.test.images[losses[0]["index"]].transpose(1, 2, 0).repeat(10, 0).repeat(10, 1)
    np.testing.assert_array_equal(
        sheet[16 + 8 : 16 + 128, 16 : 16 + 120], first, "10 times 12 is 120, in a cell of 128"
    )


def test_a_regression_has_a_report_too(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((80, 3)).astype(np.float32)
    table = data.table(x, x.sum(1, keepdims=True), seed=0)
    recipe = train.Recipe(epochs=1, loss="mean-squared-error", label_smoothing=0.0, augmentation=data_augmentation())
    run = train.run(Network.preset("ann"), table, recipe, out=tmp_path / "ann")
    page = training_report(run, train.evaluate_regression(run.model(), table.test), table)
    text = page.read_text(encoding="utf-8")
    assert "root mean square" in text
    assert "no command can load it again" in text
    assert 'id="mistakes"' not in text
    assert "A network trained on" in text, "it has no convolution"


def data_augmentation() -> Any:
    from striate.data.augment import Augmentation

    return Augmentation()


def opened(browser: Browser, page: Path, width: int, scheme: Any = "light") -> tuple[Page, list[str]]:
    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else complaints.append(r.url))
    tab.goto(page.as_uri())
    return tab, complaints


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_the_page_fits_and_says_nothing_to_the_console(browser: Browser, page: Path, width: int) -> None:
    tab, complaints = opened(browser, page, width)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert complaints == []
    tab.close()


def test_captions_of_fields_stand_on_one_line_though_a_plate_is_higher(browser: Browser, page: Path) -> None:
    """As the plate is of a field that reaches out of its image."""
    tab, _ = opened(browser, page, 1280)
    tops = "(tag) => [...document.querySelectorAll(`.fields ${tag}`)].map((e) => e.getBoundingClientRect())"
    tab.evaluate("document.querySelector('.fields img').style.height = '160px'")
    assert len({box["height"] for box in tab.evaluate(tops, "img")}) > 1
    assert len({box["top"] for box in tab.evaluate(tops, "figcaption")}) == 1
    assert len({box["top"] for box in tab.evaluate(tops, "img")}) == 1
    tab.close()


def luminance(color: str) -> float:
    """Relative luminance of `rgb(r, g, b)` (WCAG 2.2)."""
    channels = [int(c) / 255 for c in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Browser, page: Path, scheme: str) -> None:
    tab, _ = opened(browser, page, 1280, scheme)
    style = "(q) => { const s = getComputedStyle(document.querySelector(q)); return s.color; }"
    paper = luminance(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    for selector, least in (("body", 7.0), (".masthead p", 4.5), ("figcaption", 4.5)):
        text = luminance(tab.evaluate(style, selector))
        ratio = (max(text, paper) + 0.05) / (min(text, paper) + 0.05)
        assert ratio >= least, selector
    assert (paper > 0.5) == (scheme == "light")
    tab.close()


def test_the_switch_changes_the_theme_and_is_remembered(browser: Browser, page: Path) -> None:
    tab, complaints = opened(browser, page, 1280)
    background = "getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(background) == "rgb(251, 250, 247)"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    tab.keyboard.press("Tab")
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "2px", "focus can be seen"
    tab.keyboard.press("Enter")
    assert tab.evaluate(background) == "rgb(21, 23, 26)"
    line = "getComputedStyle(document.querySelector('.plot path[style*=\"--accent\"]')).stroke"
    assert tab.evaluate(line) == "rgb(91, 182, 217)", "plots follow"
    tab.reload()
    assert tab.evaluate(background) == "rgb(21, 23, 26)"
    assert complaints == []
    tab.close()
