"""The page and the commands: every verdict in words and by a symbol, nothing of the user's read as markup."""

from __future__ import annotations

import html
import json
import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from striate.claims import catalogue
from striate.claims.comparing import trial
from striate.claims.comparing.views import View
from striate.claims.ruling import MARKS
from striate.cli import main
from striate.cli.source import Source
from striate.data import load
from striate.errors import UserError
from striate.report.claims import claims_page
from striate.train import Recipe, engine

from .stripes import stripes

if TYPE_CHECKING:
    from pathlib import Path

    from striate.data import DataSet

NAMES = [claim.name for claim in catalogue.CLAIMS]


def _striate(words: list[str]) -> int:
    """The exit code of a command, however it leaves."""
    try:
        return main(words)
    except SystemExit as left:
        return int(left.code or 0)


def test_a_page_of_every_kind_of_verdict(tmp_path: Path) -> None:
    for name in ("shared-weights", "local-connections", "pooling-saves", "shift-equivariance"):
        catalogue.run(name, stripes(), out=tmp_path, network="conv 4 3x3, relu, maxpool 2x2, conv 4 3x3, dense 3")
    catalogue.run("convolution-beats-dense", stripes(), out=tmp_path, view=View(shuffled_labels=True))
    hurt = tmp_path / "shared-weights.json"
    result = json.loads(hurt.read_text())
    result["because"] = ["<script>alert(1)</script>"]
    result["source"] = {"name_or_path": "my photos; rm", "size": [16, 16], "fit": None, "root": None, "net": "lenet5"}
    hurt.write_text(json.dumps(result))
    page = claims_page(tmp_path, catalogue.kept(tmp_path)).read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert f"{MARKS['supported']} supported" in page
    assert f"{MARKS['not applicable']} not applicable" in page
    command = "striate claims run shared-weights --scale quick --data &#39;my photos; rm&#39; --size 16x16 --net lenet5"
    assert command in page
    assert page.count('class="card"') == 5
    drawn = json.loads((tmp_path / "plots" / "shared-weights-1.json").read_text())
    assert [line["name"] for line in drawn["lines"]] == [
        "shared by all positions",
        "one filter per position",
        "fully connected",
    ]


def test_a_page_of_two_data_sets_names_both(tmp_path: Path) -> None:
    for name, images in (("shared-weights", 120), ("pooling-saves", 90)):
        other = replace(stripes(images), name=f"stripes of {images}")
        catalogue.run(name, other, out=tmp_path, network="conv 4 3x3, relu, maxpool 2x2, dense 3")
    masthead = claims_page(tmp_path, catalogue.kept(tmp_path)).read_text().partition("</header>")[0]
    assert "stripes of 120" in masthead
    assert "stripes of 90" in masthead


def test_a_page_of_nothing_says_what_to_do(tmp_path: Path) -> None:
    assert "striate claims run all" in claims_page(tmp_path, catalogue.kept(tmp_path)).read_text()


def test_claims_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert _striate(["claims"]) == 0
    listed = capsys.readouterr().out
    assert all(claim.name in listed and claim.sentence in listed for claim in catalogue.CLAIMS)
    assert _striate(["claims", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 13


def test_a_claim_is_run(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["claims", "run", "7", "--data", str(saved), "--out", str(tmp_path / "out"), "--json"]
    assert _striate([*words, "--net", "conv 4 3x3, maxpool 2x2, dense 3"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["verdict"] == "supported"
    assert (tmp_path / "out" / "claims.html").exists()
    assert _striate(["claims", "run", "eleven"]) == 2
    assert "there is no claim 'eleven'" in capsys.readouterr().err


def test_a_claim_is_repeated_with_seeds_not_yet_seen(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["claims", "run", "3", "--data", str(saved), "--net", "conv 4 3x3, relu, dense 3", "--json"]
    out = tmp_path / "out"
    told: list[dict[str, Any]] = []
    for seed in ("0", "70"):
        assert _striate([*words, "--out", str(out / seed), "--seed", seed]) == 0
        told += json.loads(capsys.readouterr().out)
    assert [result["seeds"] for result in told] == [[0, 1, 2], [70, 71, 72]]
    assert told[0]["numbers"] != told[1]["numbers"]
    page = (out / "70" / "claims.html").read_text()
    assert "--seed 70" in page
    assert "n = 3 seeds from 70" in page


def test_no_result_takes_anothers_place(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["claims", "run", "3", "--net", "conv 4 3x3, relu, dense 3", "--out", str(tmp_path)]
    asked = [*words, "--data", str(saved), "--seed", "70"]
    assert _striate(asked) == 0
    first = (tmp_path / "shift-equivariance.json").read_bytes()
    for others, why in (
        (["--data", "digits", "--seed", "70"], "of other images (stripes.npz, 108 of 1x16x16), where"),
        (
            ["--data", str(saved), "--seed", "70", "--size", "20"],
            "of other images (stripes.npz, 108 of 1x16x16), where",
        ),
        (["--data", str(saved)], "of seeds from 70, where"),
        (["--data", str(saved), "--seed", "70", "--net", "conv 8 3x3, relu, dense 3"], "of another network, where"),
    ):
        assert _striate([*words, *others]) == 2
        assert why in " ".join(capsys.readouterr().err.split())
        assert (tmp_path / "shift-equivariance.json").read_bytes() == first
    control = View(shuffled_pixels=True)
    with pytest.raises(UserError, match="of the data seen otherwise, where"):
        catalogue.run("3", load(str(saved)), out=tmp_path, network=words[4], seed=70, view=control)
    (tmp_path / "shared-weights.json").unlink(missing_ok=True)
    assert _striate(["claims", "run", "all", "--out", str(tmp_path), "--data", str(saved)]) == 2
    assert not (tmp_path / "shared-weights.json").exists(), "what stands in the way is told before anything is done"
    capsys.readouterr()
    assert _striate(asked) == 0, "the same may be asked again"
    assert f"--out {tmp_path}" in (tmp_path / "claims.html").read_text()


def test_what_is_no_result_is_neither_read_nor_replaced(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["claims", "run", "--data", str(saved), "--out", str(tmp_path / "out")]
    for text in ("[]", "no JSON", '{"scale": "quick", "data": null}', '{"scale": "quick", "data": {"name": "x"}}'):
        (tmp_path / "out").mkdir(exist_ok=True)
        other, mine = tmp_path / "out" / "dropout.json", tmp_path / "out" / "shared-weights.json"
        other.write_text(text)
        mine.unlink(missing_ok=True)
        assert _striate([*words, "1"]) == 0
        assert (tmp_path / "out" / "claims.html").read_text().count('class="card"') == 1
        mine.write_text(text)
        assert _striate([*words, "1"]) == 2
        assert "is no result of a claim, and one would be written there" in " ".join(capsys.readouterr().err.split())
        assert mine.read_text() == text


def test_a_conflict_of_the_second_data_set_is_told_before_the_first_is_begun(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = catalogue.run("4", stripes(), out=tmp_path / "held", view=View(shuffled_labels=True))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "relu-converges.json").write_text(json.dumps(held))
    loaded: list[str] = []

    def load(source: Source) -> DataSet:
        loaded.append(source.name_or_path)
        return replace(stripes(), name=source.name_or_path)

    monkeypatch.setattr(Source, "load", load)
    assert _striate(["claims", "run", "all", "--scale", "full", "--out", str(tmp_path / "out")]) == 2
    assert {"mnist", "cifar10"} == set(loaded)
    assert "relu-converges.json holds a result" in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["relu-converges.json"]


def test_a_network_that_no_claim_looks_at_is_refused(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _striate(["claims", "run", "4", "--data", str(saved), "--net", "lenet5"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--net is what the claims 1, 2, 3, 7 look at; claim 4 trains networks of its own" in said


def test_only_what_counts_a_network_has_it_in_its_command(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogue, "CLAIMS", (catalogue.find("1"), catalogue.find("5")))
    words = ["claims", "run", "all", "--data", str(saved), "--net", "conv 4 3x3, dense 3", "--out", str(tmp_path / "o")]
    assert _striate([*words, "--workers", "1", "--json"]) == 0
    nets = [result["source"].get("net") for result in json.loads(capsys.readouterr().out)]
    assert nets == ["conv 4 3x3, dense 3", None]


def test_a_control_is_told_as_one(tmp_path: Path) -> None:
    view = View(images=60, shuffled_labels=True)
    found = catalogue.run("dropout", stripes(), out=tmp_path, view=view)
    assert found["data"]["images"]["train"] == 60
    assert found["seen"] == "60 training images, labels dealt anew at random"
    page = claims_page(tmp_path, catalogue.kept(tmp_path)).read_text()
    assert f"seen otherwise: {found['seen']}" in page
    assert "striate claims run" not in page, "no command gives this view"
    trained = [json.loads(path.read_text())["trial"]["view"] for path in (tmp_path / "trials").iterdir()]
    assert max(one["images"] for one in trained) == 60
    assert all(one["shuffled_labels"] for one in trained)


def test_what_is_counted_of_another_network_has_a_folder_of_its_own(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for net in ("conv 4 3x3, dense 3", "conv 8 3x3, dense 3"):
        assert _striate(["claims", "run", "1", "--data", str(saved), "--net", net]) == 0
    capsys.readouterr()
    found = sorted(path.parent.name for path in tmp_path.glob("*/shared-weights.json"))
    assert found == [f"claims-stripes.npz-quick-conv-{n}-3x3--dense-3" for n in (4, 8)]


def test_the_full_scale_says_how_long_it_takes(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(engine, "_cpu_flags", lambda: frozenset({"avx512_bf16"}))
    notes: list[str] = []
    for scale in ("quick", "full"):
        assert _striate(["claims", "run", "13", "--scale", scale, "--data", f"{saved}/missing"]) == 2
        notes.append(capsys.readouterr().err)
    assert "core hours" not in notes[0]
    assert "3.3 core hours" in notes[1]
    coarse = ["claims", "run", "13", "--scale", "full", "--precision", "bfloat16", "--data", f"{saved}/missing"]
    assert _striate(coarse) == 2
    assert "2.1 core hours" in capsys.readouterr().err


def test_claims_that_are_finished_have_their_page_where_a_later_one_is_stopped(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(trial, "conduct", stopped)
    place = tmp_path / "out"
    words = ["claims", "run", "all", "--data", str(saved), "--workers", "1", "--out", str(place)]
    assert _striate([*words, "--net", "conv 4 3x3, relu, dense 3"]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("error: stopped by Ctrl-C; 0 of 30 trainings are kept")
    assert told.endswith(f"; page of what is finished: {(place / 'claims.html').as_uri()}")
    cards = re.findall(r'<section class="card" id="([^"]+)"', (place / "claims.html").read_text())
    assert cards == ["shared-weights", "local-connections", "shift-equivariance"]
    assert _striate(["claims", "run", "4", "--data", str(saved), "--workers", "1", "--out", str(tmp_path / "no")]) == 1
    assert "page" not in capsys.readouterr().err, "nothing is finished there"


def test_variants_are_compared(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "conv 4 3x3, relu, dense 3", "--vary", "relu=tanh", "--data", str(saved), "--seeds", "2"]
    words += ["--epochs", "1", "--rates", "0.01", "--workers", "1", "--out", str(tmp_path / "out")]
    assert _striate(words) == 0
    assert "tanh for relu" in capsys.readouterr().out
    assert _striate([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["seeds"] == [0, 1]
    (kept,) = (tmp_path / "out").glob("*.json")
    assert told == json.loads(kept.read_text())
    assert kept.name.startswith("conv-4-3x3-relu-dense-3-vs-tanh-for-relu-")
    page = kept.with_suffix(".html").read_text()
    repeated = shlex.split(html.unescape(page.rpartition("<pre><code>")[2].partition("</code>")[0]))
    assert repeated[:3] == ["striate", "compare", words[1]]
    assert sorted(repeated) == sorted(["striate", *words])
    assert _striate(["compare", "dense 3", "--data", str(saved), "--workers", "1"]) == 2
    assert "at least two variants" in capsys.readouterr().err
    assert _striate([*words, "--seed", "40", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == [40, 41]
    results = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")]
    assert len(results) == 2  # of two questions, and the first, asked twice, has one
    assert told in results
    assert _striate([*words, "--seeds", "6", "--smallest", "90", "--json"]) == 0
    (pair,) = json.loads(capsys.readouterr().out)["pairs"]
    assert pair["verdict"]["word"] == "no difference larger than", "no accuracies are 90 points apart"
    assert _striate([*words, "--smallest", "0"]) == 2
    assert "must be points above 0, found 0" in capsys.readouterr().err
    assert _striate([*words, "--rates", "fast"]) == 2


def test_rates_at_the_edge_are_told_with_the_option_that_widens_the_grid(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "dense 3", "conv 4 3x3, dense 3", "--data", str(saved), "--seeds", "2", "--epochs", "1"]
    assert _striate([*words, "--rates", "0.003,0.03", "--workers", "1", "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out  # of two rates each is at an edge
    assert told.count(" might do better (--rates)\n") == 1
    assert all(f"{name} (0.0" in told for name in ("dense 3", "conv 4 3x3, dense 3"))


def test_recipes_are_compared_and_no_option_passes_unheeded(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "short.toml", tmp_path / "plain.toml"]
    Recipe(batch_size=30).write(files[0])
    Recipe(batch_size=60).write(files[1])
    ends = ["--data", str(saved), "--seeds", "2", "--rates", "0.01", "--workers", "1", "--out", str(tmp_path / "out")]
    recipes = ["compare", *map(str, files), *ends]
    assert _striate([*recipes, "--net", "dense 3", "--epochs", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["recipe"]["epochs"] for one in told["variants"]] == [1, 1]
    assert [one["recipe"]["batch_size"] for one in told["variants"]] == [30, 60]
    assert _striate([*recipes, "--net", "dense 3", "--recipe", str(files[0])]) == 2
    assert "--recipe is of networks" in capsys.readouterr().err
    assert _striate(["compare", "dense 3", "conv 4 3x3, dense 3", "--net", "lenet5", *ends]) == 2
    assert "--net is of recipes" in capsys.readouterr().err
    for change in ("seed=3", "learning_rate=0.3"):
        assert _striate(["compare", "dense 3", "--vary", change, *ends]) == 2
        assert "decided by the comparison itself" in capsys.readouterr().err
    assert _striate(["compare", "dense 3", "--vary", "keep_epochs=true", *ends]) == 2
    assert "changes what a run keeps, nothing that is compared" in capsys.readouterr().err


def test_all_trainings_are_in_the_precision_that_is_asked_for(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = ["--data", str(saved), "--seeds", "2", "--epochs", "1", "--rates", "0.01", "--workers", "1", "--json"]
    words = ["compare", "dense 3", "conv 4 3x3, dense 3", *ends, "--out", str(tmp_path / "out")]
    found: list[dict[str, Any]] = []
    for asked in ([], ["--precision", "bfloat16"]):
        assert _striate([*words, *asked]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [one["recipe"]["precision"] for one in found[0]["variants"]] == ["auto", "auto"]
    assert [one["recipe"]["precision"] for one in found[1]["variants"]] == ["bfloat16", "bfloat16"]
    engines = [json.loads(path.read_text())["engine"]["precision"] for path in (tmp_path / "out/trials").iterdir()]
    assert sorted(engines) == ["bfloat16"] * 4 + ["float32"] * 4


def test_a_claim_is_tested_in_the_precision_that_is_asked_for(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["claims", "run", "12", "--data", str(saved), "--workers", "1"]
    assert _striate([*words, "--precision", "bfloat16"]) == 0
    place = tmp_path / "claims-stripes.npz-quick-bfloat16"
    records = [json.loads(path.read_text()) for path in (place / "trials").iterdir()]
    assert {record["engine"]["precision"] for record in records} == {"bfloat16"}
    page = (place / "claims.html").read_text()
    assert "trained in bfloat16" in page
    assert "--precision bfloat16" in page
    capsys.readouterr()
    assert _striate([*words, "--out", str(place)]) == 2
    assert "of trainings in another precision, where" in " ".join(capsys.readouterr().err.split())
