"""The claims: counted ones by brute force; the others must not be found where there is nothing to find."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from striate.claims import catalogue, dropout, pooling_kinds, relu_converges
from striate.claims.claim import Claim, Setting
from striate.claims.comparing.comparison import Comparison, Measured, judged
from striate.claims.comparing.contrasts import Contrast, contrasts
from striate.claims.comparing.metrics import ACCURACY, GAP
from striate.claims.comparing.trials import Trials
from striate.claims.comparing.tuning import Tuned
from striate.claims.comparing.variants import Variant
from striate.claims.comparing.views import View
from striate.claims.learning import beyond, taught
from striate.claims.local_connections import areas, fully_connected
from striate.claims.pooling_saves import without_pooling
from striate.claims.shared_weights import convolutions, unshared
from striate.claims.shift_equivariance import decide
from striate.errors import NetworkError, UserError
from striate.network import Network
from striate.train import Recipe

from .stripes import stripes

if TYPE_CHECKING:
    from pathlib import Path

    from striate.data import DataSet, Split

NETWORK = "input 2x7x6, conv 3 3x2 stride=2 pad=1, relu, maxpool 2x2, residual(conv 3 1x1), dense 3"
LEARNING = [claim for claim in catalogue.CLAIMS if claim.learns]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dropout.STEPS, "quick", 12)


def test_connections_and_parameters_by_hand() -> None:
    network = Network.parse(NETWORK)
    conv, inner = convolutions(network)
    rows, columns = conv.output[1:]
    # Every product written out: output unit, output position, input channel, place in the window.
    products = list(itertools.product(range(3), range(rows), range(columns), range(2), range(3), range(2)))
    assert conv.multiply_adds == len(products)
    own = len(products) + 3 * rows * columns  # a weight for each product and a bias for each output
    assert unshared(conv) == own
    assert conv.parameters == len({(o, c, u, v) for o, _, _, c, u, v in products}) + 3
    assert fully_connected(conv) == sum(1 for _ in itertools.product(range(2 * 7 * 6), range(3 * rows * columns)))
    assert inner.name == "residual1.body.conv1"


def test_areas_and_pooling_by_hand() -> None:
    network = Network.parse("input 1x12x12, conv 2 3x3, relu, maxpool 2x2, conv 2 3x3, maxpool 2x2, dense 4")
    assert areas(network) == [("conv1", 9), ("relu1", 9), ("pool1", 16), ("conv2", 64), ("pool2", 100)]
    bare = without_pooling(network)
    assert (network.parameters, bare.parameters) == (20 + 38 + 12, 20 + 38 + 4 * (2 * 8 * 8 + 1))


@pytest.mark.parametrize("name", ["shared-weights", "local-connections", "pooling-saves", "shift-equivariance"])
def test_nothing_to_count_is_not_applicable(name: str, tmp_path: Path) -> None:
    found = catalogue.run(name, stripes(), out=tmp_path, network="dense 8, relu, dense 3")
    assert found["verdict"] == "not applicable"


def test_one_position_shares_nothing(tmp_path: Path) -> None:
    found = catalogue.run("shared-weights", stripes(), out=tmp_path, network="conv 4 16x16, relu, dense 3")
    assert found["verdict"] == "contradicted"


def test_pooling_before_a_global_average_saves_nothing(tmp_path: Path) -> None:
    text = "conv 4 3x3, maxpool 2x2, conv 4 3x3, globalavgpool, dense 3"
    assert catalogue.run("pooling-saves", stripes(), out=tmp_path, network=text)["verdict"] == "contradicted"


def test_counted_and_measured_claims_hold_for_an_ordinary_network(tmp_path: Path) -> None:
    for name in ("shared-weights", "local-connections", "pooling-saves", "shift-equivariance"):
        text = "conv 4 3x3, relu, maxpool 2x2, conv 4 3x3, relu, dense 3"
        found = catalogue.run(name, stripes(), out=tmp_path, network=text)
        assert found["verdict"] == "supported"
        assert json.loads((tmp_path / f"{name}.json").read_text()) == found


def test_where_turning_and_growing_are_as_exact_as_shifting_they_are_not_said_to_differ(tmp_path: Path) -> None:
    """A filter of one pixel sees no neighbours, so that it does not matter how these are moved."""
    found = catalogue.run("shift-equivariance", stripes(), out=tmp_path, network="conv 4 1x1, relu, dense 3")
    assert found["verdict"] == "contradicted"


def test_a_convolution_that_no_shift_was_measured_of_is_named_and_has_no_number(tmp_path: Path) -> None:
    net = "conv 4 3x3, relu, conv 4 3x3 stride=3, relu, dense 3"  # a shift by 4 is no whole step of the second
    found = catalogue.run("shift-equivariance", stripes(), out=tmp_path, network=net)
    assert [row[:2] for row in found["rows"]] == [["conv1", "0"], ["conv2", "–"]]
    assert not any("nan" in cell for row in found["rows"] for cell in row)
    assert any(sentence.startswith("conv2 left out: ") for sentence in found["because"])


def test_a_card_says_what_learning_rates_are_chosen_by() -> None:
    several = [one for one in LEARNING if one.name != "deeper-layers"]  # which has one network
    assert all("rate" in one.held and "apart" in one.held and "validation" in one.held for one in several)


def test_the_rule_of_equivariance() -> None:
    assert decide(1e-6, 0.9, 0.5) == "supported"
    assert decide(0.2, 0.9, 0.5) == "contradicted"
    assert decide(1e-6, 1e-7, 0.5) == "contradicted"
    assert decide(0.01, 0.9, 0.5) == "inconclusive"


@pytest.mark.parametrize("claim", LEARNING, ids=lambda claim: claim.name)
def test_labels_dealt_at_random_support_nothing(claim: Claim, tmp_path: Path) -> None:
    """Begun from a seed of our own: every training that is measured has one of the seeds from there."""
    found = catalogue.run(claim.name, stripes(), out=tmp_path, seed=50, view=View(shuffled_labels=True))
    assert found["seeds"] == list(range(50, 50 + found["n"]))
    trials = [json.loads(path.read_text())["trial"] for path in (tmp_path / "trials").iterdir()]
    assert {t["recipe"]["seed"] for t in trials if not t["tuning"]} == set(found["seeds"])
    assert found["verdict"] == "not applicable"
    assert "nothing was learned" in found["because"][0]


def test_what_no_training_could_tell_is_not_trained(tmp_path: Path) -> None:
    data = stripes()
    few = replace(data, test=replace(data.test, images=data.test.images[:5], labels=data.test.labels[:5]))
    same = replace(data, validation=replace(data.validation, labels=np.zeros_like(data.validation.labels)))
    for shown, why in ((few, "test split has 5 images; with fewer than 9"), (same, "shows 1 of the classes")):
        found = catalogue.run("removal", shown, out=tmp_path)
        assert (found["verdict"], found["trainings"]) == ("not applicable", 0)
        assert why in found["because"][0]
    assert beyond(1 / 3, 9) < 1 <= beyond(1 / 3, 8) + 1e-9  # 1/3 + 4 √(2/9 / 8) is 1


def test_images_too_small_for_a_claims_networks_are_said_and_a_users_network_that_does_not_fit_is_refused(
    tmp_path: Path,
) -> None:
    tiny = _cropped(stripes(), 4)
    for name in ("shared-weights", "convolution-beats-dense"):
        found = catalogue.run(name, tiny, out=tmp_path)
        assert found["verdict"] == "not applicable"
        assert "does not fit" in found["because"][0]
    with pytest.raises(NetworkError):
        catalogue.run("shared-weights", tiny, out=tmp_path, network="conv 4 5x5, dense 3")


def _cropped(data: DataSet, side: int) -> DataSet:
    def cut(split: Split) -> Split:
        return replace(split, images=np.ascontiguousarray(split.images[:, :, :side, :side]))

    return replace(data, train=cut(data.train), validation=cut(data.validation), test=cut(data.test))


@pytest.mark.parametrize("claim", LEARNING, ids=lambda claim: claim.name)
def test_what_is_disconnected_supports_nothing(claim: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variant is the same network on the same data: only the names differ. Its deepest layer is its first."""
    network = Network.parse("input 1x16x16, conv 4 3x3, relu, maxpool 2x2, dense 3")

    def same(_: Setting, name: str, text: str, recipe: Recipe, view: View | None = None) -> Variant:
        del text
        kept = View(images=view.images) if view is not None else View()
        return Variant(name, network, recipe.changed(epochs=6), kept)

    monkeypatch.setattr(Setting, "variant", same)
    found = catalogue.run(claim.name, stripes(), out=tmp_path)
    assert found["verdict"] in ("contradicted", "inconclusive")


def _comparison(values: dict[str, list[float]]) -> Comparison:
    network = Network.parse("input 1x16x16, dense 3")
    measured = tuple(
        Measured(
            Variant(name, network, Recipe()),
            Tuned((0.1,), (None,), 0.1, at_edge=False),
            tuple({"test": {"accuracy": v, "count": 1000}, "chance": 0.1, "diverged": False} for v in own),
            tuple(own),
        )
        for name, own in values.items()
    )
    return Comparison(ACCURACY, tuple(range(5)), measured, judged(measured, ACCURACY))


def test_a_rule_can_be_met_and_can_be_refuted() -> None:
    base = [0.90, 0.91, 0.92, 0.90, 0.91]
    lifted = [v + d for v, d in zip(base, (0.05, 0.049, 0.051, 0.052, 0.05), strict=True)]
    kinds = (pooling_kinds.AVERAGE, pooling_kinds.STRIDE, pooling_kinds.OVERLAP, pooling_kinds.MAX)
    better = _comparison(dict(zip(kinds, (base, base, lifted, lifted), strict=True)))
    worse = _comparison(dict(zip(kinds, (lifted, base, base, base), strict=True)))
    assert pooling_kinds.decide(better)[0] == "supported"
    assert pooling_kinds.decide(worse)[0] == "contradicted"
    noisy = [0.95, 0.89, 0.93, 0.90, 0.94]
    unclear = _comparison(dict(zip(kinds, (base, base, base, noisy), strict=True)))
    assert pooling_kinds.decide(unclear)[0] == "inconclusive"


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({"max": 0.01}, []),
        ({"max": 0.1}, ["the learning rate chosen for max (0.1) is the largest tried: a larger one might do better"]),
        (
            {"max": 0.001, "stride": 0.001, "average": 0.01},
            ["the learning rates chosen for max (0.001) and stride (0.001) are the smallest tried: smaller ones might "
             "do better"],
        ),
        (
            {"max": 0.001, "stride": 0.1, "average": 0.1},
            ["the learning rates chosen for stride (0.1) and average (0.1) are the largest tried, and for max (0.001) "
             "the smallest: rates beyond them might do better"],
        ),
    ],
)  # fmt: skip
def test_rates_at_the_edge_of_their_grid_are_said_once_and_decide_nothing(
    rates: dict[str, float], said: list[str]
) -> None:
    grid = (0.001, 0.01, 0.1)
    found = _comparison({name: [0.9, 0.91, 0.92] for name in rates}).measured
    measured = [
        replace(one, tuned=Tuned(grid, (0.7, 0.8, 0.9), rate, at_edge=rate != 0.01))
        for one, rate in zip(found, rates.values(), strict=True)
    ]
    assert taught(measured, ("supported", ("because",))) == ("supported", ("because", *said))
    lost = [replace(one, tuned=replace(one.tuned, scores=(None, None, None))) for one in measured]
    assert taught(lost, ("supported", ("because",))) == ("supported", ("because",)), "none of them was chosen"


def test_dropout_on_few_images_is_set_beside_its_source() -> None:
    def judged(*few: int) -> dict[str, Contrast]:
        sizes = (*few, 3500)
        gaps = {dropout.gap_at(size): [-0.02, -0.021, -0.019] for size in sizes}
        rights = {dropout.right_at(size): [0.02, 0.021, 0.019] for size in sizes}
        return contrasts(gaps, GAP) | contrasts(rights, ACCURACY)

    word, said = dropout.decide(judged(100, 500), 3500)
    assert word == "supported"
    assert said[-1].endswith("where the source finds no gain (100 and 500): here better at 100 and better at 500")
    assert not any("the source" in sentence for sentence in dropout.decide(judged(), 3500)[1])


def test_a_relu_that_never_arrives_proves_nothing() -> None:
    found = _comparison({name: [0.9] * 5 for name in relu_converges.ACTIVATIONS})
    flat = [{"step": s, "training_error": 0.9} for s in (0, 10)]
    measured = tuple(
        replace(one, records=tuple({**record, "curve": flat} for record in one.records)) for one in found.measured
    )
    assert relu_converges.decide(replace(found, measured=measured))[0] == "inconclusive"


def test_the_list_and_its_names() -> None:
    assert [claim.number for claim in catalogue.all()] == list(range(1, 14))
    assert catalogue.find("4") is catalogue.find("relu-converges")
    with pytest.raises(UserError, match="did you mean dropout"):
        catalogue.find("dropuot")


def test_every_declaration_is_complete() -> None:
    for claim in catalogue.CLAIMS:
        said: dict[str, Any] = claim.as_json()
        assert all(str(said[key]).strip() for key in ("sentence", "source", "varied", "held", "metric"))
        assert claim.supported != claim.contradicted


def test_several_claims_share_trainings(tmp_path: Path) -> None:
    with Trials(stripes(), tmp_path) as trials:
        first = catalogue.conducted(catalogue.find("pooling-kinds"), Setting(trials.data, "quick", trials))
        again = catalogue.conducted(catalogue.find("pooling-kinds"), Setting(trials.data, "quick", trials))
    assert first["trainings"] > 0
    assert again["trainings"] == 0
    assert first["numbers"] == again["numbers"]
