from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from striate import data
from striate.errors import DataError


def test_digits_are_stratified_and_seeded() -> None:
    digits = data.load("digits")
    assert [(r.train, r.validation, r.test) for r in data.summary(digits)[:-1]] == [(350, 50, 100)] * 10
    assert digits.findings.lines() == []
    assert data.load("digits").fingerprint == digits.fingerprint
    other = data.load("digits", seed=1)
    assert other.fingerprint != digits.fingerprint
    assert set(other.test.sources) != set(digits.test.sources)
    sources = [*digits.train.sources, *digits.validation.sources, *digits.test.sources]
    assert len(set(sources)) == 5000
    with np.load(Path(data.__file__).with_name("digits.npz")) as raw:
        place = int(digits.test.sources[3].split("[")[1][:-1])
        assert np.array_equal(digits.test.images[3, 0], raw["images"][place])
        assert digits.test.labels[3] == raw["labels"][place]


def test_digits_at_another_size_need_no_cache() -> None:
    assert data.load("digits", size=(32, 32), channels=3).shape == (3, 32, 32)


def test_statistics_are_those_of_numpy() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5000, 3, 4, 5), np.uint8)
    split = data.Split(images, np.zeros(5000, np.int64), [""] * 5000)
    mean, std = data.statistics(split)
    assert np.allclose(mean, (images / 255).mean((0, 2, 3)), rtol=1e-12)
    assert np.allclose(std, (images / 255).std((0, 2, 3)), rtol=1e-12)
    with pytest.raises(DataError):
        data.statistics(data.Split(images[:0], np.zeros(0, np.int64), []))


def test_statistics_of_many_rows_lose_nothing() -> None:
    draw = np.random.default_rng(0)
    columns = [np.full(200_000, 0.1), draw.integers(1990, 2021, 200_000), 1.7e9 + draw.integers(0, 2_592_000, 200_000)]
    rows = np.stack(columns, 1).astype(np.float32)
    mean, std = data.statistics(data.Split(rows, np.zeros((200_000, 1), np.float32), [""] * 200_000))
    exact = [[int(value) for value in column] for column in (rows * [2.0**27, 1, 1]).T]  # 0.1 has 27 binary places
    for column, scale, m, s in zip(exact, (2**27, 1, 1), mean, std, strict=True):
        expected = statistics.fmean(column)
        assert m * scale == pytest.approx(expected, rel=1e-15)
        assert s * scale == pytest.approx(statistics.pstdev(column), rel=1e-12)
    assert (mean[0], std[0]) == (float(np.float32(0.1)), 0)


def test_examples_are_of_the_class_spread_and_bounded() -> None:
    labels = np.arange(100) % 5
    split = data.Split(np.zeros((100, 1, 2, 2), np.uint8), labels, [""] * 100)
    found = data.examples(split, 3, 4)
    assert (labels[found] == 3).all()
    assert found.tolist() == [3, 33, 63, 98] or (found[0] == 3 and found[-1] == 98)
    assert len(data.examples(split, 3, 50)) == len(set(data.examples(split, 3, 50).tolist())) == 20
    assert len(data.examples(split, 9, 4)) == 0


def test_tables_divide_their_rows_and_keep_equal_ones_together() -> None:
    x = np.repeat(np.random.default_rng(0).normal(size=(50, 3)), 2, axis=0)
    y = x @ [[1.0, 2.0], [0.5, 0.0], [0.0, -1.0]]
    table = data.table(x, y, seed=3)
    assert table.classes == ()
    assert table.train.images.dtype == table.train.labels.dtype == np.float32
    for split in (table.train, table.validation, table.test):
        rows = [int(source.split("[")[1][:-1]) for source in split.sources]
        assert np.array_equal(split.images, x[rows].astype(np.float32))
        assert np.array_equal(split.labels, y[rows].astype(np.float32))
        assert sorted(rows) == sorted(row ^ 1 for row in rows)
    assert data.summary(table)[0].train == len(table.train)
    assert np.allclose(data.statistics(table.train)[0], table.train.images.mean(0))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([[1]], [1]),
        ([1, 2, 3], [1, 2]),
        ([1, 2, np.nan], [1, 2, 3]),
        ([1, 2, 1e300], [1, 2, 3]),
        (["a", "b", "c"], [1, 2, 3]),
        ([1, 2, 3j], [1, 2, 3]),
        ([[], [], []], [1, 2, 3]),
        ([1, 2, 3], [[], [], []]),
    ],
)
def test_bad_tables_are_refused(x: list[object], y: list[object]) -> None:
    with pytest.raises(DataError):
        data.table(x, y)  # pyright: ignore[reportArgumentType]


def test_a_table_knows_one_zero_and_seeds_from_0() -> None:
    zeros = np.array([0.0, -0.0] * 10)
    assert [len(split) for split in (data.table(zeros, zeros).train, data.table(zeros, zeros).validation)] == [20, 0]
    with pytest.raises(DataError, match="seed must be a whole number from 0, found -1"):
        data.table(np.arange(9), np.arange(9), seed=-1)


def test_importing_and_loading_do_not_import_torch() -> None:
    code = "import sys; from striate import data; data.load('digits'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_data_set_can_be_shown_in_a_session() -> None:
    shown = repr(data.load("digits"))
    assert shown.startswith("DataSet(name='digits', classes=('0', '1',")
    assert "train=Split(3500 of 1x28x28), validation=Split(500 of 1x28x28), test=Split(1000 of 1x28x28)" in shown
    assert len(shown) < 400
