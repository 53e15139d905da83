from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.data.splits import UNDIVIDED, divided


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=6),
    copies=st.integers(0, 12),
    seed=st.integers(0, 2**31),
)
def test_splits_are_stratified_complete_and_never_part_equal_images(sizes: list[int], copies: int, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    contents = [str(i) for i in range(len(labels))]
    rng = np.random.default_rng(seed)
    for _ in range(copies):
        a, b = rng.integers(0, len(labels), 2)
        contents[a] = contents[b]
    split = divided(labels, np.full(len(labels), UNDIVIDED), contents, seed)
    assert np.array_equal(split, divided(labels, np.full(len(labels), UNDIVIDED), contents, seed))
    for content in set(contents):
        assert len({int(split[i]) for i, c in enumerate(contents) if c == content}) == 1
    if not copies:
        for label, size in enumerate(sizes):
            counts = Counter(split[labels == label].tolist())
            assert counts[0] >= 1
            assert (counts[1] > 0) == (size >= 2)
            assert (counts[2] > 0) == (size >= 3)
            if size >= 10:
                assert abs(counts[1] - size / 10) <= 1
                assert abs(counts[2] - size / 10) <= 1


def test_the_tenths_add_up_to_a_tenth_of_the_whole() -> None:
    labels = np.repeat(np.arange(10), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    given_splits = np.concatenate([np.zeros(60_000, np.int64), np.full(10, 2)])
    labels = np.concatenate([labels, np.arange(10)])
    split = divided(labels, given_splits, [str(i) for i in range(len(labels))], 0)
    assert np.bincount(split).tolist() == [55_000, 5_000, 10]


def test_given_splits_stay_and_only_what_lacks_is_taken_from_train() -> None:
    labels = np.tile([0, 1], 100)
    source = np.repeat([0, 1], [150, 50])
    split = divided(labels, source, [str(i) for i in range(200)], 3)
    assert (split[150:] == 1).all()
    assert np.bincount(split[:150]).tolist() == [135, 0, 15]


def test_another_seed_gives_another_split() -> None:
    labels, none = np.zeros(100, np.int64), np.full(100, UNDIVIDED)
    contents = [str(i) for i in range(100)]
    assert not np.array_equal(divided(labels, none, contents, 0), divided(labels, none, contents, 1))
