"""`.npz` and IDX sources, against arrays made here."""

from __future__ import annotations

import gzip
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from striate import data
from striate.data import idx
from striate.data.arrays import laid_out, whole_labels
from striate.data.unlabelled import load_unlabelled
from striate.errors import DataError

RNG = np.random.default_rng(11)


def idx_bytes(values: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("stems", [("train", "t10k"), ("",)])
def test_idx_folders(tmp_path: Path, suffix: str, stems: tuple[str, ...]) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    arrays = {stem: (RNG.integers(0, 256, (40, 9, 7), np.uint8), np.arange(40, dtype=np.uint8) % 4) for stem in stems}
    for stem, pair in arrays.items():
        for what, values in zip(("images-idx3", "labels-idx1"), pair, strict=True):
            raw = idx_bytes(values)
            name = f"{stem}-{what}-ubyte{suffix}".removeprefix("-")
            (folder / name).write_bytes(gzip.compress(raw) if suffix else raw)
    for _ in range(2):  # the second time from the cache
        found = data.load(folder, cache=tmp_path / "cache")
        assert found.shape == (1, 9, 7)
        assert found.classes == ("0", "1", "2", "3")
        counts = [len(found.train), len(found.validation), len(found.test)]
        assert counts == ([36, 4, 40] if len(stems) == 2 else [32, 4, 4])
        for image, label, source in zip(found.test.images, found.test.labels, found.test.sources, strict=True):
            images, labels = arrays["t10k" if len(stems) == 2 else ""]
            place = int(source.split("[")[1][:-1])
            assert np.array_equal(image[0], images[place])
            assert label == labels[place]
        assert found.test.sources[0].startswith("own test[" if len(stems) == 2 else "own[")


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0\0\x08", b"\0\0\x07\x01\0\0\0\1x", b"\0\0\x08\x01\0\0\0\5abc", b"\x1f\x8bno", b"\0\0\x08\xff"],
)
def test_broken_idx_files_are_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x").write_bytes(raw)
    with pytest.raises(DataError):
        idx.read(tmp_path / "x")


def write_idx(folder: Path, stem: str, count: int) -> None:
    images, labels = RNG.integers(0, 256, (count, 5, 5), np.uint8), (np.arange(count) % 2).astype(np.uint8)
    folder.mkdir(exist_ok=True)
    (folder / f"{stem}images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
    (folder / f"{stem}labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))


@pytest.mark.parametrize("test", ["emnist-digits-test-", "emnist-digits-t10k-", "EMNIST-Digits-Test-"])
def test_idx_parts_are_told_by_the_last_word_before_images(tmp_path: Path, test: str) -> None:
    write_idx(tmp_path / "emnist", "emnist-digits-train-", 100)
    write_idx(tmp_path / "emnist", test, 40)
    found = data.load(tmp_path / "emnist", cache=tmp_path / "cache")
    assert len(found.test) == 40
    assert len(found.train) + len(found.validation) == 100
    assert all(source.startswith("emnist test[") for source in found.test.sources)


@pytest.mark.parametrize(
    "stems",
    [
        ("emnist-digits-train-", "emnist-letters-train-"),
        ("emnist-digits-train-", "emnist-letters-test-"),
        ("latest-", "con-"),
        ("train-", "extra-"),
        ("test-", "t10k-", "train-"),
    ],
)
def test_idx_files_of_several_data_sets_are_refused_by_name(tmp_path: Path, stems: tuple[str, ...]) -> None:
    for stem in stems:
        write_idx(tmp_path / "mixed", stem, 20)
    with pytest.raises(DataError, match="more than one data set") as refused:
        data.load(tmp_path / "mixed", cache=tmp_path / "cache")
    assert all(f"{stem}images-idx3-ubyte.gz" in str(refused.value) for stem in stems)


def test_idx_images_without_labels_are_named(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((2, 3, 3), np.uint8)))
    with pytest.raises(DataError, match="counterpart"):
        data.load(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
    ],
)
def test_npz_with_given_splits(tmp_path: Path, names: tuple[str, ...]) -> None:
    x, y = RNG.integers(0, 256, (60, 8, 8, 3), np.uint8), np.arange(60)[:, None] % 3
    arrays: dict[str, Any] = dict(zip(names, (x[:40], y[:40], x[40:], y[40:]), strict=True))
    np.savez(tmp_path / "own.npz", **arrays)
    found = data.load(tmp_path / "own.npz", cache=tmp_path / "cache")
    assert found.shape == (3, 8, 8)
    assert len(found.train) + len(found.validation) == 40
    assert np.array_equal(found.test.images, x[40:].transpose(0, 3, 1, 2))
    assert np.array_equal(found.test.labels, y[40:, 0])


def test_npz_with_words_names_resizing_and_one_channel(tmp_path: Path) -> None:
    x, words = RNG.uniform(size=(30, 12, 12)), np.array(["dog", "cat", "ant"] * 10)
    np.savez_compressed(tmp_path / "own.npz", images=x, labels=words)
    found = data.load(tmp_path / "own.npz", cache=tmp_path / "cache", size=(6, 6), channels=3)
    assert found.classes == ("ant", "cat", "dog")
    assert found.shape == (3, 6, 6)
    assert np.array_equal(found.train.images[:, 0], found.train.images[:, 2])
    np.savez_compressed(
        tmp_path / "named.npz", images=x, labels=np.arange(30) % 2, classes=np.array(["a", "b", "never"])
    )
    assert data.load(tmp_path / "named.npz", cache=tmp_path / "cache").findings.missing == (
        "never (train)",
        "never (validation)",
        "never (test)",
    )


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        (np.arange(30) % 2 == 1, ["cat", "dog"], np.arange(30) % 2),
        (np.array(["dog", "cat"] * 15), ["dog", "cat"], np.arange(30) % 2),
        (np.array(["dog", "cat"] * 15), ["cat", "never", "dog"], 2 - 2 * (np.arange(30) % 2)),
    ],
)
def test_npz_class_names_hold_for_every_kind_of_label(
    tmp_path: Path, labels: NDArray[Any], classes: list[str], expected: NDArray[Any]
) -> None:
    np.savez(tmp_path / "own.npz", images=RNG.integers(0, 256, (30, 4, 4), np.uint8), labels=labels, classes=classes)
    found = data.load(tmp_path / "own.npz", cache=tmp_path / "cache")
    assert found.classes == tuple(classes)
    for split in (found.train, found.validation, found.test):
        places = [int(source.split("[")[1][:-1]) for source in split.sources]
        assert split.labels.tolist() == expected[places].tolist()


def test_npz_says_what_it_does_not_use(tmp_path: Path) -> None:
    x, y = RNG.integers(0, 256, (30, 4, 4), np.uint8), np.arange(30) % 2
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x, images=x, labels=y, meta=y)
    for _ in range(2):  # the second time from the cache
        assert data.load(tmp_path / "own.npz", cache=tmp_path / "cache").findings.notes == (
            "the array x_test is not used, for there is no y_test",
            "the array images is not used",
            "the array labels is not used",
            "the array meta is not used",
        )


@pytest.mark.parametrize("shape", [(40, 4, 8, 8), (40, 8, 8, 4), (40, 4, 8, 3)])
def test_npz_says_that_it_takes_a_fourth_channel_for_opacity(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "four.npz", images=RNG.integers(0, 256, shape, np.uint8), labels=np.arange(40) % 2)
    notes = data.load(tmp_path / "four.npz", cache=tmp_path / "cache").findings.notes
    said = "the four channels of images are taken as RGB and opacity, and composited on white"
    assert notes == (() if shape[3] == 3 else (said,))


def test_npz_says_which_images_it_brings_to_another_size(tmp_path: Path) -> None:
    x, y = RNG.integers(0, 256, (30, 8, 8), np.uint8), np.arange(30) % 2
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x.repeat(2, 1), y_test=y)
    found = data.load(tmp_path / "own.npz", cache=tmp_path / "cache")
    assert found.shape == (1, 8, 8)
    assert found.findings.notes == ("the test images are 16x8 and are brought to 8x8, the size of the train images",)
    assert data.load(tmp_path / "own.npz", cache=tmp_path / "cache", size=(8, 8)).findings.notes == ()


def test_npz_never_unpickles(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", images=np.array([{"a": 1}], object), labels=np.array([0]))
    with pytest.raises(DataError, match="Python objects, which are never unpickled"):
        data.load(tmp_path / "evil.npz", cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"pictures": np.zeros(3)}, "must hold the arrays images and labels"),
        ({"images": np.zeros((4, 784)), "labels": np.arange(4)}, "table"),
        ({"images": np.zeros((4, 8, 8, 5)), "labels": np.arange(4)}, "1, 3 or 4 channels"),
        ({"images": np.full((4, 8, 8), -1), "labels": np.arange(4)}, "from 0 to 255"),
        ({"images": np.full((4, 8, 8), np.nan), "labels": np.arange(4)}, "from 0 to 255"),
        ({"images": np.zeros((4, 8, 8)), "labels": np.arange(5)}, "one label per image"),
        ({"images": np.zeros((4, 8, 8)), "labels": np.zeros(4)}, "at least two classes"),
        ({"images": np.zeros((4, 8, 8)), "labels": np.array([0.5] * 4)}, "whole numbers or words"),
        (
            {"images": np.full((4, 8, 8), 1.02), "labels": np.arange(4)},
            "found 1.02 to 1.02, which may be meant as either",
        ),
        ({"images": np.zeros((0, 8, 8)), "labels": np.arange(0)}, r"at least one image.*found shape \(0, 8, 8\)"),
        ({"images": np.zeros((2, 8, 8)), "labels": np.array([1, np.inf])}, "whole numbers from -9007199254740992"),
        ({"images": np.zeros((2, 8, 8)), "labels": np.array([1, 2**63], np.uint64)}, "found 1 to 9223372036854775808"),
        (
            {
                "x_train": np.zeros((2, 8, 8)),
                "y_train": np.array(["0", "1"]),
                "x_test": np.zeros((2, 8, 8)),
                "y_test": np.arange(2),
            },
            "words in every split or numbers in every split, found both",
        ),
        (
            {"images": np.zeros((4, 8, 8)), "labels": np.arange(4), "classes": np.array(["a", "b"])},
            "must lie in 0 to 1",
        ),
        (
            {"images": np.zeros((4, 8, 8)), "labels": np.arange(4) % 2, "classes": np.array(["a", "a"])},
            "must differ from each other, found more than once: a",
        ),
        (
            {"images": np.zeros((4, 8, 8)), "labels": np.array(list("abca")), "classes": np.array(["a", "b"])},
            "must be among the class names a, b, found c",
        ),
    ],
)
def test_other_arrays_are_refused_with_what_is_allowed(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=words):
        data.load(tmp_path / "bad.npz", cache=tmp_path / "cache")


def test_a_file_that_is_no_npz_and_a_place_that_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    (tmp_path / "bad.csv").write_bytes(b"nothing")
    for name, words in (
        ("bad.npz", "cannot be read as .npz: it is no archive"),
        ("bad.csv", "folder or a .npz"),
        ("none", "there is no data set"),
        ("n" * 5000, "there is no data set"),
        ("~nosuchuser/x", "there is no data set ~nosuchuser/x"),
    ):
        with pytest.raises(DataError, match=words):
            data.load(name if name.startswith("~") else tmp_path / name, cache=tmp_path / "cache")
    assert load_unlabelled("~nosuchuser/x", (1, 8, 8)) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[[True, False]]]), [255, 0]),
        (np.array([[[65535, 257]]], np.uint16), [255, 1]),
        (np.array([[[0.5, 1.0]]]), [128, 255]),
        (np.array([[[0.0, 254.6]]]), [0, 255]),
        (np.array([[[3, 1]]], np.int64), [3, 1]),
    ],
)
def test_the_rule_for_values(values: NDArray[Any], expected: list[int]) -> None:
    assert laid_out(values, "x").ravel().tolist() == expected


def test_the_rule_for_axes() -> None:
    assert laid_out(np.zeros((2, 3, 32, 30), np.uint8), "x").shape == (2, 3, 32, 30)
    assert laid_out(np.zeros((2, 1, 28, 28), np.uint8), "x").shape == (2, 1, 28, 28)
    assert laid_out(np.zeros((2, 3, 5, 3), np.uint8), "x").shape == (2, 3, 3, 5)
    see_through = np.zeros((1, 2, 2, 4), np.uint8)
    assert (laid_out(see_through, "x") == 255).all()


def test_words_may_be_bytes_and_numbers_of_any_width(tmp_path: Path) -> None:
    images, words = RNG.integers(0, 256, (40, 8, 8), np.uint8), np.array(["dög", "cat"])
    encoded = np.char.encode(words, "utf-8")
    np.savez(tmp_path / "a.npz", images=images, labels=encoded[np.arange(40) % 2])
    assert data.load(tmp_path / "a.npz", cache=tmp_path / "cache").classes == ("cat", "dög")
    np.savez(tmp_path / "b.npz", images=images, labels=np.arange(40) % 2, classes=encoded)
    assert data.load(tmp_path / "b.npz", cache=tmp_path / "cache").classes == ("dög", "cat")
    labels = np.arange(40, dtype=np.uint64) % 2
    np.savez(tmp_path / "c.npz", x_train=images, y_train=labels, x_test=images[:2], y_test=np.arange(2))
    assert data.load(tmp_path / "c.npz", cache=tmp_path / "cache").classes == ("0", "1")


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (b"hello", "images in the file is no array of NumPy"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 8, 8), }", "does not fit into memory"),
    ],
)
def test_members_that_are_no_arrays_here_are_refused(tmp_path: Path, member: bytes, words: str) -> None:
    array = b"\x93NUMPY\x01\x00" + (len(member) + 1).to_bytes(2, "little") + member + b"\nabc"
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        archive.writestr("images", member if member == b"hello" else array)
        archive.writestr("labels", b"")
    with pytest.raises(DataError, match=words):
        data.load(tmp_path / "bad.npz", cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["", None, 5])
def test_what_names_nothing_is_refused(name: Any) -> None:
    with pytest.raises(DataError, match="named by a word or a path, found"):
        data.load(name)


def test_one_hot_labels_become_places() -> None:
    assert whole_labels(np.eye(4)[[2, 0, 3]], "y").tolist() == [2, 0, 3]
