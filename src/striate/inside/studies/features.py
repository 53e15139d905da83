"""Features: which number of which map each feature is that a dense layer takes.

Maps are flattened as they lie: (channels, rows, columns), unless the module keeps its channels last, or moves numbers
about in yet another way. So the features are followed back, and not taken to be in the usual order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from striate.inside.following.ledger import Ledger
from striate.inside.following.origins import Origin, Step, numbers
from striate.inside.following.recorder import Recorder
from striate.inside.watching.each_call import EachCall
from striate.inside.watching.inputs import as_input
from striate.layers.layer import Shape
from striate.layers.terms import Products


@final
@dataclass(frozen=True, eq=False)
class Features:
    """The maps that have become features.

    Attributes:
        shape: channels, rows and columns of the maps.
        places: for each feature its place in them, in reading order; every place once.
    """

    shape: Shape
    places: Int[np.ndarray, " feature"]


def features_of(module: nn.Module, layer: str, input_shape: Shape) -> Features | None:
    """The maps that a dense layer sees; None where its features are not all the numbers of some maps, once each.

    Arguments:
        module: as `undisturbed` lends it.
        input_shape: of one image.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)).eval()
        >>> features_of(net, "2", (1, 4, 4)).shape
        (2, 2, 2)
    """
    parameter = next(module.parameters())
    image = as_input(module, torch.zeros(1, *input_shape, device=parameter.device))
    calls = _calls(module, image).get(layer.partition("@")[0], [])
    step = calls[0].step if len(calls) == 1 else None  # called several times, each is on other features
    if step is None or list(step.origins) != [""] or len(step.input) != 1:
        return None
    return _followed(step.origins[""], np.arange(step.input[0]))


def _calls(module: nn.Module, image: Tensor) -> dict[str, list[Origin]]:
    """Where the outputs of all submodules come from, once for every call of each."""
    return Recorder.of(module, image, _MapsAnew).layers


@final
class _MapsAnew(EachCall):
    """Maps that a call makes of maps in a way that is not known (SELU, say) are maps too: there the way back ends."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def called(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        given = self._ledger.origin(args[0]) if args else None
        untouched = given is not None and not given.reason and given.index is None and given.values.ndim == 3
        result = func(*args, **kwargs)
        if untouched and isinstance(result, Tensor) and result.dim() == 4 and len(result) == 1:
            made = self._ledger.origin(result)
            if made is not None and made.reason:
                self._ledger.put(result, Origin(numbers(result[0])))
        return result


def _followed(origin: Origin, places: Int[np.ndarray, " feature"]) -> Features | None:
    """From the places of features in a tensor, and where that came from, back to maps."""
    if origin.reason:
        return None
    if origin.index is not None:
        places = origin.index.ravel()[places]
    shape, step = origin.values.shape, origin.step
    if not np.array_equal(np.sort(places), np.arange(origin.values.size)):
        return None
    if len(shape) == 3:
        return Features(shape, places)
    if step is None or list(step.origins) != [""]:
        return None
    if step.text == "flatten" or _keeps_features(step):
        return _followed(step.origins[""], places)
    return Features((*shape, 1, 1), places) if len(step.input) == 3 and step.input[0] == len(places) else None


def _keeps_features(step: Step) -> bool:
    """Whether feature k stays feature k, as in activations and normalizations, and in no weighted sum."""
    return step.input == step.output.shape and not isinstance(step.terms((0,) * len(step.input)), Products)
