"""`striate atlas` by several processes: one of them speaks; a fault is told once and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from striate import inside

MODULES = """
import os
import signal
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 3, 3)

    def forward(self, x):
        return self.first(x).relu()

def loud():
    net = Net()
    nn.init.constant_(net.first.weight, 4.3e37)  # nine white pixels are more than float32 holds
    return net

class Lost(Net):
    def forward(self, x):
        if float(x.max()) == 1 and os.environ.get("RANK") == self.rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)

class FirstLost(Lost):
    rank = "0"

class SecondLost(Lost):
    rank = "1"

def random():
    torch.seed()
    return nn.Conv2d(1, 3, 3)
"""

BLOCK = 64
"""Images computed at once: the first block is the first process's, the second the second's."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    (tmp_path / "modules.py").write_text(MODULES)
    return tmp_path


def _atlas(factory: str = "Net", white: int | None = None) -> subprocess.CompletedProcess[str]:
    """The atlas of random images, none of which is bright but one, by two processes, in the folder `made/atlas`."""
    images = np.random.default_rng(0).integers(10, 200, (4 * BLOCK, 1, 8, 8), np.uint8)
    if white is not None:
        images[white] = 255
    labels = np.arange(len(images)) % 2
    np.savez("data.npz", allow_pickle=False, x_train=images[:2], y_train=labels[:2], x_test=images, y_test=labels)
    words = ["--module", f"modules:{factory}", "--input", "1x8x8", "--data", "data.npz", "--split", "test"]
    begin = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "striate"]
    begin += ["atlas", *words, "--out", "made/atlas"]
    return subprocess.run(begin, capture_output=True, text=True, check=False, timeout=120)


def _sentences(said: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in said.stderr.splitlines() if line.startswith("error: ")]


@pytest.mark.slow
def test_one_process_speaks(place: Path) -> None:
    said = _atlas()
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("256 images, the 9 strongest of every unit") == 1
    assert said.stdout.count("atlas: file://") == 1
    assert inside.Atlas.open("made/atlas").contents["images"] == 4 * BLOCK
    assert [path.name for path in (place / "made").iterdir()] == ["atlas"]


@pytest.mark.slow
@pytest.mark.parametrize("image", [3, BLOCK + 3])
def test_a_fault_of_either_is_told_once_and_leaves_nothing(image: int, place: Path) -> None:
    said = _atlas("loud", image)
    assert said.returncode != 0
    (sentence,) = _sentences(said)
    assert f"not a finite number for image {image}" in sentence
    assert said.stdout == ""
    assert list((place / "made").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("factory", "image"), [("FirstLost", 3), ("SecondLost", BLOCK + 3)])
def test_a_lost_process_ends_the_other_with_a_sentence(factory: str, image: int, place: Path) -> None:
    said = _atlas(factory, image)
    assert said.returncode != 0
    (sentence,) = _sentences(said)
    assert "another process was lost" in sentence
    assert not (place / "made" / "atlas").exists()
    inside.atlas(nn.Conv2d(1, 2, 3), torch.rand(2, 1, 8, 8), "made/atlas")  # whose draft may still lie there
    assert [path.name for path in (place / "made").iterdir()] == ["atlas"]


@pytest.mark.slow
def test_processes_with_different_networks_are_refused(place: Path) -> None:
    said = _atlas("random")
    (sentence,) = _sentences(said)
    assert "were given different networks, images or options" in sentence
    assert list((place / "made").iterdir()) == []
