"""Comparisons: pairs share draws, the test decides nothing, A against A finds nothing, the same twice."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from striate.claims import compare, variant, vary
from striate.claims.comparing.bands import of_records
from striate.claims.comparing.comparison import Comparison, Measured, judged
from striate.claims.comparing.figures import cautions, differences, learning_curves, pair_table, table, value_bars
from striate.claims.comparing.metrics import Metric, metric, steps_metric
from striate.claims.comparing.trials import Trials
from striate.claims.comparing.tuning import TUNING_SEEDS, Tuned, tuned
from striate.claims.comparing.variants import Variant, replaced
from striate.errors import NetworkError, RecipeError, UserError
from striate.network import Network
from striate.report.claim_plots import drawn
from striate.report.comparison import comparison_page
from striate.train import Recipe

from .stripes import stripes

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "conv 4 3x3, relu, maxpool 2x2, dense 3"
RECIPE = Recipe(epochs=2, batch_size=30, learning_rate=0.01)


def _base() -> Variant:
    return variant(TEXT, stripes(), RECIPE)


def test_variants_share_first_draws_where_names_and_shapes_agree() -> None:
    a, b = _base(), vary(_base(), "relu=tanh")
    drawn = [one.network.build(5).state_dict() for one in (a, b)]
    assert drawn[0].keys() == drawn[1].keys()
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])


def test_a_against_a_is_no_difference_at_all(tmp_path: Path) -> None:
    a = _base()
    found = compare([a, Variant("again", a.network, a.recipe)], stripes(), seeds=6, out=tmp_path)
    pair = found.pairs[0]
    assert pair.found.differences == (0,) * 6
    assert pair.verdict.word == "no difference larger than"
    assert pair.verdict.largest == 0


def test_a_comparison_is_the_same_twice_and_tells_all(tmp_path: Path) -> None:
    asked = [TEXT, "dense 3"]
    first = compare(asked, stripes(), RECIPE, seeds=3, metric="steps-30", rates=(0.003, 0.03), out=tmp_path / "a")
    again = compare(asked, stripes(), RECIPE, seeds=3, metric="steps-30", rates=(0.003, 0.03), out=tmp_path / "b")
    assert first.as_json() == again.as_json()
    told = first.as_json()
    assert [one["tuned"]["rates"] for one in told["variants"]] == [(0.003, 0.03)] * 2
    assert all(len(one["values"]) == 3 for one in told["variants"])
    assert told["curves"][0]["n"] == 3
    assert "n = 3" in told["pairs"][0]["sentence"]


def _reaching(name: str, steps: list[int | None], last: int = 100) -> Measured:
    """A variant that comes down to an error of 0 at the given step of `last`, or never."""
    lines = [[(0, 1.0), (last, 1.0)] if at is None else [(0, 1.0), (at, 0.0), (last, 0.0)] for at in steps]
    records = tuple({"curve": [{"step": s, "training_error": e} for s, e in line]} for line in lines)
    values = tuple(metric("steps").of(record) for record in records)
    how = Tuned((0.1,), (None,), 0.1, at_edge=False)
    return Measured(Variant(name, Network.parse("input 1x16x16, dense 3"), RECIPE), how, records, values)


def test_lower_bounds_never_pass_for_equality_nor_hide_a_difference() -> None:
    fast, slow = _reaching("fast", [10, 11, 10, 11, 10]), _reaching("slow", [80, 90, None, None, None])
    never, late = _reaching("never", [None] * 5), _reaching("late", [133] * 5)
    fast_slow, fast_never, slow_never = judged((fast, slow, never), metric("steps"))
    assert (fast_slow.verdict.word, fast_never.verdict.word) == ("worse", "worse")
    assert slow_never.verdict.word == "inconclusive"
    assert "lower bounds with 3 of 5 seeds; train longer" in slow_never.sentence
    rows = {row[0]: row for row in table(Comparison(metric("steps"), tuple(range(5)), (fast, slow), ()))[1]}
    assert "≥" not in rows["fast"][1] + rows["fast"][3]
    assert rows["slow"][1].startswith("≥ ")
    assert rows["slow"][3].count("≥ 100") == 3
    (late_never,) = judged((late, never), metric("steps"))  # 100 steps each, but the second might have taken any number
    assert late.values == pytest.approx(never.values, abs=0.01)
    assert "lower bounds with 5 of 5 seeds" in late_never.sentence


def test_a_sure_difference_that_does_not_matter_says_so_unless_it_is_a_bound() -> None:
    slow, slower, never = _reaching("a", [90] * 6), _reaching("b", [95] * 6), _reaching("c", [None] * 6)
    sure, bound = judged((slow, slower), metric("steps"))[0], judged((slow, never), metric("steps"))[0]
    assert (sure.verdict.word, bound.verdict.word) == ("worse", "worse")
    assert sure.sentence.endswith("; less than a factor of 1.19, too little to matter")
    assert "too little" not in bound.sentence


def test_a_training_that_ends_early_is_not_the_faster_one() -> None:
    """Diverged, or of fewer epochs: it never came down, and its few steps are a lower bound."""
    slow, short = _reaching("slow", [80, 90, 85, 95, 88]), _reaching("short", [None] * 5, last=20)
    assert max(short.values) < min(slow.values)
    for pair in judged((slow, short), metric("steps")) + judged((short, slow), metric("steps")):
        assert pair.verdict.word == "inconclusive"
        assert "lower bounds with 5 of 5 seeds" in pair.sentence


def test_tuning_uses_its_own_seed_and_no_test_images(tmp_path: Path) -> None:
    import json

    compare([TEXT, "dense 3"], stripes(), RECIPE, seeds=2, rates=(0.003, 0.03), out=tmp_path)
    records = [json.loads(path.read_text()) for path in (tmp_path / "trials").iterdir()]
    tuning = [record for record in records if record["trial"]["tuning"]]
    assert len(tuning) == 8
    assert {record["trial"]["recipe"]["seed"] for record in tuning} == set(TUNING_SEEDS)
    assert all(record["test"] is None for record in tuning)
    assert all(record["test"]["count"] == 150 for record in records if not record["trial"]["tuning"])


def test_speed_is_compared_at_rates_that_are_chosen_for_speed(tmp_path: Path) -> None:
    import json

    compare([TEXT, "dense 3"], stripes(), RECIPE, seeds=2, rates=(0.003, 0.03), metric="steps-40", out=tmp_path)
    trials = [json.loads(path.read_text())["trial"] for path in (tmp_path / "trials").iterdir()]
    assert {str(one.get("until")) for one in trials if one["tuning"]} == {"['validation_error', 0.4]"}
    assert not any("until" in one for one in trials if not one["tuning"])
    assert metric("accuracy").tuned_by.name == metric("gap").tuned_by.name == "validation accuracy"


def test_rates_are_chosen_by_an_error_that_validation_images_come_down_to() -> None:
    never = steps_metric(0.25, tuned_at=0.4)
    assert (never.name, never.tuned_by.name) == ("steps to 25% training error", "steps to 40% validation error")
    assert never.until == ("training_error", 0.25)
    assert never.tuned_by.until == ("validation_error", 0.4)


def test_bands_of_shares_stay_within_them() -> None:
    records = [{"epochs": [{"epoch": 1, "accuracy": a}]} for a in (0.02, 0.01, 0.99)]
    (low,), (high,) = (of_records("a", records, "epochs", "epoch", "accuracy")[end] for end in ("low", "high"))
    assert (low, high) == (0, 1)


def test_tuning_by_steps_ends_where_its_steps_are_known(tmp_path: Path) -> None:
    import json

    tune_by = steps_metric(0.4, "validation_error")
    base = _base()
    with Trials(stripes(), tmp_path) as trials:
        (found,) = tuned([replace(base, recipe=base.recipe.changed(epochs=6))], trials, (1e-6, 0.01), tune_by)
    records = [json.loads(path.read_text()) for path in (tmp_path / "trials").iterdir()]
    epochs = {
        rate: [len(r["epochs"]) for r in records if r["trial"]["recipe"]["learning_rate"] == rate]
        for rate in found.rates
    }
    assert epochs[1e-6] == [6, 6], "it never arrives"
    assert max(epochs[0.01]) < 6
    assert found.chosen == 0.01


def test_variants_that_diverged_are_named_and_drawn(tmp_path: Path) -> None:
    data, wild = stripes(), RECIPE.changed(optimizer="sgd", schedule="constant", learning_rate=100.0, batch_size=10)
    base = _base()
    asked = [base, replace(base, name="wild", recipe=wild)]
    found = compare(asked, data, seeds=2, rates=(), out=tmp_path)
    assert [one["diverged"] for one in found.as_json()["variants"]] == [0, 2]
    assert cautions(found) == [
        "wild diverged with 2 of 2 seeds: its values are those of its best epoch before, or its first weights"
    ]
    assert [line["name"] for line in learning_curves(found).lines] == [TEXT]
    assert learning_curves(found).note.endswith("Not drawn, as it diverged in its first epoch: wild.")
    page = comparison_page(found, data, tmp_path / "page.html").read_text()
    assert "wild diverged with 2 of 2 seeds" in page
    hopeless = compare(asked, data, seeds=2, rates=(90.0, 100.0), out=tmp_path)
    assert "wild diverged at every learning rate that was tried" in cautions(hopeless)


def test_differences_from_a_lower_bound_say_that_they_are_more() -> None:
    fast, never = _reaching("fast", [10, 11, 10, 11, 10]), _reaching("never", [None] * 5)
    for pair, mark in (((fast, never), "≥ "), ((never, fast), "≤ ")):
        found = Comparison(metric("steps"), tuple(range(5)), pair, judged(pair, metric("steps")))
        assert pair_table(found)[1][0][1].startswith(mark + "times ")
        assert {line["name"]: line["mark"] for line in value_bars(found, "").lines} == {"fast": "", "never": "≥ "}
        assert "never ≥ 100" in drawn("x", asdict(value_bars(found, ""))).text
        assert differences(found).lines[0]["said"].startswith(mark + "times ")
        assert cautions(found) == [
            "never did not come to 25% training error with 5 of 5 seeds: its steps (≥) are a lower bound, and "
            "differences from it are bounds too"
        ]


def test_of_two_that_never_arrive_no_difference_is_shown_as_if_it_were_measured() -> None:
    """Both took all their steps, 100 of 100: that they are equal says nothing."""
    pair = _reaching("never", [None] * 5), _reaching("nor this", [None] * 5)
    found = Comparison(metric("steps"), tuple(range(5)), pair, judged(pair, metric("steps")))
    assert pair_table(found)[1][0][1] == differences(found).lines[0]["said"] == "of lower bounds, times 1.00"
    assert "of lower bounds, times 1.00" in drawn("x", asdict(differences(found))).text


def test_text_is_replaced_as_whole_words() -> None:
    assert replaced("relu\nprelu\nconv 16 3x3", "relu", "tanh") == "tanh\nprelu\nconv 16 3x3"
    assert replaced("conv 6 3x3\nconv 16 3x3", "6", "8") == "conv 8 3x3\nconv 16 3x3"
    assert replaced("maxpool  2x2", "maxpool 2x2", "avgpool 2x2") == "avgpool 2x2"
    assert replaced("conv 4 3x3\nrelu\ndense 3", "relu", "") == "conv 4 3x3\ndense 3"
    assert replaced("relu", "tanh", "x") is None


@pytest.mark.parametrize("change", ["relu=relu", "epochs=2", "maxpool 2x2=maxpool 2"])
def test_a_variation_that_changes_nothing_is_refused(change: str) -> None:
    with pytest.raises(UserError, match="changes nothing"):
        vary(_base(), change)


def test_variations_of_networks_and_recipes() -> None:
    assert vary(_base(), "maxpool 2x2=").network.names == ("conv1", "relu1", "dense1")
    assert vary(_base(), "optimizer=sgd").recipe.optimizer == "sgd"
    with pytest.raises(NetworkError, match=r"^'relo' .* nowhere in the network: input 1x16x16, conv 4 3x3, .*3$"):
        vary(_base(), "relo=tanh")
    for change, error in (("gelu=tanh", NetworkError), ("relu", UserError), ("epochs=0", RecipeError)):
        with pytest.raises(error):
            vary(_base(), change)


@pytest.mark.parametrize(
    ("change", "layer"),
    [
        ("stride=2=stride=1", "conv 4 3x3 pad=1x1"),
        ("stride=2x2=stride=3", "conv 4 3x3 stride=3x3 pad=1x1"),
        ("pad=1=", "conv 4 3x3 stride=2x2"),
        ("conv 4 3x3 stride=2 pad=1=conv 4 5x5", "conv 4 5x5"),
        ("conv 4 3x3=conv 8 5x5", "conv 8 5x5 stride=2x2 pad=1x1"),
    ],
)
def test_options_of_layers_can_be_varied(change: str, layer: str) -> None:
    network = Network.parse("input 1x16x16, conv 4 3x3 stride=2 pad=1, relu, dense 3")
    found = vary(Variant("base", network, RECIPE), change).network
    assert str(found).splitlines()[1] == layer


def test_an_option_alone_says_how_it_is_varied() -> None:
    network = Network.parse("input 1x16x16, conv 4 3x3 stride=2, relu, dense 3")
    with pytest.raises(NetworkError, match=r"varied with its value, as stride=2x2=stride=\.\.\.: "):
        vary(Variant("base", network, RECIPE), "stride=1")


def test_without_a_recipe_it_is_the_one_that_suits_the_data(tmp_path: Path) -> None:
    found = compare([TEXT, "dense 3"], stripes(), seeds=2, rates=(0.01,), out=tmp_path)
    suited = Recipe.suiting(stripes())
    for one in found.measured:
        assert one.variant.recipe.changed(learning_rate=suited.learning_rate) == suited


def test_any_metrics_deviation_is_in_its_unit(tmp_path: Path) -> None:
    loss = Metric("loss", "number", higher=False, smallest=0.05, of=lambda r: r["validation"]["loss"], needs_test=False)
    found = compare([TEXT, "dense 3"], stripes(), RECIPE, seeds=2, rates=(0.01,), metric=loss, out=tmp_path)
    _, rows = table(found)
    deviations = [float(np.std(one.values, ddof=1)) for one in found.measured]
    assert [row[2] for row in rows] == [f"{one:.3g}" for one in deviations]


def test_recipes_can_be_compared(tmp_path: Path) -> None:
    RECIPE.changed(epochs=1).write(tmp_path / "short.toml")
    network = Network.parse(TEXT, input=(1, 16, 16))
    found = variant(str(tmp_path / "short.toml"), stripes(), RECIPE, network=network)
    assert (found.name, found.recipe.epochs) == ("short", 1)
    (tmp_path / "plain.toml").write_text('optimizer = "sgd"')
    plain = variant(str(tmp_path / "plain.toml"), stripes(), RECIPE, network=network).recipe
    assert plain == Recipe.suiting(stripes()).changed(optimizer="sgd")
    with pytest.raises(UserError, match="--net"):
        variant(str(tmp_path / "short.toml"), stripes(), RECIPE)


@pytest.mark.parametrize("seeds", [1, [0], [0, 0], [0, TUNING_SEEDS[0]], [-1, 0]])
def test_bad_seeds_are_refused(seeds: int | list[int], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two or more different seeds"):
        compare([TEXT, "dense 3"], stripes(), RECIPE, seeds=seeds, out=tmp_path)


def test_bad_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least two variants"):
        compare([TEXT], stripes(), RECIPE, out=tmp_path)
    with pytest.raises(UserError, match="different names"):
        compare([TEXT, TEXT], stripes(), RECIPE, out=tmp_path)
    with pytest.raises(NetworkError, match="4 outputs and stripes has 3"):
        compare([TEXT, "dense 4"], stripes(), RECIPE, out=tmp_path)
    with pytest.raises(UserError, match="metric must be one of"):
        metric("speed")
