"""Every command as a user types it: what it prints, what it writes, and what it says to absurd input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

import striate as package
from striate import data
from striate.cli import main
from striate.model import Model, Preprocessing
from striate.network import Network
from striate.report.numbers import percent
from striate.train import evaluate

from .conftest import NETWORK, Command, Said


@pytest.fixture(scope="module")
def noise_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a folder `noise` beside it, which `link` leads to; divided with seed 5."""
    top, draw = tmp_path_factory.mktemp("noisy"), np.random.default_rng(0)
    for name in ("a", "b"):
        (top / "noise" / name).mkdir(parents=True)
        for at in range(50):
            Image.fromarray(draw.integers(0, 256, (8, 8), np.uint8)).save(top / "noise" / name / f"{at}.png")
    (top / "link").symlink_to(top / "noise")
    words = ["train", str(top / "noise"), "--net", "dense 2", "--epochs", "1", "--seed", "5", "--threads", "1"]
    assert main([*words, "--precision", "float32", "--out", str(top / "run")]) == 0
    return top / "run"


def test_version_and_help(striate: Command) -> None:
    assert striate("--version").out.strip() == package.__version__
    said = striate("--help")
    assert said.code == 0
    for name in ("demo", "describe", "data", "train", "evaluate", "predict", "export"):
        assert name in said.out


def test_describe_counts_by_hand(striate: Command) -> None:
    said = striate("describe", "input 1x28x28, conv 20 5x5, maxpool 2x2, dense 10", "--json")
    rows = json.loads(said.out)["rows"]
    assert [row["parameters"] for row in rows] == [20 * 25 + 20, 0, (20 * 12 * 12 + 1) * 10]
    assert rows[0]["dense_parameters"] == (28 * 28 + 1) * 20 * 24 * 24
    assert "28\u202f810" in striate("describe", "input 1x28x28, conv 20 5x5, maxpool 2x2, dense 10").out


def test_describe_takes_an_input_shape(striate: Command) -> None:
    assert "3x32x32" in striate("describe", "conv 4 3x3, dense 2", "--input", "3x32x32").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["describe", "conv 20 5x5, maxpol 2x2"], "did you mean maxpool?"),
        (["describe", "vanila"], "did you mean vanilla?"),
        (["describe", "conv 4 3x3"], "does not say what goes in"),
        (["describe", "input 1x4x4, conv 4 5x5"], "conv1"),
        (["describe", "input 3x9999x9999, dense 100000"], "--allow-large"),
        (["data", "no/such/folder"], "there is no data set no/such/folder"),
        (["data", "digits", "--size", "0x4"], "--size must be"),
        (["data", "digits", "--fit", "squeeze"], "crop, pad, stretch"),
        (["train", "digits", "--epochs", "0"], "epochs must be a whole number from 1"),
        (["train", "digits", "--set", "optimiser=sgd"], "did you mean optimizer?"),
        (["train", "digits", "--set", "rate"], "NAME=VALUE"),
        (["train", "digits", "--set", "colour.hue=2"], "there is no table of settings colour"),
        (["train", "digits", "--net", "conv 4 3x3, dense 7"], "7 outputs and digits has 10 classes"),
        (["train", "digits", "--net", "conv 2 3x3, relu, conv 10 26x26"], "let the last layer be `flatten`"),
        (["train", "digits", "--net", "ann"], "takes 3 features"),
        (["train", "digits", "--recipe", "no.toml"], "cannot read a recipe from no.toml"),
        (["train", "digits", "--device", "quantum"], "device must be one"),
        (["train", "--resume", "no/run"], "no/run"),
        (["evaluate", "no/run"], "there is no run and no model at no/run"),
        (["predict", "no/run", "x.png"], "there is no run and no model at no/run"),
        (["export", "no/run"], "--onnx"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gets_one_sentence(striate: Command, words: list[str], said: str, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "run")] if words[:2] == ["train", "digits"] else []
    answer = striate(*words, *out)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "run").exists()


def test_data_names_what_it_skipped(striate: Command, photos: Path, tmp_path: Path) -> None:
    said = striate("data", photos, "--sheet", tmp_path / "sheet.png")
    assert said.code == 0
    assert "broken.jpg" in said.out
    assert ".DS_Store" in said.out
    assert "ágave" in said.out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 10 * 100
    counted = json.loads(striate("data", photos, "--json").out)
    assert {name: sum(row.values()) for name, row in counted["images"].items()} == {"all": 36} | dict.fromkeys(
        counted["classes"], 12
    )


def test_train_evaluate_predict_agree(striate: Command, digits_run: Path, tmp_path: Path) -> None:
    result = json.loads((digits_run / "result.json").read_text())
    scores = json.loads(striate("evaluate", digits_run, "--json", "--out", tmp_path).out)
    assert scores["accuracy"] == result["test"]["accuracy"] > 0.5
    assert {Path(path).name for path in scores["pictures"]} >= {"confusion.png", "losses.png", "calibration.svg"}

    digits = data.load("digits")
    paths = [tmp_path / f"{at}.png" for at in range(20)]
    for at, path in enumerate(paths):
        Image.fromarray(np.asarray(digits.test.images[at, 0])).save(path)
    answers = json.loads(striate("predict", digits_run, *paths, "--json", "--top", "10").out)
    expected = Model.load(digits_run / "model.safetensors").predict(digits.test.images[:20])
    for answer, row in zip(answers, expected, strict=True):
        assert answer["classes"][0]["class"] == digits.classes[int(row.argmax())]
        assert sum(each["probability"] for each in answer["classes"]) == pytest.approx(1, abs=1e-5)


def test_of_equally_probable_classes_the_first_is_predicted_as_it_is_scored(striate: Command, tmp_path: Path) -> None:
    network = Network.parse("input 1x4x4, dense 3")
    module = network.build()
    for parameter in module.parameters():
        torch.nn.init.zeros_(parameter)
    model = Model(module, Preprocessing((1, 4, 4), (0.5,), (1.0,)), ("a", "b", "c"), network)
    model.save(tmp_path / "even.safetensors")
    pixels = np.zeros((1, 1, 4, 4), np.uint8)
    Image.fromarray(pixels[0, 0]).save(tmp_path / "black.png")
    (answer,) = json.loads(striate("predict", tmp_path / "even.safetensors", tmp_path / "black.png", "--json").out)
    scored = evaluate(model, data.Split(pixels, np.array([0]), ("black.png",)))
    assert answer["classes"][0]["class"] == model.classes[int(scored.predicted[0])]
    top = ("--json", "--top", "3")
    (answer,) = json.loads(striate("predict", tmp_path / "even.safetensors", tmp_path / "black.png", *top).out)
    assert [each["class"] for each in answer["classes"]] == ["a", "b", "c"]


def test_evaluate_prints_for_people(striate: Command, digits_run: Path, tmp_path: Path) -> None:
    said = striate("evaluate", digits_run, "--split", "validation", "--out", tmp_path)
    assert said.code == 0
    scores = evaluate(package.train.Run(digits_run).model(), data.load("digits").validation)
    theirs = stats.binomtest(round(500 * scores.accuracy), 500).proportion_ci(0.95, method="wilson")
    interval = f"95% interval {percent(theirs.low, 500)} to {percent(theirs.high, 500)}"
    assert f"accuracy {percent(scores.accuracy, 500)} on 500 validation images ({interval})" in said.out
    assert "confusion matrix" in said.out
    assert f"{tmp_path / 'confusion.png'}: what is taken for what" in said.out
    assert "report" not in said.out, "it is of the test images"
    assert not (tmp_path / "report.html").exists()


def test_evaluate_writes_the_page_of_a_run(striate: Command, digits_run: Path, tmp_path: Path) -> None:
    said = striate("evaluate", digits_run, "--out", tmp_path)
    page = tmp_path / "report.html"
    assert f"report: {page.resolve().as_uri()}" in said.out
    right = json.loads((digits_run / "result.json").read_text())["test"]["accuracy"]
    assert f">{100 * right:.1f}%<" in page.read_text()


def test_predict_goes_on_past_unreadable_files(striate: Command, digits_run: Path, photos: Path) -> None:
    said = striate("predict", digits_run, photos)
    assert said.code == 2
    assert "broken.jpg" in said.err
    assert len(said.out.splitlines()) == 36


def test_predict_finds_the_files_that_training_finds(striate: Command, digits_run: Path, tmp_path: Path) -> None:
    top, elsewhere = tmp_path / "top", tmp_path / "elsewhere"
    for folder in (top / "a" / ".hidden", top / "b", elsewhere):
        folder.mkdir(parents=True)
    grey = Image.new("L", (28, 28))
    for at, path in enumerate((top / "a" / "no suffix", top / "a" / ".hidden" / "x.png", top / "b" / "1.png")):
        grey.putpixel((0, 0), at)
        grey.save(path, "png")
    grey.save(elsewhere / "linked.png")
    (top / "b" / "away").symlink_to(elsewhere)
    (top / "b" / "up").symlink_to(tmp_path)
    (top / "b" / "notes.txt").write_text("x")
    said = striate("predict", digits_run, top, "--json")
    trained = data.load(top, cache=tmp_path / "cache")
    found = [answer["image"] for answer in json.loads(said.out)]
    assert found == sorted((*trained.train.sources, *trained.validation.sources, *trained.test.sources))
    assert len(found) == 3
    assert "not followed (b/up)" in said.err


def test_predict_without_images(striate: Command, digits_run: Path, tmp_path: Path) -> None:
    said = striate("predict", digits_run, tmp_path)
    assert (said.code, said.out) == (2, "")
    assert "no image files" in said.err


def test_naming_the_runs_own_data_scores_the_same_images(striate: Command, noise_run: Path, tmp_path: Path) -> None:
    plain, named = (
        json.loads(striate("evaluate", noise_run, "--json", "--out", tmp_path, *words).out)
        for words in ([], ["--data", noise_run.parent / "link"])
    )
    assert named == plain
    assert plain["trained_on"] is None


def test_images_that_were_trained_on_are_counted_whatever_the_folder_is_called(
    striate: Command, noise_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(noise_run.parent / "noise", tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*0.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    said = striate("evaluate", noise_run, "--data", tmp_path / "copy", "--json", "--out", tmp_path / "out")
    trained = data.load(noise_run.parent / "noise", seed=5).train.sources
    trained = {Path(source).relative_to(noise_run.parent / "noise") for source in trained if source[-5:] != "0.png"}
    scored = [Path(source).relative_to(tmp_path / "copy") for source in data.load(tmp_path / "copy").test.sources]
    expected = sum(path in trained for path in scored)
    assert 0 < expected < len(scored)
    assert json.loads(said.out)["trained_on"] == expected
    assert f"{expected} of these {len(scored)} images were trained on" in said.err


def test_an_image_that_was_trained_on_counts_as_often_as_it_is_scored(
    striate: Command, noise_run: Path, tmp_path: Path
) -> None:
    draw, known = np.random.default_rng(1), data.load(noise_run.parent / "noise", seed=5).train.sources[0]
    for split in ("train", "validation", "test"):
        for name in ("a", "b"):
            (tmp_path / "others" / split / name).mkdir(parents=True)
            pixels = draw.integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "others" / split / name / "new.png")
    for again in ("1.png", "2.png"):
        shutil.copy(known, tmp_path / "others" / "test" / "a" / again)
    said = striate("evaluate", noise_run, "--data", tmp_path / "others", "--json", "--out", tmp_path / "out")
    assert json.loads(said.out)["trained_on"] == 2


@pytest.mark.parametrize("what", ["noise", "noise/a/0.png"])
def test_where_the_training_images_are_not_as_they_were_nothing_is_counted(
    striate: Command, noise_run: Path, tmp_path: Path, what: str
) -> None:
    shutil.copytree(noise_run.parent / "noise", tmp_path / "copy")
    place = noise_run.parent / what
    place.rename(tmp_path / "gone")
    said = striate("evaluate", noise_run, "--data", tmp_path / "copy", "--json", "--out", tmp_path / "out")
    (tmp_path / "gone").rename(place)
    assert json.loads(said.out)["trained_on"] is None
    assert "cannot be told" in said.err


def test_other_classes_are_refused(striate: Command, digits_run: Path, photos: Path) -> None:
    said = striate("evaluate", digits_run, "--data", photos)
    assert said.code == 2
    assert "rose" in said.err


def test_a_run_made_in_python_is_evaluated_by_the_command(striate: Command, tmp_path: Path) -> None:
    digits, network = data.load("digits"), package.Network.parse("input 1x28x28, dense 10")
    recipe = package.Recipe(epochs=1, precision="float32")
    package.train.run(network, digits, recipe, out=tmp_path / "run", source={"name_or_path": "digits"})
    assert striate("evaluate", tmp_path / "run").code == 0


def test_no_terminal_no_empty_lines(striate: Command, photos: Path) -> None:
    assert striate("data", photos, "--size", "20").err == ""


def test_a_run_is_never_overwritten(striate: Command, digits_run: Path) -> None:
    before = (digits_run / "model.safetensors").read_bytes()
    said = striate("train", "digits", "--net", NETWORK, "--out", digits_run)
    assert said.code == 2
    assert f"striate train --resume {digits_run}" in said.err
    assert (digits_run / "model.safetensors").read_bytes() == before


def test_a_finished_run_resumes_to_the_same_result(striate: Command, digits_run: Path) -> None:
    before = (digits_run / "model.safetensors").read_bytes()
    said = striate("train", "--resume", digits_run, "--json")
    assert said.code == 0
    assert json.loads(said.out)["epochs"] == 2
    assert (digits_run / "model.safetensors").read_bytes() == before


def test_the_shown_recipe_can_be_used(striate: Command, tmp_path: Path) -> None:
    shown = striate("train", "--show-recipe", "--set", "optimizer=sgd", "--set", "augmentation.shift=2", "--seed", "4")
    (tmp_path / "recipe.toml").write_text(shown.out)
    again = striate("train", "--show-recipe", "--recipe", tmp_path / "recipe.toml")
    assert again.out == shown.out
    assert 'optimizer = "sgd"' in again.out
    assert "seed = 4" in again.out


def recipe_in(said: Said) -> package.Recipe:
    assert said.code == 0
    return package.Recipe.from_toml(said.out)


def test_the_shown_recipe_is_the_one_that_is_followed(striate: Command, photos: Path, tmp_path: Path) -> None:
    words = ["train", photos, "--size", "96", "--net", "avgpool 8x8, dense 3", "--epochs", "1"]
    shown = recipe_in(striate(*words, "--show-recipe", "--out", tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    assert (shown.batch_size, shown.augmentation.shift) == (64, 6)
    assert striate(*words, "--out", tmp_path / "run").code == 0
    assert package.train.Run.open(tmp_path / "run").recipe == shown
    assert recipe_in(striate("train", "--resume", tmp_path / "run", "--show-recipe")) == shown
    loaded = data.load(photos, size=(96, 96))
    assert package.Recipe.suiting(loaded).changed(epochs=1) == shown


def test_a_recipes_file_changes_what_it_names_and_nothing_else(striate: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('optimizer = "sgd"\nprecision = "float32"\n[augmentation]\nflip = true\n')
    said = ["--set", "optimizer=sgd", "--set", "augmentation.flip=true", "--set", "precision=float32"]
    named = recipe_in(striate("train", "--show-recipe", "--recipe", file))
    assert named == recipe_in(striate("train", "--show-recipe", *said))
    assert (named.epochs, named.batch_size, named.augmentation.shift) == (30, 64, 1)
    assert named.precision == "float32"
    assert recipe_in(striate("train", "--show-recipe", "--recipe", file, "--precision", "auto")).precision == "auto"


def test_a_folder_that_is_taken_is_told_before_any_image_is_read(striate: Command, digits_run: Path) -> None:
    said = striate("train", "no/such/data", "--out", digits_run)
    assert "holds a run already" in said.err


def test_photos_train_with_a_network_chosen_for_them(striate: Command, photos: Path, tmp_path: Path) -> None:
    said = striate("train", photos, "--size", "32", "--epochs", "1", "--out", tmp_path / "run", "--json")
    assert said.code == 0
    assert "vanilla fitted to the data: input 3x32x32, 3 outputs" in said.err
    assert "broken.jpg" in said.err
    assert json.loads(said.out)["test"]["count"] >= 3  # one of each class at least


def test_export_says_done_after_a_check(striate: Command, digits_run: Path, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    said = striate("export", digits_run, "--onnx", tmp_path / "digits.onnx", "--json")
    assert said.code == 0
    assert json.loads(said.out)["difference"] < 1e-4
    session = runtime.InferenceSession(tmp_path / "digits.onnx")
    images = data.load("digits").test.images[:5]
    (probabilities,) = session.run(None, {session.get_inputs()[0].name: images})
    expected = Model.load(digits_run / "model.safetensors").predict(images)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_demo_writes_a_report(striate: Command, tmp_path: Path) -> None:
    said = striate("demo", "--epochs", "1", "--out", tmp_path / "demo", "--json")
    assert said.code == 0
    found = json.loads(said.out)
    assert Path(found["report"]).read_text().startswith("<!doctype html>")
    assert found["test"] == 1000
