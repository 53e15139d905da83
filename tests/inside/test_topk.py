from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.inside.atlases.topk import Top


@given(
    values=st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1, max_size=30),
    count=st.integers(1, 9),
    batch=st.integers(1, 9),
)
def test_places_are_those_of_a_sorted_list(values: list[list[int]], count: int, batch: int) -> None:
    """Few different values, so that ties are everywhere; one unit, maps of 2 x 3."""
    maps = torch.tensor(values, dtype=torch.float32).view(-1, 1, 2, 3)
    top = Top(1, count)
    for first in range(0, len(maps), batch):
        part = maps[first : first + batch]
        top.offer(part.amax((2, 3)), part, torch.arange(first, first + len(part)))
    expected = sorted((-max(row), image, row.index(max(row))) for image, row in enumerate(values))[:count]
    held = list(zip(top.values[0].tolist(), top.images[0].tolist(), top.positions[0].tolist(), strict=True))
    assert held[: len(expected)] == [(-value, image, position) for value, image, position in expected]
    assert all(image == -1 for _, image, _ in held[len(expected) :])


def test_vectors_have_no_position() -> None:
    top = Top(2, 2)
    features = torch.tensor([[1.0, 4.0], [3.0, 2.0]])
    top.offer(features, features, torch.arange(2))
    assert top.images.tolist() == [[1, 0], [0, 1]]
    assert top.positions.tolist() == [[0, 0], [0, 0]]
