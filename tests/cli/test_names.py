"""Folders and files with names that nobody expects: what a terminal, a table, JSON and a model file make of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.cli import console
from striate.model import Model

from .conftest import Command

NAMES = ("line\nbreak", "\x1b[31mred", "[bold]rich[bold]", "<b>&amp;", "日本語 😀")
SMALL = ("--net", "conv 2 3x3, relu, globalavgpool, dense 6", "--epochs", "1", "--precision", "float32")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six classes: five odd names, and one of bytes that are not UTF-8, with such files in it."""
    top = tmp_path_factory.mktemp("named") / "odd"
    draw = np.random.default_rng(0)
    for folder in (*NAMES, os.fsdecode(b"caf\xe9")):
        (top / folder).mkdir(parents=True)
        for at in range(5):
            Image.fromarray(draw.integers(0, 256, (12, 12, 3), np.uint8)).save(
                top / folder / os.fsdecode(b"\xff%d.png" % at)
            )
    return top


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_odd_names_go_from_the_folder_to_the_model_and_back(striate: Command, named: Path, tmp_path: Path) -> None:
    said = striate("data", named, "--sheet", tmp_path / "sheet.png")
    assert said.code == 0
    assert "\x1b" not in said.out
    rows = [line for line in said.out.splitlines() if line.endswith("     5")]
    assert len(rows) == 6
    assert any("line\\nbreak" in row for row in rows)

    run = tmp_path / "run"
    assert striate("train", named, *SMALL, "--out", run).code == 0
    classes = Model.load(run / "model.safetensors").classes
    assert set(classes) == {*NAMES, "caf\\xe9"}

    scored = striate("evaluate", run)
    assert scored.code == 0, scored.err
    assert "\x1b" not in scored.out
    assert "[bold]rich[bold]" in scored.out.splitlines()[11]  # the heading of the confusion matrix
    assert "line\\nbreak" in scored.out.splitlines()[11]

    told = striate("predict", run, named, "--json")
    assert told.code == 0, told.err
    answers = json.loads(told.out)
    assert len(answers) == 30
    assert all(Path(answer["image"]).is_file() for answer in answers)
    assert striate("predict", run, named).code == 0
    assert "nothing is left to train" in striate("train", "--resume", run).err


def test_the_contact_sheet_has_a_row_for_every_class(striate: Command, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name, count in (("many", 30), ("few", 4)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for at in range(count):
            Image.fromarray(draw.integers(0, 120, (16, 16, 3), np.uint8)).save(tmp_path / "pets" / name / f"{at}.png")
    assert striate("data", tmp_path / "pets", "--sheet", tmp_path / "sheet.png").code == 0
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    rows, columns = sheet.shape[0] // 2, sheet.shape[1] // 10
    drawn = [
        [
            bool((sheet[r * rows : (r + 1) * rows, c * columns : (c + 1) * columns] < 120).mean() > 0.1)
            for c in range(10)
        ]
        for r in range(2)
    ]
    assert drawn == [[True] * 2 + [False] * 8, [True] * 10]  # `few` has 2 of its 4 in the training split
    assert striate("data", tmp_path / "pets", "--size", "64", "--sheet", tmp_path / "sheet.png").code == 0
    doubled, caption, gutter, margins = 128, 18, 8, 32
    size = 10 * (doubled + gutter) - gutter + margins, 2 * (doubled + caption + gutter) - gutter + margins
    with Image.open(tmp_path / "sheet.png") as drawn_larger:
        assert drawn_larger.size == size, "images fill their cells"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_can_be_read_whatever_the_terminal_takes(encoding: str, named: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "striate", "data", str(named), "--json"],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert "日本語 😀" in json.loads(said.stdout.decode(encoding))["classes"]
    table = subprocess.run(
        [sys.executable, "-m", "striate", "data", str(named)],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert "caf\\xe9" in table.stdout.decode(encoding)


def test_evaluating_on_images_that_have_changed_since_is_told(striate: Command, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)

    def add(first: int, count: int) -> None:
        for name in ("cat", "dog"):
            (tmp_path / "pets" / name).mkdir(parents=True, exist_ok=True)
            for at in range(first, first + count):
                pixels = draw.integers(0, 256, (12, 12, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{at}.png")

    add(0, 6)
    net = ("--net", "conv 2 3x3, globalavgpool, dense 2")
    assert striate("train", tmp_path / "pets", *net, "--epochs", "1", "--out", tmp_path / "run").code == 0
    same = striate("evaluate", tmp_path / "run", "--json")
    assert "warning" not in same.err
    assert json.loads(same.out)["data_changed"] is False
    add(6, 6)
    other = striate("evaluate", tmp_path / "run", "--json")
    assert "have changed since" in other.err
    assert json.loads(other.out)["data_changed"] is True
    assert striate("train", "--resume", tmp_path / "run").code == 2


def test_control_characters_are_escaped_and_line_ends_where_they_are_meant_are_not() -> None:
    assert console.visible("a\x1b]0;title\x07\u202eb\nc", keep="\n") == "a\\x1b]0;title\\x07\\u202eb\nc"
    assert console.visible("Käfer 😀 a b") == "Käfer 😀 a b"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["train", "--precision", "float16"],
            "'float16' is not one of 'auto', 'float32', 'bfloat16'; see striate train -",
        ),
        (["trian"], "no such command 'trian'. Did you mean 'train'; see striate --help"),
        (["predict", "x"], "missing argument 'IMAGE...'; see striate predict --help"),
        (["demo", "--epochs", "0"], "greater than or equal to 1; see striate demo --help"),
        (["data", "--nope"], "no such option: --nope"),
    ],
)
def test_words_that_no_command_takes_get_one_sentence(words: list[str], said: str, striate: Command) -> None:
    told = striate(*words)
    assert told.code == 2
    assert said in told.err
    assert told.err.count("\n") == 1
    assert told.err.startswith("error: ")


def test_no_words_get_the_help(striate: Command) -> None:
    told = striate()
    assert told.code == 2
    assert "Commands" in told.out + told.err
    assert "error" not in told.err


@pytest.mark.parametrize(
    ("words", "named_option"),
    [
        (["mnist"], "DATA"),
        (["--epochs", "9"], "--epochs"),
        (["--device", "cpu"], "--device"),
        (["--set", "a=1"], "--set"),
    ],
)
def test_resume_refuses_what_it_would_not_heed(
    words: list[str], named_option: str, striate: Command, digits_run: Path
) -> None:
    said = striate("train", "--resume", digits_run, *words)
    assert said.code == 2
    assert f"leave out {named_option}" in said.err
