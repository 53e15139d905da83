"""Recipes: TOML in and out, and faults said together in our words."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.data.augment import Augmentation
from striate.errors import RecipeError
from striate.train.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

augmentations = st.builds(
    Augmentation,
    shift=st.integers(0, 8),
    rotate=st.floats(0, 180),
    scale=st.floats(0, 0.9),
    flip=st.booleans(),
    erase=st.floats(0, 0.9),
)
settings = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 1000),
        "batch_size": st.integers(1, 65_536),
        "optimizer": st.sampled_from(["adamw", "sgd"]),
        "learning_rate": st.floats(0, 100, exclude_min=True),
        "weight_decay": st.floats(0, 10),
        "schedule": st.sampled_from(["constant", "cosine", "one-cycle"]),
        "loss": st.sampled_from(["cross-entropy", "mean-squared-error"]),
        "label_smoothing": st.floats(0, 1, exclude_max=True),
        "ema": st.floats(0, 1, exclude_max=True),
        "gradient_clipping": st.floats(0, 1e6),
        "early_stopping": st.integers(0, 100),
        "precision": st.sampled_from(["auto", "float32", "bfloat16"]),
        "deterministic": st.booleans(),
        "seed": st.integers(0, 2**63 - 1),
        "keep_epochs": st.booleans(),
        "augmentation": augmentations.map(lambda a: a.model_dump()),
    },
)


@given(settings)
def test_toml_brings_back_the_same_recipe(values: dict[str, object]) -> None:
    recipe = Recipe.parse(values)
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_every_field_is_documented_and_stands_in_the_toml_with_its_words() -> None:
    text = Recipe().to_toml()
    for name, field in Recipe.model_fields.items():
        assert field.description, name
        assert field.description in text or name == "augmentation"
    assert tomllib.loads(text)["augmentation"]["shift"] == Recipe().augmentation.shift


def test_a_file_round_trips(tmp_path: Path) -> None:
    recipe = Recipe(epochs=7, seed=3)
    recipe.write(tmp_path / "recipe.toml")
    assert Recipe.read(tmp_path / "recipe.toml") == recipe


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse({"epochs": 0, "optimizer": "adam", "sed": 1, "deterministic": "no", "learning_rate": float("nan")})
    said = str(caught.value)
    assert "epochs must be a whole number from 1 to 100000, found 0" in said
    assert "optimizer must be adamw or sgd, found 'adam'" in said
    assert "there is no setting sed (did you mean seed?)" in said
    assert "deterministic must be true or false, found 'no'" in said
    assert "learning_rate must be a number above 0 to 100, found nan" in said or "learning_rate must be" in said


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nesterov": True}, "nesterov needs optimizer = sgd"),
        ({"nesterov": True, "optimizer": "sgd", "momentum": 0.0}, "nesterov needs momentum above 0"),
        ({"schedule": "constant", "rise": 0.5}, "rise is of one-cycle alone; leave it out with schedule = constant"),
        ({"augmentation": {"flip": "yes"}}, "augmentation.flip must be true or false, found 'yes'"),
        ({"augmentation": {"shift": 2.0}}, "augmentation.shift must be a whole number from 0 to 1024, found 2.0"),
        ({"warmup_steps": 10}, "warmup_steps must be 0 with one-cycle"),
        ({"loss": "mean-squared-error", "class_weights": "balanced"}, "class_weights must be none"),
        ({"augmentation": {"shift": -1}}, "augmentation.shift must be a whole number from 0 to 1024, found -1"),
        ({"augmentation": {"shfit": 1}}, "there is no setting augmentation.shfit (did you mean shift?)"),
        ({"augmentation": 3}, "augmentation must be a table of settings, found 3"),
        ({"epochs": 2.5}, "epochs must be a whole number from 1 to 100000, found 2.5"),
        ({"momentum": 1.0}, "momentum must be a number from 0 and below 1, found 1.0"),
    ],
)
def test_each_fault_names_the_setting_and_what_is_allowed(values: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(values)
    assert words in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_bad_toml_names_the_file_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("epochs = \n")
    with pytest.raises(RecipeError, match=r"mine\.toml.*line 1"):
        Recipe.read(path)
    with pytest.raises(RecipeError, match="cannot read a recipe from"):
        Recipe.read(tmp_path / "missing.toml")


def test_a_file_over_a_recipe_changes_what_it_names(tmp_path: Path) -> None:
    under = Recipe(epochs=30, augmentation=Augmentation(shift=4))
    path = tmp_path / "mine.toml"
    path.write_text("seed = 2\n[augmentation]\nrotate = 5\n")
    assert Recipe.read(path, over=under) == under.changed(seed=2, augmentation=Augmentation(shift=4, rotate=5))
    assert Recipe.read(path).epochs == Recipe().epochs
    path.write_text("augmentation = 3")
    with pytest.raises(RecipeError, match=r"mine\.toml: augmentation must be a table of settings, found 3"):
        Recipe.read(path, over=under)
    path.write_text("[epochs]\nx = 1\n")
    with pytest.raises(RecipeError, match=r"mine\.toml: epochs must be a whole number .* found \{'x': 1\}"):
        Recipe.read(path, over=under)


def test_a_recipe_is_frozen_and_changes_into_another() -> None:
    recipe = Recipe()
    changed = recipe.changed(epochs=9)
    assert (changed.epochs, recipe.epochs) == (9, Recipe().epochs)
    with pytest.raises(RecipeError, match="epochs"):
        recipe.changed(epochs=-1)
    with pytest.raises(ValueError, match="frozen"):
        setattr(recipe, "epochs", 3)  # noqa: B010


def test_asking_for_a_recipe_does_not_load_torch() -> None:
    code = "import sys; from striate.train import Recipe; Recipe(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
