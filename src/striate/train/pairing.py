"""Where a network meets a data set: which of the two decides the size, the channels and the number of classes.

- The network's input line decides the size; `size` overrules it; without an input line the data's own size stands.
- A network written by the user decides the channels (its images become gray or colour), and its outputs must be as
  many as there are classes: it is refused otherwise, never changed.
- A preset is a pattern: channels and number of classes come from the data, and what was changed is said.
- No network named: `vanilla` for images up to 32 pixels a side, `tiny-vgg` for larger ones, at the data's own size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from striate import presets
from striate.errors import NetworkError
from striate.layers.dropout import Dropout
from striate.layers.flatten import Flatten
from striate.layers.softmax import Softmax
from striate.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from striate.data import DataSet

SMALL = 32  # pixels a side: thumbnails such as MNIST's and CIFAR's, which a two-convolution network can take


@final
@dataclass(frozen=True)
class Pairing:
    """A network and the data it fits.

    Attributes:
        network: with an input line, and as many outputs as there are classes.
        data: images of exactly that shape.
        said: what was changed to make them fit, a sentence each.
    """

    network: Network
    data: DataSet
    said: tuple[str, ...] = ()


def pair(
    network: str | None,
    size: tuple[int, int] | None,
    load: Callable[[tuple[int, int] | None, int | None], DataSet],
    *,
    allow_large: bool = False,
) -> Pairing:
    """Reads the network, loads the data at the size and channels it takes, and fits a preset to the data.

    Arguments:
        network: a preset's name, a file or text; None for the default.
        size: rows and columns to use instead of the network's or the data's own.
        load: gives the data set at a size and a number of channels; None for either leaves it to the data.
        allow_large: as in `Network.parse`.

    Raises:
        NetworkError: a network written by the user does not fit the data.

    Example:
        >>> from striate import data
        >>> found = pair("vanilla", None, lambda size, channels: data.load("digits", size=size, channels=channels))
        >>> found.network.input
        (1, 28, 28)
    """
    if network is None:
        return _default(load(size, None))
    written = Network.load(network, allow_large=allow_large)
    if written.input is not None and len(written.input) != 3:
        raise NetworkError(f"images need an input line such as 1x28x28; this network takes {written.input[0]} features")
    wanted = size or (_sides(written.input) if written.input else None)
    if network in presets.names():
        return _preset(network, written, load(wanted, None))
    loaded = load(wanted, written.input[0] if written.input else None)
    fitted = Network.parse(_without_input(written), input=loaded.shape, allow_large=allow_large)
    refuse_other_outputs(fitted, loaded)
    return Pairing(fitted, loaded)


def refuse_other_outputs(network: Network, data: DataSet) -> None:
    """Raises NetworkError where the network does not give a vector of as many numbers as the data needs.

    Example:
        >>> from striate import data
        >>> digits = data.load("digits")
        >>> refuse_other_outputs(Network.parse("conv 10 28x28", input=digits.shape), digits)
        Traceback (most recent call last):
        striate.errors.NetworkError: the network gives maps (10x1x1) and digits has 10 classes; let the last layer be \
`flatten`
    """
    needed = len(data.classes) or data.train.labels.shape[1]
    what = f"{data.name} has {needed} {'classes' if data.classes else 'numbers to predict'}"
    if network.outputs != needed:
        raise NetworkError(
            f"the network has {network.outputs} outputs and {what}; "
            f"they must be equal: let the last layer be `dense {needed}`"
        )
    if network.shapes[-1] != (needed,):
        maps = "x".join(map(str, network.shapes[-1]))
        raise NetworkError(f"the network gives maps ({maps}) and {what}; let the last layer be `flatten`")
    if data.classes:
        _refuse_several_distributions(network)


def _refuse_several_distributions(network: Network) -> None:
    """Raises NetworkError where the probabilities of one image would add up to more than 1."""
    for layer, shape in zip(reversed(network.layers), reversed(network.shapes), strict=True):
        positions = math.prod(shape[1:])
        if isinstance(layer, Softmax) and positions > 1:
            raise NetworkError(
                f"the network ends in a softmax at each of {positions} positions; let `flatten` come before it"
            )
        if not isinstance(layer, Flatten | Dropout):
            return


def _default(loaded: DataSet) -> Pairing:
    name = "vanilla" if max(loaded.shape[1:]) <= SMALL else "tiny-vgg"
    paired = _preset(name, Network.preset(name), loaded)
    return Pairing(paired.network, loaded, (f"network: the preset {name}", *paired.said))


def _preset(name: str, network: Network, loaded: DataSet) -> Pairing:
    fitted = network.adapted(channels=loaded.shape[0], size=_sides(loaded.shape), classes=len(loaded.classes))
    if fitted == network:
        return Pairing(fitted, loaded)
    shape = "x".join(map(str, loaded.shape))
    return Pairing(fitted, loaded, (f"{name} fitted to the data: input {shape}, {len(loaded.classes)} outputs",))


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    _, rows, columns = shape
    return rows, columns


def _without_input(network: Network) -> str:
    return "\n".join(map(str, network.layers))
