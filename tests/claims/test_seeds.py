"""Another number of seeds than a claim declares: what is trained, where it lies, and what the page says of it."""

from __future__ import annotations

import html
import json
import re
import shlex
from pathlib import Path

import pytest

from striate.claims import catalogue, results
from striate.claims.claim import Claim
from striate.cli import main
from striate.report.claims import claims_page

from .stripes import stripes


def test_more_seeds_train_only_what_is_new_and_stand_beside_the_claim(tmp_path: Path) -> None:
    claim = catalogue.find("deeper-layers")  # one variant: three rates are tuned with two seeds each, then one is kept
    own = catalogue.run(claim.name, stripes(), out=tmp_path)
    more = catalogue.run(claim.name, stripes(), out=tmp_path, seeds=claim.seeds + 2)
    assert (own["n"], more["n"]) == (claim.seeds, claim.seeds + 2)
    assert more["trainings"] == 2, "tuning and the seeds of before are kept"
    assert more["seeds"][: claim.seeds] == own["seeds"]
    assert json.loads((tmp_path / f"{claim.name}.json").read_text()) == own, "its own result is as it was"
    assert catalogue.kept(tmp_path) == [own, more]


def test_the_declared_number_is_the_claim_itself(tmp_path: Path) -> None:
    claim = catalogue.find("shift-equivariance")
    found = [catalogue.run(claim.name, stripes(), out=tmp_path, seeds=count) for count in (None, claim.seeds)]
    assert [{**one, "seconds": 0} for one in found] == [{**found[0], "seconds": 0}] * 2
    assert [path.name for path in tmp_path.glob("*.json")] == [f"{claim.name}.json"]


def test_results_are_listed_by_number_of_seeds(tmp_path: Path) -> None:
    claim = catalogue.find("pooling-kinds")
    for count in (100, 9, 12):
        (tmp_path / f"{results.stem(claim, count)}.json").touch()
    (tmp_path / f"{claim.name}-seeds-many.json").touch()
    (tmp_path / f"{catalogue.find('pooling-robust').name}-seeds-3.json").touch()
    names = [path.stem.removeprefix(claim.name) for path in results.places(tmp_path, claim)]
    assert names == ["", "-seeds-9", "-seeds-12", "-seeds-100"]


@pytest.mark.parametrize("claim", catalogue.CLAIMS, ids=lambda claim: claim.name)
def test_every_claim_declares_its_seeds(claim: Claim) -> None:
    assert claim.as_json()["seeds"] == claim.seeds
    assert (claim.seeds > 1) == (claim.learns or claim.name == "shift-equivariance")


def test_the_page_has_a_card_for_each_number_and_its_command_repeats_it(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["claims", "run", "3", "--data", str(saved), "--net", "conv 4 3x3, relu, dense 3", "--out", str(tmp_path)]
    assert main(words) == 0
    assert main([*words, "--seeds", "4"]) == 0
    assert "n = 4, seeds from 0" in capsys.readouterr().out
    text = (tmp_path / "claims.html").read_text()
    names = re.findall(r'<section class="card" id="([^"]+)"', text)
    assert names == ["shift-equivariance", "shift-equivariance-seeds-4"]
    assert all(f'href="#{name}"' in text for name in names)
    assert all((tmp_path / "plots" / f"{name}-1.svg").exists() for name in names)
    assert "n = 4 seeds as asked, 3 as declared" in text
    said = re.findall(r"<pre><code>(.*?)</code></pre>", text)
    again = shlex.split(html.unescape(said[1]))
    assert again[-2:] == ["--seeds", "4"]
    first = (tmp_path / f"{names[1]}.json").read_text()
    assert main(again[1:]) == 0
    second = json.loads((tmp_path / f"{names[1]}.json").read_text())
    assert {**json.loads(first), "seconds": 0} == {**second, "seconds": 0}


def test_a_result_of_before_there_was_a_choice_has_its_card(tmp_path: Path) -> None:
    found = catalogue.run("shift-equivariance", stripes(), out=tmp_path, network="conv 4 3x3, relu, dense 3")
    del found["stem"], found["claim"]["seeds"]
    text = claims_page(tmp_path, [found]).read_text()
    assert 'id="shift-equivariance"' in text
    assert "--seeds" not in text


def test_seeds_of_what_is_counted_are_refused(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "run", "1", "--data", str(saved), "--seeds", "4"]) == 2
    assert "--seeds is how often a claim trains or draws; claim 1 counts" in capsys.readouterr().err
