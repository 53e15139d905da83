"""Tables on a terminal: words give way, numbers never."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from striate.cli import console
from striate.cli.console import GAP, fitting

Columns = Callable[[int], None]

HEADINGS = ["variant", "test accuracy", "standard deviation", "learning rate"]
ROW = ["conv 4 5x5, relu, maxpool 2x2, dense 10", "90.00%", "2.55 points", "0.01"]


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> Columns:
    """Makes of standard output a terminal that is so many columns wide."""
    from rich.console import Console

    def set_to(width: int) -> None:
        monkeypatch.setattr(console, "console", lambda: Console(highlight=False, width=width))

    return set_to


def test_a_table_that_is_too_wide_cuts_no_number(columns: Columns, capsys: pytest.CaptureFixture[str]) -> None:
    columns(60)
    console.table(HEADINGS, [ROW])
    lines = capsys.readouterr().out.splitlines()
    assert all(cell in lines[-1] for cell in ROW[1:])
    assert max(map(cell_len, lines)) <= 60
    assert not [line for line in lines[:-1] if "…" in line], "headings are folded, not cut"
    assert "…" in lines[-1]


@given(st.integers(30, 120), st.randoms(use_true_random=False))
def test_what_fits_is_left_as_it_is_and_spare_columns_go_in_order(width: int, draw: random.Random) -> None:
    row = [word[: draw.randint(4, 40)] for word in ROW]
    spare = draw.sample([1, 2, 3], 2)
    (headings, cells), words = fitting([HEADINGS, row], width, left=1, spare=spare)
    left_out = [place for place in (1, 2, 3) if row[place] not in cells]
    assert left_out == sorted(spare[: len(left_out)])
    assert words == 1
    natural = sum(max(len(h), len(c)) for h, c in zip(HEADINGS, row, strict=True)) + 3 * GAP
    if natural <= width:
        assert (headings, cells) == (HEADINGS, row)
    assert [heading.replace("\n", " ") for heading in headings] == [
        heading for place, heading in enumerate(HEADINGS) if place not in left_out
    ]


def test_where_words_are_spared_the_numbers_beside_them_stay_right(
    columns: Columns, capsys: pytest.CaptureFixture[str]
) -> None:
    columns(24)
    console.table(["layer", "text", "output"], [["conv1", "conv 20 5x5 pad=same", "9"]], left=2, spare=(1,))
    assert capsys.readouterr().out.splitlines()[-1] == "conv1        9"


def test_rows_and_columns_of_a_matrix_can_be_told_apart(columns: Columns, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"a rather long class name {number}" for number in range(12)]
    rows = [[str(100 * row + column) for column in range(12)] for row in range(12)]
    columns(100)
    console.matrix(names, rows)
    narrow = capsys.readouterr().out.splitlines()
    assert narrow[0].split() == [str(number) for number in range(1, 13)]
    assert [line.split()[0] for line in narrow[2:]] == narrow[0].split()
    assert [line.split()[-12:] for line in narrow[2:]] == rows
    assert max(map(cell_len, narrow)) <= 100
    columns(1000)
    console.matrix(names, rows)
    assert names[3] in capsys.readouterr().out.splitlines()[0]


def test_layers_inside_others_stay_indented() -> None:
    names = ["residual1", "  residual1.body.batchnorm1"]
    shown, _ = fitting([["layer", "n"], *([name, "1"] for name in names)], 20, left=1, spare=())
    assert shown[2][0].startswith("  r")
    assert "…" in shown[2][0]
