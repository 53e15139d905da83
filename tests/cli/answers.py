"""What tests of the commands that look inside ask of their answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.cli.conftest import Said

OWN_MODEL = ("--module", "own_models:make", "--input", "3x16x16")


def parsed(said: Said) -> Any:
    assert said.code == 0, said.err
    return json.loads(said.out)


def refused(said: Said, *words: str) -> None:
    """Exit code 2, one sentence that holds these words, nothing on standard output, no traceback."""
    assert said.code == 2, said
    last = said.err.strip().splitlines()[-1]
    assert "Traceback" not in said.err
    assert said.out == ""
    for word in words:
        assert word in last, (word, said.err)


def pixels(path: Path | str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
