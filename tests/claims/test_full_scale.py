"""The published settings, cut to one epoch and two seeds: every claim comes to its verdict, its table and its plots."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from striate.claims import catalogue
from striate.claims.claim import Claim, Setting
from striate.claims.comparing import tuning
from striate.claims.comparing.trial import Trial
from striate.claims.ruling import MARKS
from striate.report.claims import claims_page

from .stripes import stripes

if TYPE_CHECKING:
    from pathlib import Path

    from striate.data import DataSet, Split

PUBLISHED = {
    "relu-converges": ("maxpool 2x2, conv 64 5x5 pad=2x2, sigmoid", 3, 1),
    "pooling-kinds": ("conv 64 5x5 pad=2x2, relu, dense 64, relu", 4, 1),
    "pooling-robust": ("conv 64 5x5 pad=2x2, relu, dense 64, relu", 2, 1),
    "dropout": ("dense 1024, relu, dropout 0.5, dense 1024, relu, dropout 0.5, dense 1024, relu, dropout 0.5", 2, 2),
    "batchnorm": ("dense 100, batchnorm, sigmoid, dense 100, batchnorm, sigmoid, dense 100, batchnorm, sigmoid", 2, 1),
    "spatial-structure": ("dense 500, relu, dense 500, relu", 4, 1),
    "deeper-layers": ("conv 64 3x3 pad=1x1, relu, conv 64 3x3 pad=1x1, relu, maxpool 2x2, dense 128, relu", 1, 1),
    "removal": ("conv 96 3x3 pad=1x1, relu, conv 96 3x3 pad=1x1, relu", 4, 1),
}
"""Of each claim a part of its published network as text, how many variants it trains, and on how many sizes of data."""


@pytest.fixture(autouse=True)
def _cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch, two seeds of their own and one for tuning: nothing else of the setting is touched."""
    of = Trial.of

    def one_epoch(one: Any, *given: Any, **more: Any) -> Trial:
        return of(replace(one, recipe=one.recipe.changed(epochs=1)), *given, **more)

    def two(setting: Setting, claim: Claim) -> Setting:
        return replace(setting, count=min(claim.seeds, 2))

    monkeypatch.setattr(Trial, "of", one_epoch)
    monkeypatch.setattr(Setting, "of", two)
    monkeypatch.setattr(tuning, "TUNING_SEEDS", tuning.TUNING_SEEDS[:1])


def _as_published(claim: Claim) -> DataSet:
    """Stripes in the shape of the claim's data: 3x32x32 for CIFAR-10, 1x28x28 for MNIST."""
    data = stripes(130)

    def enlarged(split: Split) -> Split:
        images = split.images.repeat(2, 2).repeat(2, 3)
        shaped = images.repeat(3, 1) if claim.published == "cifar10" else images[:, :, 2:30, 2:30]
        return replace(split, images=shaped)

    return replace(data, **{name: enlarged(getattr(data, name)) for name in ("train", "validation", "test")})


@pytest.mark.slow
@pytest.mark.parametrize(
    "claim", [claim for claim in catalogue.CLAIMS if claim.name in PUBLISHED], ids=lambda c: c.name
)
def test_it_comes_to_its_verdict(claim: Claim, tmp_path: Path) -> None:
    text, variants, sizes = PUBLISHED[claim.name]
    found = catalogue.run(claim.name, _as_published(claim), "full", tmp_path)
    assert found["verdict"] in MARKS
    assert found["because"]
    assert found["rows"]
    assert {len(row) for row in found["rows"]} == {len(found["headings"])}
    assert found["seeds"] == [0, 1]
    trained = [path.read_text() for path in (tmp_path / "trials").iterdir()]
    networks = {part for record in trained for part in [record.split('"network": "')[1].split('"')[0]]}
    assert any(text in network.replace("\\n", ", ") for network in networks), networks
    final = [record for record in trained if '"tuning": false' in record]
    assert len(final) == 2 * variants * sizes
    assert len(trained) > len(final), "the learning rates were tuned"
    assert claims_page(tmp_path, [found]).read_text().count("<svg") == len(found["figures"]) >= 2


def test_no_claim_that_trains_is_left_out() -> None:
    assert {claim.name for claim in catalogue.CLAIMS if claim.learns} == {*PUBLISHED, "convolution-beats-dense"}
