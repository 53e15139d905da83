"""Looking inside a trained network: what its units see, what excites them, and where they fail.

Everything here works on any `torch.nn.Module` and leaves it exactly as it was. Images are tensors, or NumPy arrays as
data sets hold them. Pages and plots made from it do not live here (`striate.report`), nor does training
(`striate.train`). The rooms, from the ground up:

- `watching`: a module as it is, its layers named, their outputs caught, every call traced
- `receptive`: the receptive field of every unit, by following every operation once
- `projections`: an activation followed back to the pixels, by the deconvnet's rule and others
- `following`: what every operation of a module computed, as the equations of `striate.layers` say it
- `explaining`: one number taken apart
- `atlases`: what excites every unit of every layer, over a whole data set
- `studies`: activations, filters, occlusion, Grad-CAM, maximization, invariance, correspondence, evolution,
  equivariance; `looking` is all that is made of one image

The names below are loaded when first used, so that importing this package stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.inside.atlases.atlas import atlas
    from striate.inside.atlases.folder import Atlas
    from striate.inside.explaining.explain import explain
    from striate.inside.explaining.explanation import Explanation
    from striate.inside.projections.projection import project, project_many
    from striate.inside.projections.rules import backward_rule, follow_back
    from striate.inside.receptive.fields import receptive_fields
    from striate.inside.studies.activations import activations, feature_maps
    from striate.inside.studies.correspondence import correspondence
    from striate.inside.studies.equivariance import equivariance
    from striate.inside.studies.evolution import evolution, evolutions
    from striate.inside.studies.filters import filters
    from striate.inside.studies.grad_cam import grad_cam
    from striate.inside.studies.invariance import invariance
    from striate.inside.studies.looking import look
    from striate.inside.studies.maximize import maximize
    from striate.inside.studies.occlusion import occlude
    from striate.inside.watching.watch import layer_names, layer_shapes, undisturbed, watch

_HOMES = {
    "atlases.atlas": ("atlas",),
    "atlases.folder": ("Atlas",),
    "explaining.explain": ("explain",),
    "explaining.explanation": ("Explanation",),
    "projections.projection": ("project", "project_many"),
    "projections.rules": ("backward_rule", "follow_back"),
    "receptive.fields": ("receptive_fields",),
    "studies.activations": ("activations", "feature_maps"),
    "studies.correspondence": ("correspondence",),
    "studies.equivariance": ("equivariance",),
    "studies.evolution": ("evolution", "evolutions"),
    "studies.filters": ("filters",),
    "studies.grad_cam": ("grad_cam",),
    "studies.invariance": ("invariance",),
    "studies.looking": ("look",),
    "studies.maximize": ("maximize",),
    "studies.occlusion": ("occlude",),
    "watching.watch": ("layer_names", "layer_shapes", "undisturbed", "watch"),
}

__all__ = [
    "Atlas",
    "Explanation",
    "activations",
    "atlas",
    "backward_rule",
    "correspondence",
    "equivariance",
    "evolution",
    "evolutions",
    "explain",
    "feature_maps",
    "filters",
    "follow_back",
    "grad_cam",
    "invariance",
    "layer_names",
    "layer_shapes",
    "look",
    "maximize",
    "occlude",
    "project",
    "project_many",
    "receptive_fields",
    "undisturbed",
    "watch",
]


def __getattr__(name: str) -> object:
    """Loads a public name when it is first asked for (PEP 562)."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
