"""Statistics and top lists of parts of the images, taken together in any order: those of all images at once."""

from __future__ import annotations

import random
from fractions import Fraction

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from striate.inside.atlases.selectivity import Statistics
from striate.inside.atlases.sums import Sum
from striate.inside.atlases.topk import Top


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_a_sum_is_the_exact_one_rounded_once_in_any_order(terms: list[float], order: random.Random) -> None:
    terms = [term if abs(term) > 1e-3 else 0.0 for term in terms]
    found = Sum(1)
    for term in order.sample(terms, len(terms)):
        found.add(torch.tensor([term], dtype=torch.float64))
    assert float(found.value) == float(sum(map(Fraction, terms)))


def test_statistics_of_signed_units_are_those_of_all_their_numbers() -> None:
    maps = torch.tensor(
        [[-1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0], [-3.0, -3.0, -3.0, -3.0], [-1.0, -2.0, 0.0, -1.0]]
    )
    found = Statistics(4, 0, rectified=False)
    for image in maps.T.reshape(2, 2, 4).transpose(1, 2):
        found.add(image[None, :, None, :], None)
    numbers = maps.tolist()
    assert found.mean.tolist() == [sum(row) / 4 for row in numbers]
    assert found.zeros.tolist() == [row.count(0.0) / 4 for row in numbers]
    assert found.dead.tolist() == [len(set(row)) == 1 for row in numbers], "the same everywhere, above 0 or not"
    assert found.largest.tolist() == [max(row) for row in numbers]


def _maps(count: int) -> Tensor:
    """Few different values, so that ties are everywhere, and sums that float64 has to round."""
    maps = torch.randint(0, 4, (count, 5, 3, 3), generator=torch.Generator().manual_seed(1)).float()
    return maps * torch.tensor([0.1, 1e4, 3e-3, 0.7, 1.0]).view(-1, 1, 1)


def _blocks(count: int, size: int = 4) -> list[Tensor]:
    return list(torch.arange(count).split(size))


def test_parts_taken_together_are_the_whole_to_the_last_bit() -> None:
    maps, labels = _maps(60), torch.arange(60) % 7 - 1  # -1: not known; more classes than were named
    for parts in (2, 3, 15, 20):  # of 15 blocks: in the last case some parts have seen nothing
        statistics = [Statistics(5, 2, rectified=False) for _ in range(parts + 1)]
        tops = [Top(5, 9) for _ in range(parts + 1)]
        for number, block in enumerate(_blocks(60)):
            for holder in (number % parts, parts):
                highest = statistics[holder].add(maps[block], labels[block])
                tops[holder].offer(highest, maps[block], block)
        *some, whole = statistics
        *lists, listed = tops
        for turn in range(parts):
            found, top = Statistics(5, 2, rectified=False), Top(5, 9)
            for part in range(parts):
                found.take(some[(turn + part) % parts].tensors())
                top.take(lists[(turn + part) % parts].tensors())
            assert found.positions == whole.positions
            for name in ("mean", "zeros", "dead", "class_means"):
                assert getattr(found, name).tobytes() == getattr(whole, name).tobytes()
            assert found.largest.equal(whole.largest)
            assert found.smallest.equal(whole.smallest)
            assert all(value.equal(listed.tensors()[name]) for name, value in top.tensors().items())
