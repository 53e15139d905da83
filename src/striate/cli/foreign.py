"""Models that were not trained here: a module of the user's own, weights for a network's text, torchvision, timm.

Code of others is imported only where the user names it, and every fault of it becomes one sentence.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from striate.cli import hubs
from striate.cli.console import shape as written
from striate.cli.hubs import told
from striate.errors import ModelError, NetworkError, UserError

if TYPE_CHECKING:
    from torch import nn

    from striate.model import Model
    from striate.network import Network

MOST_CLASSES = 1_000_000
"""Names that a file of classes may hold; more is a mistake."""


@final
@dataclass(frozen=True)
class Foreign:
    """What the user said of a model from elsewhere; None for what was not said. The words are those of the options.

    Attributes:
        module: `package.module:factory`.
        net: a network's preset, file or text.
        weights: a file of weights for it.
        input: `CxHxW`.
        mean, std: one number, or one per channel.
        classes: a file that names the outputs.
    """

    module: str | None = None
    net: str | None = None
    weights: Path | None = None
    input: str | None = None
    mean: str | None = None
    std: str | None = None
    classes: Path | None = None

    @property
    def said(self) -> tuple[str, ...]:
        """The options that were given, as they are spelled."""
        return tuple(f"--{name}" for name, value in vars(self).items() if value is not None)

    @property
    def assumed(self) -> tuple[str, ...]:
        """What is taken for granted because nothing was said, a sentence each."""
        untrained = self.net is not None and self.weights is None
        scaled = self.mean is None and self.std is None
        return tuple(
            sentence
            for holds, sentence in (
                (untrained, "no --weights: the network is untrained, its weights are drawn with seed 0"),
                (scaled, "no --mean and --std: images go in on the scale 0 to 1"),
            )
            if holds
        )

    def over(self, other: Foreign) -> Foreign:
        """What was said here, and for the rest what `other` says."""
        return Foreign(*(mine if mine is not None else vars(other)[name] for name, mine in vars(self).items()))

    def model(self, hub: str | None = None, *, pretrained: bool = True) -> Model:
        """The model that was described, after one trial on an empty image.

        Arguments:
            hub: `torchvision:NAME` or `timm:NAME`, in place of `module` and `net`.
            pretrained: whether a model of a hub gets its published weights where no file is given.

        Raises:
            UserError: it cannot be imported, made, loaded or run; one sentence says which.
        """
        if sum(given is not None for given in (hub, self.module, self.net)) != 1:
            raise UserError("name one model: a run or a file, torchvision:NAME or timm:NAME, or --module, or --net")
        if hub is not None:
            found = hubs.made(hub, pretrained=pretrained and self.weights is None)
            kept = replace(
                self, input=self.input or found.input, mean=self.mean or found.mean, std=self.std or found.std
            )
            model = kept._around(found.module, hub.partition(":")[2], kept._shape(None))
            return checked(model if self.classes else replace(model, classes=found.classes))
        if self.module is not None:
            return checked(self._around(imported(self.module), self.module, self._shape(None)))
        assert self.net is not None
        network = network_of(self.net, self.input)
        named = Path(self.net or "").stem if len((self.net or "").split()) == 1 else "network"
        return replace(checked(self._around(network.build(seed=0), named, self._shape(network))), network=network)

    def _shape(self, network: Network | None) -> tuple[int, ...]:
        if network is not None and network.input is not None:
            return network.input
        if self.input is None:
            raise UserError("say the shape of one image the model takes: --input CxHxW, such as --input 3x224x224")
        return shape(self.input)

    def _around(self, module: nn.Module, name: str, input_shape: tuple[int, ...]) -> Model:
        from striate.model import Model

        mean, std = (
            per_channel(text, option, input_shape[0]) for text, option in ((self.mean, "--mean"), (self.std, "--std"))
        )
        classes = () if self.classes is None else class_names(self.classes)
        if self.weights is not None:
            return Model.from_weights(
                module, self.weights, input_shape, mean=mean, std=std, classes=classes, name=self.weights.stem
            )
        return Model.foreign(module, input_shape, mean=mean, std=std, classes=classes, name=name)


def network_of(text: str, input: str | None) -> Network:
    """The network of a preset, a file or a text, for images of the shape `input` (`CxHxW`) where one is said.

    Raises:
        UserError: neither says what goes in; or as `Network.load`.
    """
    from striate.network import Network

    found = Network.load(text)
    if input is not None:
        found = Network(found.layers, shape(input))
    if found.input is None:
        raise NetworkError("the network's text has no input line: say --input CxHxW, such as --input 3x224x224")
    return found


def imported(named: str) -> nn.Module:
    """The module that `package.module:factory` gives; the current folder comes first where Python looks for packages.

    What the user's code prints goes to standard error. Raises UserError for whatever goes wrong in it.
    """
    from torch import nn

    package, colon, attribute = named.partition(":")
    if not (package and colon and attribute):
        raise UserError(f"--module must be PACKAGE.MODULE:FACTORY, such as models.mine:make, found {named!r}")
    if package.endswith(".py") or "/" in package:
        raise UserError(f"--module names a module as Python imports it, not a file: {_say(package, attribute)}")
    with _importable(Path.cwd()), contextlib.redirect_stdout(sys.stderr):
        factory = _attribute(_imported(package), package, attribute)
        made = factory if isinstance(factory, nn.Module) else _called(factory, named)
    if not isinstance(made, nn.Module):
        raise UserError(f"--module {named} must give a torch.nn.Module, and gave {type(made).__name__}")
    return made


def _say(file: str, attribute: str) -> str:
    """What to say in place of a file; what does not lie below the current folder is imported in its own.

    Example:
        >>> _say("models/mine.py", "make"), _say("../mine.py", "make")
        ('say --module models.mine:make', 'say --module mine:make in the folder ..')
    """
    path = Path(file).with_suffix("")
    if all(part.isidentifier() for part in path.parts):
        return f"say --module {'.'.join(path.parts)}:{attribute}"
    return f"say --module {path.name}:{attribute} in the folder {path.parent}"


def _imported(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as fault:
        if fault.name is not None and (package == fault.name or package.startswith(f"{fault.name}.")):
            raise UserError(f"there is no module {fault.name} to import, here in {Path.cwd()} or installed") from None
        raise UserError(f"importing {package} failed: it needs {fault.name}, which is not installed") from None
    except (Exception, SystemExit) as fault:
        raise UserError(f"importing {package} failed: {told(fault)}") from None


def _attribute(found: Any, package: str, attribute: str) -> Any:
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise UserError(f"there is no {attribute} in the module {package}")
        found = getattr(found, name)
    return found


def _called(factory: Callable[[], object], named: str) -> object:
    if not callable(factory):
        raise UserError(f"--module {named} must name a function, a class or a module, found {type(factory).__name__}")
    try:
        return factory()
    except (Exception, SystemExit) as fault:
        raise UserError(f"{named}() failed: {told(fault)}") from None


@contextlib.contextmanager
def _importable(folder: Path) -> Generator[None]:
    """Inside, packages in `folder` can be imported, and win over installed ones of the same name."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def checked(model: Model) -> Model:
    """`model`, once it has been run on one empty image. Raises ModelError where that fails or classes do not fit."""
    import torch

    from striate.inside import undisturbed
    from striate.inside.watching.inputs import as_input

    sides = written(model.preprocessing.shape)
    try:
        with undisturbed(model.module) as still, torch.no_grad():
            outputs = still(as_input(still, torch.zeros(1, *model.preprocessing.shape)))
    except UserError:
        raise
    except Exception as fault:
        raise ModelError(f"{model.name} cannot be run on an image of {sides}: {told(fault)}") from None
    if model.classes and (not isinstance(outputs, torch.Tensor) or tuple(outputs.shape) != (1, len(model.classes))):
        found = written(outputs.shape[1:]) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ModelError(
            f"there are {len(model.classes)} names of classes, and {model.name} gives {found or 'one number'}"
        )
    return model


def shape(text: str) -> tuple[int, ...]:
    """`3x224x224` as (3, 224, 224). Raises UserError."""
    if not re.fullmatch(r"[0-9]{1,5}x[0-9]{1,5}x[0-9]{1,5}", text) or "0" in text.split("x"):
        raise UserError(f"--input must be channels x rows x columns, such as 3x224x224, found {text!r}")
    return tuple(map(int, text.split("x")))


def per_channel(text: str | None, option: str, channels: int) -> tuple[float, ...] | None:
    """`0.5` or `0.485,0.456,0.406` as one number for each channel. Raises UserError."""
    if text is None:
        return None
    try:
        numbers = tuple(map(float, text.replace(",", " ").split()))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, channels):
        raise UserError(f"{option} must be one number, or {channels} with commas between them, found {text!r}")
    return numbers * channels if len(numbers) == 1 else numbers


def class_names(path: Path) -> tuple[str, ...]:
    """Names from a text file, one a line, or from a JSON list of them. Raises UserError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as fault:
        raise UserError(f"the names of the classes cannot be read from {path}: {fault.strerror}") from None
    except ValueError:
        raise UserError(f"the names of the classes cannot be read from {path}: it is not UTF-8 text") from None
    names = _json_list(text) if text.lstrip().startswith("[") else [line.strip() for line in text.splitlines()]
    if not names or not all(names) or len(names) > MOST_CLASSES:
        raise UserError(f"{path} must hold the name of a class on every line, or a JSON list of names")
    return tuple(names)


def _json_list(text: str) -> list[str]:
    try:
        held = json.loads(text)
    except ValueError:
        return []
    return held if all(isinstance(name, str) for name in held) else []
