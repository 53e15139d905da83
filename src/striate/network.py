"""A network as a value: the shape of its input and its layers. It is parsed, printed, described, adapted and built.

    text --parse--> Network --build--> nn.Module

What a layer is stands in `striate.layers`, how a text is read in `striate.notation`, the published networks in
`striate.presets`. Nothing here needs torch but `build`, and nothing here knows of data or training.
"""

from __future__ import annotations

import hashlib
import math
import numbers
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from striate import adapting, notation, presets, summary
from striate.errors import NetworkError, ShapeError
from striate.layers import Layer, Shape, kinds, sequence

if TYPE_CHECKING:
    from torch import nn

    from striate.summary import Description

MOST_PARAMETERS = 10**9
"""A network that learns as many numbers or more is refused unless `allow_large`: its float32 weights fill 4 GB."""

MOST_ACTIVATIONS = 10**9
"""The same for the numbers that the layers' outputs hold for one image: 4 GB in float32."""


@final
@dataclass(frozen=True)
class Network:
    r"""Layers one after another, and the shape of what goes in.

    Attributes:
        layers: the layers in order, at least one.
        input: shape of one image, (channels, rows, columns), or of one vector, (features,); None where the data will
            say it (`adapted`). Without it there are no shapes, no description and no module.
        allow_large: whether it may pass `MOST_PARAMETERS` and `MOST_ACTIVATIONS`; no part of what the network is.

    Raises:
        NetworkError: the shapes cannot work, or the network is too large.

    Example:
        >>> network = Network.parse("input 1x28x28, conv 20 5x5, relu, maxpool 2x2, dense 10")
        >>> network.names
        ('conv1', 'relu1', 'pool1', 'dense1')
        >>> network.shapes
        ((20, 24, 24), (20, 24, 24), (20, 12, 12), (10,))
        >>> network.parameters
        29330
    """

    layers: tuple[Layer, ...]
    input: Shape | None = None
    allow_large: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.layers:
            raise NetworkError("a network needs at least one layer")
        if strange := [layer for layer in self.layers if not isinstance(layer, Layer)]:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise NetworkError(f"a network is made of layers, found {strange[0]!r}; texts go to Network.parse")
        object.__setattr__(self, "layers", tuple(self.layers))  # a list could be changed, and is equal to no tuple
        if self.input is not None:
            _check_input(self.input)
            if not self.allow_large:
                _refuse_large(self.describe())

    @classmethod
    def parse(cls, text: str, *, input: Shape | None = None, allow_large: bool = False) -> Network:
        """Reads the text form.

        Arguments:
            text: as `striate.notation` shows it.
            input: the shape to use where the text has no input line.
            allow_large: whether a network of a billion parameters is meant.

        Raises:
            NetworkError: with line, column, what was found and what is allowed; all faults of the text together.
        """
        if input is not None:
            _check_input(input)
        source = notation.read(text)
        shape = source.input or input
        fault = notation.misfit(source.items, shape) if shape else None
        if fault:
            raise notation.error([fault], source.text)
        return cls(source.layers, shape, allow_large)

    @classmethod
    def read(cls, path: Path | str, *, input: Shape | None = None, allow_large: bool = False) -> Network:
        """Reads a file that holds the text form in UTF-8. Raises NetworkError that names the file."""
        try:
            with Path(path).open(encoding="utf-8-sig") as file:
                text = file.read(notation.MOST_CHARACTERS + 1)
        except (OSError, ValueError) as cause:
            reason = cause.strerror if isinstance(cause, OSError) else "it is not UTF-8 text"
            raise NetworkError(f"cannot read a network from {path}: {reason}") from None
        try:
            return cls.parse(text, input=input, allow_large=allow_large)
        except NetworkError as fault:
            raise _at(f"{path}, ", fault) from None

    @classmethod
    def preset(cls, name: str) -> Network:
        """One of the networks that come with the package; `striate.presets.names()` lists them."""
        return cls.parse(presets.text(name))

    @classmethod
    def load(cls, source: Path | str, *, input: Shape | None = None, allow_large: bool = False) -> Network:
        """A network by preset name, else by file path, else from the text form itself; a Path is only the second."""
        if isinstance(source, Path):
            return cls.read(source, input=input, allow_large=allow_large)
        if source in presets.names():
            return cls.preset(source)
        if _is_file(source):
            return cls.read(source, input=input, allow_large=allow_large)
        try:
            return cls.parse(source, input=input, allow_large=allow_large)
        except NetworkError as fault:
            if not _is_name(source):
                raise
            raise _unknown(source, fault) from None

    def __str__(self) -> str:
        """The text form, one layer a line; parsing it gives an equal network."""
        opening = [f"input {sequence.shape_text(self.input)}"] if self.input else []
        return "\n".join([*opening, *map(str, self.layers)])

    @property
    def names(self) -> tuple[str, ...]:
        """The automatic names of the layers: conv1, relu1, pool1, conv2, ..."""
        return sequence.names(self.layers)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The output shape of every layer."""
        return tuple(row.output for row in self._description.layers)

    @property
    def outputs(self) -> int:
        """How many numbers come out for one image."""
        return math.prod(self.shapes[-1])

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return self._description.parameters

    def describe(self) -> Description:
        """Every layer's shapes, counts and receptive field, as data."""
        return self._description

    def build(self, seed: int = 0) -> nn.Sequential:
        """The PyTorch module, on the CPU in torch's default number type, its children under the layers' names.

        Every layer's weights are drawn by torch's default rule from a generator of their own, seeded by (seed, the
        layer's dotted name): two networks that differ in one layer start equal in all others, as far as names and
        shapes agree. torch's global random state stays as it was.
        """
        import torch

        with torch.device("meta"):
            module = sequence.module(self.layers, self._input)
        module = module.to_empty(device="cpu")
        _draw(module, seed)
        return module

    def adapted(
        self, channels: int | None = None, classes: int | None = None, size: tuple[int, int] | None = None
    ) -> Network:
        """This network for other data.

        Arguments:
            channels: channels of the images (or features of the vectors); None leaves them.
            classes: outputs of the last dense layer, or where there is none of the last convolution; None leaves them.
            size: rows and columns of the images; None leaves them.

        Raises:
            NetworkError: it has no such layer, or cannot take such images.

        Example:
            >>> str(Network.parse("conv 8 3x3, relu, dense 10").adapted(channels=3, classes=5, size=(32, 32)))
            'input 3x32x32\\nconv 8 3x3\\nrelu\\ndense 5'
        """
        layers = self.layers if classes is None else adapting.with_outputs(self.layers, classes)
        adapted = replace(self, layers=layers, input=adapting.with_input(self.input, channels, size))
        if classes is not None and adapted.input is not None and adapted.shapes[-1] != (classes,):
            raise NetworkError(
                f"this network cannot be given {classes} outputs: after its last dense layer or convolution,"
                f" {sequence.shape_text(adapted.shapes[-1])} come out; let it end in dense {classes}"
            )
        return adapted

    @property
    def _input(self) -> Shape:
        if self.input is None:
            raise NetworkError(
                "this network does not say what goes in; start it with a line such as: input 1x28x28",
                allowed="input CHANNELSxROWSxCOLUMNS or input FEATURES",
            )
        return self.input

    @cached_property
    def _description(self) -> Description:
        try:
            return summary.describe(self.layers, self._input)
        except ShapeError as fault:
            raise NetworkError(str(fault)) from None


def _check_input(input: object) -> None:
    sides: tuple[Any, ...] = input if isinstance(input, tuple) else ()
    if len(sides) not in (1, 3) or not all(isinstance(side, numbers.Integral) and int(side) >= 1 for side in sides):
        raise NetworkError(f"the input must be (channels, rows, columns) or (features,), found {input!r}")


def _refuse_large(description: Description) -> None:
    parameters, activations = description.parameters, description.activations
    if parameters < MOST_PARAMETERS and activations <= MOST_ACTIVATIONS:
        return
    raise NetworkError(
        f"the network is too large: {parameters:,} parameters ({_memory(parameters)}) and {activations:,} activations"
        f" for one image ({_memory(activations)}); allowed are fewer than {MOST_PARAMETERS:,} parameters"
        f" and at most {MOST_ACTIVATIONS:,} activations, unless large networks are allowed (--allow-large)"
    )


def _memory(numbers: int) -> str:
    """How much memory so many float32 numbers fill."""
    return f"{numbers * 4 / 1e9:,.1f} GB" if numbers < 10**15 else f"{numbers * 4 // 10**12:,} TB"


def _draw(module: nn.Module, seed: int) -> None:
    """Draws the weights of every leaf under its own seed."""
    import torch

    with torch.random.fork_rng(devices=[]):
        for name, leaf in module.named_modules():
            own = [*leaf.parameters(recurse=False), *leaf.buffers(recurse=False)]
            reset = getattr(leaf, "reset_parameters", None)
            assert reset or not own, f"{name} holds numbers that nothing would set"
            if own and reset:
                digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
                torch.manual_seed(int.from_bytes(digest[:8], "big"))
                reset()


def _is_file(source: str) -> bool:
    try:
        return Path(source).is_file()
    except (OSError, ValueError):  # longer than a path can be, or with characters that no path has
        return False


def _at(place: str, fault: NetworkError) -> NetworkError:
    return NetworkError(
        f"{place}{fault}", line=fault.line, column=fault.column, found=fault.found, allowed=fault.allowed
    )


def _is_name(source: str) -> bool:
    """Whether `source` must be meant as the name of a preset or of a file."""
    return source.endswith(".txt") or (re.fullmatch(r"[^\s(|),;#]+", source) is not None and source not in kinds())


def _unknown(name: str, fault: NetworkError) -> NetworkError:
    known = (*presets.names(), *kinds())
    near = notation.nearest(name, known)
    return NetworkError(
        f"there is no preset, no file and no layer {notation.shown(name)}{f' (did you mean {near}?)' if near else ''};"
        f" presets: {', '.join(presets.names())}; or give the path of a file, or a text: conv 20 5x5, dense 10",
        line=fault.line,
        column=fault.column,
        found=fault.found,
        allowed=", ".join(known),
    )
