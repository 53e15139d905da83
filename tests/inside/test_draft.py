from __future__ import annotations

from pathlib import Path

from striate.inside.atlases.draft import drafted


def test_what_was_put_aside_comes_back_when_its_place_is_empty(tmp_path: Path) -> None:
    """As after a process that was killed between its two renames."""
    aside, new = tmp_path / ".plates.abcdefgh.old.part", tmp_path / ".plates.abcdefgh.part"
    for folder in (aside, new):
        folder.mkdir()
        (folder / "note.txt").write_text(folder.name)
    seen = list[str]()
    with drafted(tmp_path / "plates") as draft:
        seen.append((tmp_path / "plates" / "note.txt").read_text())
        (draft / "note.txt").write_text("newer")
    assert seen == [aside.name]
    assert [path.name for path in tmp_path.iterdir()] == ["plates"]
    assert (tmp_path / "plates" / "note.txt").read_text() == "newer"


def test_nothing_comes_back_over_what_is_there(tmp_path: Path) -> None:
    for name in ("plates", ".plates.abcdefgh.old.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "note.txt").write_text(name)
    with drafted(tmp_path / "plates") as draft:
        assert (tmp_path / "plates" / "note.txt").read_text() == "plates"
        (draft / "note.txt").write_text("newer")
    assert [path.name for path in tmp_path.iterdir()] == ["plates"]
