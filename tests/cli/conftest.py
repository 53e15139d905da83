"""What the tests of commands share: a run to look at, a folder of photos with faults, and a way to call a command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.sources import HUB, OWN, TIMM, TORCHVISION

from striate.cli import main

NETWORK = "conv 6 5x5, relu, maxpool 4x4, dense 10"


@dataclass(frozen=True)
class Said:
    """What a command gave back: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def striate(capfd: pytest.CaptureFixture[str]) -> Command:
    """Calls a command as the shell would, in this process: striate("describe", "vanilla")."""

    def call(*words: str | Path) -> Said:
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return call


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run: a small network, two epochs of digits. Read it, do not change it."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    words = ["train", "digits", "--net", NETWORK, "--epochs", "2", "--precision", "float32", "--threads", "1"]
    assert main([*words, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as people have it: three classes of colour photos of several sizes, a broken file, a hidden one."""
    place = tmp_path_factory.mktemp("photos") / "my photos"
    draw = np.random.default_rng(0)
    for label, name in enumerate(("rose", "tulip", "ágave")):
        (place / name).mkdir(parents=True)
        for at in range(12):
            pixels = draw.integers(0, 90, (40 + at, 50, 3), np.uint8)
            pixels[..., label] += 150
            Image.fromarray(pixels).save(place / name / f"{name} {at}.jpg")
    (place / "rose" / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    (place / ".DS_Store").write_bytes(b"\0")
    return place


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded images go to a folder of the tests, not to the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("STRIATE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a module of the user's own, and photographs without class folders."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_models.py").write_text(OWN)
    (tmp_path / "flat" / "deeper").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for at in range(7):
        place = tmp_path / "flat" / ("deeper" if at > 4 else "") / f"{at}.png"
        Image.fromarray(draw.integers(0, 255, (20, 24, 3), np.uint8)).save(place)
    yield tmp_path
    for name in [
        name for name in sys.modules if name.split(".")[0] in ("own_models", "hub_models", "torchvision", "timm")
    ]:
        del sys.modules[name]


@pytest.fixture
def hubs(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for torchvision and timm where Python finds packages."""
    place = here / "packages"
    (place / "torchvision").mkdir(parents=True)
    (place / "hub_models.py").write_text(HUB)
    (place / "torchvision" / "__init__.py").write_text("")
    (place / "torchvision" / "models.py").write_text(TORCHVISION)
    (place / "timm.py").write_text(TIMM)
    monkeypatch.syspath_prepend(str(place))
    return here
