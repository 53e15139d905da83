"""Views: fewer images, shuffled pixels, shuffled labels; each changes that and nothing else."""

from __future__ import annotations

import numpy as np

from striate.claims.comparing.views import View, without_test

from .stripes import stripes


def test_pixels_are_shuffled_alike_in_every_image_and_split() -> None:
    data = stripes()
    seen = View(shuffled_pixels=True).of(data)
    order: dict[bytes, int] = {column.tobytes(): k for k, column in enumerate(_columns(data.train.images))}
    place = [order[column.tobytes()] for column in _columns(seen.train.images)]
    assert sorted(place) == list(range(256))
    assert place != list(range(256))
    for before, after in ((data.validation, seen.validation), (data.test, seen.test)):
        assert np.array_equal(np.array(_columns(after.images)), np.array(_columns(before.images))[place])
        assert np.array_equal(before.labels, after.labels)


def _columns(images: np.ndarray) -> list[np.ndarray]:
    return list(np.ascontiguousarray(images.reshape(len(images), -1).T))


def test_labels_are_dealt_out_anew_and_nothing_else() -> None:
    data = stripes()
    seen = View(shuffled_labels=True).of(data)
    assert np.array_equal(seen.test.images, data.test.images)
    assert np.array_equal(np.bincount(seen.train.labels), np.bincount(data.train.labels))
    assert 0.2 < float(np.mean(seen.train.labels == data.train.labels)) < 0.5


def test_fewer_images_are_balanced_and_fingerprints_differ() -> None:
    data = stripes()
    seen = View(images=31).of(data)
    assert sorted(np.bincount(seen.train.labels).tolist()) == [10, 10, 11]
    assert len(seen.test) == len(data.test)
    views = [View(), View(images=31), View(shuffled_pixels=True), View(shuffled_labels=True)]
    assert len({view.of(data).fingerprint for view in views}) == 4
    assert len(without_test(data).test) == 0
