"""Products of two tensors added up: against NumPy's own einsum and matmul, and by perturbation."""

from __future__ import annotations

import numpy as np
import pytest

from striate.layers.equations.contraction import Contraction, Factor
from striate.layers.softmax import LogSoftmax, Softmax, SoftmaxAlong
from striate.layers.terms import Dot, Products

from .by_hand import by_hand

SHAPES = [
    ((3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((1, 2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (1, 5, 4, 2)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((2, 1, 3), (2, 3, 1)),
]


def factor(x: np.ndarray, branch: str | None) -> Factor:
    return Factor(x, x.shape, branch)


def assert_contracted(contraction: Contraction, A: np.ndarray, B: np.ndarray, Y: np.ndarray) -> None:
    for at in np.ndindex(*Y.shape):
        both = contraction.terms(factor(A, "q"), factor(B, "k"), at)
        assert isinstance(both, Dot)
        for name, X, places, x in (("q", A, both.places_a, both.a), ("k", B, both.places_b, both.b)):
            assert x.tolist() == [X[tuple(place)] for place in places.tolist()]
            assert sum(source.branch == name for source in both.sources) == len(x)
        assert [abs(source.adds) for source in both.sources[::2]] == sorted(map(abs, both.products), reverse=True)
        constant = contraction.terms(factor(A, None), factor(B, ""), at)
        assert isinstance(constant, Products)
        for value in (both.value, by_hand(both), constant.value, by_hand(constant)):
            assert value == pytest.approx(Y[at], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_matrix_products(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    A, B = random.normal(size=a), random.normal(size=b)
    assert_contracted(Contraction.matmul(len(a), len(b)), A, B, A @ B)


@pytest.mark.parametrize(
    "equation",
    ["bhid,bhjd->bhij", "bhij,bhjd->bihd", "ci, bi->bc", "ij,jk", "ab,cd->acbd", "bchw,bcij->bhwij", "ij,kj->k"],
)
def test_sums_of_einstein(equation: str) -> None:
    random = np.random.default_rng(1)
    sides = {label: int(random.integers(1, 4)) for label in sorted(set(equation) - set(",-> "))}
    A, B = (
        random.normal(size=[sides[label] for label in part.strip()]) for part in equation.partition("->")[0].split(",")
    )
    contraction = Contraction.einsum(equation)
    assert contraction is not None
    assert_contracted(contraction, A, B, np.einsum(equation, A, B))


@pytest.mark.parametrize("equation", ["ij", "ij,jk,kl->il", "ii,ij->j", "...ij,...jk->...ik", "i j"])
def test_other_sums_are_none(equation: str) -> None:
    assert Contraction.einsum(equation) is None


def test_what_a_product_depends_on_is_what_it_names() -> None:
    random = np.random.default_rng(2)
    A, B, at = random.normal(size=(2, 3, 4)), random.normal(size=(2, 4, 5)), (1, 2, 3)
    terms = Contraction.matmul(3, 3).terms(factor(A, "a"), factor(B, "b"), at)
    for name, X in (("a", A), ("b", B)):
        moving: set[tuple[int, ...]] = set()
        for place in np.ndindex(*X.shape):
            moved = X.copy()
            moved[place] += 1
            Y = moved @ B if name == "a" else A @ moved
            if Y[at] != (A @ B)[at]:
                moving.add(place)
        assert {source.at for source in terms.sources if source.branch == name} == moving


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("kind", [Softmax(), LogSoftmax()])
@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5)])
def test_softmax_along_another_axis(axis: int, kind: Softmax | LogSoftmax, shape: tuple[int, ...]) -> None:
    """That of the units, of numbers whose axes are exchanged."""
    x = np.random.default_rng(3).normal(0, 3, shape)
    y = kind.forward(np.moveaxis(x, axis, 0)[None], {})[0]
    along = SoftmaxAlong(-1 if axis == -1 else -2, kind)
    assert along.output(shape) == shape
    for at in np.ndindex(*shape):
        terms = along.terms(x[None], {}, at)
        place = list(at)
        expected = pytest.approx(y[(place.pop(axis), *place)], rel=1e-12)
        assert terms.value == expected
        assert by_hand(terms) == expected
        assert len(terms.sources) == shape[axis]
        assert all(x[source.at] == source.x for source in terms.sources)
        assert terms.sources[0].at == at
