"""An atlas made by several processes has the files of one, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "shared_atlases.py"


def _run(*words: object) -> None:
    """With two threads in each process, whatever this machine has."""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    said = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, check=False, timeout=240, env=environment
    )
    assert said.returncode == 0, said.stderr


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_files_are_those_of_one_process(tmp_path: Path) -> None:
    _run(sys.executable, SCRIPT, tmp_path / "1", 1)
    alone = _files(tmp_path / "1")
    assert len(alone) > 500
    for count in (2, 3):
        torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count)
        _run(*torchrun, SCRIPT, tmp_path / str(count), 2)  # of three the last as on another host
        shared = _files(tmp_path / str(count))
        assert sorted(alone) == sorted(shared)
        assert [name for name in alone if alone[name] != shared[name]] == []
