"""The workbench: odd numbers of images, and what normalization is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from squares import ENGINE, recipe, squares

from striate.data import Split
from striate.errors import RecipeError
from striate.network import Network
from striate.train import run
from striate.train.workbench import preprocessing


def test_a_lone_last_image_does_not_stop_batch_normalization(tmp_path: Path) -> None:
    data = squares(images=33)
    network = Network.parse("input 1x8x8, dense 6, batchnorm, relu, dense 3")
    done = run(network, data, recipe(epochs=2), out=tmp_path / "run", engine=ENGINE)
    assert [line["step"] for line in done.metrics() if line["kind"] == "step"] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("dense 6, batchnorm, dense 3", "batchnorm1"),
        ("conv 4 8x8, batchnorm, dense 3", "batchnorm1"),
        ("dense 6, residual(dense 6, batchnorm), dense 3", "residual1.body.batchnorm1"),
    ],
)
def test_batches_of_one_image_cannot_be_normalized(text: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=f"{name} normalizes .* a batch needs at least 2; found batch_size 1"):
        run(Network.parse(text), squares(), recipe(batch_size=1), out=tmp_path / "run", engine=ENGINE)
    assert not (tmp_path / "run").exists()


def test_batches_of_one_image_suit_normalization_over_positions(tmp_path: Path) -> None:
    network = Network.parse("conv 4 3x3, batchnorm, dense 3")
    done = run(network, squares(images=4), recipe(batch_size=1, epochs=1), out=tmp_path / "run", engine=ENGINE)
    assert done.result is not None


def test_normalized_training_images_have_mean_zero_and_deviation_one() -> None:
    data = squares()
    scaling = preprocessing(data, "crop")
    x = data.train.images / 255
    assert scaling.mean == pytest.approx((x.mean(),))
    assert scaling.std == pytest.approx((x.std(),))


def test_a_constant_channel_is_no_division_by_zero() -> None:
    data = squares()
    gray = Split(np.full_like(data.train.images, 7), data.train.labels, data.train.sources)
    assert preprocessing(replace(data, train=gray), "crop").std == (1.0,)
