"""Folders as users have them: layouts, dirt, the cache, and what is said about them."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate import data
from striate.errors import DataError

from .folders import classes_in, image


def test_every_row_is_its_own_file_with_its_own_label(top: Path, load: Any) -> None:
    pets = load(top)
    assert pets.name == "pets"
    assert pets.classes == ("cat", "dog")
    assert pets.shape == (3, 20, 20)
    for split, count in ((pets.train, 24), (pets.validation, 3), (pets.test, 3)):
        assert len(split) == len(split.sources) == count
        for pixels, label, source in zip(split.images, split.labels, split.sources, strict=True):
            assert Path(source).parent.name == pets.classes[label]
            assert np.array_equal(pixels.transpose(1, 2, 0), np.asarray(Image.open(source)))
    assert isinstance(pets.train.images, np.memmap)
    assert pets.findings.lines() == []


def test_changed_added_and_removed_files_are_noticed(top: Path, load: Any) -> None:
    marks = [load(top).fingerprint]
    image(500).save(top / "cat" / "000.png")
    marks.append(load(top).fingerprint)
    image(501).save(top / "cat" / "new.png")
    marks.append(load(top).fingerprint)
    assert load(top).findings.images == 31
    (top / "dog" / "000.png").unlink()
    marks.append(load(top).fingerprint)
    assert len(set(marks)) == 4


def test_small_images_of_one_size_keep_it_rows_before_columns(tmp_path: Path, load: Any) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "wide" / name).mkdir(parents=True)
        for at in range(5):
            Image.new("RGB", (24, 16), (at, 0, 9)).save(tmp_path / "wide" / name / f"{at}.png")
    assert load(tmp_path / "wide").shape == (3, 16, 24)


def test_size_channels_fit_and_seed_are_honoured(top: Path, load: Any) -> None:
    assert load(top, size=(9, 12), channels=1).shape == (1, 9, 12)
    assert load(top, seed=0).fingerprint != load(top, seed=1).fingerprint
    assert not np.array_equal(load(top, size=(8, 16)).train.images, load(top, size=(8, 16), fit="pad").train.images)


@pytest.mark.parametrize(
    "options",
    [
        {"size": (0, 8)},
        {"size": (8, 5000)},
        {"size": 32},
        {"size": (8.5, 8)},
        {"size": (8,)},
        {"channels": 2},
        {"fit": "cover"},
        {"seed": -1},
        {"seed": 1.5},
        {"max_bad": 2},
        {"max_bad": "all"},
        {"size": (True, 8)},
        {"channels": True},
        {"channels": 1.0},
    ],
)
def test_options_out_of_bounds_are_named(top: Path, load: Any, options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(options))):
        load(top, **options)


def test_images_of_many_sizes_become_64x64_and_what_is_lost_by_it_is_said(top: Path, load: Any) -> None:
    for i in range(10):
        image(900 + i, (100, 80)).save(top / "cat" / f"big{i}.png")
    found = load(top)
    assert found.shape == (3, 64, 64)
    said = (
        "10 of 40 images, of 100x80 pixels, are brought to 64x64; a larger --size (in Python size=) keeps more of them"
    )
    assert found.findings.notes == (said,)
    image(950, (70, 200)).save(top / "cat" / "wide.png")
    assert "11 of 41 images, with a longer side of 100 to 200 pixels, are brought" in load(top).findings.notes[0]
    assert load(top, size=(32, 32)).findings.notes == ()


def test_one_stray_does_not_change_the_size_and_is_named(top: Path, load: Any) -> None:
    image(901, (302, 302)).save(top / "cat" / "stray.png")
    pets = load(top)
    assert pets.shape == (3, 20, 20)
    assert [(Path(s.source).name, s.width) for s in pets.findings.strays] == [("stray.png", 302)]
    said = "1 of 31 images, of 302x302 pixels, is brought to 20x20; a larger --size (in Python size=) keeps more of it"
    assert pets.findings.notes == (said,)


def test_grey_folders_have_one_channel_and_a_mixture_is_said(tmp_path: Path, load: Any) -> None:
    top = tmp_path / "grey"
    for name, value in (("a", 1), ("b", 100)):
        (top / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(np.full((8, 8), value + i, np.uint8)).save(top / name / f"{i}.png")
    assert load(top).shape == (1, 8, 8)
    image(3, (8, 8)).save(top / "a" / "colored.png")
    mixed = load(top)
    assert mixed.shape == (3, 8, 8)
    assert mixed.findings.notes == ("1 of 21 images is in colour, the others grey",)


def test_given_splits_are_kept(tmp_path: Path, load: Any) -> None:
    top = tmp_path / "given"
    for k, split in enumerate(("Train", "valid", "test")):
        classes_in(top / split, {"1": 12, "10": 6, "2": 6}, first=100 * k)
    (top / "readme.txt").write_text("x")
    found = load(top)
    assert found.classes == ("1", "2", "10")
    assert [len(s) for s in (found.train, found.validation, found.test)] == [24, 24, 24]
    assert all("/valid/" in source for source in found.validation.sources)
    assert [Path(other).name for other in found.findings.other] == ["readme.txt"]
    shutil.rmtree(top / "valid")
    found = load(top)
    assert [len(s) for s in (found.train, found.validation, found.test)] == [22, 2, 24] or len(found.validation) == 3


def test_a_letter_and_its_accent_are_one_class_however_a_system_writes_them(tmp_path: Path, load: Any) -> None:
    for k, (split, name) in enumerate({"train": "café", "test": unicodedata.normalize("NFD", "café")}.items()):
        classes_in(tmp_path / "given" / split, {name: 6, "bar": 6}, first=100 * k)
    found = load(tmp_path / "given")
    assert found.classes == ("bar", "café")
    assert len(found.test) == 12


def test_classes_called_train_and_test_are_classes(tmp_path: Path, load: Any) -> None:
    top = classes_in(tmp_path / "vehicles", {"train": 10, "test": 10, "car": 10})
    found = load(top)
    assert found.classes == ("car", "test", "train")
    said = "test and train are no splits but classes: there are images in them, beside folders or without any"
    assert found.findings.notes == (said,)


def test_an_image_beside_the_class_folders_of_a_split_is_said_to_make_it_a_class(tmp_path: Path, load: Any) -> None:
    top = classes_in(tmp_path / "given" / "train", {"cat": 5, "dog": 5}).parent
    image(99).save(top / "train" / "overview.png")
    classes_in(top / "other", {"cat": 5})
    said = "train is no split but a class: there are images in it, beside folders or without any"
    assert load(top).findings.notes == (said,)


def test_an_unpacked_archive_is_entered(tmp_path: Path, load: Any) -> None:
    classes_in(tmp_path / "outer" / "inner", {"a": 5, "b": 5})
    found = load(tmp_path / "outer")
    assert found.classes == ("a", "b")
    assert "inner" in found.findings.notes[0]


def test_dirt_is_counted_named_and_survived(top: Path, load: Any) -> None:
    cat = top / "cat"
    (top / ".DS_Store").write_bytes(b"x")
    (cat / "Thumbs.db").write_bytes(b"x")
    (cat / "._001.png").write_bytes(b"x")
    (cat / ".git").mkdir()
    (cat / "notes.txt").write_text("x")
    (top / "labels.csv").write_text("x")
    (top / "empty").mkdir()
    (cat / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    shutil.copy(cat / "000.png", cat / "copy of 000 (ü).png")
    shutil.copy(cat / "001.png", top / "dog" / "not a dog.png")
    shutil.copy(cat / "002.png", cat / "without suffix")
    found = load(top).findings
    assert sorted(Path(h).name for h in found.hidden) == [".DS_Store", "._001.png", ".git", "Thumbs.db"]
    assert sorted(Path(o).name for o in found.other) == ["labels.csv", "notes.txt"]
    assert found.empty_classes == ("empty",)
    assert [Path(u.source).name for u in found.unreadable] == ["broken.jpg"]
    assert sorted(d.across for d in found.duplicates) == ["classes", "none", "none"]
    assert found.images == 33
    assert data.Findings.of_json(json.loads(json.dumps(found.as_json()))) == found
    assert "1 unreadable image, left out (" in found.text()
    assert "4 hidden files, not looked into (" in found.text()


def test_equal_images_in_two_given_splits_are_told(tmp_path: Path, load: Any) -> None:
    top = tmp_path / "leak"
    classes_in(top / "train", {"a": 10, "b": 10})
    classes_in(top / "test", {"a": 3, "b": 3}, first=100)
    shutil.copy(top / "train" / "a" / "000.png", top / "test" / "a" / "leak.png")
    (leak,) = load(top).findings.duplicates
    assert leak.across == "splits"


def test_too_large_a_share_of_bad_images_stops_with_the_way_on(top: Path, load: Any) -> None:
    for i in range(6):
        (top / "dog" / f"bad{i}.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"6 of 36 images \(16.7%\).*max_bad=0.17"):
        load(top)
    assert len(load(top, max_bad=0.17).findings.unreadable) == 6


@pytest.mark.parametrize("counts", [{}, {"only": 5}])
def test_fewer_than_two_classes_are_refused(tmp_path: Path, load: Any, counts: dict[str, int]) -> None:
    top = classes_in(tmp_path / "few", counts)
    top.mkdir(exist_ok=True)
    with pytest.raises(DataError, match="at least two class folders"):
        load(top)


def test_two_classes_of_which_one_is_empty_are_refused(tmp_path: Path, load: Any) -> None:
    with pytest.raises(DataError, match="at least two classes must hold a readable image, found a"):
        load(classes_in(tmp_path / "half", {"a": 5, "b": 0}))


def test_links_in_a_circle_come_to_an_end(top: Path, load: Any) -> None:
    (top / "cat" / "loop").symlink_to(top / "cat")
    (top / "cat" / "self").symlink_to(top / "cat" / "self")
    (top / "dog" / "up").symlink_to(top)
    pets = load(top)
    assert pets.findings.images == 30
    assert pets.findings.unreadable == ()
    assert pets.findings.notes == ("1 link to images of other classes is not followed (dog/up)",)


@pytest.mark.parametrize("link", ["cat/x", "cat/deep/x", "z"])
@pytest.mark.parametrize("target", ["", "..", "dog", "dog/deep"])
def test_no_link_brings_images_of_one_class_under_another(top: Path, load: Any, link: str, target: str) -> None:
    for name in ("cat", "dog"):
        (top / name / "deep").mkdir()
        image(700 + ord(name[0])).save(top / name / "deep" / f"{name}.png")
    before = load(top)
    (top / link).symlink_to(top / target)
    after = load(top)
    assert after.fingerprint == before.fingerprint
    assert after.findings.duplicates == ()
    assert link in after.findings.text()


def test_links_out_of_the_folder_are_followed_and_so_are_classes_that_are_links(tmp_path: Path, load: Any) -> None:
    classes_in(tmp_path / "store", {"one": 12, "two": 10, "more": 4})
    (tmp_path / "top" / "b").mkdir(parents=True)
    (tmp_path / "top" / "a").symlink_to(tmp_path / "store" / "one")
    (tmp_path / "top" / "b" / "images").symlink_to(tmp_path / "store" / "two")
    (tmp_path / "store" / "one" / "more").symlink_to(tmp_path / "store" / "more")
    (tmp_path / "store" / "one" / "up").symlink_to("..")
    found = load(tmp_path / "top")
    assert [(row.name, row.train + row.validation + row.test) for row in data.summary(found)] == [
        ("a", 16), ("b", 10), ("all", 26),
    ]  # fmt: skip
    assert "a/up" in found.findings.notes[0]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_utf8_work(top: Path, load: Any) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy(top / "cat" / "000.png", top / "cat" / name)
    found = load(top).findings
    assert found.images == 31
    assert "caf\\xe9.png" in json.dumps(found.as_json()).replace("\\\\", "\\")
    found.text().encode()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_classes_and_folders_that_are_no_utf8_get_names_that_files_can_hold(tmp_path: Path, load: Any) -> None:
    top = classes_in(
        tmp_path / os.fsdecode(b"b\xfccher"), {os.fsdecode(b"caf\xe9"): 5, os.fsdecode(b"caf\xe8"): 5, "x": 5}
    )
    books = load(top)
    assert books.classes == ("caf\\xe8", "caf\\xe9", "x")
    assert books.name == "b\\xfccher"
    assert books.findings.images == 15
    for label, source in zip(books.train.labels, books.train.sources, strict=True):
        assert os.fsencode(Path(source).parent.name).decode(errors="backslashreplace") == books.classes[label]


@pytest.mark.parametrize("here", [".", "../pets", "../pets/cat/.."])
def test_findings_name_files_below_the_folder_however_it_is_reached(
    here: str, top: Path, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "cat" / "bad.png").write_bytes(b"x")
    (top / "cat" / ".hidden").write_bytes(b"x")
    (top / "dog" / "notes.txt").write_bytes(b"x")
    shutil.copy(top / "cat" / "000.png", top / "cat" / "copy.png")
    image(5, (500, 500)).save(top / "dog" / "large.png")
    monkeypatch.chdir(top)
    found = load(Path(here))
    assert found.name == "pets"
    assert [bad.source for bad in found.findings.unreadable] == ["cat/bad.png"]
    assert [stray.source for stray in found.findings.strays] == ["dog/large.png"]
    assert found.findings.hidden == ("cat/.hidden",)
    assert found.findings.other == ("dog/notes.txt",)
    (pair,) = found.findings.duplicates
    assert sorted(pair.sources) == ["cat/000.png", "cat/copy.png"]


def test_a_folder_in_which_every_file_is_broken(tmp_path: Path, load: Any) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "x.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"none of the 2 images can be read: no image format that can be read \(2\)$"):
        load(tmp_path / "bad", max_bad=1.0)


def test_a_folder_called_like_a_known_name_is_reached_by_its_path(
    tmp_path: Path, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes_in(tmp_path / "digits", {"a": 5, "b": 5})
    monkeypatch.chdir(tmp_path)
    assert load("digits").classes == tuple("0123456789")
    assert load("./digits").classes == load(Path("digits")).classes == ("a", "b")
