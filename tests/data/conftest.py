"""What the tests of folders share: a folder of two classes, and loading with a cache of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from striate import data

from .folders import classes_in


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return classes_in(tmp_path / "pets", {"cat": 20, "dog": 10})


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def loaded(path: Path, **options: Any) -> data.DataSet:
        return data.load(path, cache=tmp_path / "cache", **options)

    return loaded
