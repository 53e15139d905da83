"""One image on its way through a module: what reached every layer, what left it, and which layer that came from.

The module is run once. A layer of PyTorch computes by calling a function, and so may a module of one's own: what is
followed are the calls, whether a layer makes them or not, and moving numbers about (flatten, view, transpose, ...).
Where anything else stands between two layers, the way back ends there, and why is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import ModelError
from striate.inside.following.origins import Origin, numbers
from striate.inside.following.recorder import Recorder
from striate.inside.watching.calls import CONVOLUTIONS
from striate.inside.watching.watch import one_call
from striate.layers.layer import Array


@final
@dataclass(frozen=True)
class Passage:
    """What one pass has shown.

    Attributes:
        image: what the module was given, without the batch.
        layers: name of submodule, every name where it has several -> where its output came from, once for every call.
        convolutions: where the output of every 2-D convolution came from, also where no submodule stands for it.
    """

    image: Array
    layers: dict[str, list[Origin]]
    convolutions: list[Origin]

    def of(self, layer: str) -> Origin:
        """Where a layer's output comes from: a step.

        Raises:
            ModelError: the layer was not called, was called several times and `layer` does not say which call is
                meant, or its output is made by something that is not explained.
        """
        found, named = one_call(layer, self._calls(layer)), f"layer {layer}" if layer else "the module"
        if found.reason:
            raise ModelError(f"{named} cannot be explained: {found.reason}")
        if found.step is None:
            raise ModelError(f"{named} cannot be explained: it hands on the image as it is")
        return found

    def _calls(self, layer: str) -> dict[str, list[Origin]]:
        """Every call of each name; `conv2d@k` counts on from the calls of a submodule of that name, as in an atlas."""
        if not layer.startswith(f"{CONVOLUTIONS}@"):
            return self.layers
        return {CONVOLUTIONS: [*self.layers.get(CONVOLUTIONS, ()), *self.convolutions]}


def passage(module: nn.Module, image: Float[Tensor, "1 ..."]) -> Passage:
    """Sends one image through a module, as `undisturbed` lends it, and follows it.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        >>> step = passage(net, torch.ones(1, 1, 4, 4)).of("1").step
        >>> step.text, step.origins[""].step.text
        ('relu', 'conv 2 3x3')
    """
    whole = numbers(image[0])  # before the module, which may overwrite it
    recorder = Recorder.of(module, image)
    first = {part: name for name, part in module.named_modules()}
    names = {name: first[part] for name, part in module.named_modules(remove_duplicate=False)}
    layers = {name: recorder.layers[known] for name, known in names.items() if known in recorder.layers}
    return Passage(whole, layers, recorder.convolutions)
