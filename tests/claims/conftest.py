"""Data as a user has them: in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .stripes import stripes


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stripes as a file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = stripes()
    splits = {"train": data.train, "test": data.test}
    arrays = {f"{part}_{name}": getattr(split, part) for name, split in splits.items() for part in ("images", "labels")}
    renamed = {
        {"images": "x", "labels": "y"}[key.split("_")[0]] + "_" + key.split("_")[1]: a for key, a in arrays.items()
    }
    np.savez(tmp_path / "stripes.npz", allow_pickle=False, **renamed)
    return tmp_path / "stripes.npz"
