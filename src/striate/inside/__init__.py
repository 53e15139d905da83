"""Looking inside a trained network: what its units see, what excites them, and where they fail.

Everything here works on any `torch.nn.Module` and leaves it exactly as it was. Receptive fields, filters,
activations, projections, the atlas over a whole data set, and the other studies of Zeiler & Fergus 2014 live here;
pages and plots made from them do not (`striate.report`), nor does training (`striate.train`).

The names below are loaded when first used, so that importing this package stays quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any, final

PUBLIC = {
    "activations": "activations",
    "atlas": "atlas",
    "backward_rule": "rules",
    "correspondence": "correspondence",
    "equivariance": "equivariance",
    "evolution": "evolution",
    "explain": "explain",
    "Explanation": "explanation",
    "feature_maps": "activations",
    "filters": "filters",
    "follow_back": "rules",
    "grad_cam": "grad_cam",
    "invariance": "invariance",
    "layer_names": "watching",
    "layer_shapes": "watching",
    "maximize": "maximize",
    "occlude": "occlusion",
    "project": "projection",
    "project_many": "projection",
    "receptive_fields": "fields",
    "undisturbed": "watching",
    "watch": "watching",
}
"""Public name -> the module of this package that holds it."""

__all__ = list(PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})


@final
class _Package(ModuleType):
    """Keeps `inside.atlas` the function: importing the submodule of the same name would put the submodule there."""

    def __setattr__(self, name: str, value: object) -> None:
        shadows = isinstance(value, ModuleType) and PUBLIC.get(name) == name
        super().__setattr__(name, getattr(value, name) if shadows else value)


sys.modules[__name__].__class__ = _Package
