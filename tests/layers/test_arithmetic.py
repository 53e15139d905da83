"""Arithmetic and statistics: each formula's text, evaluated as it is written, gives the number that NumPy gives."""

from __future__ import annotations

import numpy as np
import pytest

from striate.layers.equations.arithmetic import Operand, Sign, combined, negative, product_added, root
from striate.layers.equations.statistics import Statistic, taken
from striate.layers.gate import multiplied, scaled
from striate.layers.terms import Source, Spot

from .by_hand import worked_out

AT: Spot = (2, 0, 1)


@pytest.mark.parametrize("branches", [("a", "b"), ("a", None), (None, "b"), ("", None)])
@pytest.mark.parametrize("sign", ["+", "−", "/", "^"])
@pytest.mark.parametrize("factor", [1.0, -2.5])
def test_two_numbers_combined(sign: Sign, factor: float, branches: tuple[str | None, str | None]) -> None:
    random = np.random.default_rng(4)
    for a, b in random.uniform(0.1, 3, (8, 2)).tolist():
        by = {"+": a + factor * b, "−": a - factor * b, "/": a / b, "^": a**b}[sign]
        found = combined(sign, Operand(a, branches[0]), Operand(b, branches[1]), AT, factor if sign in "+−" else 1.0)
        assert found.value == pytest.approx(by, rel=1e-12)
        assert worked_out(found) == pytest.approx(by, rel=1e-12)
        values = dict(zip(branches, (a, b), strict=True))
        named = {branch for branch in branches if branch is not None}
        assert {source.branch for source in found.sources} == named
        assert all(source.at == AT and source.x == values[source.branch] for source in found.sources)
        if sign in "+−":
            constant = next((each for name, each in values.items() if name is None), 0.0)
            share = constant if branches[0] is None else constant * factor * (1 if sign == "+" else -1)
            assert share + sum(source.adds for source in found.sources) == pytest.approx(by, rel=1e-12)
            assert [abs(s.adds) for s in found.sources] == sorted((abs(s.adds) for s in found.sources), reverse=True)


@pytest.mark.parametrize("factor", [1.0, -0.5])
def test_a_product_added(factor: float) -> None:
    a, b, c = Operand(1.5, "one"), Operand(-2.0, name="β"), Operand(4.0, "other")
    found = product_added(a, b, c, AT, factor)
    assert found.value == worked_out(found) == 1.5 - 8 * factor
    assert found.sources == (Source(AT, 4.0, -8 * factor, "other"), Source(AT, 1.5, 1.5, "one"))
    assert found.remark == "a is what one gives here; b is the constant β of the network; c is what other gives here."


def test_what_has_no_number_is_none() -> None:
    x, c = Operand(-2.0, "a"), Operand(0.5)
    assert np.isnan(combined("^", x, c, AT).value)
    assert combined("/", x, Operand(0.0), AT).value == -np.inf
    assert np.isnan(root(-1.0, AT).value)


@pytest.mark.parametrize("x", [0.0, 2.25, -3.5])
def test_of_one_number(x: float) -> None:
    assert worked_out(negative(x, AT)) == -x
    assert worked_out(root(x * x, AT)) == abs(x)
    assert worked_out(scaled(x, 1.5, AT)) == 1.5 * x
    product = multiplied({"a": x, "b": 0.5}, {"a": AT, "b": (2,)})
    assert worked_out(product) == x / 2
    assert product.sources == (Source(AT, x, x, "a"), Source((2,), 0.5, 0.5, "b"))


@pytest.mark.parametrize(
    ("kind", "numpy"),
    [
        ("sum", np.sum), ("mean", np.mean), ("variance", np.var), ("deviation", np.std), ("length", np.linalg.norm),
    ],
)  # fmt: skip
@pytest.mark.parametrize("count", [2, 7])
def test_statistics(kind: Statistic, numpy: np.ufunc, count: int) -> None:
    random = np.random.default_rng(count)
    for correction in (0.0, 1.0) if kind in ("variance", "deviation") else (0.0,):
        x = random.normal(1, 2, count)
        found = taken(kind, x, np.arange(count)[:, None], correction)
        expected = numpy(x, ddof=1) if correction else numpy(x)
        assert found.value == pytest.approx(float(expected), rel=1e-12)
        assert worked_out(found) == pytest.approx(float(expected), rel=1e-12)
        assert {source.at: source.x for source in found.sources} == {(k,): x[k] for k in range(count)}
        sizes = [abs(source.adds) for source in found.sources]
        assert sizes == sorted(sizes, reverse=True)


def test_of_one_number_no_variance_can_be_estimated() -> None:
    assert np.isnan(taken("variance", np.array([2.0]), np.array([[0]]), 1.0).value)
    assert taken("variance", np.array([2.0]), np.array([[0]])).value == 0
