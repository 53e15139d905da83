"""A run may be killed at any moment and still ends at bit-identical weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from squares import steady

from striate.train.checkpoint import read


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killing.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(script), str(tmp_path), "20"], check=True, env=environment, timeout=240)
    whole, killed = tmp_path / "whole", sorted(tmp_path.glob("killed-*"))
    assert killed
    for run in killed:
        assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
        assert steady(run / "metrics.jsonl") == steady(whole / "metrics.jsonl")
        for name in ("last", "best", "epoch-001", "epoch-020"):
            ours, expected = (read(r / "checkpoints" / f"{name}.safetensors")[0] for r in (run, whole))
            assert ours.keys() == expected.keys()
            assert all(bool((ours[key] == expected[key]).all()) for key in expected), name
