"""The recipe: everything that decides a training run besides the network and the data, as one frozen value.

It reads and writes TOML. Nothing here trains.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, final

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from tomlkit import TOMLDocument
from tomlkit.items import Table

from striate import files
from striate.data.augment import Augmentation
from striate.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from striate.data import DataSet


Container = TypeVar("Container", TOMLDocument, Table)

FEW_IMAGES = 20_000
"""Training images up to which `Recipe.suited` takes small batches and more epochs."""

SEEN, MOST_EPOCHS = 105_000, 30
"""How many images such a training sees in all, counting repetitions, and how often it sees each at most. On the 3,500
training digits that is 1,640 steps: ten seconds for `vanilla` on two cores, after which the accuracy has settled."""


@final
class Recipe(BaseModel):
    """How to train. The default is quick: AdamW, one-cycle, a few epochs.

    Raises:
        RecipeError: a value is not allowed; all faults at once.

    Example:
        >>> Recipe(epochs=5).epochs
        5
        >>> Recipe(epochs=0, optimiser="sgd")
        Traceback (most recent call last):
        striate.errors.RecipeError: epochs must be a whole number from 1 to 100000, found 0; there is no setting \
optimiser (did you mean optimizer?)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    epochs: int = Field(default=3, ge=1, le=100_000, description="passes over the training images")
    batch_size: int = Field(default=256, ge=1, le=65_536, description="images per step")
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="adamw, or sgd (with `momentum`)")
    learning_rate: float = Field(
        default=0.005, gt=0, le=100, description="the highest rate of the schedule; for sgd 0.01 to 0.1 is usual"
    )
    momentum: float = Field(
        default=0.9,
        ge=0,
        lt=1,
        description="of sgd, and the first decay rate of adamw (Loshchilov & Hutter 2019, beta 1)",
    )
    nesterov: bool = Field(
        default=False, description="sgd only: look ahead by one momentum step (Sutskever et al. 2013)"
    )
    weight_decay: float = Field(
        default=0.01,
        ge=0,
        le=10,
        description="pull of the weights to zero; biases and batch-norm scales are not pulled",
    )
    schedule: Literal["constant", "cosine", "one-cycle"] = Field(
        default="one-cycle",
        description="how the learning rate goes: constant, cosine (down to 0), one-cycle (up, then down)",
    )
    rise: float = Field(
        default=0.3, gt=0, lt=1, description="one-cycle only: the share of all steps on which the rate rises"
    )
    warmup_steps: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="constant and cosine: steps on which the rate first rises from 0, linearly",
    )
    loss: Literal["cross-entropy", "mean-squared-error"] = Field(
        default="cross-entropy", description="cross-entropy for classes, mean-squared-error for regression"
    )
    label_smoothing: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="of cross-entropy: share of each label spread over all classes (Szegedy et al. 2016, section 7)",
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none",
        description="balanced: a class counts by images / (classes * its images), so that rare ones count more",
    )
    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay per step of an average of the weights, which is then used; 0: no average",
    )
    gradient_clipping: float = Field(
        default=0.0,
        ge=0,
        le=1e6,
        description="longest gradient (2-norm over all weights); longer ones are shortened; 0: no limit",
    )
    early_stopping: int = Field(
        default=0, ge=0, le=100_000, description="stop after so many epochs without a better validation score; 0: never"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="of the arithmetic; auto: bfloat16 where the machine computes it fast; weights stay float32",
    )
    deterministic: bool = Field(
        default=False,
        description="refuse operations whose result differs from run to run (GPUs have some; CPUs do not)",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**63, description="decides first weights, order of images, augmentation and dropout"
    )
    keep_epochs: bool = Field(
        default=False, description="keep a checkpoint of the epochs 1, 2, 5, 10, 20, 50, 100, ..."
    )
    checkpoint_seconds: float = Field(
        default=60.0, gt=0, le=1e6, description="longest time between checkpoints; each epoch ends with one anyway"
    )
    augmentation: Augmentation = Field(
        default_factory=lambda: Augmentation(shift=1),
        description="random changes to the training images; vectors of numbers stay as they are",
    )

    if not TYPE_CHECKING:  # type checkers know the fields from pydantic's own signature

        def __init__(self, **values: object) -> None:
            try:
                super().__init__(**values)
            except ValidationError as cause:
                raise RecipeError(_faults(cause)) from None

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        faults = [sentence for wrong, sentence in self._conflicts() if wrong]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _conflicts(self) -> list[tuple[bool, str]]:
        return [
            (self.nesterov and self.optimizer != "sgd", "nesterov needs optimizer = sgd"),
            (self.nesterov and self.momentum == 0, "nesterov needs momentum above 0"),
            (
                self.schedule == "one-cycle" and self.warmup_steps > 0,
                "warmup_steps must be 0 with one-cycle, which has its own rise (setting: rise)",
            ),
            (
                self.schedule != "one-cycle" and self.rise != type(self).model_fields["rise"].default,
                f"rise is of one-cycle alone; leave it out with schedule = {self.schedule}",
            ),
            (
                self.loss != "cross-entropy" and self.class_weights != "none",
                "class_weights must be none with loss = mean-squared-error",
            ),
        ]

    @classmethod
    def suited(cls, images: int, side: int = 28) -> Recipe:
        """The default recipe for so many training images: few images are seen more often, in smaller batches.

        Arguments:
            images: in the training split.
            side: the longer side of an image in pixels; they are shifted by up to a sixteenth of it.

        Example:
            >>> Recipe.suited(55_000).epochs, Recipe.suited(3_500).epochs
            (3, 30)
            >>> [Recipe.suited(3_500, side).augmentation.shift for side in (8, 28, 64)]
            [1, 1, 4]
        """
        small = images < FEW_IMAGES
        return cls(
            epochs=min(max(round(SEEN / max(images, 1)), cls().epochs), MOST_EPOCHS) if small else cls().epochs,
            batch_size=64 if small else cls().batch_size,
            augmentation=Augmentation(shift=max(1, side // 16)),
        )

    @classmethod
    def suiting(cls, data: DataSet) -> Recipe:
        """The default recipe for these data: `suited` to how many and how large they are, with the loss they need."""
        suited = cls.suited(len(data.train), max(data.shape[1:], default=1))
        return suited if data.classes else suited.changed(loss="mean-squared-error")

    def changed(self, **values: object) -> Recipe:
        """This recipe with other values. Raises RecipeError as the constructor does."""
        return Recipe.parse(self.model_dump() | values)

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Recipe:
        """The recipe with these settings, the rest at their defaults. Raises RecipeError."""
        return cls(**values)  # pyright: ignore[reportArgumentType]

    @classmethod
    def from_toml(cls, text: str, over: Recipe | None = None) -> Recipe:
        """Reads what `to_toml` wrote, or any part of it; what is not named is as in `over`, or at its default.

        Raises:
            RecipeError: with the line where the TOML is wrong.

        Example:
            >>> Recipe.from_toml("seed = 2", over=Recipe(epochs=30)).epochs
            30
        """
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as cause:
            raise RecipeError(f"the recipe is not valid TOML: {cause}") from None
        return cls.parse(_laid(values, over.model_dump()) if over else values)

    @classmethod
    def read(cls, path: Path | str, over: Recipe | None = None) -> Recipe:
        """Reads a TOML file as `from_toml` does its text. Raises RecipeError that names the file."""
        try:
            return cls.from_toml(Path(path).read_text(encoding="utf-8"), over)
        except RecipeError as fault:
            raise RecipeError(f"{path}: {fault}") from None
        except (OSError, UnicodeDecodeError) as cause:
            reason = cause.strerror if isinstance(cause, OSError) else "it is not UTF-8 text"
            raise RecipeError(f"cannot read a recipe from {path}: {reason}") from None

    def to_toml(self) -> str:
        """Every setting, each with what it means beside it; `from_toml` undoes it."""
        return tomlkit.dumps(_filled(tomlkit.document(), self))

    def write(self, path: Path | str) -> None:
        """Writes `to_toml` to a file, atomically."""
        files.write_text(Path(path), self.to_toml())


def _laid(values: dict[str, Any], under: dict[str, Any]) -> dict[str, Any]:
    """`values` laid over others, table by table."""
    tables = {
        name: under[name] | value
        for name, value in values.items()
        if isinstance(value, dict) and isinstance(under.get(name), dict)
    }
    return under | values | tables


def _filled(table: Container, settings: BaseModel) -> Container:
    """Adds every setting to an empty table or document."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            table.add(name, _filled(tomlkit.table(), value))
        elif value is not None:
            item = tomlkit.item(list(value) if isinstance(value, tuple) else value)
            if field.description:
                item.comment(field.description)
            table.add(name, item)
    return table


def _faults(cause: ValidationError) -> str:
    """All faults in our words, one after another."""
    return "; ".join(_fault(error) for error in cause.errors())


def _fault(error: ErrorDetails) -> str:
    place = [str(part) for part in error["loc"]]
    owner: type[BaseModel] = Augmentation if place[:1] == ["augmentation"] and len(place) > 1 else Recipe
    dotted = ".".join(place)
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place[-1], owner.model_fields, 1)
        return f"there is no setting {dotted}" + (f" (did you mean {near[0]}?)" if near else "")
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ")
    schema = owner.model_json_schema().get("properties", {}).get(place[-1], {})
    return f"{dotted} must be {_allowed(schema)}, found {error['input']!r}"


def _allowed(schema: Mapping[str, object]) -> str:
    """What a field takes, from its JSON schema, as the end of the sentence "must be ..."."""
    if "enum" in schema and isinstance(schema["enum"], list):
        return " or ".join(map(str, schema["enum"]))
    if schema.get("type") == "boolean":
        return "true or false"
    if "minimum" not in schema and "exclusiveMinimum" not in schema:
        return "a table of settings" if "$ref" in schema else f"a {schema.get('type', 'value')}"
    kind = "a whole number" if schema.get("type") == "integer" else "a number"
    least = (
        f"from {_number(schema['minimum'])}" if "minimum" in schema else f"above {_number(schema['exclusiveMinimum'])}"
    )
    most = (
        f"to {_number(schema['maximum'])}"
        if "maximum" in schema
        else f"and below {_number(schema.get('exclusiveMaximum'))}"
    )
    return f"{kind} {least} {most}"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
