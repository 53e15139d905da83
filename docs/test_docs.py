"""The documentation is held to the program: its commands run, its Python runs, its generated pages are fresh."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import generate
import numpy as np
import pytest
from PIL import Image

from striate.layers import kinds

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(kind: str) -> list[tuple[str, str]]:
    """(page, text) of every fenced block of a kind."""
    found = [
        (page.name, text) for page in PAGES for text in re.findall(rf"```{kind}\n(.*?)```", page.read_text(), re.S)
    ]
    assert found, f"no {kind} block anywhere: the pattern is broken"
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a reader would have it: with `photos`, a folder of class folders."""
    from striate import data

    place = tmp_path_factory.mktemp("reader")
    digits = data.load("digits")
    for label, name in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven")):
        (place / "photos" / name).mkdir(parents=True)
        for at in np.flatnonzero(digits.train.labels == label)[:40]:
            number = len(list((place / "photos" / name).iterdir()))
            Image.fromarray(digits.train.images[at, 0]).save(place / "photos" / name / f"{number}.png")
    return place


def run(words: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    setting = os.environ | {
        "STRIATE_CACHE": str(place / "cache"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.run(words, cwd=place, env=setting, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("page", "text"), blocks("console"))
def test_commands_run(page: str, text: str, place: Path) -> None:
    commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    assert commands, f"{page} has a console block without a command"
    for command in commands:
        done = run(shlex.split(command), place)
        assert done.returncode == 0, f"{page}: {command}\n{done.stderr}"
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_runs(page: str, text: str, place: Path) -> None:
    done = run([sys.executable, "-W", "error", "-c", text], place)
    assert done.returncode == 0, f"{page}\n{text}\n{done.stderr}"


def test_the_commands_page_is_fresh() -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == generate.commands_page(), "run `make docs`"


def test_the_layers_page_is_fresh() -> None:
    assert (ROOT / "docs" / "layers.md").read_text() == generate.layers_page(), "run `make docs`"
    for page in ("README.md", "CHANGELOG.md"):
        assert re.findall(r"(\d+) kinds of\s+layers", (ROOT / page).read_text()) == [str(len(kinds()))], page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"
