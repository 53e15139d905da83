"""Writing: what stands at a path is whole, and what the system refuses is told under that path."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from striate import files


def test_a_fault_leaves_the_old_content_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    files.write_text(path, "old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as draft:
        draft.write_text(str(1 / 0))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["note.txt"]  # noqa: PTH208 - hidden files too


def test_the_systems_refusal_names_the_path_and_not_the_draft(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    with pytest.raises(OSError, match="No space left") as told, files.replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert told.value.filename == str(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"File exists|Not a directory") as told:
        files.write_text(tmp_path / "file" / "note.txt", "")
    assert ".part" not in str(told.value)


def test_json_holds_paths_that_are_no_utf8(tmp_path: Path) -> None:
    value = {"path": os.fsdecode(b"caf\xe9"), "name": "Käfer"}
    files.write_json(tmp_path / "held.json", value)
    assert json.loads((tmp_path / "held.json").read_text(encoding="utf-8")) == value


def test_another_files_fault_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as told, files.replacing(tmp_path / "note.txt"):
        (tmp_path / "other").read_text()
    assert told.value.filename == str(tmp_path / "other")
