"""The kinds of layers, one file each: what a layer is, counts, computes and means. No network, no data, no training.

To add a kind, add a file with a final `Layer` and a strategy for its test; `kinds` finds it. A file whose name begins
with _ holds no kind, and may import torch. What the kinds share stands in `layer.py`, `window.py`, `values.py` and
`terms.py`; what networks from elsewhere compute besides, in `equations/`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache

from striate.layers.block import Block
from striate.layers.layer import Layer, Shape
from striate.layers.window import Field, Window

__all__ = ["Block", "Field", "Layer", "Shape", "Window", "kinds"]


@cache
def kinds() -> dict[str, type[Layer]]:
    """Every kind of layer by the word that opens its text form.

    Example:
        >>> kinds()["conv"].__name__
        'Conv'
    """
    files = [file.name for file in pkgutil.iter_modules(__path__) if not (file.ispkg or file.name.startswith("_"))]
    modules = [importlib.import_module(f"{__name__}.{file}") for file in files]
    found = [
        member
        for module in modules
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Layer) and not inspect.isabstract(member) and member.__module__ == module.__name__
    ]
    assert len({kind.word for kind in found}) == len(found), "two kinds of layers share a word"
    return {kind.word: kind for kind in sorted(found, key=lambda kind: kind.word)}
