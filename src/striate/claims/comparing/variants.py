"""Variants: what a comparison sets side by side. A network and a recipe each, differing in what is varied.

`variant` reads what a user writes (a preset, a file, text); `vary` makes two of one by replacing a piece of text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, final

from striate import presets
from striate.claims.comparing.views import View
from striate.errors import NetworkError, RecipeError, UserError
from striate.layers.layer import shape_text
from striate.network import Network
from striate.train.recipe import Recipe

if TYPE_CHECKING:
    from striate.data import DataSet


@final
@dataclass(frozen=True)
class Variant:
    """One side of a comparison.

    Attributes:
        name: what to call it; the names of a comparison's variants differ.
        network: fitting the data.
        recipe: its learning rate and seed are set by the comparison.
        view: how the data is seen.
    """

    name: str
    network: Network
    recipe: Recipe
    view: View = field(default_factory=View)


def variant(text: str, data: DataSet, recipe: Recipe, *, network: Network | None = None) -> Variant:
    """The variant that a user names.

    Arguments:
        text: a recipe's file (.toml), laid over the recipe that suits the data; or a network: a preset, a file, text.
        data: what it will learn; a preset, and a network without an input line, are fitted to it.
        recipe: of a variant that is a network.
        network: of a variant that is a recipe.

    Raises:
        UserError: it cannot be read, or does not fit the data.

    Example:
        >>> from striate import data
        >>> digits = data.load("digits")
        >>> found = variant("conv 8 5x5, relu, maxpool 2x2, dense 10", digits, Recipe())
        >>> found.name, found.network.parameters
        ('conv 8 5x5, relu, maxpool 2x2, dense 10', 11738)
    """
    if text.endswith(".toml"):
        if network is None:
            raise UserError(f"{text} is a recipe; name the network it trains with --net")
        return Variant(Path(text).stem, network, Recipe.read(text, over=Recipe.suiting(data)))
    name = Path(text).stem if text not in presets.names() and _is_file(text) else " ".join(text.split())
    return Variant(name, fitted(text, data), recipe)


def fitted(text: str, data: DataSet) -> Network:
    """The network that `text` names, with the data's shape and number of classes.

    Raises:
        NetworkError: a network written by the user has other outputs than the data has classes, or another input.
    """
    written = Network.load(text, input=data.shape, allow_large=True)
    classes = len(data.classes)
    if text in presets.names():
        return written.adapted(channels=data.shape[0], size=(data.shape[1], data.shape[2]), classes=classes)
    if written.input != data.shape:
        raise NetworkError(
            f"the network takes inputs of {shape_text(written.input or ())}; "
            f"the images of {data.name} are {shape_text(data.shape)}"
        )
    if written.outputs != classes:
        raise NetworkError(
            f"the network has {written.outputs} outputs and {data.name} has {classes} classes; "
            f"let it end in dense {classes}"
        )
    return written


def vary(base: Variant, change: str) -> Variant:
    """The variant that `change`, written OLD=NEW, makes of `base`.

    OLD is either a setting of the recipe, and NEW its value; or a piece of the network's text, as whole words, and NEW
    the text for every place where it stands (nothing: it is taken out). A piece may hold an option, as in
    `stride=2=stride=1`: OLD ends at the first "=" before which stands something that is there.

    Raises:
        UserError: there is no "=", or OLD stands nowhere, or what comes out is no network or recipe, or the same one.

    Example:
        >>> base = Variant("net", Network.parse("input 1x8x8, conv 4 3x3, relu, dense 10"), Recipe())
        >>> vary(base, "relu=tanh").network.names
        ('conv1', 'tanh1', 'dense1')
        >>> vary(base, "epochs=9").recipe.epochs
        9
    """
    splits = [(change[: at.start()].strip(), change[at.end() :].strip()) for at in re.finditer("=", change)]
    if not splits or not splits[0][0]:
        raise UserError(f"a variation is written OLD=NEW, such as relu=tanh or label_smoothing=0; found {change!r}")
    old, new = splits[0]
    if old in Recipe.model_fields:
        return _other(Variant(f"{old} {new}", base.network, _changed(base.recipe, old, new), base.view), base, change)
    for old, new in splits:
        text = replaced(str(base.network), old, new)
        if text is not None:
            name = f"{new} for {old}" if new else f"without {old}"
            return _other(Variant(name, Network.parse(text, allow_large=True), base.recipe, base.view), base, change)
    old, written = splits[0][0], ", ".join(str(base.network).splitlines())
    option = re.search(rf"\b{re.escape(old)}=[^\s,]+", written)
    hint = f"; an option is varied with its value, as {option[0]}={old}=..." if option else ""
    raise NetworkError(f"{old!r} is no setting of a recipe and stands nowhere in the network{hint}: {written}")


def _other(one: Variant, base: Variant, change: str) -> Variant:
    """The variant, which differs from its base: against itself there is nothing to find."""
    if (one.network, one.recipe) == (base.network, base.recipe):
        raise UserError(f"{change} changes nothing: {base.name} is so already")
    return one


def replaced(text: str, old: str, new: str) -> str | None:
    """A network's text with `new` wherever `old` stands as whole words; None where it stands nowhere.

    Options stand in the text with both their sides (`stride=2x2`), and are found by one (`stride=2`) too.
    """
    words = r"\s+".join(_pattern(word) for word in old.split())
    pattern = re.compile(rf"(?<![\w.=]){words}(?![\w.=])")
    found, count = pattern.subn(lambda _: new, text)
    kept = "\n".join(line for line in found.splitlines() if line.strip(" ,"))
    return kept if count else None


def _pattern(word: str) -> str:
    """What a word of a network's text is found by."""
    option, equals, side = word.partition("=")
    both = equals and side.isdecimal()
    return rf"{re.escape(option)}={side}(?:x{side})?" if both else re.escape(word)


def _changed(recipe: Recipe, name: str, value: str) -> Recipe:
    import tomllib

    try:
        read: object = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        read = value
    if not value:
        raise RecipeError(f"the setting {name} needs a value, as in {name}=VALUE")
    return recipe.changed(**{name: read})


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # no path can look like this
        return False
