"""Claim 10 at full scale, cut to seconds: Nielsen's six networks by his recipes, and the vote of the last."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from striate.claims import catalogue, convolution_beats_dense

from .stripes import stripes

if TYPE_CHECKING:
    from pathlib import Path

    from striate.data import DataSet


@pytest.fixture(autouse=True)
def _one_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, recipe in convolution_beats_dense.NIELSENS.items():
        monkeypatch.setitem(convolution_beats_dense.NIELSENS, name, recipe.changed(epochs=1))


def test_the_table_has_a_row_for_each_network_and_one_for_their_vote(tmp_path: Path) -> None:
    data = stripes()
    found = catalogue.run("convolution-beats-dense", data, "full", tmp_path)
    rows = {row[0]: row for row in found["rows"]}
    assert list(rows) == list(convolution_beats_dense.BOOK)
    assert {len(row) for row in found["rows"]} == {len(found["headings"])}
    assert found["headings"][-1] == "in the book"
    assert {row[-1] for row in found["rows"]} == {"–"}  # the book has MNIST alone
    voting = _records(tmp_path, found["numbers"]["variants"][5]["network"])
    assert [len(record["probes"]["named"]) for record in voting] == [len(data.test)] * 5
    assert len({str(record["probes"]["named"]) for record in voting}) > 1  # there is something to vote on
    assert rows[convolution_beats_dense.VOTE][1] == f"{100 * _voted(voting, data):.1f}%"
    assert found["numbers"]["vote"] == pytest.approx(_voted(voting, data))
    for record in voting:
        named = zip(record["probes"]["named"], data.test.labels.tolist(), strict=True)
        right = sum(said == label for said, label in named)
        assert right == round(record["test"]["accuracy"] * len(data.test))


def _records(folder: Path, network: str) -> list[dict[str, Any]]:
    read = [json.loads(path.read_text()) for path in (folder / "trials").iterdir()]
    return [record for record in read if record["trial"]["network"] == network]


def _voted(voting: list[dict[str, Any]], data: DataSet) -> float:
    """The share of test images whose most often named class is right; of classes named equally often the first."""
    right = 0
    for at, label in enumerate(data.test.labels.tolist()):
        ballots = Counter(record["probes"]["named"][at] for record in voting)
        most = max(ballots.values())
        right += min(name for name, count in ballots.items() if count == most) == label
    return right / len(data.test)
