"""Which terms of a number are written out: the largest, and those that are followed down; the rest are summed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from striate.inside.explaining.figures import letters
from striate.layers.terms import Array, Dot, Formula, Products, Source, Summed, Terms


def written(terms: Terms, followed: Sequence[Source], most: int) -> list[int]:
    """The numbers of the terms that are written out, `most` of them or more.

    Arguments:
        terms: what a number is made of.
        followed: the sources that are followed down; each is within what is written out.
        most: how many are written out of their own accord, the largest.

    Returns:
        Of a window the channels, in order; else the largest products, or what a sum in a formula adds, the largest
        first. Of what has no such terms: none.

    Example:
        >>> x, W = np.array([2.0, 1.0, 4.0]), np.array([3.0, -1.0, 0.5])
        >>> terms = Products("y = Σ W·x", x, W, None, np.array([[0], [1], [2]]), np.array([True, True, True]))
        >>> written(terms, [], most=1), written(terms, terms.sources[:2], most=1)
        ([0], [0, 2])
    """
    if isinstance(terms, Products):
        standing = [_stands(source, terms.places) for source in followed]
        if terms.x[0].size > 1:
            return _channels(terms.sums, standing, most)
        same = [terms.sums == source.adds for source in followed]
        return _largest(terms.sums, [at & equal for at, equal in zip(standing, same, strict=True)], most)
    if isinstance(terms, Dot):
        places = dict(zip(terms.branches, (terms.places_a, terms.places_b), strict=True))
        adds = terms.products
        return _largest(adds, [_stands(each, places[each.branch]) & (adds == each.adds) for each in followed], most)
    if isinstance(terms, Formula) and terms.summed is not None:
        return _largest(terms.summed.added, _summed(terms, terms.summed, followed), most)
    return []


def rest(adds: Array, shown: Sequence[int]) -> tuple[int, float]:
    """How many numbers are not written out, and what they add up to.

    Example:
        >>> rest(np.array([2.0, 1.0, 4.0]), [2])
        (2, 3.0)
    """
    left = np.delete(adds, shown)
    return len(left), float(left.sum())


def _stands(source: Source, places: Int[np.ndarray, "n *window axes"]) -> Bool[np.ndarray, " n"]:
    """Of each of n terms or channels: whether the source is in it."""
    return np.asarray((places == source.at).all(-1).reshape(len(places), -1).any(1))


def _summed(terms: Formula, summed: Summed, followed: Sequence[Source]) -> list[Bool[np.ndarray, " n"]]:
    """The same of a sum in a formula, but for the number that has a letter of its own there."""
    called = zip(followed, letters(terms, followed), strict=True)
    return [_stands(source, summed.places) for source, letter in called if letter == "x_d"]


def _channels(sums: Array, followed: Sequence[Bool[np.ndarray, " channel"]], most: int) -> list[int]:
    """The channels of the largest sums, and those that hold a product that is followed, in order."""
    largest = np.argsort(-np.abs(sums), kind="stable")[:most].tolist()
    return sorted({*largest, *(int(channel) for each in followed for channel in np.flatnonzero(each))})


def _largest(adds: Array, followed: Sequence[Bool[np.ndarray, " n"]], most: int) -> list[int]:
    """The largest, as far down as to the last that is followed; only these are sorted, of what may be millions."""
    falling = -np.abs(adds)
    whole = most >= len(adds)
    lowest = [np.inf if whole else np.partition(falling, most - 1)[most - 1]]
    lowest += [falling[each].min(initial=0.0) for each in followed]
    left = np.flatnonzero(~(falling > np.max(lowest)))  # numbers that are none among them, which come last
    order = left[np.argsort(falling[left], kind="stable")]
    last = [int(np.argmax(each[order])) for each in followed]
    return order[: max([most, *(rank + 1 for rank in last)])].tolist()
