"""Folders that take their place when complete, while other processes fill theirs or are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from striate.inside.atlases.draft import drafted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")

MAKER = """
import sys
from pathlib import Path
from striate.inside.atlases.draft import drafted

with drafted(Path(sys.argv[1])) as draft:
    (draft / "half.txt").write_text("half")
    print("filling", flush=True)
    sys.stdin.read()
"""


def maker(out: Path) -> subprocess.Popen[str]:
    """A process that is filling a draft for `out` until its standard input ends."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", MAKER, str(out)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "filling\n"
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(out: Path, text: str) -> None:
    with drafted(out) as draft:
        (draft / "note.txt").write_text(text)


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_fills_is_not(tmp_path: Path) -> None:
    out = tmp_path / "atlas"
    dead, living = maker(out), maker(out)
    left = names(tmp_path)
    assert len(left) == 2
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    assert names(tmp_path) == left, "nothing could be done about it then"

    write(out, "first")
    assert len(names(tmp_path)) == 2
    assert set(names(tmp_path)) < {*left, "atlas"}
    living.communicate("")  # goes on, ends well, and is the last to take the place
    assert living.returncode == 0
    assert names(tmp_path) == ["atlas"]
    assert names(out) == ["half.txt"]


def test_only_folders_that_were_drafts_for_the_same_place_are_removed(tmp_path: Path) -> None:
    kept = [
        ".atlas.part",
        ".atlas.b.abcd1234.part",
        ".other.abcd1234.part",
        "atlas.abcd1234.part",
        ".atlas.ABCD1234.part",
    ]
    for name in [*kept, ".atlas.abcd1234.part", ".atlas.abcd1234.old.part"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / ".atlas.file1234.part").touch()
    (tmp_path / ".atlas.link1234.part").symlink_to(tmp_path / ".other.abcd1234.part")
    write(tmp_path / "atlas", "text")
    assert names(tmp_path) == sorted([*kept, ".atlas.file1234.part", ".atlas.link1234.part", "atlas"])
    assert (tmp_path / ".other.abcd1234.part" / "file").exists()


def test_a_fault_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "atlas"
    write(out, "old")
    with pytest.raises(UnicodeEncodeError):
        write(out, "\ud800")
    assert names(out.parent) == ["atlas"]
    assert (out / "note.txt").read_text() == "old"
    write(out, "new")
    assert names(out.parent) == ["atlas"]
    assert (out / "note.txt").read_text() == "new"


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "there") == ["note.txt"]
    assert names(tmp_path) == ["link", "there"]
