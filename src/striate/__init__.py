"""Striate trains convolutional networks on images and shows what they see.

One direction, no way back; each arrow is a function that can be called alone, and whatever has been computed lies in
the run's folder in open formats:

    text --parse--> Network --build--> nn.Module --fit(data, recipe)--> Run (a folder) --look--> Atlas --show--> page

In six lines::

    import striate

    network = striate.Network.parse("input 1x28x28, conv 20 5x5, relu, maxpool 2x2, dense 10")  # or .preset("vanilla")
    digits = striate.data.load("digits")                             # or the path of a folder of class folders
    run = striate.train.run(network, digits, striate.Recipe(epochs=3), out="runs/digits")
    striate.inside.atlas(run.model(), digits.test, out="runs/digits/atlas")  # what excites every unit, and where

The rooms, from the ground up (imports only go down):

    errors, files   the faults a user can meet; writing that survives a kill
    cores, memory   the processor's cores and the C library's memory, as this process may use them
    decimals        how many decimals a number is printed with
    ranks           the processes that torchrun started
    layers          one file per kind of layer: its text, shapes, counts, window, PyTorch module and equation
    pictures        arrays to images
    notation        the text form of a network
    network         a network as a value, its summary, and how it is adapted to data; `presets` holds the published ones
    data            images from anywhere, decoded once, and their augmentation
    weights         files of weights, read without running code
    manners         how a module from elsewhere answers: with probabilities, and to each image for itself?
    model           a trained network with its preprocessing and classes, in one file without pickle
    train           recipe, engine, the loop as a stream of events, checkpoints
    inside          looking inside any PyTorch network: fields, activations, projections, atlas, occlusion
    claims          the lecture's claims put to the test, and any two variants compared
    report, export  what came out, on paper; a model as ONNX
    cli             the commands; `striate --help`

Importing this package is quick: torch is loaded when something is built or trained. Read on in `striate.network`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate import claims, data, inside, layers, report, train
    from striate.model import Model
    from striate.network import Network
    from striate.ranks import Ranks
    from striate.train import Recipe

    __version__: str

__all__ = [
    "Model",
    "Network",
    "Ranks",
    "Recipe",
    "__version__",
    "claims",
    "data",
    "inside",
    "layers",
    "report",
    "train",
]

_HOMES = {"Network": "striate.network", "Model": "striate.model", "Ranks": "striate.ranks", "Recipe": "striate.train"}
_ROOMS = ("claims", "data", "inside", "layers", "report", "train")


def __getattr__(name: str) -> object:
    """Loads a public name when it is first asked for (PEP 562)."""
    if name in _ROOMS:
        return importlib.import_module(f"striate.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("striate")
    raise AttributeError(f"module 'striate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
